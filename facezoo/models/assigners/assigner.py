"""What every assigner is, and what several of them share.

Vocabulary: B images, G faces per image after padding, N priors. A *claim* is a face's wish to own
a prior; a prior has one face: the claim that is best by the rule's own measure wins, then the
lower index of the face.
"""

from __future__ import annotations

from typing import ClassVar, NamedTuple

import torch
from torch import Tensor, nn

from facezoo.errors import ConfigError
from facezoo.models.assigners.overlap import hidden_priors
from facezoo.models.losses.loss import BACKGROUND, IGNORE
from facezoo.structures import Grid, Targets


class Assignment(NamedTuple):
    """What each prior is to learn.

    Attributes:
        index: B x N, int64: the face's index in its image, ``BACKGROUND`` or ``IGNORE``.
        weight: B x N, float32: factor of the prior in the class loss, 0 where ignored.
        quality: B x N, float32, target of a positive prior's quality or class, 0 to 1, or None
            where the rule has none.
        box_weight: B x N, float32, factor of a positive prior in the regression losses, 0
            elsewhere; or None for 1.
    """

    index: Tensor  # type: ignore[assignment]  # hides tuple.index, which nobody needs here
    weight: Tensor
    quality: Tensor | None = None
    box_weight: Tensor | None = None


class Owners(NamedTuple):
    """What a rule says, before ignored faces are looked at.

    Attributes:
        index: B x N, int64: the face's index in its image, ``BACKGROUND`` or ``IGNORE``.
        quality: see ``Assignment``.
        box_weight: see ``Assignment``.
    """

    index: Tensor  # type: ignore[assignment]  # hides tuple.index, which nobody needs here
    quality: Tensor | None = None
    box_weight: Tensor | None = None


class Assigner(nn.Module):
    """A rule that gives priors to faces.

    Subclasses write ``assign``; it runs without gradients and outside autocast, in float32.

    Args:
        ignore_overlap: a background prior is ignored if ignored faces cover this share of it, or if
            it is of the size that fits one of them best and holds its centre.

    Attributes:
        looks_at_predictions: whether the rule needs ``decoded``.
        gives_quality: whether its assignments have a ``quality``.
    """

    looks_at_predictions: ClassVar[bool] = False
    gives_quality: ClassVar[bool] = False

    def __init__(self, ignore_overlap: float = 0.5) -> None:
        super().__init__()
        self.ignore_overlap = ignore_overlap

    def forward(
        self, grid: Grid, targets: Targets, decoded: tuple[Tensor, Tensor] | None = None
    ) -> Assignment:
        """Returns which face each prior is to find.

        Args:
            grid: the priors.
            targets: the faces; padding claims nothing, and an ignored face claims nothing but
                hides what it covers (``ignore_overlap``).
            decoded: boxes B x N x 4 in pixels and the score of each class, B x N x C, 0 to 1, for
                rules that look at predictions.

        Raises:
            ValueError: the rule looks at predictions and there are none.
            ConfigError: ``assign`` returns other than it has to; not checked while torch compiles.
        """
        if self.looks_at_predictions and decoded is None:
            raise ValueError(
                f"{type(self).__name__} looks at predictions: give the decoded boxes and scores"
            )
        with torch.no_grad(), torch.autocast(targets.boxes.device.type, enabled=False):
            owners = self.assign(grid, targets, decoded)
            if not torch.compiler.is_compiling():
                batch, priors = targets.boxes.shape[0], grid.priors.shape[0]
                _check_owners(type(self).__name__, owners, batch, priors)
            ignored = targets.valid & targets.ignore
            hidden = hidden_priors(grid, targets.boxes.float(), ignored, self.ignore_overlap)
            index = torch.where((owners.index == BACKGROUND) & hidden, IGNORE, owners.index)
            return Assignment(index, (index != IGNORE).float(), owners.quality, owners.box_weight)

    def assign(self, grid: Grid, targets: Targets, decoded: tuple[Tensor, Tensor] | None) -> Owners:
        """Returns what the rule says; see ``forward``."""
        raise NotImplementedError


def _check_owners(rule: str, owners: object, batch: int, priors: int) -> None:
    """Refuses what would fail far from the rule that said it, or be stretched in silence."""
    wanted = f"{batch} x {priors} (images x priors)"
    if not isinstance(owners, Owners):
        raise ConfigError(
            f"{rule}.assign returns {type(owners).__name__}: return Owners with an index of "
            f"{wanted}, int64."
        )
    if owners.index.dtype != torch.int64:
        raise ConfigError(
            f"{rule}.assign returns Owners with an index of {owners.index.dtype}: make it int64, "
            f"of {wanted}."
        )
    for name, values in owners._asdict().items():
        if values is not None and values.shape != (batch, priors):
            shape = " x ".join(map(str, values.shape))
            raise ConfigError(
                f"{rule}.assign returns Owners with {name} of {shape}: make it {wanted}."
            )


class PredictionAssigner(Assigner):
    """A rule that looks at predictions, and whose assignments say how good they are.

    Args:
        top_k: the most priors that a face claims.
        ignore_overlap: see ``Assigner``.

    Raises:
        ConfigError: ``top_k`` is below 1.
    """

    looks_at_predictions = True
    gives_quality = True

    def __init__(self, top_k: int, ignore_overlap: float) -> None:
        super().__init__(ignore_overlap)
        if top_k < 1:
            raise ConfigError(
                f"top_k of {type(self).__name__} is {top_k}: it has to be at least 1."
            )
        self.top_k = top_k


def take_faces(values: Tensor, index: Tensor) -> Tensor:
    """Returns for each prior what its face has.

    Args:
        values: B x G x ..., one row per face.
        index: B x N, int64; below 0 where a prior has no face.

    Returns:
        B x N x ...; where a prior has no face, the row of the first face.
    """
    index = index.clamp(min=0)
    trailing = values.shape[2:]
    index = index.view(*index.shape, *(1 for _ in trailing)).expand(*index.shape, *trailing)
    return values.gather(1, index)


def settle_claims(prior: Tensor, measure: Tensor, claims: Tensor, n: int) -> Tensor:
    """Returns the face that wins each prior: the best measure, then the lower index.

    Args:
        prior: B x G x K, int64, the priors that each face may claim.
        measure: B x G x K, float32, the rule's own measure.
        claims: B x G x K, bool; False where there is no claim.
        n: number of priors.

    Returns:
        B x n, int64, ``BACKGROUND`` where nobody claims.
    """
    face = torch.arange(prior.shape[1], device=prior.device).view(1, -1, 1).expand_as(prior)
    prior, face, measure, claims = (part.flatten(1) for part in (prior, face, measure, claims))
    batch = prior.shape[0]
    slot = torch.where(claims, prior, n)  # column n takes what is no claim
    best = measure.new_full((batch, n + 1), -torch.inf)
    best = best.scatter_reduce(1, slot, measure, "amax")
    wins = claims & (measure == best.gather(1, slot))
    nobody = torch.iinfo(torch.int64).max
    winner = face.new_full((batch, n + 1), nobody)
    winner = winner.scatter_reduce(1, slot, torch.where(wins, face, nobody), "amin")[:, :n]
    return torch.where(winner == nobody, BACKGROUND, winner)

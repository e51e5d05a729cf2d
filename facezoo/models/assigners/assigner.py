"""The base class of all assigners, and what several of them share.

Vocabulary: B images, G faces per image after padding, N priors. A face may *match* many priors, a
prior has one face at most: of those that match it the best by the rule's own measure, then the
one of the lower index.
"""

from __future__ import annotations

from typing import ClassVar, NamedTuple

import torch
from torch import Tensor, nn

from facezoo.errors import ConfigError
from facezoo.models.assigners.overlap import ignored_priors
from facezoo.models.losses.loss import BACKGROUND, IGNORE
from facezoo.structures import Grid, Targets

Decoded = tuple[Tensor, Tensor]
"""Boxes B x N x 4 in pixels, and the score of each class, B x N x C, 0 to 1."""


class Assignment(NamedTuple):
    """The face that each prior is to predict.

    Attributes:
        index: B x N, int64: the face's index in its image, ``BACKGROUND`` or ``IGNORE``.
        quality: B x N, float32, target of a positive prior's quality or class, 0 to 1, or None
            where the rule has none.
        box_weight: B x N, float32, factor of a positive prior in the regression losses, 0
            elsewhere; or None for 1.
    """

    index: Tensor  # type: ignore[assignment]  # hides tuple.index, which nobody needs here
    quality: Tensor | None = None
    box_weight: Tensor | None = None


class Assigner(nn.Module):
    """A rule that matches priors to faces.

    Subclasses write ``assign``; it runs without gradients and outside autocast, in float32.

    Args:
        ignore_overlap: a background prior is ignored if ignored faces cover this share of it, or if
            it is of the size that fits one of them best and contains its centre.

    Attributes:
        looks_at_predictions: whether the rule needs ``decoded``.
        gives_quality: whether its assignments have a ``quality``.
    """

    looks_at_predictions: ClassVar[bool] = False
    gives_quality: ClassVar[bool] = False

    def __init__(self, ignore_overlap: float = 0.5) -> None:
        super().__init__()
        self.ignore_overlap = ignore_overlap

    def forward(self, grid: Grid, targets: Targets, decoded: Decoded | None = None) -> Assignment:
        """Returns which face each prior is to predict.

        Args:
            grid: the priors.
            targets: the faces; padding matches nothing, and an ignored face matches nothing, but
                the priors it covers are ignored (``ignore_overlap``).
            decoded: the predictions, for rules that look at them.

        Raises:
            ValueError: the rule looks at predictions and there are none.
            ConfigError: ``assign`` returns another type or shape; not checked while torch compiles.
        """
        if self.looks_at_predictions and decoded is None:
            raise ValueError(
                f"{type(self).__name__} looks at predictions: give the decoded boxes and scores"
            )
        with torch.no_grad(), torch.autocast(targets.boxes.device.type, enabled=False):
            found = self.assign(grid, targets, decoded)
            if not torch.compiler.is_compiling():
                batch, priors = targets.boxes.shape[0], grid.priors.shape[0]
                _check_assignment(type(self).__name__, found, batch, priors)
            ignored = targets.valid & targets.ignore
            covered = ignored_priors(grid, targets.boxes.float(), ignored, self.ignore_overlap)
            index = torch.where((found.index == BACKGROUND) & covered, IGNORE, found.index)
            return found._replace(index=index)

    def assign(self, grid: Grid, targets: Targets, decoded: Decoded | None) -> Assignment:
        """Returns the assignment before ignored faces are looked at; see ``forward``."""
        raise NotImplementedError


def _check_assignment(rule: str, found: object, batch: int, priors: int) -> None:
    """Refuses what would fail far from its rule, or be broadcast in silence."""
    wanted = f"{batch} x {priors} (images x priors)"
    if not isinstance(found, Assignment):
        raise ConfigError(
            f"{rule}.assign returns {type(found).__name__}: return an Assignment with an index of "
            f"{wanted}, int64."
        )
    if found.index.dtype != torch.int64:
        raise ConfigError(
            f"{rule}.assign returns an Assignment with an index of {found.index.dtype}: make it "
            f"int64, of {wanted}."
        )
    for name, values in found._asdict().items():
        if values is not None and values.shape != (batch, priors):
            shape = " x ".join(map(str, values.shape))
            raise ConfigError(
                f"{rule}.assign returns an Assignment with {name} of {shape}: make it {wanted}."
            )


class PredictionAssigner(Assigner):
    """A rule that looks at predictions, and whose assignments have a quality.

    Args:
        top_k: the most priors that a face matches.
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


def gather_faces(values: Tensor, index: Tensor) -> Tensor:
    """Returns for each prior the values of its face.

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


def best_face_per_prior(prior: Tensor, measure: Tensor, matches: Tensor, n: int) -> Tensor:
    """Returns the face of each prior: of those that match it the best, then the lowest index.

    Args:
        prior: B x G x K, int64, the candidates of each face.
        measure: B x G x K, float32, the rule's own measure of each.
        matches: B x G x K, bool: whether the face matches its candidate.
        n: number of priors.

    Returns:
        B x n, int64, ``BACKGROUND`` where no face matches.
    """
    face = torch.arange(prior.shape[1], device=prior.device).view(1, -1, 1).expand_as(prior)
    prior, face, measure, matches = (part.flatten(1) for part in (prior, face, measure, matches))
    batch = prior.shape[0]
    slot = torch.where(matches, prior, n)  # column n takes what does not match
    best = measure.new_full((batch, n + 1), -torch.inf)
    best = best.scatter_reduce(1, slot, measure, "amax")
    wins = matches & (measure == best.gather(1, slot))
    nobody = torch.iinfo(torch.int64).max
    winner = face.new_full((batch, n + 1), nobody)
    winner = winner.scatter_reduce(1, slot, torch.where(wins, face, nobody), "amin")[:, :n]
    return torch.where(winner == nobody, BACKGROUND, winner)

"""The base class of all assigners, what several of them share, and RetinaFace's rule.

Vocabulary: B images, G faces per image after padding, N priors. A face may *match* many priors, a
prior has one face at most: of those that match it the best by the rule's own measure, then the
one of the lower index.
"""

from typing import ClassVar, NamedTuple

import torch
from torch import Tensor, nn

from facezoo.errors import ConfigError
from facezoo.models.assigners.overlap import best_overlaps, ignored_priors, r_of_iou
from facezoo.models.losses.class_losses import BACKGROUND, IGNORE
from facezoo.registry import ASSIGNERS
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
        ignore_overlap: an argument of every rule; a background prior is ignored if ignored faces
            cover this share of it, or if it fits one of them best by its size and holds its centre.

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


@ASSIGNERS.register
class MaxIoU(Assigner):
    """The two thresholds and the best-anchor rule of RetinaFace (Deng et al. 2020, section 4.1).

    A prior is matched to the face it overlaps most if their IoU reaches ``positive_iou``; it is
    background below ``negative_iou`` and ignored in between. Whatever its IoU, the best prior of a
    face is matched to it if their IoU reaches ``best_anchor_iou``; of several such faces it
    takes the one with the larger IoU. Equals are settled by lower index, of face and prior.

    Memory beyond results of B x N: at most 128 MiB, whatever the number of faces.

    Args:
        positive_iou: IoU from which a prior is positive.
        negative_iou: IoU below which a prior is background.
        best_anchor_iou: IoU from which a face has its best prior for sure.
    """

    def __init__(
        self,
        positive_iou: float = 0.5,
        negative_iou: float = 0.3,
        best_anchor_iou: float = 0.2,
        ignore_overlap: float = 0.5,
    ) -> None:
        super().__init__(ignore_overlap)
        if not 0 < negative_iou <= positive_iou <= 1:
            raise ConfigError(
                f"negative_iou of MaxIoU is {negative_iou} and positive_iou {positive_iou}: they "
                "have to be more than 0, at most 1, and the negative one not above the positive."
            )
        self.positive_iou = positive_iou
        self.negative_iou = negative_iou
        self.best_anchor_iou = best_anchor_iou

    def assign(self, grid: Grid, targets: Targets, decoded: Decoded | None) -> Assignment:
        """See ``Assigner.forward``; ``decoded`` is not looked at."""
        boxes = targets.boxes.float()
        valid = targets.valid & ~targets.ignore
        best = best_overlaps(grid, boxes, valid, r_of_iou(self.negative_iou))
        positive = best.prior_r >= r_of_iou(self.positive_iou)
        between = best.prior_r >= r_of_iou(self.negative_iou)
        index = torch.where(between, IGNORE, BACKGROUND)
        index = torch.where(positive, best.prior_face, index)

        matches = (best.face_r > 0) & (best.face_r >= r_of_iou(self.best_anchor_iou))
        prior, r, matches = (part.unsqueeze(-1) for part in (best.face_prior, best.face_r, matches))
        face = best_face_per_prior(prior, r, matches, grid.priors.shape[0])
        index = torch.where(face >= 0, face, index)
        return Assignment(index)

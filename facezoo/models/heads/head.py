"""The base class of all heads: predict, assign, compute the losses, decode.

Vocabulary: B images, N priors over all levels, C classes, G faces per image, L landmarks. *Raw* is
what a head predicts, *encoded* relative to its priors; *decoded* is in pixels. A prior is
*positive* if the assigner gave it a face.
"""

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn

from facezoo.errors import ConfigError
from facezoo.geometry.boxes import aligned_iou
from facezoo.geometry.priors import AnchorGrid, BoxCodec, LandmarkCodec
from facezoo.models.assigners.assigner import Assigner, Assignment, gather_faces
from facezoo.models.heads.towers import Towers, apply_towers, check_levels
from facezoo.models.losses.class_losses import IGNORE, ClassLoss
from facezoo.models.losses.regression_losses import DistributionFocal, RegressionLoss
from facezoo.models.necks.fpn import Neck
from facezoo.structures import LossTerm, RawOutputs, Targets

Score = Literal["class", "product", "geometric_mean"]


@dataclass(frozen=True)
class HeadLosses:
    """The losses of a head.

    Attributes:
        classes: of the logits of the classes.
        boxes: of the boxes, decoded or encoded, as the loss takes them.
        landmarks: of the encoded landmarks, or None for a head without landmarks.
        quality: of the quality logit (objectness), or None for a head without.
        distribution: of the boxes as distributions, or None.
    """

    classes: ClassLoss
    boxes: RegressionLoss
    landmarks: RegressionLoss | None = None
    quality: ClassLoss | None = None
    distribution: DistributionFocal | None = None


class Head(nn.Module):
    """Priors, codecs, an assigner, losses and towers; a subclass chooses them.

    Args:
        grid: the priors.
        assigner: which prior is matched to which face.
        losses: of classes, boxes and the rest.
        box_codec: between boxes and what is regressed.
        landmark_codec: between landmarks and what is regressed.
        towers: the layers that predict, per kind and level.
        context: a neck that the features pass through first, or None.
        score: of a face: that of its class, its product with the quality, or the square root of
            that product.

    Raises:
        ConfigError: two of the parts do not go together.
    """

    def __init__(
        self,
        grid: AnchorGrid,
        assigner: Assigner,
        losses: HeadLosses,
        box_codec: BoxCodec,
        landmark_codec: LandmarkCodec,
        towers: Towers,
        context: Neck | None = None,
        score: Score = "class",
    ) -> None:
        super().__init__()
        _check_losses(assigner, losses, box_codec)
        _check_towers_have_losses(losses, towers)
        check_levels(towers, len(grid.anchors_per_cell))
        self.grid = grid
        self.assigner = assigner
        self.class_loss = losses.classes
        self.box_loss = losses.boxes
        self.landmark_loss = losses.landmarks
        self.quality_loss = losses.quality
        self.distribution_loss = losses.distribution
        self.box_codec = box_codec
        self.landmark_codec = landmark_codec
        self.score = score
        self.context = context
        self.class_towers, self.box_towers = towers.classes, towers.boxes
        self.landmark_towers, self.quality_towers = towers.landmarks, towers.quality

    def forward(self, features: list[Tensor]) -> RawOutputs:
        """Returns the raw predictions for features, fine to coarse.

        Raises:
            ConfigError: a tower gives another number of channels than the head takes.
        """
        if self.context is not None:
            features = self.context(features)
        anchors, quality, landmarks = self.grid.anchors_per_cell, None, None
        if self.landmark_towers is not None:
            landmarks = apply_towers(self.landmark_towers, features, anchors, "landmark")
        logits = apply_towers(self.class_towers, features, anchors, "class")
        boxes = apply_towers(self.box_towers, features, anchors, "box", self.box_codec.outputs)
        if self.quality_towers is not None:
            quality = apply_towers(self.quality_towers, features, anchors, "quality", 1).squeeze(-1)
        sizes = [(feature.shape[-2], feature.shape[-1]) for feature in features]
        grid = self.grid(sizes, features[0].device)
        return RawOutputs(logits, boxes, landmarks, quality, grid)

    def decode(self, raw: RawOutputs) -> tuple[Tensor, Tensor, Tensor | None]:
        """Returns boxes B x N x 4, scores B x N (0 to 1) and landmarks B x N x L x 2 or None.

        Boxes and landmarks are in pixels of the network's input. With several classes the score is
        that of the best one.
        """
        boxes = self.box_codec.decode(raw.grid, raw.boxes)
        scores = self._class_scores(raw).amax(dim=-1)
        if raw.landmarks is None:
            return boxes, scores, None
        return boxes, scores, self.landmark_codec.decode(raw.grid, raw.landmarks)

    def _class_scores(self, raw: RawOutputs) -> Tensor:
        """Returns the score of each class, B x N x C, 0 to 1."""
        scores = raw.logits.float().sigmoid()
        if self.score == "class" or raw.quality is None:
            return scores
        scores = scores * raw.quality.float().sigmoid().unsqueeze(-1)
        return scores if self.score == "product" else scores.sqrt()

    def loss(self, raw: RawOutputs, targets: Targets) -> dict[str, LossTerm]:
        """Returns ``class``, ``box`` and, where the head has them, the other terms of the loss.

        ``quality``, ``distribution`` and ``landmark`` are the others. All are normalised by the
        number of positive priors, or the sum of their weights where the assigner gives them; the
        landmark loss only by those whose face has a known landmark.

        Raises:
            ConfigError: the head has other landmarks than the targets.
        """
        boxes = self.box_codec.decode(raw.grid, raw.boxes) if self._needs_boxes() else None
        assignment = self._assign(raw, targets, boxes)
        positive = assignment.index >= 0
        mask = positive if assignment.box_weight is None else assignment.box_weight
        count = mask.sum()
        faces = gather_faces(targets.boxes.float(), assignment.index)
        terms = {
            "class": LossTerm(self._class_loss(raw, targets, assignment).sum(), count),
            "box": LossTerm(self._box_loss(raw, boxes, faces, mask).sum(), count),
        }
        if self.quality_loss is not None and raw.quality is not None:
            assert boxes is not None
            terms["quality"] = LossTerm(
                self._quality_loss(raw.quality, boxes, faces, assignment).sum(), count
            )
        if self.distribution_loss is not None:
            distances = self.box_codec.encode(raw.grid, faces)
            terms["distribution"] = LossTerm(
                self.distribution_loss(raw.boxes, distances, mask).sum(), count
            )
        if self.landmark_loss is not None and raw.landmarks is not None:
            terms["landmark"] = self._landmark_term(raw, targets, assignment.index, mask)
        return terms

    def _needs_boxes(self) -> bool:
        """Returns whether a loss or the assigner needs decoded boxes, which take time."""
        return (
            self.box_loss.space == "boxes"
            or self.quality_loss is not None
            or self.assigner.looks_at_predictions
        )

    def _assign(self, raw: RawOutputs, targets: Targets, boxes: Tensor | None) -> Assignment:
        if not self.assigner.looks_at_predictions:
            return self.assigner(raw.grid, targets)
        assert boxes is not None
        return self.assigner(raw.grid, targets, (boxes.detach(), self._class_scores(raw).detach()))

    def _class_loss(self, raw: RawOutputs, targets: Targets, assignment: Assignment) -> Tensor:
        index = assignment.index
        labels = torch.where(index >= 0, gather_faces(targets.labels, index), index)
        if self.quality_loss is None:
            return self.class_loss(raw.logits, labels, assignment.quality)
        # The quality tells faces from background; the class is learnt where there is a face.
        labels = torch.where(index >= 0, labels, IGNORE)
        return self.class_loss(raw.logits, labels)

    def _quality_loss(
        self, quality: Tensor, boxes: Tensor, faces: Tensor, assignment: Assignment
    ) -> Tensor:
        """Returns the loss B x N of the quality, whose target is the assigner's or the IoU."""
        assert self.quality_loss is not None
        target = assignment.quality
        if target is None:
            target = aligned_iou(boxes.detach(), faces)
        labels = assignment.index.clamp(max=0)  # one class: a face
        return self.quality_loss(quality.unsqueeze(-1), labels, target)

    def _box_loss(
        self, raw: RawOutputs, boxes: Tensor | None, faces: Tensor, mask: Tensor
    ) -> Tensor:
        if self.box_loss.space == "boxes":
            assert boxes is not None
            return self.box_loss(boxes, faces, mask)
        encoded = self.box_codec.encode(raw.grid, faces)
        return self.box_loss(raw.boxes, encoded, mask.unsqueeze(-1).expand_as(encoded))

    def _landmark_term(
        self, raw: RawOutputs, targets: Targets, index: Tensor, mask: Tensor
    ) -> LossTerm:
        assert self.landmark_loss is not None and raw.landmarks is not None
        outputs, count = raw.landmarks.shape[-1], targets.landmarks.shape[-2]
        if outputs != 2 * count and not torch.compiler.is_compiling():
            raise ConfigError(
                f"The landmark towers give {outputs} numbers for each prior, and the targets have "
                f"{count} landmarks: make it {2 * count}, x and y of each."
            )
        landmarks = gather_faces(targets.landmarks.float(), index)
        known = gather_faces(targets.landmarks_valid, index) * mask.unsqueeze(-1)
        encoded = self.landmark_codec.encode(raw.grid, landmarks)
        each = known.unsqueeze(-1).expand_as(landmarks).flatten(-2)
        total = self.landmark_loss(raw.landmarks, encoded, each).sum()
        return LossTerm(total, known.amax(dim=-1).sum())


def _check_losses(assigner: Assigner, losses: HeadLosses, box_codec: BoxCodec) -> None:
    if losses.boxes.space == "encoded" and box_codec.outputs != 4:
        raise ConfigError(
            f"box_loss is {type(losses.boxes).__name__}, a loss of encoded boxes, which are "
            "distributions here: give one of decoded boxes, such as CIoU or GIoU."
        )
    if losses.landmarks is not None and losses.landmarks.space != "encoded":
        raise ConfigError(
            f"landmark_loss is {type(losses.landmarks).__name__}, a loss of boxes: give one of "
            "encoded numbers, such as SmoothL1 or Wing."
        )
    if losses.quality is not None and not losses.quality.soft:
        raise ConfigError(
            f"quality_loss is {type(losses.quality).__name__}, whose targets are 0 or 1: give one "
            "with targets between, such as BCE or QualityFocal."
        )
    if assigner.gives_quality and losses.quality is None and not losses.classes.soft:
        raise ConfigError(
            f"The assigner {type(assigner).__name__} gives targets between 0 and 1, which "
            f"{type(losses.classes).__name__} as class_loss does not take: give one that does, "
            "such as BCE or QualityFocal."
        )


def _check_towers_have_losses(losses: HeadLosses, towers: Towers) -> None:
    """Refuses a loss without towers, and towers without a loss."""
    for kind, loss, of_kind in (
        ("landmark", losses.landmarks, towers.landmarks),
        ("quality", losses.quality, towers.quality),
    ):
        if loss is not None and of_kind is None:
            raise ConfigError(f"There is a {kind}_loss and no {kind} towers: give both or none.")
        if loss is None and of_kind is not None:
            raise ConfigError(f"There are {kind} towers and no {kind}_loss: give both or none.")

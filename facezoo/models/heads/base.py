"""What every head is, and what heads share: assign, compare, decode.

Vocabulary: B images, N priors over all levels, C classes, G faces per image, L landmarks. *Raw* is
what a head says, *encoded* relative to its priors; *decoded* is in pixels. A prior is *positive*
if the assigner gave it a face.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from facezoo.geometry.codec import BoxCodec, LandmarkCodec
from facezoo.geometry.grid import AnchorGrid
from facezoo.models.assigners.base import Assigner, Assignment, take_faces
from facezoo.models.losses.base import ClassLoss, RegressionLoss
from facezoo.structures import LossTerm, RawOutputs, Targets


class Head(nn.Module):
    """Priors, codecs, an assigner and losses; a subclass adds the towers that say something.

    Args:
        grid: the priors.
        assigner: which prior is to find which face.
        class_loss: of the logits.
        box_loss: of the boxes, decoded or encoded, as the loss wants them.
        landmark_loss: of the encoded landmarks, or None for a head without landmarks.
        box_codec: between boxes and what is regressed.
        landmark_codec: between landmarks and what is regressed.
    """

    def __init__(
        self,
        grid: AnchorGrid,
        assigner: Assigner,
        class_loss: ClassLoss,
        box_loss: RegressionLoss,
        landmark_loss: RegressionLoss | None,
        box_codec: BoxCodec,
        landmark_codec: LandmarkCodec,
    ) -> None:
        super().__init__()
        self.grid = grid
        self.assigner = assigner
        self.class_loss = class_loss
        self.box_loss = box_loss
        self.landmark_loss = landmark_loss
        self.box_codec = box_codec
        self.landmark_codec = landmark_codec

    def forward(self, features: list[Tensor]) -> RawOutputs:
        """Returns what the head says of features, fine to coarse."""
        raise NotImplementedError

    def decode(self, raw: RawOutputs) -> tuple[Tensor, Tensor, Tensor | None]:
        """Returns boxes B x N x 4, scores B x N (0 to 1) and landmarks B x N x L x 2 or None.

        Boxes and landmarks are in pixels of the network's input. With several classes the score is
        that of the best one.
        """
        boxes = self.box_codec.decode(raw.grid.priors, raw.boxes)
        scores = raw.logits.float().sigmoid().amax(dim=-1)
        if raw.landmarks is None:
            return boxes, scores, None
        return boxes, scores, self.landmark_codec.decode(raw.grid.priors, raw.landmarks)

    def loss(self, raw: RawOutputs, targets: Targets) -> dict[str, LossTerm]:
        """Returns the terms ``class``, ``box`` and, with landmarks, ``landmark``.

        Class and box losses are to be divided by the number of positive priors, the landmark loss
        by that of positive priors whose face has a known landmark.
        """
        assignment = self.assigner(raw.grid, targets)
        index, positive = assignment.index, assignment.index >= 0
        count = positive.sum()
        terms = {
            "class": LossTerm(self._class_loss(raw, targets, assignment).sum(), count),
            "box": LossTerm(self._box_loss(raw, targets, index, positive).sum(), count),
        }
        if self.landmark_loss is not None and raw.landmarks is not None:
            terms["landmark"] = self._landmark_term(raw, targets, index, positive)
        return terms

    def _class_loss(self, raw: RawOutputs, targets: Targets, assignment: Assignment) -> Tensor:
        index = assignment.index
        labels = torch.where(index >= 0, take_faces(targets.labels, index), index)
        return self.class_loss(raw.logits, labels, assignment.weight)

    def _box_loss(
        self, raw: RawOutputs, targets: Targets, index: Tensor, positive: Tensor
    ) -> Tensor:
        boxes, priors = take_faces(targets.boxes.float(), index), raw.grid.priors
        if self.box_loss.space == "boxes":
            return self.box_loss(self.box_codec.decode(priors, raw.boxes), boxes, positive)
        encoded = self.box_codec.encode(priors, boxes)
        return self.box_loss(raw.boxes, encoded, positive.unsqueeze(-1).expand_as(encoded))

    def _landmark_term(
        self, raw: RawOutputs, targets: Targets, index: Tensor, positive: Tensor
    ) -> LossTerm:
        assert self.landmark_loss is not None and raw.landmarks is not None
        landmarks = take_faces(targets.landmarks.float(), index)
        known = take_faces(targets.landmarks_valid, index) & positive.unsqueeze(-1)
        encoded = self.landmark_codec.encode(raw.grid.priors, landmarks)
        mask = known.unsqueeze(-1).expand_as(landmarks).flatten(-2)
        total = self.landmark_loss(raw.landmarks, encoded, mask).sum()
        return LossTerm(total, known.any(dim=-1).sum())

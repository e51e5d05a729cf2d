"""RetinaFace's head: class, box and landmarks from a context module and 1 x 1 convolutions."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from facezoo.errors import ConfigError
from facezoo.geometry.codec import BoxCodec, LandmarkCodec
from facezoo.geometry.grid import AnchorGrid
from facezoo.models.assigners.base import Assigner
from facezoo.models.assigners.max_iou import MaxIoU
from facezoo.models.heads.base import Head
from facezoo.models.losses.base import ClassLoss, RegressionLoss
from facezoo.models.necks.base import Neck
from facezoo.registry import HEADS
from facezoo.structures import NUM_LANDMARKS, RawOutputs


@HEADS.register
class RetinaFaceHead(Head):
    """Deng et al. 2020, section 3: anchors on any number of levels, weights of each level its own.

    The two-class softmax of the paper is one logit here, the difference of the two (their sigmoid
    is that softmax).

    Args:
        in_channels: channels of the features.
        in_strides: strides of the features, pixels.
        anchors: sides in pixels per stride, such as ``{8: [16, 32], 16: [64, 128]}``.
        class_loss: of the logits.
        box_loss: of the boxes.
        landmark_loss: of the landmarks, or None for a head without landmarks.
        assigner: which anchor is to find which face, by default RetinaFace's rule.
        context: what the features pass through first, such as SSH.
        box_variances: divisors of centre offset and log size (Liu et al. 2016).
        landmark_variance: divisor of landmark offsets.
        num_classes: without background.
        num_landmarks: landmarks per face.
        prior_probability: score of every anchor at the start (Lin et al. 2017, section 4.1), so
            that background does not flood the first steps.

    Raises:
        ConfigError: the anchors do not fit the strides, or a number is out of range.
    """

    def __init__(
        self,
        in_channels: list[int],
        in_strides: list[int],
        anchors: dict[int, list[float]],
        class_loss: ClassLoss,
        box_loss: RegressionLoss,
        landmark_loss: RegressionLoss | None = None,
        assigner: Assigner | None = None,
        context: Neck | None = None,
        box_variances: tuple[float, float] = (0.1, 0.2),
        landmark_variance: float = 0.1,
        num_classes: int = 1,
        num_landmarks: int = NUM_LANDMARKS,
        prior_probability: float = 0.01,
    ) -> None:
        if not 0 < prior_probability < 1:
            raise ConfigError(f"prior_probability is {prior_probability}: give 0 to 1, exclusive.")
        if num_classes < 1 or num_landmarks < 1:
            raise ConfigError(
                f"num_classes is {num_classes} and num_landmarks {num_landmarks}: give at least 1."
            )
        if landmark_loss is not None and landmark_loss.space != "encoded":
            raise ConfigError(
                f"landmark_loss is {type(landmark_loss).__name__}, a loss of boxes: give one of "
                "encoded numbers, such as SmoothL1 or Wing."
            )
        super().__init__(
            AnchorGrid(anchors, in_strides),
            assigner or MaxIoU(),
            class_loss,
            box_loss,
            landmark_loss,
            BoxCodec(box_variances),
            LandmarkCodec(landmark_variance),
        )
        self.context = context
        self.num_classes, self.num_landmarks = num_classes, num_landmarks
        channels = in_channels if context is None else context.out_channels
        self.class_towers = self._towers(channels, num_classes)
        self.box_towers = self._towers(channels, 4)
        self.landmark_towers = (
            None if landmark_loss is None else self._towers(channels, 2 * num_landmarks)
        )
        bias = math.log(prior_probability / (1 - prior_probability))
        for tower in self.class_towers:
            nn.init.constant_(tower.bias, bias)  # type: ignore[arg-type]

    def _towers(self, channels: list[int], outputs: int) -> nn.ModuleList:
        return nn.ModuleList(
            nn.Conv2d(each, count * outputs, kernel_size=1)
            for each, count in zip(channels, self.grid.anchors_per_cell, strict=True)
        )

    def forward(self, features: list[Tensor]) -> RawOutputs:
        """See ``Head.forward``."""
        if self.context is not None:
            features = self.context(features)
        sizes = [(feature.shape[-2], feature.shape[-1]) for feature in features]
        landmarks = None
        if self.landmark_towers is not None:
            landmarks = _per_prior(self.landmark_towers, features, 2 * self.num_landmarks)
        return RawOutputs(
            _per_prior(self.class_towers, features, self.num_classes),
            _per_prior(self.box_towers, features, 4),
            landmarks,
            None,
            self.grid(sizes, features[0].device),
        )


def _per_prior(towers: nn.ModuleList, features: list[Tensor], outputs: int) -> Tensor:
    """Returns B x N x outputs, the priors in the order of the grid."""
    levels = []
    for tower, feature in zip(towers, features, strict=True):
        said = tower(feature).permute(0, 2, 3, 1)
        levels.append(said.reshape(said.shape[0], -1, outputs))
    return torch.cat(levels, dim=1)

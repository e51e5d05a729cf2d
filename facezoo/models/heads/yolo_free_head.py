"""YOLO's head without anchors: decoupled towers, boxes as distributions of distances."""

from itertools import pairwise

from torch import nn

from facezoo.errors import ConfigError
from facezoo.geometry.priors import AnchorGrid, DistributionBoxCodec, LandmarkCodec
from facezoo.models.assigners.assigner import Assigner
from facezoo.models.assigners.task_aligned import TaskAligned
from facezoo.models.blocks import silu_conv
from facezoo.models.heads.head import Head, HeadLosses
from facezoo.models.heads.towers import (
    Towers,
    build_towers,
    check_counts,
    pointwise,
    set_prior_probability,
)
from facezoo.models.losses.class_losses import ClassLoss
from facezoo.models.losses.regression_losses import DistributionFocal, RegressionLoss
from facezoo.registry import HEADS
from facezoo.structures import NUM_LANDMARKS


@HEADS.register
class YOLOFreeHead(Head):
    """YOLO without anchors, as YOLOv8 has it: a tower of its own for class, box and landmarks.

    Each cell's centre predicts the distances to the sides of a face as distributions (Li et al.
    2020), so that there is no objectness, and no anchor to choose.

    Args:
        in_channels: channels of the features.
        in_strides: strides of the features, pixels.
        class_loss: of the logits.
        box_loss: of the boxes.
        distribution_loss: of the distances.
        landmark_loss: of the landmarks, in units of two strides; None for a head without.
        assigner: which point is to find which face, by default the task-aligned rule.
        bins: numbers of a distribution; a face reaches up to ``bins - 1`` strides from a point.
        convolutions: of 3 x 3 in each tower, before the one of 1 x 1.
        num_classes: without background.
        num_landmarks: landmarks per face.
        prior_probability: score of every point at the start.

    Raises:
        ConfigError: a number is out of range.
    """

    def __init__(
        self,
        in_channels: list[int],
        in_strides: list[int],
        class_loss: ClassLoss,
        box_loss: RegressionLoss,
        distribution_loss: DistributionFocal,
        landmark_loss: RegressionLoss | None = None,
        assigner: Assigner | None = None,
        bins: int = 16,
        convolutions: int = 2,
        num_classes: int = 1,
        num_landmarks: int = NUM_LANDMARKS,
        prior_probability: float = 0.01,
    ) -> None:
        check_counts(num_classes, num_landmarks)
        if convolutions < 0:
            raise ConfigError(f"convolutions is {convolutions}: it cannot be below 0.")
        codec = DistributionBoxCodec(bins)
        grid = AnchorGrid({stride: [stride] for stride in in_strides}, in_strides)
        finest = in_channels[0]

        def towers(outputs: int, channels: int) -> nn.ModuleList:
            def make(inputs: int, outputs: int) -> nn.Sequential:
                sizes = [inputs, *[channels] * convolutions]
                layers = [silu_conv(*pair, 3) for pair in pairwise(sizes)]
                return nn.Sequential(*layers, pointwise(sizes[-1], outputs))

            return build_towers(make, in_channels, grid.anchors_per_cell, outputs)

        super().__init__(
            grid,
            assigner or TaskAligned(),
            HeadLosses(class_loss, box_loss, landmark_loss, distribution=distribution_loss),
            codec,
            LandmarkCodec(2.0, origin="corner"),
            Towers(
                towers(num_classes, max(finest, num_classes)),
                towers(codec.outputs, max(16, finest // 4, codec.outputs)),
                None
                if landmark_loss is None
                else towers(2 * num_landmarks, max(finest // 4, 2 * num_landmarks)),
            ),
        )
        set_prior_probability(self.class_towers, prior_probability)

"""RetinaFace's head: class, box and landmarks from a context module and 1 x 1 convolutions."""

from torch import nn

from facezoo.geometry.priors import AnchorGrid, LandmarkCodec, Sides, SSDBoxCodec
from facezoo.models.assigners.assigner import Assigner, MaxIoU
from facezoo.models.heads.head import Head, HeadLosses
from facezoo.models.heads.towers import (
    Towers,
    build_towers,
    check_counts,
    pointwise,
    set_prior_probability,
)
from facezoo.models.losses.class_losses import ClassLoss
from facezoo.models.losses.regression_losses import RegressionLoss
from facezoo.models.necks.fpn import Neck
from facezoo.registry import HEADS
from facezoo.structures import NUM_LANDMARKS


@HEADS.register
class RetinaFaceHead(Head):
    """Deng et al. 2020, section 3: anchors on any number of levels, weights of each level its own.

    The two-class softmax of the paper is one logit here, the difference of the two (their sigmoid
    is that softmax).

    Args:
        in_channels: channels of the features.
        in_strides: strides of the features, pixels.
        anchors: sides in pixels per stride, such as ``{8: [16, 32], 16: [64, 128]}`` for squares
            and ``{8: [[4, 5], [8, 10]]}`` for others.
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
        anchors: dict[int, list[Sides]],
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
        check_counts(num_classes, num_landmarks)
        grid = AnchorGrid(anchors, in_strides)
        channels = in_channels if context is None else context.out_channels

        def towers(outputs: int) -> nn.ModuleList:
            return build_towers(pointwise, channels, grid.anchors_per_cell, outputs)

        super().__init__(
            grid,
            assigner or MaxIoU(),
            HeadLosses(class_loss, box_loss, landmark_loss),
            SSDBoxCodec(box_variances),
            LandmarkCodec(landmark_variance),
            Towers(
                towers(num_classes),
                towers(4),
                None if landmark_loss is None else towers(2 * num_landmarks),
            ),
            context,
        )
        set_prior_probability(self.class_towers, prior_probability)

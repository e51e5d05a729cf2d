"""YOLO's head with anchors: objectness, class, box and landmarks of every anchor of every cell."""

import numpy as np
from torch import nn

from facezoo.errors import ConfigError
from facezoo.geometry.priors import AnchorGrid, LandmarkCodec, Sides, YOLOBoxCodec
from facezoo.models.assigners.assigner import Assigner
from facezoo.models.assigners.ratio import RatioRule
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
from facezoo.registry import HEADS
from facezoo.structures import NUM_LANDMARKS

SMALLEST_FACE, LARGEST_FACE = 8.0, 512.0
"""Pixels: between them lie the anchors of a head that is given none."""


@HEADS.register
class YOLOHead(Head):
    """YOLO with anchors, as YOLOv5 has it, and landmarks as in YOLO5Face (Qi et al. 2021).

    One 1 x 1 convolution for each kind of number, on one level (the plain single-scale YOLO) or
    several. The score of a face is objectness times class; a box is at most four times its anchor.
    The objectness learns the IoU that a box has, or the assigner's quality, and the class is learnt
    where there is a face; both are divided by the number of positive anchors (YOLOX), not by that
    of all anchors (YOLOv5).

    Args:
        in_channels: channels of the features.
        in_strides: strides of the features, pixels.
        class_loss: of the class of positive anchors.
        quality_loss: of the objectness, whose target is the IoU that the box has.
        box_loss: of the boxes.
        landmark_loss: of the landmarks, in sides of the anchor; None for a head without landmarks.
        anchors: sides in pixels per stride, such as ``{8: [[4, 5], [8, 10], [13, 16]]}``. Without
            them each stride has ``num_anchors`` squares, spaced evenly on a logarithmic scale over
            all strides together, from 8 to 512 px.
        num_anchors: anchors per cell where ``anchors`` are not given.
        assigner: which anchor is to find which face, by default YOLOv5's rule.
        num_classes: without background.
        num_landmarks: landmarks per face.
        prior_probability: objectness of every anchor at the start.

    Raises:
        ConfigError: the anchors do not fit the strides, or a number is out of range.
    """

    def __init__(
        self,
        in_channels: list[int],
        in_strides: list[int],
        class_loss: ClassLoss,
        quality_loss: ClassLoss,
        box_loss: RegressionLoss,
        landmark_loss: RegressionLoss | None = None,
        anchors: dict[int, list[Sides]] | None = None,
        num_anchors: int = 3,
        assigner: Assigner | None = None,
        num_classes: int = 1,
        num_landmarks: int = NUM_LANDMARKS,
        prior_probability: float = 0.01,
    ) -> None:
        check_counts(num_classes, num_landmarks)
        if num_anchors < 1:
            raise ConfigError(f"num_anchors is {num_anchors}: give at least 1.")
        grid = AnchorGrid(anchors or evenly_spaced(in_strides, num_anchors), in_strides)

        def towers(outputs: int) -> nn.ModuleList:
            return build_towers(pointwise, in_channels, grid.anchors_per_cell, outputs)

        super().__init__(
            grid,
            assigner or RatioRule(),
            HeadLosses(class_loss, box_loss, landmark_loss, quality_loss),
            YOLOBoxCodec(),
            LandmarkCodec(1.0, origin="corner"),
            Towers(
                towers(num_classes),
                towers(4),
                None if landmark_loss is None else towers(2 * num_landmarks),
                towers(1),
            ),
            score="product",
        )
        assert self.quality_towers is not None
        set_prior_probability(self.quality_towers, prior_probability)


def evenly_spaced(strides: list[int], num_anchors: int) -> dict[int, list[Sides]]:
    """Returns square anchors per stride, their logarithms evenly spaced over all strides."""
    sides = np.geomspace(SMALLEST_FACE, LARGEST_FACE, len(strides) * num_anchors)
    levels = sides.round(1).reshape(len(strides), num_anchors).tolist()
    return {stride: [*level] for stride, level in zip(sorted(strides), levels, strict=True)}

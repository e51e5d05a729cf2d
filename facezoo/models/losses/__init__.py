"""Losses: from prediction and target to one number per prior."""

from facezoo.models.losses.bce import BCE
from facezoo.models.losses.distribution import DistributionFocal
from facezoo.models.losses.focal import FocalLoss
from facezoo.models.losses.iou_losses import CIoULoss, DIoULoss, GIoULoss, IoULoss
from facezoo.models.losses.loss import ClassLoss, Loss, RegressionLoss
from facezoo.models.losses.ohem import OHEM
from facezoo.models.losses.quality_focal import QualityFocal
from facezoo.models.losses.smooth_l1 import SmoothL1
from facezoo.models.losses.wing import Wing

__all__ = [
    "BCE",
    "OHEM",
    "CIoULoss",
    "ClassLoss",
    "DIoULoss",
    "DistributionFocal",
    "FocalLoss",
    "GIoULoss",
    "IoULoss",
    "Loss",
    "QualityFocal",
    "RegressionLoss",
    "SmoothL1",
    "Wing",
]

"""Losses: from prediction and target to one number per prior."""

from facezoo.models.losses.class_losses import BCE, OHEM, ClassLoss, FocalLoss, Loss, QualityFocal
from facezoo.models.losses.regression_losses import (
    CIoULoss,
    DIoULoss,
    DistributionFocal,
    GIoULoss,
    IoULoss,
    RegressionLoss,
    SmoothL1,
    Wing,
)

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

"""Losses: from prediction and target to one number per prior."""

from facezoo.models.losses.base import ClassLoss, Loss, RegressionLoss
from facezoo.models.losses.focal import FocalLoss
from facezoo.models.losses.iou import CIoULoss, DIoULoss, GIoULoss, IoULoss
from facezoo.models.losses.ohem import OHEM
from facezoo.models.losses.smooth_l1 import SmoothL1
from facezoo.models.losses.wing import Wing

__all__ = [
    "OHEM",
    "CIoULoss",
    "ClassLoss",
    "DIoULoss",
    "FocalLoss",
    "GIoULoss",
    "IoULoss",
    "Loss",
    "RegressionLoss",
    "SmoothL1",
    "Wing",
]

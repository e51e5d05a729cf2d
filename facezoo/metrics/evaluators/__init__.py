"""Evaluators, registered by name."""

from facezoo.metrics.evaluators.coco_ap import CocoAP
from facezoo.metrics.evaluators.landmark_error import LandmarkError
from facezoo.metrics.evaluators.rates import Calibration, Duplicates, OperatingPoint, RecallBySize
from facezoo.metrics.evaluators.slices import Slices
from facezoo.metrics.evaluators.wider_face_ap import WiderFaceAP

__all__ = [
    "Calibration",
    "CocoAP",
    "Duplicates",
    "LandmarkError",
    "OperatingPoint",
    "RecallBySize",
    "Slices",
    "WiderFaceAP",
]

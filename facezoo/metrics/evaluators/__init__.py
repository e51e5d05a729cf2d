"""Evaluators: one file each, registered by name."""

from facezoo.metrics.evaluators.calibration import Calibration
from facezoo.metrics.evaluators.coco_ap import CocoAP
from facezoo.metrics.evaluators.duplicates import Duplicates
from facezoo.metrics.evaluators.landmark_error import LandmarkError
from facezoo.metrics.evaluators.operating_point import OperatingPoint
from facezoo.metrics.evaluators.recall_by_size import RecallBySize
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

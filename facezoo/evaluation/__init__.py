"""Evaluators: faces found and faces annotated in, numbers and curves out. No torch in here."""

from facezoo.evaluation.bootstrap import Difference, difference_of_ap
from facezoo.evaluation.calibration import Calibration
from facezoo.evaluation.coco import CocoAP
from facezoo.evaluation.duplicates import Duplicates
from facezoo.evaluation.landmark_error import LandmarkError
from facezoo.evaluation.operating_point import OperatingPoint
from facezoo.evaluation.recall_by_size import RecallBySize
from facezoo.evaluation.slices import Slices
from facezoo.evaluation.widerface import WiderFaceAP

__all__ = [
    "Calibration",
    "CocoAP",
    "Difference",
    "Duplicates",
    "LandmarkError",
    "OperatingPoint",
    "RecallBySize",
    "Slices",
    "WiderFaceAP",
    "difference_of_ap",
]

"""Evaluators: faces found and faces annotated in, numbers and curves out. No torch in here."""

from facezoo.evaluation.coco import CocoAP
from facezoo.evaluation.operating_point import OperatingPoint
from facezoo.evaluation.recall_by_size import RecallBySize
from facezoo.evaluation.widerface import WiderFaceAP

__all__ = ["CocoAP", "OperatingPoint", "RecallBySize", "WiderFaceAP"]

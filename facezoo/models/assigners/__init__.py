"""Assigners: which prior is to find which face."""

from facezoo.models.assigners.atss import ATSS
from facezoo.models.assigners.base import Assigner, Assignment, take_faces
from facezoo.models.assigners.max_iou import MaxIoU

__all__ = ["ATSS", "Assigner", "Assignment", "MaxIoU", "take_faces"]

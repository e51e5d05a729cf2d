"""Assigners: which prior is to predict which face."""

from facezoo.models.assigners.assigner import Assigner, Assignment, MaxIoU
from facezoo.models.assigners.atss import ATSS
from facezoo.models.assigners.ratio import RatioRule
from facezoo.models.assigners.sim_ota import SimOTA
from facezoo.models.assigners.task_aligned import TaskAligned

__all__ = ["ATSS", "Assigner", "Assignment", "MaxIoU", "RatioRule", "SimOTA", "TaskAligned"]

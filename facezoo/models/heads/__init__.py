"""Heads: from features to scores, boxes and landmarks, and to what they cost in training."""

from facezoo.models.heads.base import Head
from facezoo.models.heads.retinaface import RetinaFaceHead
from facezoo.models.heads.yolo import YOLOHead
from facezoo.models.heads.yolo_free import YOLOFreeHead

__all__ = ["Head", "RetinaFaceHead", "YOLOFreeHead", "YOLOHead"]

"""Heads: from features to scores, boxes and landmarks, and to the losses of training."""

from facezoo.models.heads.head import Head
from facezoo.models.heads.retinaface_head import RetinaFaceHead
from facezoo.models.heads.yolo_free_head import YOLOFreeHead
from facezoo.models.heads.yolo_head import YOLOHead

__all__ = ["Head", "RetinaFaceHead", "YOLOFreeHead", "YOLOHead"]

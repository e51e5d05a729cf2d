"""Heads: from features to scores, boxes and landmarks, and to what they cost in training."""

from facezoo.models.heads.base import Head
from facezoo.models.heads.retinaface import RetinaFaceHead

__all__ = ["Head", "RetinaFaceHead"]

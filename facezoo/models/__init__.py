"""The detector and its parts: backbones, necks, heads, assigners and losses."""

from facezoo.models.face_detector import FaceDetector, Pixels

__all__ = ["FaceDetector", "Pixels"]

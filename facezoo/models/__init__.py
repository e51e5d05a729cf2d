"""Networks: backbones, necks, heads, the losses and assigners that teach them, and the detector."""

from facezoo.models.face_detector import FaceDetector
from facezoo.models.pixels import Pixels

__all__ = ["FaceDetector", "Pixels"]

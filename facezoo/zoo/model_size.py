"""How large a model is, by the two conventions that published tables follow."""

from __future__ import annotations

from dataclasses import dataclass

from facezoo.models.face_detector import FaceDetector
from facezoo.zoo.macs import count_macs


@dataclass(frozen=True)
class ModelSize:
    """What a model is made of.

    Attributes:
        parameters: their number.
        macs: multiplications with addition of one image of 640 x 640 pixels.
    """

    parameters: int
    macs: int

    @property
    def macs_vga(self) -> int:
        """MACs at 640 x 480, as SCRFD and YOLO5Face state them: three quarters of the pixels."""
        return self.macs * 3 // 4

    @property
    def flops(self) -> int:
        """Two operations for each MAC at 640 x 640, as YOLOv5 and its successors state them."""
        return 2 * self.macs


def model_size(model: FaceDetector) -> ModelSize:
    """Returns the size of a model; see ``count_macs``."""
    return ModelSize(sum(one.numel() for one in model.parameters()), count_macs(model))

"""How large a model is, by the two conventions that published tables follow."""

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from facezoo.models.face_detector import FaceDetector


@dataclass(frozen=True)
class ModelSize:
    """Number of parameters, and MACs of one image of 640 x 640; see ``count_macs``."""

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
    """Returns the size of a model."""
    return ModelSize(sum(one.numel() for one in model.parameters()), count_macs(model))


def count_macs(model: FaceDetector, side: int = 640) -> int:
    """Returns the MACs of a forward pass of one square image, without decoding.

    Convolutions, matrix products and interpolation are counted (by fvcore), and a multiplication
    together with its addition is one. Batch norm is not: it is folded into the convolutions.

    Args:
        model: on any device; its mode is left as it is found.
        side: height and width of the image in pixels.
    """
    device = next(model.parameters()).device
    image = torch.zeros(1, 3, side, side, dtype=torch.uint8, device=device)
    training = model.training
    with _quiet(), torch.no_grad():
        from fvcore.nn import FlopCountAnalysis  # its import warns too

        analysis = FlopCountAnalysis(_TensorsOnly(model).eval(), image)
        analysis.set_op_handle("aten::batch_norm", None)
        analysis.unsupported_ops_warnings(False).uncalled_modules_warnings(False)
        macs = int(analysis.total())
    model.train(training)
    return macs


class _TensorsOnly(nn.Module):
    """A model whose outputs are tensors alone, as tracing wants them."""

    def __init__(self, model: FaceDetector) -> None:
        super().__init__()
        self.model = model

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        raw = self.model(images)
        outputs = (raw.logits, raw.boxes, raw.landmarks, raw.quality)
        return tuple(one for one in outputs if one is not None)


@contextmanager
def _quiet() -> Iterator[None]:
    """Keeps fvcore and the tracer from warning of what a count does not need."""
    logger = logging.getLogger("fvcore.nn.jit_analysis")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(level)

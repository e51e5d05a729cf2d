"""Transforms: changes of a sample, or of a whole batch, each registered in ``TRANSFORMS``."""

from facezoo.data.transforms.albumentations_adapter import Albumentations
from facezoo.data.transforms.batch_colour import (
    BatchColorJitter,
    BatchGaussianBlur,
    BatchGrey,
)
from facezoo.data.transforms.batch_transform import BatchFlip, BatchTransform
from facezoo.data.transforms.color_jitter import ColorJitter
from facezoo.data.transforms.flip import Flip
from facezoo.data.transforms.hsv import HSV
from facezoo.data.transforms.letterbox import Letterbox
from facezoo.data.transforms.mixup import MixUp
from facezoo.data.transforms.mosaic import Mosaic
from facezoo.data.transforms.perspective import RandomPerspective
from facezoo.data.transforms.square_crop import SquareCrop
from facezoo.data.transforms.transform import PartnerTransform, Transform

__all__ = [
    "HSV",
    "Albumentations",
    "BatchColorJitter",
    "BatchFlip",
    "BatchGaussianBlur",
    "BatchGrey",
    "BatchTransform",
    "ColorJitter",
    "Flip",
    "Letterbox",
    "MixUp",
    "Mosaic",
    "PartnerTransform",
    "RandomPerspective",
    "SquareCrop",
    "Transform",
]

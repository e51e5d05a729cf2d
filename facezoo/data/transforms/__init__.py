"""Transforms: changes of a sample, or of a whole batch, each registered in ``TRANSFORMS``."""

from facezoo.data.transforms.albumentations_adapter import Albumentations
from facezoo.data.transforms.batch import (
    BatchColorJitter,
    BatchFlip,
    BatchGaussianBlur,
    BatchGrey,
    BatchTransform,
)
from facezoo.data.transforms.colour import HSV, ColorJitter
from facezoo.data.transforms.geometric import Flip, Letterbox, SquareCrop
from facezoo.data.transforms.mixing import MixUp, Mosaic
from facezoo.data.transforms.perspective import RandomPerspective
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

"""Transforms: changes of a sample's image, faces and map, each registered in ``TRANSFORMS``."""

from facezoo.data.transforms.albumentations import Albumentations
from facezoo.data.transforms.base import Transform
from facezoo.data.transforms.flip import Flip
from facezoo.data.transforms.letterbox import Letterbox
from facezoo.data.transforms.square_crop import SquareCrop

__all__ = ["Albumentations", "Flip", "Letterbox", "SquareCrop", "Transform"]

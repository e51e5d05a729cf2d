"""Data sets: photographs by index, each with its annotated faces."""

from facezoo.data.datasets.base import FaceDataset
from facezoo.data.datasets.coco import CocoFaces
from facezoo.data.datasets.concat import Concat
from facezoo.data.datasets.subset import Subset
from facezoo.data.datasets.synthetic import SyntheticFaces
from facezoo.data.datasets.widerface import WiderFace
from facezoo.data.datasets.yolo import YoloFaces

__all__ = [
    "CocoFaces",
    "Concat",
    "FaceDataset",
    "Subset",
    "SyntheticFaces",
    "WiderFace",
    "YoloFaces",
]

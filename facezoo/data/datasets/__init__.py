"""Data sets: photographs by index, each with its annotated faces."""

from facezoo.data.datasets.base import FaceDataset
from facezoo.data.datasets.coco import CocoFaces
from facezoo.data.datasets.subset import Subset
from facezoo.data.datasets.synthetic import SyntheticFaces
from facezoo.data.datasets.widerface import WiderFace

__all__ = ["CocoFaces", "FaceDataset", "Subset", "SyntheticFaces", "WiderFace"]

"""Data sets: photographs by index, each with its annotated faces."""

from facezoo.data.datasets.coco_faces import CocoFaces
from facezoo.data.datasets.concat import Concat
from facezoo.data.datasets.face_dataset import FaceDataset
from facezoo.data.datasets.subset import Subset
from facezoo.data.datasets.synthetic_faces import SyntheticFaces
from facezoo.data.datasets.wider_face import WiderFace
from facezoo.data.datasets.yolo_faces import YoloFaces

__all__ = [
    "CocoFaces",
    "Concat",
    "FaceDataset",
    "Subset",
    "SyntheticFaces",
    "WiderFace",
    "YoloFaces",
]

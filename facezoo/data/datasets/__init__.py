"""Data sets: photographs by index, each with its annotated faces."""

from facezoo.data.datasets.annotated_images import AnnotatedImages, CocoFaces, YoloFaces
from facezoo.data.datasets.combined import Concat, Subset
from facezoo.data.datasets.face_dataset import FaceDataset
from facezoo.data.datasets.synthetic_faces import SyntheticFaces
from facezoo.data.datasets.wider_face import WiderFace

__all__ = [
    "AnnotatedImages",
    "CocoFaces",
    "Concat",
    "FaceDataset",
    "Subset",
    "SyntheticFaces",
    "WiderFace",
    "YoloFaces",
]

"""``YoloFaces``: a text file of boxes per image, in YOLO's form and in YOLO5Face's."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path, PurePosixPath
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from facezoo.data.datasets.annotated_images import (
    AnnotatedImages,
    Annotations,
    read_lines,
    read_table,
)
from facezoo.datatools.formats.image_files import list_images, read_sizes_hw
from facezoo.errors import DataError
from facezoo.registry import DATASETS
from facezoo.structures import NUM_LANDMARKS

UNKNOWN = -1.0
WITHOUT_LANDMARKS = 5
WITH_LANDMARKS = WITHOUT_LANDMARKS + 2 * NUM_LANDMARKS
CLASS_NAMES = "classes.txt"
"""A list of class names, which tools for annotation put beside the labels."""


class YoloLabels(NamedTuple):
    """What a folder of labels says.

    Attributes:
        annotations: in the order of the images' names.
        sizes_hw: images x 2, int32, height and width in pixels.
        unlabelled: images without a label file; they count as images without faces.
        other_categories: rows left out as they are of another class.
    """

    annotations: Annotations
    sizes_hw: NDArray[np.int32]
    unlabelled: int
    other_categories: int


@DATASETS.register
class YoloFaces(AnnotatedImages):
    """Faces from YOLO's text files, one per image, with or without landmarks.

    The labels of ``images/<name>.jpg`` are ``labels/<name>.txt``, also in folders below. A line is
    ``class cx cy w h``, or YOLO5Face's ``class cx cy w h x1 y1 ... x5 y5``, in shares of the
    image's width and height; a landmark of -1 is unknown. Image ids are the paths within
    ``images``, sorted. As in YOLO, an image without a label file has no faces; such images are
    counted. The format has no flag to ignore a face.

    Args:
        images: folder of the images.
        labels: folder of the text files.
        category: number of the class that is a face.

    Attributes:
        counts: see ``AnnotatedImages``; also ``unlabelled``, images without a label file, and
            ``other_categories``, rows left out as they are not of ``category``.

    Raises:
        DataError: a folder is missing, a line malformed, or an image of some labels is missing.
    """

    def __init__(self, images: Path, labels: Path, category: int = 0) -> None:
        images, labels = Path(images), Path(labels)
        content = read_yolo(images, labels, category)
        super().__init__(images, content.annotations, labels)
        self.counts["unlabelled"] = content.unlabelled
        self.counts["other_categories"] = content.other_categories


def label_names(names: Sequence[str], labels: Path) -> list[str]:
    """Returns of each image's path the path of its labels within the folder ``labels``.

    Raises:
        DataError: two images would share their labels.
    """
    owner: dict[str, str] = {}
    for name in names:
        label = PurePosixPath(name).with_suffix(".txt").as_posix()
        if label in owner:
            raise DataError(
                f"The images {owner[label]} and {name} have the same labels, {labels / label}; "
                "rename one of them."
            )
        owner[label] = name
    return list(owner)


def read_yolo(images: Path, labels: Path, category: int = 0) -> YoloLabels:
    """Reads a folder of labels; arguments and errors are those of ``YoloFaces``."""
    if not labels.is_dir():
        raise DataError(f"The folder of labels {labels} does not exist; name another.")
    names = list_images(images)
    of_images = label_names(names, labels)
    _check_owners(of_images, labels, images)
    tables = [_read_labels(labels / name) for name in of_images]
    kept = [table[table[:, 0] == category] for table in tables]
    counts = [len(table) for table in kept]
    rows = np.concatenate(kept)
    sizes_hw = read_sizes_hw(images, names, labels)
    scale = np.repeat(sizes_hw[:, ::-1].astype(np.float64), counts, axis=0)
    centres, extents = rows[:, 1:3] * scale, rows[:, 3:5] * scale
    points = rows[:, WITHOUT_LANDMARKS:].reshape(-1, NUM_LANDMARKS, 2)
    known = (points != UNKNOWN).all(axis=2, keepdims=True)
    annotations = Annotations(
        names=names,
        starts=np.cumsum([0, *counts], dtype=np.int64),
        boxes=np.concatenate([centres - extents / 2, centres + extents / 2], axis=1),
        ignore=np.zeros(len(rows), bool),
        landmarks=np.where(known, points * scale[:, None], np.nan).astype(np.float32),
    )
    unlabelled = sum(not (labels / name).is_file() for name in of_images)
    return YoloLabels(annotations, sizes_hw, unlabelled, sum(map(len, tables)) - len(rows))


def _check_owners(of_images: Sequence[str], labels: Path, images: Path) -> None:
    """Checks that each file of labels has an image."""
    owned = {*of_images, CLASS_NAMES}
    for path in sorted(labels.rglob("*.txt")):
        if path.relative_to(labels).as_posix() not in owned:
            raise DataError(
                f"{path} belongs to no image in {images}; add the image or remove the labels."
            )


def _read_labels(path: Path) -> NDArray[np.float64]:
    """Returns n x 15: the lines of a file; landmarks are unknown where it has none."""
    if not path.is_file() or not path.read_bytes().strip():
        return np.zeros((0, WITH_LANDMARKS))
    lines = read_lines(path, "remove it where the image has no faces")
    places = [place for place, line in enumerate(lines) if line.strip()]
    table = read_table(path, lines, places, (WITHOUT_LANDMARKS, WITH_LANDMARKS))
    _check_shares(path, places, table)
    missing = WITH_LANDMARKS - table.shape[1]
    return np.pad(table, ((0, 0), (0, missing)), constant_values=UNKNOWN)


def _check_shares(path: Path, places: Sequence[int], table: NDArray[np.float64]) -> None:
    """Checks that a class is a whole number and everything else a share of the image."""
    within = (table >= 0) & (table <= 1)
    within[:, WITHOUT_LANDMARKS:] |= table[:, WITHOUT_LANDMARKS:] == UNKNOWN
    within[:, 0] = (table[:, 0] >= 0) & (table[:, 0] % 1 == 0)
    if within.all():
        return
    row, column = (int(axis[0]) for axis in np.nonzero(~within))
    number = f"{path}:{places[row] + 1}: {table[row, column]:g}"
    if column == 0:
        raise DataError(f"{number} is no class, which is a whole number from 0 on; correct it.")
    or_unknown = ", nor -1 for unknown" if column >= WITHOUT_LANDMARKS else ""
    raise DataError(
        f"{number} is no share of the image from 0 to 1{or_unknown}; divide by its width and "
        "height, and cut the box at its edge."
    )

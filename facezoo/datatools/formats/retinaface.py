"""RetinaFace's ``label.txt``: boxes and five landmarks with a flag each."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from facezoo.data.datasets.annotated_images import Annotations, check_name, read_lines
from facezoo.data.datasets.wider_face import UNKNOWN, read_landmark_rows
from facezoo.datatools.formats.content import (
    Content,
    as_words,
    corners_to_extents,
    extended,
    pixels,
)
from facezoo.structures import NUM_LANDMARKS

NOT_VISIBLE = 1.0
NO_CONFIDENCE = 0.0
"""The last value of a row, which no other format has."""


def read(path: Path, images: Path | None) -> Content:
    """Reads a ``label.txt``: flag 0 is a visible landmark, 1 one that is not, -1 an unknown one.

    Args:
        path: of the file.
        images: not needed.

    Raises:
        DataError: the file is missing or malformed.
    """
    names: dict[str, int] = {}
    for place, line in enumerate(read_lines(path, "name a label.txt of RetinaFace")):
        if line.startswith("#"):
            name = line[1:].strip()
            check_name(name, f"{path}:{place + 1}", names)
            names[name] = len(names)
    images_of_rows, table = read_landmark_rows(path, names)
    points = table[:, 4 : 4 + 3 * NUM_LANDMARKS].reshape(-1, NUM_LANDMARKS, 3)
    known = points[..., 2:] != UNKNOWN
    annotations = Annotations(
        names=list(names),
        starts=np.searchsorted(images_of_rows, np.arange(len(names) + 1)).astype(np.int64),
        boxes=np.concatenate([table[:, :2], table[:, :2] + table[:, 2:4]], axis=1),
        ignore=np.zeros(len(table), bool),
        landmarks=np.where(known, points[..., :2], np.nan).astype(np.float32),
    )
    confidences = int(np.count_nonzero(table[:, 4 + 3 * NUM_LANDMARKS :]))
    left_out = [
        f"Only RetinaFace has a confidence: {confidences:,} of {len(table):,} are lost, as it has "
        "no agreed meaning."
    ]
    return extended(
        annotations, points[..., 2] == NOT_VISIBLE, left_out=left_out if confidences else []
    )


def write(content: Content, path: Path) -> list[str]:
    """Writes a ``label.txt`` with 20 values a row, as the authors' code takes them."""
    known = content.known()[..., None]
    points = np.where(known, pixels(content.landmarks), UNKNOWN)
    flags = np.where(known, content.occluded[..., None] * NOT_VISIBLE, UNKNOWN)
    landmarks = np.concatenate([points, flags], axis=2).reshape(-1, 3 * NUM_LANDMARKS)
    last = np.full((len(points), 1), NO_CONFIDENCE)
    boxes = corners_to_extents(content.boxes)
    values = np.concatenate([boxes, landmarks, last], axis=1).tolist()
    lines: list[str] = []
    for name, rows in content.rows():
        lines += [f"# {name}", *(as_words(values[row]) for row in rows)]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return []

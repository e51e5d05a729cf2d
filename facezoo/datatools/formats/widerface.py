"""WIDER FACE's text: boxes and six attributes, in the official layout."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np

from facezoo.data.datasets.wider_face import (
    ATTRIBUTES,
    INVALID,
    official_annotations,
    read_official,
)
from facezoo.datatools.formats.content import Content, as_words, corners_to_extents, extended
from facezoo.structures import NUM_LANDMARKS

LAYOUT = re.compile(r"wider_face_(train|val)_bbx_gt\.txt")
EXAMPLE = "wider_face_split/wider_face_val_bbx_gt.txt"
WITHOUT_FACES = as_words([0] * (4 + len(ATTRIBUTES)))


def images_folder(path: Path) -> Path | None:
    """Returns where the official layout has the images of an annotation file; None elsewhere."""
    match = LAYOUT.fullmatch(path.name)
    if match is None or path.absolute().parent.name != "wider_face_split":
        return None
    return path.absolute().parent.parent / f"WIDER_{match[1]}" / "images"


def read(path: Path, images: Path | None) -> Content:
    """Reads a ``wider_face_<split>_bbx_gt.txt``; a face that is marked invalid is to be ignored.

    Args:
        path: of the file.
        images: not needed.

    Raises:
        DataError: the file is missing or malformed.
    """
    advice = f"name a file such as {EXAMPLE}"
    names, starts, table = read_official(path, advice)
    landmarks = np.full((len(table), NUM_LANDMARKS, 2), np.nan, np.float32)
    return extended(official_annotations(names, starts, table, landmarks))


def write(content: Content, path: Path) -> list[str]:
    """Writes a ``wider_face_<split>_bbx_gt.txt``.

    The official boxes are whole numbers; others keep their decimals, as a small face would suffer
    from rounding.
    """
    attributes = np.zeros((len(content.boxes), len(ATTRIBUTES)), np.int8)
    if content.attributes is not None:
        attributes[:] = content.attributes
    attributes[:, INVALID] = content.ignore
    values = np.concatenate([corners_to_extents(content.boxes), attributes], axis=1).tolist()
    lines: list[str] = []
    for name, rows in content.rows():
        faces = [as_words(values[row]) for row in rows]
        lines += [name, str(len(faces)), *(faces or [WITHOUT_FACES])]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return []

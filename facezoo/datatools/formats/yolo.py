"""YOLO's folder of labels, without landmarks and in YOLO5Face's form with them."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from facezoo.data.datasets.yolo_faces import UNKNOWN, label_names, read_yolo
from facezoo.datatools.formats.content import DECIMALS, SHARE_DECIMALS, Content, as_words, extended
from facezoo.errors import DataError
from facezoo.structures import NUM_LANDMARKS

FACE_CLASS = 0
EXAMPLE = "labels/val"


def images_folder(path: Path) -> Path | None:
    """Returns where YOLO's layout has the images of a folder of labels; None elsewhere.

    That is the path with the last ``labels`` replaced, as YOLO's own code does.
    """
    parts = list(path.absolute().parts)
    if "labels" not in parts:
        return None
    last = len(parts) - 1 - parts[::-1].index("labels")
    return Path(*parts[:last], "images", *parts[last + 1 :])


def read(path: Path, images: Path | None) -> Content:
    """Reads a folder of labels in either form; class 0 is a face.

    Args:
        path: of the folder.
        images: folder of the images, without which shares are no pixels.

    Raises:
        DataError: a folder is missing, a line malformed, or an image of some labels is missing.
    """
    if images is None:
        raise DataError(
            f"{path} has no 'labels' in it to replace by 'images'; name the folder of the images "
            "with --images."
        )
    labels = read_yolo(images, path, FACE_CLASS)
    left_out = []
    if labels.other_categories:
        total = labels.other_categories + len(labels.annotations.boxes)
        others = f"{labels.other_categories:,} of {total:,} rows"
        left_out = [f"{others} are of other classes: left out."]
    return extended(labels.annotations, sizes_hw=labels.sizes_hw, left_out=left_out)


def _write(content: Content, path: Path, with_landmarks: bool) -> list[str]:
    """Writes a folder of labels, one file per image, also for those without faces.

    Args:
        content: with sizes.
        path: of the folder.
        with_landmarks: whether in YOLO5Face's form.

    Returns:
        Sentences on what does not fit into shares from 0 to 1.

    Raises:
        DataError: two images would share a file of labels.
    """
    assert content.sizes_hw is not None
    sizes = np.repeat(content.sizes_hw[:, ::-1], np.diff(content.starts), axis=0).astype(np.float64)
    boxes, lost = _within(content, sizes)
    values = [np.full((len(boxes), 1), FACE_CLASS), boxes]
    if with_landmarks:
        points = content.landmarks / sizes[:, None]
        outside = ((points < 0) | (points > 1)).any(axis=2)
        known = content.known() & ~outside
        points = np.where(known[..., None], points, UNKNOWN)
        values.append(points.reshape(-1, 2 * NUM_LANDMARKS))
        if outside.any():
            lost.append(
                f"A landmark in YOLO's form lies within the image: {outside.sum():,} of "
                f"{content.known().sum():,} lie outside and are now unknown."
            )
    table = np.round(np.concatenate(values, axis=1), SHARE_DECIMALS).tolist()
    of_images = label_names(content.names, path)
    for (_, rows), label in zip(content.rows(), of_images, strict=True):
        (path / label).parent.mkdir(parents=True, exist_ok=True)
        text = "".join(as_words(table[row]) + "\n" for row in rows)
        (path / label).write_text(text, encoding="utf-8")
    return lost


def _within(content: Content, sizes: NDArray[np.float64]) -> tuple[NDArray[np.float64], list[str]]:
    """Returns N x 4 centres and extents as shares, of boxes cut at the edges of their images."""
    low = np.clip(content.boxes[:, :2], 0, sizes)
    high = np.maximum(np.clip(content.boxes[:, 2:], 0, sizes), low)
    moved = np.abs(np.concatenate([low, high], axis=1) - content.boxes).max(axis=1, initial=0)
    cut = int((moved > 10.0**-DECIMALS).sum())
    shares = np.concatenate([(low + high) / 2 / sizes, (high - low) / sizes], axis=1)
    lost = f"A box in YOLO's form ends at the image's edge: {cut:,} of {len(low):,} were cut there."
    return shares, [lost] if cut else []


write = partial(_write, with_landmarks=False)
write_with_landmarks = partial(_write, with_landmarks=True)

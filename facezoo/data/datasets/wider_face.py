"""``WiderFace``: the official layout of WIDER FACE, and RetinaFace's landmarks for it."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from facezoo.data.datasets.annotated_images import (
    AnnotatedImages,
    Annotations,
    check_name,
    read_lines,
    read_table,
)
from facezoo.errors import DataError
from facezoo.registry import DATASETS
from facezoo.structures import NUM_LANDMARKS, Truth

logger = logging.getLogger(__name__)

ATTRIBUTES = ("blur", "expression", "illumination", "invalid", "occlusion", "pose")
INVALID = ATTRIBUTES.index("invalid")
ANNOTATION = "wider_face_split/wider_face_{split}_bbx_gt.txt"
UNKNOWN = -1.0
ZEROS = frozenset({"0", "0.0"})
PICTURES = (".jpg", ".jpeg", ".png")
LANDMARKS_ADVICE = (
    "put the label.txt of RetinaFace's authors there, or train without landmarks: "
    "data.train.dataset.landmarks=null data.val.dataset.landmarks=null "
    "model.head.landmark_loss=null"
)


@DATASETS.register
class WiderFace(AnnotatedImages):
    """WIDER FACE (Yang et al., CVPR 2016): photographs of 61 kinds of events.

    Reads ``root/WIDER_<split>/images/<event>/<image>.jpg`` and
    ``root/wider_face_split/wider_face_<split>_bbx_gt.txt``; image ids are ``<event>/<image>.jpg``,
    in the order of that file. Boxes and attributes are the official ones. A face that is marked
    invalid is set to ignore. Attributes are, in this order, ``blur`` (0 clear to 2 heavy),
    ``expression`` (1 exaggerated), ``illumination`` (1 extreme), ``invalid``, ``occlusion`` (0 none
    to 2 heavy) and ``pose`` (1 atypical).

    From a file of landmarks only the landmarks are taken: its rows are matched to the official
    faces by image and equal box (two faces with one box: in order). A face without a row has
    unknown landmarks, a row without a face is left out; both are counted and logged. In such a
    file unknown is the flag -1, not a negative coordinate: a landmark may lie outside the picture.

    Args:
        root: folder of the data set.
        split: ``train`` or ``val``.
        landmarks: a ``label.txt`` of RetinaFace, relative to ``root`` or absolute; None for none.

    Attributes:
        counts: see ``AnnotatedImages``; with landmarks also ``landmarks_unmatched``, rows of that
            file that belong to no official face, and ``faces_unmatched``, faces without a row.

    Raises:
        DataError: the data is not there, or an annotation file is malformed.
    """

    def __init__(
        self,
        root: Path,
        split: Literal["train", "val"] = "train",
        landmarks: Path | None = None,
    ) -> None:
        root = Path(root)
        folder = root / f"WIDER_{split}" / "images"
        source = root / ANNOTATION.format(split=split)
        advice = _advice(root)
        for wanted in (root, folder):
            if not wanted.is_dir():
                raise DataError(f"WIDER FACE's folder {wanted} does not exist; {advice}.")
        names, starts, table = read_official(source, advice)
        points = np.full((len(table), NUM_LANDMARKS, 2), np.nan, np.float32)
        unmatched = {}
        if landmarks is not None:
            unmatched = _add_landmarks(points, root / landmarks, names, starts, table)
        super().__init__(folder, official_annotations(names, starts, table, points), source)
        self.counts |= unmatched


def read_widerface_truth(place: Path) -> dict[str, Truth]:
    """Reads boxes and attributes of a set without its photographs.

    Args:
        place: folder of the data set, whose validation set is taken, or an annotation file such as
            ``wider_face_val_bbx_gt.txt``.

    Returns:
        The faces by image id, as ``WiderFace.truth`` gives them; no landmark is known.

    Raises:
        DataError: the annotation file is missing or malformed.
    """
    source = place / ANNOTATION.format(split="val") if place.is_dir() else place
    names, starts, table = read_official(source, _advice(place))
    points = np.full((len(table), NUM_LANDMARKS, 2), np.nan, np.float32)
    annotations = official_annotations(names, starts, table, points)
    return {name: annotations.truth(i) for i, name in enumerate(names)}


def _advice(root: Path) -> str:
    command = f"facezoo data download widerface --root {root}"
    return f"name another root, or get the data with `{command}`"


def official_annotations(
    names: list[str],
    starts: NDArray[np.int64],
    table: NDArray[np.float64],
    landmarks: NDArray[np.float32],
) -> Annotations:
    """Returns the content of an official file as ``Annotations``; see ``read_official``."""
    return Annotations(
        names=names,
        starts=starts,
        boxes=np.concatenate([table[:, :2], table[:, :2] + table[:, 2:4]], axis=1),
        ignore=table[:, 4 + INVALID] == 1,
        landmarks=landmarks,
        attributes=table[:, 4:].astype(np.int8),
    )


def read_official(
    path: Path, advice: str
) -> tuple[list[str], NDArray[np.int64], NDArray[np.float64]]:
    """Returns names, starts (see ``Annotations``) and N x 10: x, y, width, height, attributes."""
    lines = read_lines(path, advice)
    names: dict[str, int] = {}
    counts: list[int] = []
    places: list[int] = []
    at = 0
    while at < len(lines):
        name = lines[at].strip()
        if not name.lower().endswith(PICTURES):
            raise DataError(
                f"{path}:{at + 1}: {name[:60]!r} stands where the name of an image belongs; the "
                "count of faces above it may be wrong."
            )
        check_name(name, f"{path}:{at + 1}", names)
        count = lines[at + 1].strip() if at + 1 < len(lines) else ""
        if not (count.isascii() and count.isdigit()):
            raise DataError(
                f"{path}:{at + 2}: {count[:60]!r} stands where the number of faces of {name} "
                "belongs; correct it or fetch the file again."
            )
        names[name] = len(names)
        counts.append(int(count))
        at += 2
        if at + counts[-1] > len(lines):
            raise DataError(
                f"{path}:{at}: the file ends before the {count} faces of {name}; fetch it again."
            )
        places.extend(range(at, at + counts[-1]))
        at += counts[-1]
        # The official files follow a count of zero with one line of zeros.
        if counts[-1] == 0 and at < len(lines) and ZEROS.issuperset(lines[at].split()):
            at += 1
    table = read_table(path, lines, places, (4 + len(ATTRIBUTES),))
    attributes = table[:, 4:]
    with np.errstate(invalid="ignore"):
        wrong = (attributes != attributes.astype(np.int8)).any(axis=1)
    if wrong.any():
        raise DataError(
            f"{path}:{places[int(wrong.argmax())] + 1}: an attribute is no small whole number, as "
            f"{', '.join(ATTRIBUTES)} are; correct the line."
        )
    return list(names), np.cumsum([0, *counts], dtype=np.int64), table


def _add_landmarks(
    points: NDArray[np.float32],
    path: Path,
    names: list[str],
    starts: NDArray[np.int64],
    official: NDArray[np.float64],
) -> dict[str, int]:
    """Fills in the landmarks of a file, and returns how many rows and faces found no partner."""
    rows, table = read_landmark_rows(path, {name: i for i, name in enumerate(names)})
    images = np.repeat(np.arange(len(names)), np.diff(starts))
    faces = _numbered(np.column_stack([images, official[:, :4]]))
    labels = _numbered(np.column_stack([rows, table[:, :4]]))
    pairs = {key: face for face, key in enumerate(map(bytes, faces))}
    found = np.array([pairs.get(key, -1) for key in map(bytes, labels)], np.int64)
    if len(found) and found.max() < 0:
        raise DataError(
            f"None of the {len(found)} faces of {path} is one of the official annotation; name the "
            "file of landmarks that belongs to the split."
        )
    values = table[found >= 0, 4 : 4 + 3 * NUM_LANDMARKS].reshape(-1, NUM_LANDMARKS, 3)
    known = values[..., 2:] != UNKNOWN
    points[found[found >= 0]] = np.where(known, values[..., :2], np.nan)
    unmatched = {
        "landmarks_unmatched": int((found < 0).sum()),
        "faces_unmatched": len(official) - int((found >= 0).sum()),
    }
    if any(unmatched.values()):
        logger.warning(
            "%s: left out %d of %d rows, which are no official faces; %d of %d faces have no row "
            "there and so unknown landmarks",
            path,
            unmatched["landmarks_unmatched"],
            len(found),
            unmatched["faces_unmatched"],
            len(official),
        )
    return unmatched


def read_landmark_rows(
    path: Path, numbers: dict[str, int]
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Returns of each row of a ``label.txt`` the number of its image (-1: none) and its values.

    A row is ``x y width height``, five times ``x y flag``, and mostly a confidence.
    """
    lines = read_lines(path, LANDMARKS_ADVICE)
    places: list[int] = []
    images: list[int] = []
    image: int | None = None
    for place, line in enumerate(lines):
        if line.startswith("#"):
            image = numbers.get(line[1:].strip(), -1)
        elif not line.strip():
            continue
        elif image is None:
            raise DataError(
                f"{path}:{place + 1}: a face stands before the first image ('# <event>/<image>.jpg'"
                "); name a label.txt of RetinaFace."
            )
        else:
            places.append(place)
            images.append(image)
    bare = 4 + 3 * NUM_LANDMARKS
    return np.array(images, np.int64), read_table(path, lines, places, (bare + 1, bare))


def _numbered(keys: NDArray[np.float64]) -> NDArray[np.float64]:
    """Returns the rows with one more column: how many equal rows stand above."""
    keys = keys + 0.0  # so that -0 and 0 are one number byte by byte
    order = np.lexsort(keys.T)
    sorted_keys = keys[order]
    first = np.ones(len(keys), bool)
    first[1:] = (sorted_keys[1:] != sorted_keys[:-1]).any(axis=1)
    place = np.arange(len(keys))
    number = np.empty(len(keys))
    number[order] = place - np.maximum.accumulate(np.where(first, place, 0))
    return np.column_stack([keys, number])

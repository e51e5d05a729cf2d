"""``WiderFace``: the official layout of WIDER FACE, and RetinaFace's landmarks for it."""

import logging
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from facezoo.data.annotations.annotation_file import AnnotationFile
from facezoo.data.annotations.retinaface_txt import RetinaFaceText
from facezoo.data.annotations.widerface_txt import WiderFaceText
from facezoo.data.datasets.annotated_images import AnnotatedImages
from facezoo.errors import DataError
from facezoo.registry import DATASETS
from facezoo.structures import Truth

logger = logging.getLogger(__name__)

ANNOTATION = "wider_face_split/wider_face_{split}_bbx_gt.txt"
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
        self, root: Path, split: Literal["train", "val"] = "train", landmarks: Path | None = None
    ) -> None:
        root = Path(root)
        folder = root / f"WIDER_{split}" / "images"
        source = root / ANNOTATION.format(split=split)
        advice = _advice(root)
        for wanted in (root, folder):
            if not wanted.is_dir():
                raise DataError(f"WIDER FACE's folder {wanted} does not exist; {advice}.")
        file = WiderFaceText.read(source, advice=advice).strict()
        unmatched = {} if landmarks is None else _add_landmarks(file, root / landmarks)
        super().__init__(folder, file.annotations(), source)
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
    file = WiderFaceText.read(source, advice=_advice(place)).strict()
    return {name: file.truth(i) for i, name in enumerate(file.names)}


def _advice(root: Path) -> str:
    command = f"facezoo data download widerface --root {root}"
    return f"name another root, or get the data with `{command}`"


def _add_landmarks(official: AnnotationFile, path: Path) -> dict[str, int]:
    """Fills in the landmarks of a file, and returns how many rows and faces found no partner."""
    labels = RetinaFaceText.read(path, advice=LANDMARKS_ADVICE).strict("annotated_twice")
    numbers = {name: i for i, name in enumerate(official.names)}
    images = np.array([numbers.get(name, -1) for name in labels.names], np.int64)[labels.owners]
    faces = _numbered(np.column_stack([official.owners, official.boxes]))
    pairs = {key: face for face, key in enumerate(faces)}
    rows = _numbered(np.column_stack([images, labels.boxes]))
    found = np.array([pairs.get(key, -1) for key in rows], np.int64)
    if len(found) and found.max() < 0:
        raise DataError(
            f"None of the {len(found)} faces of {path} is one of the official annotation; name the "
            "file of landmarks that belongs to the split."
        )
    official.landmarks[found[found >= 0]] = labels.landmarks[found >= 0]
    unmatched = {
        "landmarks_unmatched": int((found < 0).sum()),
        "faces_unmatched": len(pairs) - int((found >= 0).sum()),
    }
    if any(unmatched.values()):
        logger.warning(
            "%s: left out %d of %d rows, which are no official faces; %d of %d faces have no row "
            "there and so unknown landmarks",
            path,
            unmatched["landmarks_unmatched"],
            len(found),
            unmatched["faces_unmatched"],
            len(pairs),
        )
    return unmatched


def _numbered(rows: NDArray[np.float64]) -> Iterator[tuple[bytes, int]]:
    """Gives a key for each row: its bytes, and how many equal rows stand above."""
    above = Counter[bytes]()
    for key in map(bytes, rows + 0.0):  # so that -0 and 0 are one number byte by byte
        yield key, above[key]
        above[key] += 1

"""What data sets of photographs share: their annotation as a few long arrays, and its use.

N faces of all images lie one after another in the order of the annotation file; L landmarks each.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Sequence
from dataclasses import dataclass
from operator import index as as_index
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from facezoo.data.datasets.face_dataset import FaceDataset, ReadImage
from facezoo.data.images import read_image
from facezoo.errors import DataError
from facezoo.structures import NUM_LANDMARKS, Sample, Truth

logger = logging.getLogger(__name__)

# Predictions and pictures are written under an image's name, so it has to stay within its folder.
ESCAPES = re.compile(r"^[\\/]|^[A-Za-z]:|(^|[\\/])\.\.([\\/]|$)")


@dataclass(frozen=True)
class Annotations:
    """The faces of a whole data set, as few objects, since each worker process has a copy.

    Attributes:
        names: image ids, which are paths within the folder of the images.
        starts: images + 1, int64; the faces of image i are rows ``starts[i]`` to ``starts[i + 1]``.
        boxes: N x 4, float64, as annotated; ``x2 <= x1`` or ``y2 <= y1`` is a box without area.
        ignore: N, bool.
        landmarks: N x L x 2, float32, NaN where unknown.
        attributes: N x A, int8, or None.
    """

    names: Sequence[str]
    starts: NDArray[np.int64]
    boxes: NDArray[np.float64]
    ignore: NDArray[np.bool_]
    landmarks: NDArray[np.float32]
    attributes: NDArray[np.int8] | None = None

    def has_area(self) -> NDArray[np.bool_]:
        """Returns N, whether a box has an area."""
        x1, y1, x2, y2 = self.boxes.T
        return (x2 > x1) & (y2 > y1)

    def truth(self, index: int) -> Truth:
        """Returns every face of image ``index``; one without area is ignored and has no extent."""
        rows = slice(*self.starts[index : index + 2].tolist())
        boxes = self.boxes[rows].copy()
        usable = (boxes[:, 2:] > boxes[:, :2]).all(axis=1)
        # A negative width must not turn into an area in somebody's formula.
        boxes[~usable, 2:] = boxes[~usable, :2]
        return Truth(
            boxes,
            self.ignore[rows] | ~usable,
            self.landmarks[rows],
            None if self.attributes is None else self.attributes[rows],
        )


class AnnotatedImages(FaceDataset):
    """Photographs in a folder with annotated faces.

    A face whose box has no area cannot be taught: it is left out of the samples, and is an ignored
    box without area in the truth, whose rows are those of the annotation file.

    Args:
        folder: of the images.
        annotations: of all of them.
        source: the annotation file, for messages.

    Attributes:
        counts: how many ``images`` and ``faces`` the annotation has, and how many of the faces are
            ``dropped`` (boxes without area), ``ignored`` and ``with_landmarks`` (at least one).
    """

    num_landmarks = NUM_LANDMARKS

    def __init__(self, folder: Path, annotations: Annotations, source: Path) -> None:
        self.folder = folder
        self.annotations = annotations
        self.source = source
        self._usable = annotations.has_area()
        known = ~np.isnan(annotations.landmarks[..., 0])
        self.counts = {
            "images": len(annotations.names),
            "faces": len(annotations.boxes),
            "dropped": int((~self._usable).sum()),
            "ignored": int((annotations.ignore & self._usable).sum()),
            "with_landmarks": int(np.count_nonzero(known.sum(axis=1))),
        }
        if self.counts["dropped"]:
            logger.warning(
                "%s: dropped %d of %d faces, whose boxes have no area",
                source,
                self.counts["dropped"],
                self.counts["faces"],
            )
        logger.info("%s: %s", source, ", ".join(f"{n} {name}" for name, n in self.counts.items()))

    def __len__(self) -> int:
        return len(self.annotations.names)

    def __getitem__(self, index: int) -> Sample:
        """Returns image ``index`` with its faces."""
        return self.sample(index, read_image)

    def sample(self, index: int, read: ReadImage) -> Sample:
        """Returns image ``index`` with its faces; only here the image is read, by ``read``."""
        rows = self._rows(index)
        all_of = self.annotations
        keep = self._usable[rows]
        path = self.folder / self.image_id(index)
        return Sample(
            image=read(path),
            boxes=all_of.boxes[rows][keep].astype(np.float32),
            landmarks=all_of.landmarks[rows][keep],
            ignore=all_of.ignore[rows][keep],
            labels=np.zeros(int(keep.sum()), np.int64),
            image_id=self.image_id(index),
            path=str(path),
            attributes=None if all_of.attributes is None else all_of.attributes[rows][keep],
        )

    def truth(self, index: int) -> Truth:
        """Returns the faces of image ``index``; see ``Annotations.truth``."""
        return self.annotations.truth(self._checked(index))

    def image_id(self, index: int) -> str:
        """Returns the path of image ``index`` within the folder of the images."""
        return self.annotations.names[self._checked(index)]

    def _rows(self, index: int) -> slice:
        number = self._checked(index)
        return slice(*self.annotations.starts[number : number + 2].tolist())

    def _checked(self, index: int) -> int:
        number = as_index(index)
        if not 0 <= number < len(self):
            raise IndexError(f"image {number} of {len(self)}")
        return number


def read_lines(path: Path, advice: str) -> list[str]:
    """Returns the lines of an annotation file, whatever its line ends.

    Args:
        path: of a text file in UTF-8.
        advice: what to do where the file is missing or empty; the end of the sentence.

    Raises:
        DataError: the file is missing, empty or no text.
    """
    try:
        lines = path.read_text(encoding="utf-8-sig").rstrip().split("\n")
    except FileNotFoundError as error:
        raise DataError(f"The annotation file {path} does not exist; {advice}.") from error
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(
            f"The annotation file {path} cannot be read ({error}); {advice}."
        ) from error
    if lines == [""]:
        raise DataError(f"The annotation file {path} is empty; {advice}.")
    return lines


def read_table(
    path: Path, lines: Sequence[str], places: Sequence[int], widths: Sequence[int]
) -> NDArray[np.float64]:
    """Returns the numbers of some lines, one row per line.

    Args:
        path: of the file, for messages.
        lines: all of the file.
        places: indices of the lines to take.
        widths: how many numbers a line may have, the same in all of them.

    Raises:
        DataError: a line has another count, or what is no finite number; with file and line.
    """
    if not len(places):
        return np.zeros((0, widths[0]))
    try:
        table = np.loadtxt([lines[i] for i in places], ndmin=2, comments=None)
    except ValueError as error:
        raise DataError(_first_fault(path, lines, places, widths)) from error
    complete = len(table) == len(places) and table.shape[1] in widths
    if not complete or not np.isfinite(table).all():
        raise DataError(_first_fault(path, lines, places, widths))
    return table


def check_name(name: str, place: str, known: dict[str, int]) -> None:
    """Checks the name of an image.

    Args:
        name: path of the image within the folder of images.
        place: where it stands, for messages.
        known: the names so far.

    Raises:
        DataError: the name leads out of the folder, or stands there twice.
    """
    if ESCAPES.search(name):
        raise DataError(f"{place}: the image name {name!r} leads out of its folder; correct it.")
    if name in known:
        raise DataError(f"{place}: the image {name} is annotated a second time; keep one of them.")


def _first_fault(
    path: Path, lines: Sequence[str], places: Sequence[int], widths: Sequence[int]
) -> str:
    """Returns a sentence on the first line that is no row of numbers like the one before it."""
    allowed = " or ".join(map(str, widths))
    for place in places:
        where, words = f"{path}:{place + 1}", lines[place].split()
        if len(words) not in widths:
            return f"{where}: a face has {len(words)} values where {allowed} belong; correct it."
        for word in words:
            try:
                finite = bool(np.isfinite(float(word)))
            except ValueError:
                finite = False
            if not finite:
                return f"{where}: {word!r} is no finite number; correct or remove the line."
        widths = [len(words)]
        allowed = f"{len(words)}, as in the lines above,"
    return f"{path}: the rows of faces are no table of numbers; fetch the file again."

"""Reads annotations in lines without refusing any: WIDER FACE's and RetinaFace's.

An image begins at a line that is its name and ends before the next one, whatever the count of
faces says, so that a wrong line spoils nothing but itself.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from facezoo.data.datasets.annotated_images import ESCAPES, read_lines
from facezoo.data.datasets.wider_face import ATTRIBUTES, INVALID, PICTURES, UNKNOWN, ZEROS
from facezoo.datatools.inspection.annotation_file import AnnotationFile, Format
from facezoo.datatools.inspection.findings import Finding
from facezoo.errors import DataError
from facezoo.structures import NUM_LANDMARKS

WIDTHS: dict[Format, tuple[int, ...]] = {
    "widerface": (4 + len(ATTRIBUTES),),
    "retinaface": (4 + 3 * NUM_LANDMARKS, 5 + 3 * NUM_LANDMARKS),
}
"""How many numbers the line of a face has; RetinaFace's may end with a confidence."""
KIND_OF_FILE = "give an annotation of WIDER FACE or RetinaFace in text, or a COCO json"


@dataclass
class _Reading:
    """What was read so far."""

    path: Path
    format: Format
    names: list[str] = field(default_factory=list)
    entry_places: list[int] = field(default_factory=list)
    owners: list[int] = field(default_factory=list)
    face_places: list[int] = field(default_factory=list)
    rows: list[list[float]] = field(default_factory=list)
    faults: list[Finding] = field(default_factory=list)
    first_places: dict[str, int] = field(default_factory=dict)
    widths: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        self.widths = WIDTHS[self.format]

    def complain(self, kind: str, place: int, message: str) -> None:
        """Adds a finding about the image that was begun last."""
        name = self.names[-1] if self.names else ""
        where = f"{self.path}:{place + 1}"
        self.faults.append(Finding(kind, where, name, message, len(self.names) - 1))

    def begin(self, name: str, place: int) -> None:
        """Begins an image, unless its name cannot be one."""
        self.names.append(name)
        self.entry_places.append(place)
        first = self.first_places.setdefault(name, place)
        if first != place:
            message = f"the image stands in line {first + 1} already"
            self.complain("annotated_twice", place, message)

    def face(self, line: str, place: int) -> None:
        """Adds a face, or a finding where the line is none."""
        row = _numbers(line)
        if row is None or len(row) not in self.widths:
            wanted = " or ".join(map(str, self.widths))
            message = f"{line.strip()[:60]!r} is no line of {wanted} finite numbers"
            self.complain("malformed", place, message)
            return
        self.owners.append(len(self.names) - 1)
        self.face_places.append(place)
        self.rows.append(row[: WIDTHS[self.format][0]])
        self.widths = (len(row),)  # all lines of a file have as many


def read_text(path: Path) -> AnnotationFile:
    """Reads an annotation in lines; what is wrong with it becomes findings.

    Args:
        path: of a ``wider_face_<split>_bbx_gt.txt`` or a ``label.txt`` of RetinaFace.

    Raises:
        DataError: the file is missing, empty, no text, or names no image.
    """
    lines = read_lines(path, KIND_OF_FILE)
    if any(line.startswith("#") for line in lines[:100]):
        reading = _Reading(path, "retinaface")
        _read_retinaface(lines, reading)
    else:
        reading = _Reading(path, "widerface")
        _read_widerface(lines, reading)
    if not reading.names:
        raise DataError(f"{path} names no image; {KIND_OF_FILE}.")
    return _finished(lines, reading)


def _read_retinaface(lines: list[str], reading: _Reading) -> None:
    inside = False
    for place, line in enumerate(lines):
        if line.startswith("#"):
            inside = _begin(line[1:].strip(), place, reading)
        elif line.strip() and inside:
            reading.face(line, place)
        elif line.strip() and not reading.names:
            reading.complain("malformed", place, "the face stands before the first image")


def _read_widerface(lines: list[str], reading: _Reading) -> None:
    starts = [i for i, line in enumerate(lines) if line.strip().lower().endswith(PICTURES)]
    if not starts:
        return
    for place in range(starts[0]):
        reading.complain("malformed", place, "the line stands before the first image")
    for start, stop in zip(starts, [*starts[1:], len(lines)], strict=True):
        if _begin(lines[start].strip(), start, reading):
            _read_faces(lines, start + 1, stop, reading)


def _read_faces(lines: list[str], start: int, stop: int, reading: _Reading) -> None:
    """Reads the count of an image of WIDER FACE and its faces, lines ``start`` to ``stop``."""
    word = lines[start].strip() if start < stop else ""
    count = int(word) if word.isascii() and word.isdigit() else None
    first = start + 1
    if count is None:
        message = f"{word[:60]!r} stands where the number of faces belongs"
        reading.complain("malformed", min(start, stop - 1), message)
        # A line that is a face has lost its count; any other is a damaged count.
        if len(_numbers(word) or ()) in WIDTHS["widerface"]:
            first = start
    # The official files follow a count of zero with one line of zeros.
    elif count == 0 and first < stop and ZEROS.issuperset(lines[first].split()):
        first += 1
    places = range(first, stop)
    for place in places:
        reading.face(lines[place], place)
    if count not in (None, len(places)):
        message = f"the count says {count} faces, but {len(places)} lines follow"
        reading.complain("wrong_count", start, message)


def _begin(name: str, place: int, reading: _Reading) -> bool:
    """Begins an image and returns True, unless its name is none to read."""
    if not name or ESCAPES.search(name):
        where = f"{reading.path}:{place + 1}"
        message = f"the image name {name!r} leads out of its folder" if name else "no image name"
        reading.faults.append(Finding("malformed", where, "", message))
        return False
    reading.begin(name, place)
    return True


def _numbers(line: str) -> list[float] | None:
    """Returns the finite numbers of a line, None where it has anything else."""
    try:
        row = [float(word) for word in line.split()]
    except ValueError:
        return None
    return row if all(map(math.isfinite, row)) else None


def _finished(lines: list[str], reading: _Reading) -> AnnotationFile:
    rows = _table(reading.rows, WIDTHS[reading.format][0])
    landmarks = np.full((len(rows), NUM_LANDMARKS, 2), np.nan)
    ignore = np.zeros(len(rows), bool)
    attributes = None
    if reading.format == "retinaface":
        points = rows[:, 4:].reshape(-1, NUM_LANDMARKS, 3)
        landmarks = np.where(points[..., 2:] != UNKNOWN, points[..., :2], np.nan)
    else:
        attributes = rows[:, 4:].astype(np.int64)
        ignore = attributes[:, INVALID] == 1
    return AnnotationFile(
        path=reading.path,
        format=reading.format,
        content=lines,
        names=reading.names,
        entry_places=reading.entry_places,
        owners=np.array(reading.owners, np.int64),
        face_places=reading.face_places,
        boxes=np.concatenate([rows[:, :2], rows[:, :2] + rows[:, 2:4]], axis=1),
        landmarks=landmarks,
        ignore=ignore,
        attributes=attributes,
        sizes_hw=np.zeros((len(reading.names), 2), np.int64),
        faults=reading.faults,
    )


def _table(rows: Iterable[list[float]], width: int) -> np.ndarray:
    return np.array(list(rows), np.float64).reshape(-1, width)

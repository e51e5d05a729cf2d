"""Annotation in lines of text: which of them are rows of numbers, and what is wrong with others."""

import math
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from facezoo.data.annotations.annotation_file import AnnotationFile, Finding, Repair, as_words
from facezoo.errors import DataError

# Predictions and pictures are written under an image's name, so it has to stay within its folder.
ESCAPES = re.compile(r"^[\\/]|^[A-Za-z]:|(^|[\\/])\.\.([\\/]|$)")


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


def problem_of_name(name: str) -> str:
    """Returns what is wrong with the name of an image, empty for nothing."""
    if not name:
        return "the name of an image is missing"
    return f"the image name {name!r} leads out of its folder" if ESCAPES.search(name) else ""


def read_rows(
    lines: Sequence[str], places: Sequence[int], widths: Sequence[int]
) -> tuple[NDArray[np.float64], dict[int, str]]:
    """Reads the numbers of some lines.

    Args:
        lines: of the file.
        places: indices of those to read.
        widths: how many numbers a line may have, the same in all of them.

    Returns:
        The table of the lines that are right; what is wrong with the others, by place.
    """
    chosen = [lines[place] for place in places]
    if not any(map(str.strip, chosen)):
        return np.zeros((0, widths[0])), {place: _problem([], widths) for place in places}
    try:
        table = np.loadtxt(chosen, ndmin=2, comments=None)
        right = len(table) == len(places) and table.shape[1] in widths
        if right and np.isfinite(table).all():
            return table, {}
    except ValueError:
        pass  # the lines are read one by one, to know which
    rows: list[list[float]] = []
    problems = {}
    given = widths
    for place, line in zip(places, chosen, strict=True):
        words = line.split()
        problem = _problem(words, given, "" if given is widths else ", as in the lines above,")
        if problem:
            problems[place] = problem
        else:
            rows.append([float(word) for word in words])
            given = (len(words),)
    return np.array(rows, np.float64).reshape(-1, given[0]), problems


def _problem(words: Sequence[str], widths: Sequence[int], as_above: str = "") -> str:
    """Returns what is wrong with a line, empty for nothing."""
    if len(words) not in widths:
        allowed = " or ".join(map(str, widths))
        return f"a face has {len(words)} values where {allowed}{as_above} belong"
    wrong = next((word for word in words if not _is_number(word)), None)
    return "" if wrong is None else f"{wrong[:60]!r} is no finite number"


def _is_number(word: str) -> bool:
    try:
        # Python takes 1_000 for a number, which no other reader of these files does.
        return math.isfinite(float(word)) and word.isascii() and "_" not in word
    except ValueError:
        return False


@dataclass
class ReadLines:
    """The lines of a file, while they are sorted into images and faces."""

    path: Path
    lines: list[str]
    names: list[str] = field(default_factory=list)
    image_places: list[int] = field(default_factory=list)
    owners: list[int] = field(default_factory=list)
    face_places: list[int] = field(default_factory=list)
    faults: list[tuple[int, Finding]] = field(default_factory=list)
    first_places: dict[str, int] = field(default_factory=dict)

    def begin(self, name: str, place: int) -> bool:
        """Begins an image and returns True, unless its name cannot be one."""
        problem = problem_of_name(name)
        if problem:
            where = f"{self.path}:{place + 1}"
            self.faults.append((place, Finding("malformed", where, "", problem)))
            return False
        self.names.append(name)
        self.image_places.append(place)
        first = self.first_places.setdefault(name, place)
        if first != place:
            message = f"the image {name} is annotated a second time, first in line {first + 1}"
            self.complain("annotated_twice", place, message)
        return True

    def add_faces(self, places: Sequence[int]) -> None:
        """Says which lines are faces of the image that was begun last."""
        self.owners.extend([len(self.names) - 1] * len(places))
        self.face_places.extend(places)

    def complain(self, kind: str, place: int, message: str, entry: int | None = None) -> None:
        """Adds a fault, of the image that was begun last if no other is given."""
        entry = len(self.names) - 1 if entry is None else entry
        name = self.names[entry] if entry >= 0 else ""
        self.faults.append((place, Finding(kind, f"{self.path}:{place + 1}", name, message, entry)))

    def table(self, widths: Sequence[int]) -> NDArray[np.float64]:
        """Returns the numbers of the faces, of which those that are malformed are left out."""
        table, problems = read_rows(self.lines, self.face_places, widths)
        self.leave_out(problems)
        return table

    def leave_out(self, problems: dict[int, str]) -> None:
        """Leaves out faces by their places, for what is wrong with them."""
        if not problems:
            return
        faces = list(zip(self.owners, self.face_places, strict=True))
        for entry, place in faces:
            if place in problems:
                self.complain("malformed", place, problems[place], entry)
        kept = [face for face in faces if face[1] not in problems]
        self.owners = [owner for owner, _ in kept]
        self.face_places = [place for _, place in kept]

    def fields(self) -> dict[str, Any]:
        """Returns what every text gives to its ``AnnotationFile``."""
        images = len(self.names)
        owners = np.array(self.owners, np.int64)
        return {
            "names": self.names,
            "starts": np.searchsorted(owners, np.arange(images + 1)).astype(np.int64),
            "sizes_hw": np.zeros((images, 2), np.int32),
            "path": self.path,
            "content": self.lines,
            "image_places": self.image_places,
            "face_places": self.face_places,
            "faults": [fault for _, fault in sorted(self.faults, key=lambda one: one[0])],
        }


class TextFile(AnnotationFile):
    """An annotation in the lines of one file: a line for each image, and one for each face."""

    def rewrite(self, repair: Repair, path: Path) -> None:
        """Writes the lines that stay, as they were where nothing of them changed."""
        lines: list[str] = []
        for entry, faces in repair.kept:
            head = self.content[self.image_places[entry]].rstrip("\r")
            lines += self._image_lines(head, [self._line(repair, face) for face in faces])
        path.write_text("\n".join(lines) + "\n", encoding="utf-8", newline="\n")

    def _image_lines(self, head: str, faces: list[str]) -> Iterable[str]:
        """Returns the lines of an image."""
        raise NotImplementedError

    def _line(self, repair: Repair, face: int) -> str:
        line = str(self.content[self.face_places[face]]).rstrip("\r")
        if not repair.clipped[face] and not repair.forgotten[face].any():
            return line
        words = line.split()
        if repair.clipped[face]:
            words[:4] = [f"{value:.10g}" for value in repair.extents(face)]
        for landmark in np.flatnonzero(repair.forgotten[face]).tolist():
            words[4 + 3 * landmark : 7 + 3 * landmark] = ["-1.0"] * 3
        return " ".join(words)


def face_lines(
    content: AnnotationFile, values: NDArray[np.float64]
) -> Iterator[tuple[str, list[str]]]:
    """Yields the name of each image and the lines of its faces.

    Args:
        content: what is written.
        values: N x columns, the numbers of each face.
    """
    numbers = values.tolist()
    for name, rows in content.rows():
        yield name, [as_words(numbers[row]) for row in rows]

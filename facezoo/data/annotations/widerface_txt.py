"""WIDER FACE's text: a name, a count, and a line of box and six attributes for each face.

An image begins at a line that is its name and ends before the next one, whatever the count of
faces says, so that a wrong line spoils nothing but itself.
"""

import re
from collections.abc import Iterable
from pathlib import Path
from typing import ClassVar

import numpy as np
from typing_extensions import Self

from facezoo.data.annotations.annotation_file import (
    ATTRIBUTES,
    AnnotationFile,
    as_words,
    corners_to_extents,
    extents_to_corners,
)
from facezoo.data.annotations.image_files import PICTURES
from facezoo.data.annotations.text_lines import ReadLines, TextFile, face_lines, read_lines
from facezoo.errors import DataError
from facezoo.structures import NUM_LANDMARKS

INVALID = ATTRIBUTES.index("invalid")
WIDTH = 4 + len(ATTRIBUTES)
WITHOUT_FACES = as_words([0] * WIDTH)
ZEROS = frozenset({"0", "0.0"})
LAYOUT = re.compile(r"wider_face_(train|val)_bbx_gt\.txt")
EXAMPLE = "wider_face_split/wider_face_val_bbx_gt.txt"


class WiderFaceText(TextFile):
    """A ``wider_face_<split>_bbx_gt.txt``; a face that is marked invalid is to be ignored."""

    format: ClassVar[str] = "widerface"
    keeps: ClassVar[frozenset[str]] = frozenset({"attributes", "ignore"})
    example: ClassVar[str | None] = EXAMPLE
    endings: ClassVar[tuple[str, ...] | None] = PICTURES
    layouts: ClassVar[tuple[str, ...]] = (
        "wider_face_split/wider_face_{split}_bbx_gt.txt",
        "wider_face_{split}_bbx_gt.txt",
    )

    @classmethod
    def read(
        cls,
        path: Path,
        images: Path | None = None,
        advice: str = "give an annotation of WIDER FACE or RetinaFace in text, or a COCO json",
    ) -> Self:
        """Reads a file; ``advice`` ends the sentence where it is missing."""
        lines = read_lines(path, advice)
        heads = [i for i, line in enumerate(lines) if line.rstrip().lower().endswith(PICTURES)]
        if not heads:
            raise DataError(f"{path} names no image; {advice}.")
        found = ReadLines(path, lines)
        for place in range(heads[0]):
            line = lines[place].strip()[:60]
            message = f"{line!r} stands where the name of an image belongs"
            found.complain("malformed", place, message)
        for start, stop in zip(heads, [*heads[1:], len(lines)], strict=True):
            if found.begin(lines[start].strip(), start):
                _read_faces(found, start + 1, stop)
        table = found.table((WIDTH,))
        with np.errstate(invalid="ignore"):
            attributes = table[:, 4:].astype(np.int8)
        whole = (attributes == table[:, 4:]).all(axis=1)
        names = ", ".join(ATTRIBUTES)
        message = f"an attribute is no small whole number, as {names} are"
        found.leave_out({found.face_places[i]: message for i in np.flatnonzero(~whole).tolist()})
        table, attributes = table[whole], attributes[whole]
        return cls(
            boxes=extents_to_corners(table),
            ignore=attributes[:, INVALID] == 1,
            landmarks=np.full((len(table), NUM_LANDMARKS, 2), np.nan, np.float32),
            attributes=attributes,
            occluded=np.zeros((len(table), NUM_LANDMARKS), bool),
            **found.fields(),
        )

    @classmethod
    def write(cls, content: AnnotationFile, path: Path) -> list[str]:
        """Writes a file.

        The official boxes are whole numbers; others keep their decimals, as a small face would
        suffer from rounding.
        """
        attributes = np.zeros((len(content.boxes), len(ATTRIBUTES)), np.int8)
        if content.attributes is not None:
            attributes[:] = content.attributes
        attributes[:, INVALID] = content.ignore
        values = np.concatenate([corners_to_extents(content.boxes), attributes], axis=1)
        lines: list[str] = []
        for name, faces in face_lines(content, values):
            lines += [name, str(len(faces)), *(faces or [WITHOUT_FACES])]
        path.write_text("\n".join(lines) + "\n", encoding="utf-8")
        return []

    @classmethod
    def recognizes(cls, path: Path) -> bool:
        """Returns True for every file: it is what a text is that is nothing else."""
        return path.is_file()

    @classmethod
    def images_folder(cls, path: Path) -> Path | None:
        """Returns ``WIDER_<split>/images`` beside ``wider_face_split``."""
        match = LAYOUT.fullmatch(path.name)
        if match is None or path.absolute().parent.name != "wider_face_split":
            return None
        return path.absolute().parent.parent / f"WIDER_{match[1]}" / "images"

    def _image_lines(self, head: str, faces: list[str]) -> Iterable[str]:
        return [head, str(len(faces)), *(faces or [WITHOUT_FACES])]


def _read_faces(found: ReadLines, start: int, stop: int) -> None:
    """Reads the count of an image and its faces, lines ``start`` to ``stop``."""
    word = found.lines[start].strip() if start < stop else ""
    count = int(word) if word.isascii() and word.isdigit() else None
    first = start + 1
    if count is None:
        message = f"{word[:60]!r} stands where the number of faces belongs"
        found.complain("malformed", min(start, stop - 1), message)
        # A line that is a face has lost its count; any other is a damaged count.
        if len(word.split()) == WIDTH:
            first = start
    # The official files follow a count of zero with one line of zeros.
    elif count == 0 and first < stop and ZEROS.issuperset(found.lines[first].split()):
        first += 1
    places = range(first, stop)
    found.add_faces(places)
    if count not in (None, len(places)):
        message = f"the count says {count} faces, but {len(places)} lines follow"
        found.complain("wrong_count", start, message)

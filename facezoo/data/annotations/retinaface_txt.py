"""RetinaFace's ``label.txt``: a line of box and five landmarks with a flag each for each face."""

from collections.abc import Iterable
from pathlib import Path
from typing import ClassVar

import numpy as np
from typing_extensions import Self

from facezoo.data.annotations.annotation_file import (
    AnnotationFile,
    corners_to_extents,
    extents_to_corners,
    no_image,
    pixels,
)
from facezoo.data.annotations.text_lines import ReadLines, TextFile, face_lines, read_lines
from facezoo.structures import NUM_LANDMARKS

WIDTH = 4 + 3 * NUM_LANDMARKS
UNKNOWN = -1.0
NOT_VISIBLE = 1.0
NO_CONFIDENCE = 0.0
"""The last value of a row, which no other format has."""


class RetinaFaceText(TextFile):
    """A ``label.txt``: x y width height, five times x y flag, and mostly a confidence.

    Flag 0 is a visible landmark, 1 one that is not, -1 an unknown one.
    """

    format: ClassVar[str] = "retinaface"
    keeps: ClassVar[frozenset[str]] = frozenset({"landmarks", "occluded"})
    layouts: ClassVar[tuple[str, ...]] = (
        "retinaface_labels/{split}/label.txt",
        "{split}/label.txt",
    )

    @classmethod
    def read(
        cls, path: Path, images: Path | None = None, advice: str = "name a label.txt of RetinaFace"
    ) -> Self:
        """Reads a file; ``advice`` ends the sentence where it is missing."""
        found = ReadLines(path, read_lines(path, advice))
        inside = False
        for place, line in enumerate(found.lines):
            if line.startswith("#"):
                inside = found.begin(line[1:].strip(), place)
            elif line.strip() and inside:
                found.add_faces((place,))
            elif line.strip() and not found.names:
                message = "a face stands before the first image ('# <event>/<image>.jpg')"
                found.complain("malformed", place, message)
        if not found.names:
            raise no_image(path, [fault for _, fault in found.faults], advice)
        table = found.table((WIDTH + 1, WIDTH))
        points = table[:, 4:WIDTH].reshape(-1, NUM_LANDMARKS, 3)
        known = points[..., 2:] != UNKNOWN
        confidences = int(np.count_nonzero(table[:, WIDTH:]))
        left_out = [
            f"Only RetinaFace has a confidence: {confidences:,} of {len(table):,} are lost, as it "
            "has no agreed meaning."
        ]
        return cls(
            boxes=extents_to_corners(table),
            ignore=np.zeros(len(table), bool),
            landmarks=np.where(known, points[..., :2], np.nan).astype(np.float32),
            occluded=points[..., 2] == NOT_VISIBLE,
            left_out=left_out if confidences else [],
            **found.fields(),
        )

    @classmethod
    def write(cls, content: AnnotationFile, path: Path) -> list[str]:
        """Writes a file with 20 values a row, as the authors' code takes them."""
        known = content.known()[..., None]
        points = np.where(known, pixels(content.landmarks), UNKNOWN)
        flags = np.where(known, content.occluded[..., None] * NOT_VISIBLE, UNKNOWN)
        landmarks = np.concatenate([points, flags], axis=2).reshape(-1, 3 * NUM_LANDMARKS)
        last = np.full((len(points), 1), NO_CONFIDENCE)
        values = np.concatenate([corners_to_extents(content.boxes), landmarks, last], axis=1)
        lines: list[str] = []
        for name, faces in face_lines(content, values):
            lines += [f"# {name}", *faces]
        path.write_text("\n".join(lines) + "\n", encoding="utf-8")
        return []

    @classmethod
    def recognizes(cls, path: Path) -> bool:
        """Returns whether one of the first lines begins with ``#``."""
        if not path.is_file():
            return False
        with path.open(encoding="utf-8-sig", errors="replace") as file:
            return any(line.startswith("#") for line, _ in zip(file, range(100), strict=False))

    def _image_lines(self, head: str, faces: list[str]) -> Iterable[str]:
        return [head, *faces]

"""``AnnotationFile``: an annotation as it stands in its file, right or wrong."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from facezoo.datatools.inspection.findings import Finding

Format = Literal["widerface", "retinaface", "coco"]


@dataclass
class AnnotationFile:
    """The images and faces of one file with the places they stand at.

    E entries of images (two of them may name the same image), F faces, L landmarks each.

    Attributes:
        path: the file.
        format: of the file.
        content: its lines, or the mapping that a json holds.
        names: E paths of images within ``folder``.
        entry_places: E indices of lines, or of ``images``.
        owners: F, int64, the entry of each face.
        face_places: F indices of lines, or of ``annotations``.
        boxes: F x 4, float64, x1 y1 x2 y2 as annotated.
        landmarks: F x L x 2, float64, NaN where unknown.
        ignore: F, bool.
        attributes: F x 6, int64, or None where the format has none.
        sizes_hw: E x 2, int64, the height and width that the file says, or zeros.
        faults: what could not be read.
        other_places: indices of ``annotations`` that are of other categories than faces.
        title: what reports call it.
        split: ``train``, ``val`` or empty where nothing says it.
        folder: of the images, or None where it is unknown.
    """

    path: Path
    format: Format
    content: Any
    names: list[str]
    entry_places: list[int]
    owners: NDArray[np.int64]
    face_places: list[int]
    boxes: NDArray[np.float64]
    landmarks: NDArray[np.float64]
    ignore: NDArray[np.bool_]
    attributes: NDArray[np.int64] | None
    sizes_hw: NDArray[np.int64]
    faults: list[Finding] = field(default_factory=list)
    other_places: set[int] = field(default_factory=set)
    title: str = ""
    split: str = ""
    folder: Path | None = None

    def place_of_entry(self, entry: int) -> str:
        """Returns where an image stands, such as ``file:12``."""
        return self._place("images", self.entry_places[entry])

    def place_of_face(self, face: int) -> str:
        """Returns where a face stands, such as ``file:13``."""
        return self._place("annotations", self.face_places[face])

    def name_of_face(self, face: int) -> str:
        """Returns the name of the image that a face is in."""
        return self.names[self.owners[face]]

    def has_area(self) -> NDArray[np.bool_]:
        """Returns F, whether a box has an area."""
        x1, y1, x2, y2 = self.boxes.T
        return (x2 > x1) & (y2 > y1)

    def _place(self, section: str, place: int) -> str:
        if self.format == "coco":
            return f"{self.path}: {section}[{place}]"
        return f"{self.path}:{place + 1}"

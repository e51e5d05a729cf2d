"""Finds what is wrong with boxes and landmarks, all faces of a file at once."""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from facezoo.data.annotations.annotation_file import AnnotationFile, Finding

OVERHANG = 1.0
"""Pixels by which a box or landmark may leave its image: annotators round, and some count the last
pixel of a box as inside, so that a width is one more than the distance of its sides."""

LANDMARK_MARGIN = 0.25
"""Share of a box's side by which a landmark may lie outside it: the nose of a profile and the mouth
of a bowed head do. Of 41,225 landmarks on which several public models agree, 437 lay outside their
boxes of WIDER FACE, and 4 by more than this; what is farther away is mostly another face's."""


def check_faces(file: AnnotationFile, sizes_hw: NDArray[np.int64]) -> Iterator[Finding]:
    """Yields the findings about the faces of a file.

    Args:
        file: the annotation.
        sizes_hw: E x 2, height and width of each image, zeros where unknown.
    """
    yield from _without_area(file)
    yield from _duplicates(file)
    known = sizes_hw[file.owners].min(axis=1, initial=1) > 0
    limits = np.where(known[:, None], sizes_hw[file.owners][:, ::-1], np.inf)
    lowest = np.where(known, 0.0, -np.inf)
    yield from _outside(file, lowest, limits)
    yield from _landmarks(file, lowest, limits)


def _without_area(file: AnnotationFile) -> Iterator[Finding]:
    usable = file.has_area()
    for face in np.flatnonzero(~usable).tolist():
        x1, y1, x2, y2 = file.boxes[face].tolist()
        yield _finding("box_without_area", file, face, f"the box is {x2 - x1:g} x {y2 - y1:g}")
    images = _images(file)
    faces = np.bincount(images, minlength=len(file.names))
    good = np.bincount(images[usable], minlength=len(file.names))
    for entry in np.flatnonzero((faces > 0) & (good == 0)).tolist():
        message = f"none of its {faces[entry]} boxes has an area"
        yield Finding(
            "only_without_area", file.place_of_image(entry), file.names[entry], message, entry
        )


def _duplicates(file: AnnotationFile) -> Iterator[Finding]:
    """Yields each face whose box an earlier face of the same image has; -0 is 0."""
    faces = np.flatnonzero(file.has_area())
    keys = np.column_stack([_images(file), file.boxes])[faces] + 0.0
    _, first, inverse = np.unique(keys, axis=0, return_index=True, return_inverse=True)
    originals = first[inverse.reshape(-1)]
    for place in np.flatnonzero(originals != np.arange(len(faces))).tolist():
        face, original = int(faces[place]), int(faces[originals[place]])
        message = f"the box is that of {file.place_of_face(original)}"
        yield _finding("duplicate_box", file, face, message)


def _images(file: AnnotationFile) -> NDArray[np.int64]:
    """Returns F, the first entry of the image that each face is in."""
    first: dict[str, int] = {}
    firsts = [first.setdefault(name, entry) for entry, name in enumerate(file.names)]
    return np.array(firsts, np.int64)[file.owners]


def _outside(
    file: AnnotationFile, lowest: NDArray[np.float64], limits: NDArray[np.float64]
) -> Iterator[Finding]:
    start, end = file.boxes[:, :2], file.boxes[:, 2:]
    low = lowest[:, None]
    usable = file.has_area()
    wholly = usable & ((end <= low) | (start >= limits)).any(axis=1)
    partly = ((start < low - OVERHANG) | (end > limits + OVERHANG)).any(axis=1)
    for kind, rows in (("box_outside", wholly), ("box_partly_outside", usable & partly & ~wholly)):
        for face in np.flatnonzero(rows).tolist():
            sides = " ".join(f"{side:g}" for side in file.boxes[face])
            width, height = limits[face].astype(int).tolist()
            message = f"the box (x1 y1 x2 y2: {sides}) leaves its image of {width} x {height}"
            yield _finding(kind, file, face, message)


def _landmarks(
    file: AnnotationFile, lowest: NDArray[np.float64], limits: NDArray[np.float64]
) -> Iterator[Finding]:
    low = lowest[:, None, None]
    with np.errstate(invalid="ignore"):  # unknown landmarks are NaN and compare as inside
        points = file.landmarks
        image = (points < low - OVERHANG) | (points > limits[:, None] + OVERHANG)
        start, end = file.boxes[:, None, :2], file.boxes[:, None, 2:]
        margin = LANDMARK_MARGIN * (end - start)
        box = (points < start - margin) | (points > end + margin)
    outside_image = image.any(axis=2)
    # A box without area is a finding of its own, and no measure.
    outside_box = box.any(axis=2) & file.has_area()[:, None] & ~outside_image
    for kind, rows, whose in (
        ("landmark_outside_image", outside_image, "its image"),
        ("landmark_outside_box", outside_box, "its box by more than a quarter of the box's side"),
    ):
        for face, landmark in np.argwhere(rows).tolist():
            x, y = points[face, landmark].tolist()
            message = f"landmark {landmark} ({x:g}, {y:g}) lies outside {whose}"
            yield _finding(kind, file, face, message, landmark)


def _finding(
    kind: str, file: AnnotationFile, face: int, message: str, landmark: int = -1
) -> Finding:
    entry = int(file.owners[face])
    return Finding(
        kind, file.place_of_face(face), file.names[entry], message, entry, face, landmark
    )

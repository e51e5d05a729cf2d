"""The shapes of one image in CVAT's xml: boxes, and landmarks that belong to them."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple
from xml.etree.ElementTree import Element, SubElement

from facezoo.data.datasets.wider_face import ATTRIBUTES
from facezoo.datatools.formats.content import FACE, LANDMARK_NAMES, as_words
from facezoo.errors import DataError

LANDMARKS = "landmarks"
"""The label of a skeleton or of points."""

IGNORE = "ignore"
"""The attribute of a box whose face is to be ignored."""

ADVICE = "correct it in CVAT and export the task again"
LARGEST_ATTRIBUTE = 127


@dataclass
class Face:
    """A box with what belongs to it.

    Attributes:
        box: ``x1, y1, x2, y2`` in pixels.
        ignore: whether the face is to be ignored.
        attributes: WIDER FACE's six; None where the box has none of them.
        group: the ``group_id``, empty for none.
        landmarks: five ``x, y``, NaN where unknown.
        occluded: of each landmark, whether it is not visible.
        complete: whether landmarks of the file were given to it.
    """

    box: list[float]
    ignore: bool
    attributes: list[int] | None
    group: str
    landmarks: list[list[float]] = field(
        default_factory=lambda: [[math.nan, math.nan] for _ in LANDMARK_NAMES]
    )
    occluded: list[bool] = field(default_factory=lambda: [False] * len(LANDMARK_NAMES))
    complete: bool = False


class _Landmarks(NamedTuple):
    """A skeleton, or points; see ``Face`` for its fields."""

    points: list[list[float]]
    occluded: list[bool]
    group: str


def read_faces(image: Element, where: str) -> tuple[list[Face], int]:
    """Returns the faces of an ``image`` element, and how many shapes are none.

    Args:
        image: the element.
        where: file and image, for messages.

    Raises:
        DataError: a shape is malformed, or landmarks belong to no single box.
    """
    faces: list[Face] = []
    found: list[_Landmarks] = []
    others = 0
    for shape in image:
        kind, label = shape.tag, shape.get("label")
        if kind == "box" and label == FACE:
            faces.append(_read_box(shape, where))
        elif kind == "skeleton" and label == LANDMARKS:
            found.append(_read_skeleton(shape, where))
        elif kind == "points" and label == LANDMARKS:
            found.append(_read_points(shape, where))
        else:
            others += 1
    for landmarks in found:
        face = _owner(landmarks, faces, where)
        face.landmarks, face.occluded, face.complete = landmarks.points, landmarks.occluded, True
    return faces, others


def add_face(image: Element, face: Face) -> None:
    """Adds a box, and a skeleton where a landmark is known, to an ``image`` element."""
    common = {"source": "file", "occluded": 0, "z_order": 0, "group_id": face.group}
    corners = dict(zip(("xtl", "ytl", "xbr", "ybr"), face.box, strict=True))
    box = SubElement(image, "box", as_texts({"label": FACE, **common, **corners}))
    attributes = dict(zip(ATTRIBUTES, face.attributes or (), strict=False))
    for name, value in as_texts({IGNORE: str(face.ignore).lower(), **attributes}).items():
        SubElement(box, "attribute", {"name": name}).text = value
    if all(math.isnan(x) for x, _ in face.landmarks):
        return
    skeleton = SubElement(image, "skeleton", as_texts({"label": LANDMARKS, **common}))
    for name, (x, y), occluded in zip(LANDMARK_NAMES, face.landmarks, face.occluded, strict=True):
        unknown = math.isnan(x)
        # CVAT's points all have a place, so one that is unknown is outside, at the box.
        place = as_words(face.box[:2] if unknown else (x, y)).replace(" ", ",")
        state = {"outside": int(unknown), "occluded": int(occluded)}
        SubElement(skeleton, "points", as_texts({"label": name, **state, "points": place}))


def as_texts(fields: Mapping[str, object]) -> dict[str, str]:
    """Returns what an element's attributes are as text."""
    return {k: as_words([v]) if isinstance(v, float) else str(v) for k, v in fields.items()}


def _read_box(box: Element, where: str) -> Face:
    words = [box.get(name, "") for name in ("xtl", "ytl", "xbr", "ybr")]
    named = {one.get("name", ""): (one.text or "").strip() for one in box.iter("attribute")}
    attributes = None
    if any(name in named for name in ATTRIBUTES):
        attributes = [_attribute(name, named.get(name, "0"), where) for name in ATTRIBUTES]
    ignore = named.get(IGNORE, "false").lower()
    if ignore not in ("true", "false"):
        raise DataError(f"{where}: {IGNORE} of a box is {ignore!r}, not true or false; {ADVICE}.")
    return Face(_numbers(words, where), ignore == "true", attributes, _group(box))


def _attribute(name: str, text: str, where: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) < 4 and int(text) <= LARGEST_ATTRIBUTE):
        raise DataError(
            f"{where}: {name} of a box is {text!r}, no whole number from 0 to {LARGEST_ATTRIBUTE}; "
            f"{ADVICE}."
        )
    return int(text)


def _read_skeleton(skeleton: Element, where: str) -> _Landmarks:
    points = [[math.nan, math.nan] for _ in LANDMARK_NAMES]
    occluded = [False] * len(LANDMARK_NAMES)
    for point in skeleton.iter("points"):
        label = point.get("label", "")
        if label not in LANDMARK_NAMES:
            raise DataError(
                f"{where}: a skeleton has the point {label!r}, which is none of "
                f"{', '.join(LANDMARK_NAMES)}; {ADVICE}."
            )
        if point.get("outside") != "1":
            place = LANDMARK_NAMES.index(label)
            points[place] = _numbers(point.get("points", "").split(","), where, 2)
            occluded[place] = point.get("occluded") == "1"
    return _Landmarks(points, occluded, _group(skeleton))


def _read_points(shape: Element, where: str) -> _Landmarks:
    pairs = shape.get("points", "").split(";")
    if len(pairs) != len(LANDMARK_NAMES):
        raise DataError(
            f"{where}: there are {len(pairs)} points where {len(LANDMARK_NAMES)} landmarks belong; "
            f"{ADVICE}."
        )
    points = [_numbers(pair.split(","), where, 2) for pair in pairs]
    return _Landmarks(points, [shape.get("occluded") == "1"] * len(points), _group(shape))


def _group(shape: Element) -> str:
    group = shape.get("group_id", "")
    return "" if group == "0" else group


def _numbers(words: Sequence[str], where: str, count: int = 4) -> list[float]:
    try:
        numbers = [float(word) for word in words]
    except ValueError:
        numbers = []
    if len(numbers) != count or not all(map(math.isfinite, numbers)):
        raise DataError(
            f"{where}: a shape has the coordinates {', '.join(words)[:60]!r}, not {count} finite "
            f"numbers; {ADVICE}."
        )
    return numbers


def _owner(landmarks: _Landmarks, faces: Sequence[Face], where: str) -> Face:
    """Returns the face of landmarks: that of their group, else the one they lie in."""
    group = landmarks.group
    candidates = [face for face in faces if not group or face.group == group]
    if not group or len(candidates) > 1:
        candidates = [face for face in candidates if _contains(face.box, landmarks.points)]
    if len(candidates) != 1 or candidates[0].complete:
        state = (
            "a box that has some already"
            if len(candidates) == 1
            else (f"{len(candidates)} boxes, not to one")
        )
        raise DataError(
            f"{where}: landmarks belong to {state}; give each face and its landmarks a group of "
            "their own in CVAT and export the task again."
        )
    return candidates[0]


def _contains(box: Sequence[float], points: Sequence[Sequence[float]]) -> bool:
    """Returns whether all known points lie in a box."""
    x1, y1, x2, y2 = box
    # Comparisons with NaN are false, so that an unknown point is nowhere outside.
    return not any(x < x1 or x > x2 or y < y1 or y > y2 for x, y in points)

"""CVAT for images 1.1: an xml with a box per face and a skeleton of its landmarks.

The parser is the standard library's. What makes it dangerous is a document type declaration: only
there entities are declared, which expand without end or name files. CVAT writes none, so a file
with one is refused before it is parsed, and no further library is needed.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from xml.etree import ElementTree
from xml.etree.ElementTree import Element, SubElement

import numpy as np

from facezoo.data.datasets.annotated_images import check_name, read_lines
from facezoo.data.datasets.wider_face import ATTRIBUTES
from facezoo.datatools.formats.content import FACE, LANDMARK_NAMES, Content, pixels
from facezoo.datatools.formats.cvat_shapes import (
    IGNORE,
    LANDMARKS,
    Face,
    add_face,
    as_texts,
    read_faces,
)
from facezoo.errors import DataError

DECLARATIONS = ("<!DOCTYPE", "<!ENTITY")


def read(path: Path, images: Path | None) -> Content:
    """Reads the boxes labelled ``face`` and the landmarks that belong to them.

    Landmarks are a ``skeleton`` with the points of ``LANDMARK_NAMES``, or ``points`` with five in
    that order. They belong to the box of the same ``group_id``; without one, to the only box that
    they lie in.

    Args:
        path: of the xml.
        images: not needed.

    Raises:
        DataError: the file is missing, no such xml, or a shape is malformed.
    """
    names: dict[str, int] = {}
    sizes: list[tuple[int, int]] = []
    faces: list[list[Face]] = []
    others = 0
    for place, image in enumerate(_parse(path).iter("image"), start=1):
        name = image.get("name", "")
        where = f"{path}: image {name or place}"
        check_name(name, where, names)
        names[name] = len(names)
        sizes.append(_size_hw(image, where))
        found, left = read_faces(image, where)
        faces.append(found)
        others += left
    if not names:
        raise DataError(f"{path} holds no image; export the task as 'CVAT for images 1.1'.")
    return _gathered(list(names), np.array(sizes, np.int32), faces, others)


def write(content: Content, path: Path) -> list[str]:
    """Writes an xml whose labels are ``face`` and the skeleton ``landmarks``, a group per face."""
    assert content.sizes_hw is not None
    root = Element("annotations")
    SubElement(root, "version").text = "1.1"
    _add_labels(SubElement(SubElement(SubElement(root, "meta"), "task"), "labels"), content)
    boxes, landmarks = pixels(content.boxes).tolist(), pixels(content.landmarks).tolist()
    for number, ((name, rows), (height, width)) in enumerate(
        zip(content.rows(), content.sizes_hw.tolist(), strict=True)
    ):
        fields = {"id": number, "name": name, "width": width, "height": height}
        image = SubElement(root, "image", as_texts(fields))
        for group, row in enumerate(rows, start=1):
            attributes = None if content.attributes is None else content.attributes[row].tolist()
            face = Face(boxes[row], bool(content.ignore[row]), attributes, str(group))
            face.landmarks, face.occluded = landmarks[row], content.occluded[row].tolist()
            add_face(image, face)
    ElementTree.indent(root)
    ElementTree.ElementTree(root).write(path, encoding="utf-8", xml_declaration=True)
    return []


def _add_labels(labels: Element, content: Content) -> None:
    """Adds what a task in CVAT has to declare for these shapes."""
    face = SubElement(labels, "label")
    SubElement(face, "name").text = FACE
    SubElement(face, "type").text = "rectangle"
    attributes = SubElement(face, "attributes")
    _declare(attributes, IGNORE, "checkbox", "false")
    for name in ATTRIBUTES if content.attributes is not None else ():
        _declare(attributes, name, "number", "0;127;1")
    skeleton = SubElement(labels, "label")
    SubElement(skeleton, "name").text = LANDMARKS
    SubElement(skeleton, "type").text = "skeleton"
    for name in LANDMARK_NAMES:
        point = SubElement(labels, "label")
        SubElement(point, "name").text = name
        SubElement(point, "type").text = "points"
        SubElement(point, "parent").text = LANDMARKS


def _declare(attributes: Element, name: str, kind: str, values: str) -> None:
    attribute = SubElement(attributes, "attribute")
    fields = {"name": name, "mutable": "False", "input_type": kind}
    default = values.partition(";")[0]
    for key, text in {**fields, "default_value": default, "values": values}.items():
        SubElement(attribute, key).text = text


def _parse(path: Path) -> Element:
    text = "\n".join(read_lines(path, "name an xml that CVAT exported"))
    if any(declaration in text for declaration in DECLARATIONS):
        raise DataError(
            f"{path} has a document type declaration, which CVAT's files have not and which can "
            "do harm; remove it."
        )
    try:
        # From text, so that a declared encoding cannot hide anything from the check above.
        root = ElementTree.fromstring(text)
    except ElementTree.ParseError as error:
        raise DataError(f"{path} is no valid XML ({error}); export it again.") from error
    if root.tag != "annotations":
        raise DataError(
            f"{path} has the element {root.tag[:60]!r} where CVAT's has 'annotations'; export the "
            "task as 'CVAT for images 1.1'."
        )
    return root


def _size_hw(image: Element, where: str) -> tuple[int, int]:
    height, width = image.get("height", ""), image.get("width", "")
    for text in (height, width):
        if not (text.isascii() and text.isdigit() and 0 < len(text) < 10 and int(text) > 0):
            raise DataError(f"{where} has no width and height in pixels; export it again.")
    return int(height), int(width)


def _gathered(
    names: Sequence[str], sizes_hw: np.ndarray, faces: Sequence[Sequence[Face]], others: int
) -> Content:
    """Returns the faces of all images one after another."""
    flat = [face for of_image in faces for face in of_image]

    def stacked(values: Iterator[object], shape: tuple[int, ...], kind: type) -> np.ndarray:
        return np.array(list(values), kind).reshape(len(flat), *shape)

    points = len(LANDMARK_NAMES)
    attributes = stacked(
        (face.attributes or [0] * len(ATTRIBUTES) for face in flat), (len(ATTRIBUTES),), np.int8
    )
    return Content(
        names=names,
        starts=np.cumsum([0, *map(len, faces)], dtype=np.int64),
        boxes=stacked((face.box for face in flat), (4,), np.float64),
        ignore=stacked((face.ignore for face in flat), (), np.bool_),
        landmarks=stacked((face.landmarks for face in flat), (points, 2), np.float32),
        attributes=attributes if any(face.attributes for face in flat) else None,
        occluded=stacked((face.occluded for face in flat), (points,), np.bool_),
        sizes_hw=sizes_hw,
        left_out=(f"{others:,} shapes are neither faces nor landmarks: left out.",)
        if others
        else (),
    )

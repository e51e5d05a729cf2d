"""COCO's json with faces as its one category, landmarks as keypoints, and attributes."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from facezoo.data.datasets.coco_faces import collect_faces, column_table, find_category, read_coco
from facezoo.data.datasets.wider_face import ATTRIBUTES
from facezoo.datatools.formats.content import (
    FACE,
    LANDMARK_NAMES,
    Content,
    corners_to_extents,
    extended,
    pixels,
)
from facezoo.errors import DataError
from facezoo.structures import NUM_LANDMARKS

FACE_ID = 1
UNKNOWN, NOT_VISIBLE, VISIBLE = 0, 1, 2
"""COCO's visibility of a keypoint."""

LARGEST_ATTRIBUTE = np.iinfo(np.int8).max


def read(path: Path, images: Path | None) -> Content:
    """Reads a json as ``CocoFaces`` does, and its field ``attributes`` (see ``write``).

    Of several categories, the one named ``face`` is read.

    Args:
        path: of the json.
        images: not needed.

    Raises:
        DataError: the file is missing or malformed.
    """
    content = read_coco(path)
    categories = content["categories"]
    face = find_category(categories, None if len(categories) == 1 else FACE, path)
    annotations, sizes_hw = collect_faces(content, face, path)
    places = _places_in_order(content, face)
    faces = [content["annotations"][place] for place in places]
    points = column_table(faces, "keypoints", 3 * NUM_LANDMARKS, places, path)
    others = len(content["annotations"]) - len(faces)
    return extended(
        # The fields of a frozen dataclass are given anew, as COCO's data set has no attributes.
        type(annotations)(
            **{**vars(annotations), "attributes": _read_attributes(faces, places, path)}
        ),
        points.reshape(-1, NUM_LANDMARKS, 3)[..., 2] == NOT_VISIBLE,
        sizes_hw if sizes_hw.all() else None,
        [f"{others:,} of {others + len(faces):,} annotations are of other categories: left out."]
        if others
        else [],
    )


def write(content: Content, path: Path) -> list[str]:
    """Writes a json that ``CocoFaces`` and pycocotools read.

    A face to ignore has ``ignore`` and, as pycocotools goes by that alone, ``iscrowd`` of 1. Where
    there are attributes, each face has WIDER FACE's six by name in an extra field ``attributes``.
    """
    assert content.sizes_hw is not None
    images = [
        {"id": number, "file_name": name, "height": height, "width": width}
        for number, (name, (height, width)) in enumerate(
            zip(content.names, content.sizes_hw.tolist(), strict=True), start=1
        )
    ]
    category = {"id": FACE_ID, "name": FACE, "keypoints": LANDMARK_NAMES, "skeleton": []}
    whole = {"images": images, "annotations": _faces(content), "categories": [category]}
    path.write_text(json.dumps(whole), encoding="utf-8")
    return []


def _faces(content: Content) -> list[dict[str, Any]]:
    """Returns the annotations, in the order of the images."""
    boxes = corners_to_extents(content.boxes)
    areas = np.round(boxes[:, 2:].clip(0).prod(axis=1), 4).tolist()
    known = content.known()
    visibility = np.where(known, np.where(content.occluded, NOT_VISIBLE, VISIBLE), UNKNOWN)
    points = np.where(known[..., None], pixels(content.landmarks), 0)
    keypoints = np.concatenate([points, visibility[..., None]], axis=2)
    keypoints = keypoints.reshape(-1, 3 * NUM_LANDMARKS)
    owners = np.repeat(np.arange(1, len(content.names) + 1), np.diff(content.starts)).tolist()
    faces: list[dict[str, Any]] = [
        {
            "id": row + 1,
            "image_id": owners[row],
            "category_id": FACE_ID,
            "bbox": box,
            "area": areas[row],
            "iscrowd": int(content.ignore[row]),
            "ignore": int(content.ignore[row]),
            "keypoints": _whole(keypoints[row]),
            "num_keypoints": int(known[row].sum()),
        }
        for row, box in enumerate(map(_whole, boxes))
    ]
    if content.attributes is not None:
        for face, values in zip(faces, content.attributes.tolist(), strict=True):
            face["attributes"] = dict(zip(ATTRIBUTES, values, strict=True))
    return faces


def _whole(numbers: NDArray[np.float64]) -> list[float]:
    """Returns numbers, whole ones as integers, which are shorter in a json."""
    return [int(number) if number.is_integer() else number for number in numbers.tolist()]


def _places_in_order(content: dict[str, list[dict[str, Any]]], face: Any) -> list[int]:
    """Returns the places of the faces in the order of ``collect_faces``: by image, as they come."""
    numbers = {image["id"]: number for number, image in enumerate(content["images"])}
    annotations = content["annotations"]
    places = [i for i, one in enumerate(annotations) if one["category_id"] == face]
    return sorted(places, key=lambda place: numbers[annotations[place]["image_id"]])


def _read_attributes(
    faces: Sequence[dict[str, Any]], places: Sequence[int], path: Path
) -> NDArray[np.int8] | None:
    """Returns N x 6, zeros where a face has none; None where no face has any."""
    table = np.zeros((len(faces), len(ATTRIBUTES)), np.int8)
    found = False
    for row, (face, place) in enumerate(zip(faces, places, strict=True)):
        field = face.get("attributes")
        named = field if isinstance(field, dict) else {}
        for column, name in enumerate(ATTRIBUTES):
            if name not in named:
                continue
            value = named[name]
            if type(value) is not int or not 0 <= value <= LARGEST_ATTRIBUTE:
                raise DataError(
                    f"{path}: {name} in the attributes of annotations[{place}] is {value!r}, no "
                    f"whole number from 0 to {LARGEST_ATTRIBUTE}; correct or remove it."
                )
            table[row, column] = value
            found = True
    return table if found else None

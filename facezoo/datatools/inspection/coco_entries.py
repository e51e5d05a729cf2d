"""Reads a json in COCO's format without refusing any entry of it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from facezoo.data.datasets.annotated_images import ESCAPES
from facezoo.data.datasets.coco_faces import LARGEST
from facezoo.datatools.inspection.annotation_file import AnnotationFile
from facezoo.datatools.inspection.findings import Finding
from facezoo.errors import DataError
from facezoo.structures import NUM_LANDMARKS

SECTIONS = ("images", "annotations", "categories")
FACE = "face"
POINTS = 3 * NUM_LANDMARKS


def read_coco(path: Path) -> AnnotationFile:
    """Reads a json in COCO's format; what is wrong with an entry becomes a finding.

    Of several categories the one named ``face`` is taken.

    Args:
        path: of the json.

    Raises:
        DataError: the file is missing, no json, or has not the lists of COCO's format; or none of
            several categories is named ``face``.
    """
    content = _load(path)
    face = _face_category(content["categories"], path)
    faults: list[Finding] = []
    names, places, numbers = _read_images(content["images"], path, faults)
    if not names:
        raise DataError(f"{path} names no image; give a json with images.")
    owners, face_places, other_places = [], [], set()
    for place, one in enumerate(content["annotations"]):
        problem = _problem_of_face(one, face, numbers)
        if problem:
            entry = _entry_of_face(one, numbers)
            name = names[entry] if entry >= 0 else ""
            where = f"{path}: annotations[{place}]"
            faults.append(Finding("malformed", where, name, problem, entry))
        elif one["category_id"] != face:
            other_places.add(place)
        else:
            owners.append(numbers[one["image_id"]])
            face_places.append(place)
    faces = [content["annotations"][place] for place in face_places]
    boxes = np.array([one["bbox"] for one in faces], np.float64).reshape(-1, 4)
    points = np.array([one.get("keypoints") or [0] * POINTS for one in faces], np.float64)
    points = points.reshape(-1, NUM_LANDMARKS, 3)
    return AnnotationFile(
        path=path,
        format="coco",
        content=content,
        names=names,
        entry_places=places,
        owners=np.array(owners, np.int64),
        face_places=face_places,
        boxes=np.concatenate([boxes[:, :2], boxes[:, :2] + boxes[:, 2:]], axis=1),
        landmarks=np.where(points[..., 2:] > 0, points[..., :2], np.nan),
        ignore=np.array([bool(one.get("iscrowd") or one.get("ignore")) for one in faces], bool),
        attributes=None,
        sizes_hw=np.array([_size_hw(content["images"][place]) for place in places], np.int64),
        faults=faults,
        other_places=other_places,
    )


def _load(path: Path) -> dict[str, list[Any]]:
    try:
        content = json.loads(path.read_bytes())
    except OSError as error:
        raise DataError(f"The annotation file {path} cannot be read: {error.strerror}.") from error
    except (ValueError, RecursionError) as error:
        raise DataError(f"{path} is no valid JSON ({error}); export it again.") from error
    for section in SECTIONS:
        if not isinstance(content, dict) or not isinstance(content.get(section), list):
            raise DataError(f"{path} has no list {section!r}; give a json in COCO's format.")
    return content


def _face_category(categories: list[Any], path: Path) -> Any:
    """Returns the id of the category that is a face."""
    known = [one for one in categories if isinstance(one, dict) and {"id", "name"} <= one.keys()]
    faces = known if len(known) == 1 else [one for one in known if one["name"] == FACE]
    if len(faces) != 1:
        shown = ", ".join(str(one["name"]) for one in known[:9])
        raise DataError(
            f"{path} has {len(known)} categories ({shown}); give it one, or one named {FACE!r}."
        )
    return faces[0]["id"]


def _read_images(
    images: list[Any], path: Path, faults: list[Finding]
) -> tuple[list[str], list[int], dict[Any, int]]:
    """Returns the names, their places in the list, and the number of the entry of each id."""
    names: list[str] = []
    places: list[int] = []
    numbers: dict[Any, int] = {}
    first: dict[str, int] = {}
    for place, image in enumerate(images):
        where = f"{path}: images[{place}]"
        problem = _problem_of_image(image, numbers)
        if problem:
            faults.append(Finding("malformed", where, "", problem))
            continue
        name, number = image["file_name"], len(names)
        numbers[image["id"]] = number
        names.append(name)
        places.append(place)
        if first.setdefault(name, place) != place:
            message = f"the image is images[{first[name]}] already"
            faults.append(Finding("annotated_twice", where, name, message, number))
    return names, places, numbers


def _problem_of_image(image: Any, numbers: dict[Any, int]) -> str:
    if not isinstance(image, dict) or not isinstance(image.get("id"), int | str):
        return "the image has no id"
    name = image.get("file_name")
    if not isinstance(name, str) or not name:
        return "the image has no file_name"
    if ESCAPES.search(name):
        return f"the image name {name!r} leads out of its folder"
    if image["id"] in numbers:
        return f"the id {image['id']!r} is that of another image"
    return ""


def _problem_of_face(face: Any, category: Any, numbers: dict[Any, int]) -> str:
    if not isinstance(face, dict):
        return "the annotation is no mapping"
    missing = next((key for key in ("id", "image_id", "category_id") if key not in face), None)
    if missing is not None:
        return f"the annotation has no {missing}"
    owner = face["image_id"]
    if not isinstance(owner, int | str) or owner not in numbers:
        return f"the annotation is of image {owner!r}, which is not among the images"
    if face["category_id"] != category:
        return ""  # what else the file holds is none of ours
    if not _is_row(face.get("bbox"), 4):
        return f"bbox is {str(face.get('bbox'))[:60]}, not 4 finite numbers"
    if face.get("keypoints") and not _is_row(face["keypoints"], POINTS):
        return f"keypoints is {str(face['keypoints'])[:60]}, not {POINTS} finite numbers"
    return ""


def _entry_of_face(face: Any, numbers: dict[Any, int]) -> int:
    """Returns the number of the image of an annotation that cannot be read, -1 for none."""
    owner = face.get("image_id") if isinstance(face, dict) else None
    return numbers.get(owner, -1) if isinstance(owner, int | str) else -1


def _is_row(row: Any, width: int) -> bool:
    # The comparison fails for NaN and infinity too, which Python's json reads.
    numbers = isinstance(row, list) and all(
        type(x) in (int, float) and abs(x) < LARGEST for x in row
    )
    return numbers and len(row) == width


def _size_hw(image: dict[str, Any]) -> tuple[int, int]:
    height, width = image.get("height"), image.get("width")
    known = type(height) is int and type(width) is int and min(height, width) > 0
    return (height, width) if known else (0, 0)  # type: ignore[return-value]

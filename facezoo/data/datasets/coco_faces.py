"""``CocoFaces``: faces from a json in COCO's format."""

from __future__ import annotations

import json as json_module
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from facezoo.data.datasets.annotated_images import AnnotatedImages, Annotations, check_name
from facezoo.data.datasets.face_dataset import ReadImage
from facezoo.errors import DataError
from facezoo.registry import DATASETS
from facezoo.structures import NUM_LANDMARKS, Sample

REQUIRED = {
    "images": ("id", "file_name"),
    "annotations": ("id", "image_id", "category_id", "bbox"),
    "categories": ("id", "name"),
}

LARGEST = 1e6  # pixels; no photograph is that large


@DATASETS.register
class CocoFaces(AnnotatedImages):
    """Faces from a json in COCO's format, with or without five keypoints.

    Image ids are the ``file_name``s, in the order of the json; within an image its faces have the
    order of the json. ``bbox`` is x, y, width, height. A face with ``iscrowd`` or ``ignore`` of 1
    is set to ignore. ``keypoints`` are five times x, y, visibility, in the order of
    ``facezoo.structures``; visibility 0 is unknown, a face without keypoints has none that is
    known.

    Args:
        images: folder of the images.
        json: file of the annotation.
        category: name of the category that is a face; None for the only one of the file.

    Attributes:
        counts: see ``AnnotatedImages``; also ``other_categories``, annotations left out as they
            are not of ``category``.

    Raises:
        DataError: a file is missing or malformed.
    """

    def __init__(self, images: Path, json: Path, category: str | None = None) -> None:
        images, json = Path(images), Path(json)
        if not images.is_dir():
            raise DataError(f"The folder of images {images} does not exist; name another.")
        content = read_coco(json)
        face = find_category(content["categories"], category, json)
        annotations, self._sizes_hw = collect_faces(content, face, json)
        super().__init__(images, annotations, json)
        self.counts["other_categories"] = len(content["annotations"]) - self.counts["faces"]

    def sample(self, index: int, read: ReadImage) -> Sample:
        """Returns image ``index`` with its faces, read by ``read``.

        Raises:
            IndexError: there is no such image.
            DataError: it cannot be read, or has not the size that the json says.
        """
        sample = super().sample(index, read)
        height, width = self._sizes_hw[index].tolist()
        if (height, width) not in ((0, 0), sample.image.shape[:2]):
            raise DataError(
                f"The image {sample.path} has {sample.image.shape[1]} x {sample.image.shape[0]} "
                f"pixels, but its annotation in {self.source} is for {width} x {height}; correct "
                "the json, or give the images that were annotated."
            )
        return sample


def read_coco(path: Path) -> dict[str, list[dict[str, Any]]]:
    """Returns the content of a json, whose entries have the keys that are needed."""
    try:
        content = json_module.loads(path.read_bytes())
    except FileNotFoundError as error:
        raise DataError(f"The annotation file {path} does not exist; check the path.") from error
    except OSError as error:
        raise DataError(f"The annotation file {path} cannot be read: {error.strerror}.") from error
    except (ValueError, RecursionError) as error:
        raise DataError(f"{path} is no valid JSON ({error}); export it again.") from error
    for section, keys in REQUIRED.items():
        entries = content.get(section) if isinstance(content, dict) else None
        if not isinstance(entries, list):
            raise DataError(f"{path} has no list {section!r}; give a json in COCO's format.")
        for place, entry in enumerate(entries):
            missing = [key for key in keys if not _has(entry, key)]
            if missing:
                raise DataError(f"{path}: {section}[{place}] has no {missing[0]!r}; add it.")
    return content


def _has(entry: Any, key: str) -> bool:
    """Returns whether an entry has a key, and an id that can be looked up."""
    if not isinstance(entry, dict) or key not in entry:
        return False
    return not key.endswith("id") or isinstance(entry[key], int | str)


def find_category(categories: Sequence[dict[str, Any]], name: str | None, path: Path) -> Any:
    """Returns the id of the category that is a face."""
    names = [one["name"] for one in categories]
    if name is None and len(names) != 1:
        raise DataError(
            f"{path} has {len(names)} categories ({', '.join(map(str, names[:9]))}); say with "
            "category which of them is a face."
        )
    if name is not None and names.count(name) != 1:
        raise DataError(
            f"{path} has no single category {name!r}; it has {', '.join(map(str, names[:9]))}."
        )
    return categories[0 if name is None else names.index(name)]["id"]


def collect_faces(
    content: dict[str, list[dict[str, Any]]], face: Any, path: Path
) -> tuple[Annotations, NDArray[np.int32]]:
    """Returns the annotations, and the images x 2 heights and widths (zeros where not given)."""
    names: dict[str, int] = {}
    numbers: dict[Any, int] = {}
    for place, image in enumerate(content["images"]):
        where = f"{path}: images[{place}]"
        check_name(str(image["file_name"]), where, names)
        if image["id"] in numbers:
            raise DataError(f"{where} has the id {image['id']!r} of another image; renumber them.")
        numbers[image["id"]] = names[str(image["file_name"])] = place
    if not names:
        raise DataError(f"{path} names no image; give a json with images.")
    places = [i for i, one in enumerate(content["annotations"]) if one["category_id"] == face]
    faces = [content["annotations"][i] for i in places]
    owners = np.zeros(len(faces), np.int64)
    for i, one in enumerate(faces):
        if one["image_id"] not in numbers:
            raise DataError(
                f"{path}: annotations[{places[i]}] is of image {one['image_id']!r}, which is not "
                "among the images; add the image or remove the annotation."
            )
        owners[i] = numbers[one["image_id"]]
    boxes = column_table(faces, "bbox", 4, places, path)
    points = column_table(faces, "keypoints", 3 * NUM_LANDMARKS, places, path)
    points = points.reshape(-1, NUM_LANDMARKS, 3)
    order = np.argsort(owners, kind="stable")
    annotations = Annotations(
        names=list(names),
        starts=np.searchsorted(owners[order], np.arange(len(names) + 1)).astype(np.int64),
        boxes=np.concatenate([boxes[:, :2], boxes[:, :2] + boxes[:, 2:]], axis=1)[order],
        ignore=np.array([_ignored(one) for one in faces], bool)[order],
        landmarks=np.where(points[..., 2:] > 0, points[..., :2], np.nan).astype(np.float32)[order],
    )
    return annotations, np.array([_size_hw(image) for image in content["images"]], np.int32)


def _size_hw(image: dict[str, Any]) -> tuple[int, int]:
    """Returns height and width of an image, zeros where the json does not give both."""
    height, width = image.get("height"), image.get("width")
    if type(height) is int and type(width) is int and min(height, width) > 0:
        return height, width
    return 0, 0


def column_table(
    faces: Sequence[dict[str, Any]], key: str, width: int, places: Sequence[int], path: Path
) -> NDArray[np.float64]:
    """Returns one row of numbers per face; zeros where it has none, as with no keypoints."""
    nothing = [0] * width
    rows = [one.get(key) or nothing for one in faces]
    for row, place in zip(rows, places, strict=True):
        if not isinstance(row, list) or len(row) != width or not _numbers(row):
            raise DataError(
                f"{path}: {key} of annotations[{place}] is {str(row)[:60]}, not {width} finite "
                "numbers; correct or remove it."
            )
    return np.array(rows, np.float64).reshape(-1, width)


def _numbers(row: Sequence[Any]) -> bool:
    # The comparison fails for NaN and infinity too, which Python's json reads.
    return all(type(x) in (int, float) and abs(x) < LARGEST for x in row)


def _ignored(face: dict[str, Any]) -> bool:
    return bool(face.get("iscrowd")) or bool(face.get("ignore"))

"""COCO's json with faces as one category, landmarks as keypoints, and attributes."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from typing_extensions import Self

from facezoo.data.annotations.annotation_file import (
    ATTRIBUTES,
    AnnotationFile,
    Finding,
    Repair,
    corners_to_extents,
    extents_to_corners,
    no_image,
    pixels,
)
from facezoo.data.annotations.text_lines import problem_of_name
from facezoo.errors import DataError
from facezoo.structures import NUM_LANDMARKS

FACE = "face"
"""The name of the one category that is written, and that is read among others."""

LANDMARK_NAMES = ("left_eye", "right_eye", "nose", "left_mouth_corner", "right_mouth_corner")
"""In the order of ``facezoo.structures``: left and right are the image's."""

SECTIONS = ("images", "annotations", "categories")
FACE_ID = 1
POINTS = 3 * NUM_LANDMARKS
UNKNOWN, NOT_VISIBLE, VISIBLE = 0, 1, 2
"""COCO's visibility of a keypoint."""

LARGEST = 1e6  # pixels; no photograph is that large
LARGEST_ATTRIBUTE = np.iinfo(np.int8).max


class CocoJson(AnnotationFile):
    """A json in COCO's format.

    ``bbox`` is x, y, width, height. A face with ``iscrowd`` or ``ignore`` of 1 is set to ignore.
    ``keypoints`` are five times x, y, visibility; without them no landmark is known. WIDER FACE's
    attributes stand by name in an extra field ``attributes``.
    """

    format: ClassVar[str] = "coco"
    keeps: ClassVar[frozenset[str]] = frozenset({"landmarks", "occluded", "attributes", "ignore"})
    needs_sizes: ClassVar[bool] = True

    @classmethod
    def read(cls, path: Path, images: Path | None = None, category: str | None = None) -> Self:
        """Reads a json.

        Args:
            path: of the file.
            images: not needed.
            category: name of the category that is a face; None for the only one, or the one of
                several that is named ``face``.
        """
        content = _load(path)
        face_id = _face_category(content["categories"], category, path)
        found = _Entries(content["images"], path)
        if not found.names:
            raise no_image(path, found.faults, "give a json with images")
        owners, places = found.read_faces(content["annotations"], face_id)
        order = np.argsort(owners, kind="stable")
        places = [places[i] for i in order.tolist()]
        faces = [content["annotations"][place] for place in places]
        points = np.array([one.get("keypoints") or [0] * POINTS for one in faces], np.float64)
        points = points.reshape(-1, NUM_LANDMARKS, 3)
        boxes = np.array([one["bbox"] for one in faces], np.float64).reshape(-1, 4)
        attributes, left_out = _read_attributes(faces, places)
        if found.others:
            total = found.others + len(faces)
            others = f"{found.others:,} of {total:,} annotations"
            left_out.append(f"{others} are of other categories: left out.")
        return cls(
            names=found.names,
            starts=np.searchsorted(owners[order], np.arange(len(found.names) + 1)).astype(np.int64),
            boxes=extents_to_corners(boxes),
            ignore=np.array([bool(one.get("iscrowd") or one.get("ignore")) for one in faces], bool),
            landmarks=np.where(points[..., 2:] > 0, points[..., :2], np.nan).astype(np.float32),
            attributes=attributes,
            occluded=points[..., 2] == NOT_VISIBLE,
            sizes_hw=np.array([_size_hw(content["images"][i]) for i in found.places], np.int32),
            path=path,
            content=content,
            image_places=found.places,
            face_places=places,
            faults=found.faults,
            left_out=left_out,
            others=found.others,
        )

    @classmethod
    def write(cls, content: AnnotationFile, path: Path) -> list[str]:
        """Writes a json that ``CocoFaces`` and pycocotools read.

        A face to ignore has ``ignore`` and, as pycocotools goes by that alone, ``iscrowd`` of 1.
        """
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

    def rewrite(self, repair: Repair, path: Path) -> None:
        """Writes the content that stays; annotations of other categories stay with their images."""
        entries = self.content["images"]
        images = [entries[self.image_places[entry]] for entry, _ in repair.kept]
        kept_ids = {image["file_name"]: image["id"] for image in images}
        # An image that was there twice has the id of its first entry now.
        ids = {
            entries[place]["id"]: kept_ids.get(name)
            for place, name in zip(self.image_places, self.names, strict=True)
        }
        faces = {self.face_places[face]: face for _, some in repair.kept for face in some}
        gone = {*self.face_places} - faces.keys()
        malformed = {one.where for one in self.faults}
        annotations = []
        for place, one in enumerate(self.content["annotations"]):
            if place in gone or f"{self.path}: annotations[{place}]" in malformed:
                continue
            if ids.get(one["image_id"]) is not None:
                moved = {**one, "image_id": ids[one["image_id"]]}
                face = faces.get(place)
                annotations.append(moved if face is None else _repaired(repair, face, moved))
        whole = {**self.content, "images": images, "annotations": annotations}
        text = json.dumps(whole, indent=1) + "\n"
        path.write_text(text, encoding="utf-8", newline="\n")

    @classmethod
    def recognizes(cls, path: Path) -> bool:
        """Returns whether it is called so."""
        return path.is_file() and path.suffix.lower() == ".json"

    @classmethod
    def images_near(cls, path: Path, split: str) -> Path | None:
        """Returns the folder that the json lies in."""
        return path.parent

    def place_of_image(self, entry: int) -> str:
        """Returns where an image stands, such as ``file: images[12]``."""
        return f"{self.path}: images[{self.image_places[entry]}]"

    def place_of_face(self, face: int) -> str:
        """Returns where a face stands, such as ``file: annotations[12]``."""
        return f"{self.path}: annotations[{self.face_places[face]}]"


def _load(path: Path) -> dict[str, list[Any]]:
    try:
        content = json.loads(path.read_bytes())
    except FileNotFoundError as error:
        raise DataError(f"The annotation file {path} does not exist; check the path.") from error
    except OSError as error:
        raise DataError(f"The annotation file {path} cannot be read: {error.strerror}.") from error
    except (ValueError, RecursionError) as error:
        raise DataError(f"{path} is no valid JSON ({error}); export it again.") from error
    for section in SECTIONS:
        if not isinstance(content, dict) or not isinstance(content.get(section), list):
            raise DataError(f"{path} has no list {section!r}; give a json in COCO's format.")
    return content


def _face_category(categories: list[Any], name: str | None, path: Path) -> Any:
    """Returns the id of the category that is a face."""
    known = [one for one in categories if isinstance(one, dict) and {"id", "name"} <= one.keys()]
    is_only = name is None and len(known) == 1
    faces = known if is_only else [one for one in known if one["name"] == (name or FACE)]
    if len(faces) == 1:
        return faces[0]["id"]
    names = ", ".join(str(one["name"]) for one in known[:9])
    raise DataError(
        f"{path} has {len(known)} categories ({names}) and no single one named {name or FACE!r}; "
        "name the one of the faces so, or give CocoFaces its name as category."
    )


class _Entries:
    """The images of a json, and what is wrong with its entries."""

    def __init__(self, images: list[Any], path: Path) -> None:
        self.path = path
        self.names: list[str] = []
        self.places: list[int] = []
        self.numbers: dict[Any, int] = {}
        self.faults: list[Finding] = []
        self.others = 0
        first: dict[str, int] = {}
        for place, image in enumerate(images):
            where = f"images[{place}]"
            problem = _problem_of_image(image, self.numbers)
            if problem:
                self.complain("malformed", where, problem)
                continue
            name, number = image["file_name"], len(self.names)
            self.numbers[image["id"]] = number
            self.names.append(name)
            self.places.append(place)
            earlier = first.setdefault(name, place)
            if earlier != place:
                message = f"the image {name} is annotated a second time, first in images[{earlier}]"
                self.complain("annotated_twice", where, message, number)

    def complain(self, kind: str, place: str, message: str, entry: int = -1) -> None:
        """Adds a fault of an image, or of none."""
        name = self.names[entry] if entry >= 0 else ""
        self.faults.append(Finding(kind, f"{self.path}: {place}", name, message, entry))

    def read_faces(
        self, annotations: list[Any], face_id: Any
    ) -> tuple[NDArray[np.int64], list[int]]:
        """Returns of each face its image and its place."""
        owners, places = [], []
        for place, one in enumerate(annotations):
            problem = _problem_of_face(one, face_id, self.numbers)
            if problem:
                owner = one.get("image_id") if isinstance(one, dict) else None
                entry = self.numbers.get(owner, -1) if isinstance(owner, int | str) else -1
                self.complain("malformed", f"annotations[{place}]", problem, entry)
            elif one["category_id"] != face_id:
                self.others += 1
            else:
                owners.append(self.numbers[one["image_id"]])
                places.append(place)
        return np.array(owners, np.int64), places


def _problem_of_image(image: Any, numbers: dict[Any, int]) -> str:
    """Returns what is wrong with an image, empty for nothing."""
    if not isinstance(image, dict) or not isinstance(image.get("id"), int | str):
        return "the image has no id"
    if not isinstance(image.get("file_name"), str):
        return "the image has no file_name"
    if image["id"] in numbers:
        return f"the id {image['id']!r} is that of another image"
    return problem_of_name(image["file_name"])


def _problem_of_face(face: Any, face_id: Any, numbers: dict[Any, int]) -> str:
    """Returns what is wrong with an annotation, empty for nothing."""
    if not isinstance(face, dict):
        return "the annotation is no mapping"
    missing = next((key for key in ("id", "image_id", "category_id") if key not in face), None)
    if missing is not None:
        return f"the annotation has no {missing}"
    owner = face["image_id"]
    if not isinstance(owner, int | str) or owner not in numbers:
        return f"the annotation is of image {owner!r}, which is not among the images"
    if face["category_id"] != face_id:
        return ""  # what else the file holds is none of ours
    if not _is_row(face.get("bbox"), 4):
        return f"bbox is {str(face.get('bbox'))[:60]}, not 4 finite numbers"
    if face.get("keypoints") and not _is_row(face["keypoints"], POINTS):
        return f"keypoints is {str(face['keypoints'])[:60]}, not {POINTS} finite numbers"
    return ""


def _is_row(row: Any, width: int) -> bool:
    if not isinstance(row, list) or len(row) != width:
        return False
    # The comparison fails for NaN and infinity too, which Python's json reads.
    return all(type(x) in (int, float) and abs(x) < LARGEST for x in row)


def _size_hw(image: dict[str, Any]) -> tuple[int, int]:
    """Returns height and width of an image, zeros where the json does not give both."""
    height, width = image.get("height"), image.get("width")
    known = type(height) is int and type(width) is int and min(height, width) > 0
    return (height, width) if known else (0, 0)  # type: ignore[return-value]


def _read_attributes(
    faces: Sequence[dict[str, Any]], places: Sequence[int]
) -> tuple[NDArray[np.int8] | None, list[str]]:
    """Returns N x 6, zeros where a face has none, or None where no face has any; what is lost."""
    table = np.zeros((len(faces), len(ATTRIBUTES)), np.int8)
    found, wrong = False, []
    for row, (face, place) in enumerate(zip(faces, places, strict=True)):
        named = face.get("attributes")
        if not isinstance(named, dict):
            continue
        for column, name in enumerate(ATTRIBUTES):
            value = named.get(name, -1)
            if type(value) is int and 0 <= value <= LARGEST_ATTRIBUTE:
                table[row, column], found = value, True
            elif name in named:
                wrong.append(f"{name} of annotations[{place}] is {value!r}"[:90])
    lost = f"{len(wrong):,} attributes are no whole numbers from 0 to {LARGEST_ATTRIBUTE}: lost"
    return table if found else None, [f"{lost}, such as {wrong[0]}."] if wrong else []


def _faces(content: AnnotationFile) -> list[dict[str, Any]]:
    """Returns the annotations of a json, in the order of the images."""
    boxes = corners_to_extents(content.boxes)
    areas = np.round(boxes[:, 2:].clip(0).prod(axis=1), 4).tolist()
    known = content.known()
    visibility = np.where(known, np.where(content.occluded, NOT_VISIBLE, VISIBLE), UNKNOWN)
    points = np.where(known[..., None], pixels(content.landmarks), 0)
    keypoints = np.concatenate([points, visibility[..., None]], axis=2).reshape(-1, POINTS)
    owners = (content.owners + 1).tolist()
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


def _repaired(repair: Repair, face: int, annotation: dict[str, Any]) -> dict[str, Any]:
    if repair.clipped[face]:
        annotation["bbox"] = repair.extents(face)
        if "area" in annotation:
            annotation["area"] = annotation["bbox"][2] * annotation["bbox"][3]
    if repair.forgotten[face].any():
        points = np.array(annotation["keypoints"]).reshape(NUM_LANDMARKS, 3)
        points[repair.forgotten[face]] = 0
        annotation["keypoints"] = points.reshape(-1).tolist()
        if "num_keypoints" in annotation:
            annotation["num_keypoints"] = int((points[:, 2] > 0).sum())
    return annotation

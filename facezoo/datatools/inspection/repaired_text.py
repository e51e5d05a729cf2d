"""The text of a cleaned annotation, in the format and the words of the original."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from facezoo.datatools.inspection.annotation_file import AnnotationFile
from facezoo.structures import NUM_LANDMARKS


@dataclass
class Repair:
    """What is left of an annotation file.

    Attributes:
        file: the annotation as it was found.
        kept: images that stay: the number of their first entry, and those of their faces.
        boxes: F x 4, float64, x1 y1 x2 y2, clipped where that was wrong.
        clipped: F, bool.
        forgotten: F x L, bool, landmarks that are unknown now.
        changes: one line for each thing that changed, and why.
    """

    file: AnnotationFile
    kept: list[tuple[int, list[int]]]
    boxes: NDArray[np.float64]
    clipped: NDArray[np.bool_]
    forgotten: NDArray[np.bool_]
    changes: list[str]

    def changed(self, face: int) -> bool:
        """Returns whether a face that stays is not as it was."""
        return bool(self.clipped[face] or self.forgotten[face].any())


def annotation_text(repair: Repair) -> str:
    """Returns what a cleaned copy of an annotation file holds."""
    if repair.file.format == "coco":
        return json.dumps(_coco_content(repair), indent=1) + "\n"
    return "\n".join(_lines(repair)) + "\n"


def _lines(repair: Repair) -> Iterator[str]:
    """Yields the lines of WIDER FACE's or RetinaFace's text."""
    file = repair.file
    for entry, faces in repair.kept:
        yield file.content[file.entry_places[entry]].rstrip("\r")
        if file.format == "widerface":
            yield str(len(faces))
            # The official files have one line of zeros there.
            if not faces:
                yield " ".join("0" * 10)
        for face in faces:
            yield _line(repair, face)


def _line(repair: Repair, face: int) -> str:
    """Returns the line of a face, as it was where nothing of it changed."""
    line = str(repair.file.content[repair.file.face_places[face]]).rstrip("\r")
    if not repair.changed(face):
        return line
    words = line.split()
    if repair.clipped[face]:
        words[:4] = [f"{value:.10g}" for value in _xywh(repair, face)]
    for landmark in np.flatnonzero(repair.forgotten[face]).tolist():
        words[4 + 3 * landmark : 7 + 3 * landmark] = ["-1.0"] * 3
    return " ".join(words)


def _coco_content(repair: Repair) -> dict[str, Any]:
    """Returns the content of a json; annotations of other categories stay with their images."""
    file = repair.file
    places = {place: face for face, place in enumerate(file.face_places)}
    images = [file.content["images"][file.entry_places[entry]] for entry, _ in repair.kept]
    id_by_name = {image["file_name"]: image["id"] for image in images}
    # An image that was there twice has the id of its first entry now.
    ids = {
        file.content["images"][place]["id"]: id_by_name.get(name)
        for place, name in zip(file.entry_places, file.names, strict=True)
    }
    faces = {face for _, of_image in repair.kept for face in of_image}
    annotations = []
    for place, one in enumerate(file.content["annotations"]):
        face = places.get(place)
        if face in faces:
            annotations.append(_coco_face(repair, face, {**one, "image_id": ids[one["image_id"]]}))
        elif place in file.other_places and ids.get(one["image_id"]) is not None:
            annotations.append({**one, "image_id": ids[one["image_id"]]})
    return {**file.content, "images": images, "annotations": annotations}


def _coco_face(repair: Repair, face: int, annotation: dict[str, Any]) -> dict[str, Any]:
    if repair.clipped[face]:
        annotation["bbox"] = _xywh(repair, face)
        if "area" in annotation:
            annotation["area"] = annotation["bbox"][2] * annotation["bbox"][3]
    if repair.forgotten[face].any():
        points = np.array(annotation["keypoints"]).reshape(NUM_LANDMARKS, 3)
        points[repair.forgotten[face]] = 0
        annotation["keypoints"] = points.reshape(-1).tolist()
        if "num_keypoints" in annotation:
            annotation["num_keypoints"] = int((points[:, 2] > 0).sum())
    return annotation


def _xywh(repair: Repair, face: int) -> list[float]:
    x1, y1, x2, y2 = repair.boxes[face].tolist()
    return [round(value, 4) for value in (x1, y1, x2 - x1, y2 - y1)]

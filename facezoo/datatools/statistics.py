"""Counts what is annotated: images, faces, their heights and their attributes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from facezoo.data.annotations.annotation_file import ATTRIBUTES, AnnotationFile

HEIGHTS = {"0-8": 0, "8-16": 8, "16-32": 16, "32-64": 32, "64-128": 64, "128+": 128}
"""Buckets of face heights with their lower ends in pixels, as those of ``RecallBySize``."""

CROWDS = {"0": 0, "1": 1, "2-5": 2, "6-10": 6, "11-20": 11, "21-50": 21, "51-100": 51, "101+": 101}
"""Buckets of faces per image with their lowest numbers."""

ATTRIBUTE_VALUES: Mapping[str, tuple[str, ...]] = {
    "blur": ("clear", "normal", "heavy"),
    "expression": ("typical", "exaggerated"),
    "illumination": ("normal", "extreme"),
    "invalid": ("no", "yes"),
    "occlusion": ("none", "partial", "heavy"),
    "pose": ("typical", "atypical"),
}
"""Names of WIDER FACE's values 0, 1, 2, from the read-me of its annotation."""

OFFICIAL_COUNTS = {"train": (12_880, 159_424), "val": (3_226, 39_708)}
"""Images and faces of WIDER FACE's splits."""


def statistics(file: AnnotationFile) -> dict[str, Any]:
    """Returns the counts of an annotation file.

    ``faces_per_image`` and ``images_by_faces`` count every annotated face, ``face_heights`` those
    whose box has an area. ``dropped`` are the others, ``ignored`` those with an area that are
    neither taught nor counted, ``with_landmarks`` those of which at least one landmark is known.
    ``official`` says whether the counts are the known ones of WIDER FACE's split, None where that
    it is none of them.

    Args:
        file: the annotation.

    Returns:
        Numbers and mappings of them, ready for JSON.

    Raises:
        DataError: a part of the file cannot be read.
    """
    file.strict()
    per_image = np.bincount(file.owners, minlength=len(file.names))
    usable = file.has_area()
    boxes = file.boxes[usable]
    return {
        "images": len(file.names),
        "faces": len(file.boxes),
        "images_without_faces": int((per_image == 0).sum()),
        "faces_per_image": {
            "min": int(per_image.min()),
            "median": float(np.median(per_image)),
            "mean": round(float(per_image.mean()), 4),
            "max": int(per_image.max()),
        },
        "images_by_faces": _counted(per_image, CROWDS),
        "face_heights": _counted(boxes[:, 3] - boxes[:, 1], HEIGHTS),
        "dropped": int((~usable).sum()),
        "ignored": int((file.ignore & usable).sum()),
        "with_landmarks": int(file.known().any(axis=1).sum()),
        "attributes": _attributes(file),
        "official": _is_official(file),
    }


def _counted(values: NDArray[np.number], buckets: Mapping[str, int]) -> dict[str, int]:
    """Returns how many values lie from the lower end of each bucket to that of the next one."""
    places = np.searchsorted(list(buckets.values()), values, side="right") - 1
    counts = np.bincount(places, minlength=len(buckets)).tolist()
    return dict(zip(buckets, counts, strict=True))


def _attributes(file: AnnotationFile) -> dict[str, dict[str, int]] | None:
    """Returns the faces by value of each attribute; a value without a name is its number."""
    if file.attributes is None:
        return None
    found = {}
    for name, values in zip(ATTRIBUTES, file.attributes.T, strict=True):
        counts = dict.fromkeys(ATTRIBUTE_VALUES[name], 0)
        for value, count in zip(*np.unique(values, return_counts=True), strict=True):
            known = 0 <= value < len(ATTRIBUTE_VALUES[name])
            counts[ATTRIBUTE_VALUES[name][value] if known else str(value)] = int(count)
        found[name] = counts
    return found


def _is_official(file: AnnotationFile) -> bool | None:
    if file.format != "widerface" or file.split not in OFFICIAL_COUNTS:
        return None
    return (len(file.names), len(file.boxes)) == OFFICIAL_COUNTS[file.split]

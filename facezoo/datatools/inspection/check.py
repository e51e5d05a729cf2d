"""Checks the annotation files of a data set and their images: what can be wrong with them."""

import os
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
from numpy.typing import NDArray

from facezoo.data.annotations.annotation_file import AnnotationFile, Finding
from facezoo.data.annotations.image_files import pictures_in
from facezoo.datatools.inspection.box_checks import check_faces
from facezoo.datatools.inspection.image_checks import ImageFile, find_copies, look_at
from facezoo.writing import tracked


class Change(Enum):
    """What a repaired copy of the annotation has instead."""

    NOTHING = "left as it is"
    LEAVE_OUT = "left out"
    COUNT = "counted anew"
    REMOVE_IMAGE = "image removed with its faces"
    REMOVE_FACE = "face removed"
    CLIP = "box clipped to the image"
    UNKNOWN = "landmark set to unknown"
    JOIN = "faces joined to the first entry of the image"


@dataclass(frozen=True)
class Kind:
    """A kind of finding.

    Attributes:
        meaning: a few words, in the plural where they count something.
        change: what a repair does about one.
    """

    meaning: str
    change: Change


KINDS = {
    "malformed": Kind("lines or entries that cannot be read", Change.LEAVE_OUT),
    "wrong_count": Kind("counts of faces that are not those of the lines", Change.COUNT),
    "annotated_twice": Kind("images annotated twice", Change.JOIN),
    "missing_folder": Kind("folders without any annotated image", Change.NOTHING),
    "missing_image": Kind("images that are missing", Change.REMOVE_IMAGE),
    "unreadable_image": Kind("images that are no picture", Change.REMOVE_IMAGE),
    "truncated_image": Kind("images that are broken off or damaged", Change.REMOVE_IMAGE),
    "too_large_image": Kind("images of more pixels than are read", Change.REMOVE_IMAGE),
    "wrong_size": Kind("images of another size than annotated", Change.REMOVE_IMAGE),
    "unannotated_image": Kind("images that no annotation names", Change.NOTHING),
    "duplicate_bytes": Kind("images with the bytes of another", Change.REMOVE_IMAGE),
    "duplicate_pixels": Kind("images with the pixels of another", Change.REMOVE_IMAGE),
    "leak": Kind("training images that are in val too", Change.REMOVE_IMAGE),
    "box_without_area": Kind("boxes without area", Change.REMOVE_FACE),
    "only_without_area": Kind("images with none but such boxes", Change.REMOVE_IMAGE),
    "box_outside": Kind("boxes outside their image", Change.REMOVE_FACE),
    "box_partly_outside": Kind("boxes partly outside their image", Change.CLIP),
    "duplicate_box": Kind("boxes that are twice in one image", Change.REMOVE_FACE),
    "landmark_outside_image": Kind("landmarks outside their image", Change.UNKNOWN),
    "landmark_outside_box": Kind("landmarks far outside their box", Change.UNKNOWN),
}
"""The kinds by name, in the order of reports."""

ORDER = {kind: place for place, kind in enumerate(KINDS)}


@dataclass
class Inspection:
    """What was found in one annotation file and its images.

    Attributes:
        file: the annotation.
        sizes_hw: E x 2, int64, sizes of its images as far as they are known, else zeros.
        findings: by kind in the order of ``KINDS``, then in the order of the images.
        images_read: how many images were read, 0 where they are not there.
    """

    file: AnnotationFile
    sizes_hw: NDArray[np.int64]
    findings: list[Finding]
    images_read: int

    def counts(self) -> dict[str, int]:
        """Returns how many findings there are of each kind."""
        counted = Counter(finding.kind for finding in self.findings)
        return {kind: counted[kind] for kind in KINDS}

    def as_json(self) -> dict[str, Any]:
        """Returns all of it as a report holds it."""
        return {
            "file": str(self.file.path),
            "split": self.file.split,
            "images": len(self.file.names),
            "faces": len(self.file.boxes),
            "images_read": self.images_read,
            "counts": self.counts(),
            "findings": list(map(_finding_json, self.findings)),
        }


def _finding_json(finding: Finding) -> dict[str, str]:
    return {
        "kind": finding.kind,
        "where": finding.where,
        "image": finding.image,
        "message": finding.message,
        "change": KINDS[finding.kind].change.value,
    }


def inspect(files: Sequence[AnnotationFile]) -> list[Inspection]:
    """Finds what is wrong with annotation files and the images they name.

    Each image is read once and none is kept. A file whose folder of images is unknown, or has none
    of its images, is checked as text alone. The faces of images that are missing or cannot be
    read are checked as far as that needs no image.

    Args:
        files: of one data set.

    Returns:
        One for each file.
    """
    present = [any(map(os.path.exists, _paths(file).values())) for file in files]
    paths = dict.fromkeys(
        path
        for file, here in zip(files, present, strict=True)
        if here
        for path in _paths(file).values()
    )
    looked_at = tracked(look_at(list(paths)), "reading images", len(paths))
    known = dict(zip(paths, looked_at, strict=True))
    copies = find_copies(files, {path: one for path, one in known.items() if not one.fault})
    inspections = []
    for file, here in zip(files, present, strict=True):
        images = {name: known[path] for name, path in _paths(file).items()} if here else {}
        # Of an image that a reader of headers could not read, reading it says more.
        findings = [one for one in file.faults if one.kind != "unreadable_image"]
        findings += _about_images(file, images, here)
        findings += [
            Finding(kind, file.place_of_image(entry), file.names[entry], message, entry)
            for entry, (kind, message) in copies[file.path].items()
        ]
        read = [images[name].size_hw if name in images else (0, 0) for name in file.names]
        found = np.array(read, np.int64).reshape(-1, 2)
        sizes_hw = np.where(found > 0, found, file.sizes_hw)
        findings += check_faces(file, sizes_hw)
        findings.sort(key=lambda finding: ORDER[finding.kind])
        inspections.append(Inspection(file, sizes_hw, findings, len(images)))
    return inspections


def _paths(file: AnnotationFile) -> dict[str, Path]:
    """Returns the paths of the annotated images by name."""
    return {} if file.folder is None else {name: file.folder / name for name in file.names}


def _about_images(
    file: AnnotationFile, images: Mapping[str, ImageFile], here: bool
) -> Iterator[Finding]:
    if not here:
        if file.folder is not None:
            message = f"it has none of the {len(file.names)} annotated images"
            yield Finding("missing_folder", str(file.folder), "", message)
        return
    for entry, name in enumerate(file.names):
        where, image = file.place_of_image(entry), images[name]
        height, width = file.sizes_hw[entry].tolist()
        if image.fault:
            yield Finding(image.fault, where, name, image.message, entry)
        elif (height, width) not in ((0, 0), image.size_hw):
            message = (
                f"the image is {image.size_hw[1]} x {image.size_hw[0]}, its annotation is for "
                f"{width} x {height}"
            )
            yield Finding("wrong_size", where, name, message, entry)
    yield from _unannotated(file)


def _unannotated(file: AnnotationFile) -> Iterator[Finding]:
    assert file.folder is not None
    names = set(file.names)
    # A json may lie above the images of several splits, of which it annotates one.
    folders = {str(PurePosixPath(name).parent) for name in names} if file.format == "coco" else None
    for name in pictures_in(file.folder):
        elsewhere = folders is not None and str(PurePosixPath(name).parent) not in folders
        if name not in names and not elsewhere:
            message = f"{file.path} does not name the image"
            yield Finding("unannotated_image", str(file.folder / name), name, message)

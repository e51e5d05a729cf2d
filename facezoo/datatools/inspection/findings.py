"""What a check can find, and what a repair does about it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum


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


@dataclass(frozen=True)
class Finding:
    """One thing that is wrong.

    Attributes:
        kind: a name in ``KINDS``.
        where: ``file:line``, or ``file: annotations[7]`` in a json, or a file or folder.
        image: name of the image, empty where it is about none.
        message: what is wrong, without the place.
        entry: number of the image in its annotation file, -1 where it is about none.
        face: number of the face in its annotation file, -1 where it is about none.
        landmark: of the face, 0 to 4, or -1.
    """

    kind: str
    where: str
    image: str
    message: str
    entry: int = -1
    face: int = -1
    landmark: int = -1

    def as_json(self) -> dict[str, str]:
        """Returns what a report holds of it."""
        return {
            "kind": self.kind,
            "where": self.where,
            "image": self.image,
            "message": self.message,
            "change": KINDS[self.kind].change.value,
        }

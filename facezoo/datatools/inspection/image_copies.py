"""Finds images that are there twice, in one split or in both."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from facezoo.datatools.inspection.annotation_file import AnnotationFile
from facezoo.datatools.inspection.image_checks import ImageFile

Copies = dict[Path, dict[int, tuple[str, str]]]
"""Of each annotation file the entries that are copies, with the kind of finding and a message."""


def find_copies(files: Sequence[AnnotationFile], images: Mapping[Path, ImageFile]) -> Copies:
    """Returns the images that are copies of others.

    Of two in one split the later one is the copy; of one in train and one in val it is that in
    train, since the numbers that people compare are those of val. Where no image was read, two
    splits share the images that have the same name.

    Args:
        files: of one data set.
        images: those that could be read.
    """
    return {file.path: dict(_copies_of(file, files, images)) for file in files}


def _copies_of(
    file: AnnotationFile, files: Sequence[AnnotationFile], images: Mapping[Path, ImageFile]
) -> Iterator[tuple[int, tuple[str, str]]]:
    in_val: dict[bytes | str, str] = {}
    if file.split == "train":
        for other in files:
            if other.split == "val":
                in_val = {**_places(other, images), **in_val}
    seen: dict[bytes | str, int] = {}
    # A second entry of an image is another finding, and no copy.
    firsts = {name: entry for entry, name in reversed(list(enumerate(file.names)))}
    for entry in sorted(firsts.values()):
        marks = _marks(file, entry, images)
        leaked = next((what for what, mark in marks.items() if mark in in_val), None)
        twice = next((what for what, mark in marks.items() if mark in seen), None)
        if leaked is not None:
            yield entry, ("leak", f"it has the {leaked} of {in_val[marks[leaked]]}")
        elif twice is not None:
            first = seen[marks[twice]]
            place = f"{file.names[first]} ({file.place_of_entry(first)})"
            yield entry, (f"duplicate_{twice}", f"it has the {twice} of {place}")
        for mark in marks.values():
            seen.setdefault(mark, entry)


def _places(file: AnnotationFile, images: Mapping[Path, ImageFile]) -> dict[bytes | str, str]:
    """Returns where the images of a file stand, by their marks."""
    return {
        mark: f"{name} ({file.place_of_entry(entry)})"
        for entry, name in reversed(list(enumerate(file.names)))
        for mark in _marks(file, entry, images).values()
    }


def _marks(
    file: AnnotationFile, entry: int, images: Mapping[Path, ImageFile]
) -> dict[str, bytes | str]:
    """Returns by what an image is known again, the surest first."""
    name = file.names[entry]
    image = None if file.folder is None else images.get(file.folder / name)
    if image is None:
        return {"name": name}
    return {"bytes": image.of_bytes, "pixels": image.of_pixels}

"""Looks at image files: whether they can be read, their size, and which of them are the same."""

import hashlib
import os
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from facezoo.data.annotations.annotation_file import AnnotationFile
from facezoo.data.images import TooManyPixelsError, read_image
from facezoo.errors import DataError

# What begins as one of these is a picture; where it cannot be decoded it is broken off or damaged.
SIGNATURES = (b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"RIFF", b"GIF8", b"BM", b"II*\0", b"MM\0*")
DIGEST_BYTES = 16

Copies = dict[Path, dict[int, tuple[str, str]]]
"""Of each annotation file the entries that are copies, with the kind of finding and a message."""


@dataclass(frozen=True)
class ImageFile:
    """What is known of a file after it was read; its pixels are not kept.

    Attributes:
        fault: ``missing_image``, ``unreadable_image``, ``truncated_image``, ``too_large_image``, or
            empty.
        message: what is wrong with it, empty where nothing is.
        of_bytes: digest of the file.
        of_pixels: digest of the decoded picture with its size; empty where it has a fault.
        size_hw: height and width in pixels, upright; zeros where it has a fault.
    """

    fault: str = ""
    message: str = ""
    of_bytes: bytes = b""
    of_pixels: bytes = b""
    size_hw: tuple[int, int] = (0, 0)


def look_at(paths: Sequence[Path]) -> Iterator[ImageFile]:
    """Reads images in parallel and yields what is known of each, in order.

    Threads do, since decoding and hashing release the interpreter's lock; each holds one image.
    """
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        yield from pool.map(_look_at_one, paths)


def _look_at_one(path: Path) -> ImageFile:
    if not os.path.exists(path):  # unlike the path's own, False for a name that cannot be
        return ImageFile("missing_image", "the image does not exist")
    try:
        image = read_image(path)
        data = path.read_bytes()  # the second time from the system's memory
    except TooManyPixelsError as error:
        return ImageFile("too_large_image", str(error))
    except DataError as error:
        return _faulty(path, str(error))
    except OSError as error:
        return ImageFile("unreadable_image", f"the image cannot be read ({error.strerror})")
    pixels = hashlib.blake2b(repr(image.shape).encode(), digest_size=DIGEST_BYTES)
    pixels.update(image)  # type: ignore[arg-type]  # an array is a buffer
    return ImageFile(
        of_bytes=hashlib.blake2b(data, digest_size=DIGEST_BYTES).digest(),
        of_pixels=pixels.digest(),
        size_hw=(image.shape[0], image.shape[1]),
    )


def _faulty(path: Path, sentence: str) -> ImageFile:
    """Returns what is wrong with a file that could not be decoded."""
    try:
        with path.open("rb") as file:
            is_picture = file.read(8).startswith(SIGNATURES)
    except OSError:
        is_picture = False
    if is_picture:
        return ImageFile("truncated_image", "the image is broken off or damaged")
    return ImageFile("unreadable_image", f"no picture: {sentence}")


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
            place = f"{file.names[first]} ({file.place_of_image(first)})"
            yield entry, (f"duplicate_{twice}", f"it has the {twice} of {place}")
        for mark in marks.values():
            seen.setdefault(mark, entry)


def _places(file: AnnotationFile, images: Mapping[Path, ImageFile]) -> dict[bytes | str, str]:
    """Returns where the images of a file stand, by their marks."""
    return {
        mark: f"{name} ({file.place_of_image(entry)})"
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

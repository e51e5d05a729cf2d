"""Looks at image files: whether they can be read, their size, and which of them are the same."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from facezoo.data.datasets.wider_face import PICTURES
from facezoo.data.images import TooManyPixelsError, read_image
from facezoo.errors import DataError

# What begins as one of these is a picture; where it cannot be decoded it is broken off or damaged.
SIGNATURES = (
    b"\xff\xd8\xff",
    b"\x89PNG\r\n\x1a\n",
    b"RIFF",
    b"GIF8",
    b"BM",
    b"II*\x00",
    b"MM\x00*",
)
DIGEST_BYTES = 16


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


def pictures_in(folder: Path) -> Iterator[str]:
    """Yields the paths of the pictures in a folder, within it and with ``/``, sorted."""
    for path in sorted(folder.rglob("*")):
        if path.suffix.lower() in PICTURES and path.is_file():
            yield path.relative_to(folder).as_posix()


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

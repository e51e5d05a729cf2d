"""Image files without their pixels: which there are, and how large they are."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from facezoo.data.images import upright_size_hw
from facezoo.errors import DataError

PICTURES = (".bmp", ".jpeg", ".jpg", ".png", ".tif", ".tiff", ".webp")
"""Endings of the names of pictures, in lower case."""


def pictures_in(folder: Path) -> list[str]:
    """Returns the pictures of a folder and of those within it, as sorted paths with slashes."""
    return sorted(
        path.relative_to(folder).as_posix()
        for path in folder.rglob("*")
        if path.suffix.lower() in PICTURES and path.is_file()
    )


def list_images(folder: Path) -> list[str]:
    """Returns the pictures of a folder, of which there has to be one; see ``pictures_in``.

    Raises:
        DataError: there is no such folder, or no image in it.
    """
    if not folder.is_dir():
        raise DataError(f"The folder of images {folder} does not exist; name another.")
    names = pictures_in(folder)
    if not names:
        raise DataError(f"The folder {folder} holds no image; name the folder of the images.")
    return names


def read_sizes_hw(folder: Path, names: Sequence[str], source: Path) -> NDArray[np.int32]:
    """Returns images x 2, height and width in pixels, from the headers of the files.

    They are those of the picture as ``read_image`` gives it, upright by its EXIF orientation.

    Args:
        folder: of the images.
        names: paths within it.
        source: the annotation that names them, for messages.

    Raises:
        DataError: an image is missing or is no picture.
    """
    sizes = [read_size_hw(folder / name, source) for name in names]
    return np.array(sizes, np.int32).reshape(-1, 2)


def read_size_hw(path: Path, source: Path) -> tuple[int, int]:
    """Returns height and width of one image; see ``read_sizes_hw``."""
    try:
        size_hw = upright_size_hw(path.read_bytes())
    except FileNotFoundError as error:
        raise DataError(
            f"The image {path} that {source} annotates does not exist; add it, or name the folder "
            "of the images with --images."
        ) from error
    except OSError as error:
        raise DataError(
            f"The size of the image {path} cannot be read ({error.strerror}); give a file that you "
            "may read."
        ) from error
    if size_hw is None:
        raise DataError(
            f"The size of the image {path} cannot be read: it has no header of a picture; fetch it "
            "again or convert it to JPEG or PNG."
        )
    return size_hw

"""Image files without their pixels: which there are, how large they are, where they lie."""

from __future__ import annotations

import os
import shutil
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from facezoo.data.image_headers import upright_size_hw
from facezoo.errors import DataError

PICTURES = frozenset({".bmp", ".jpeg", ".jpg", ".png", ".tif", ".tiff", ".webp"})


def list_images(folder: Path) -> list[str]:
    """Returns the images of a folder and of those within it, as sorted paths with slashes.

    Raises:
        DataError: there is no such folder, or no image in it.
    """
    if not folder.is_dir():
        raise DataError(f"The folder of images {folder} does not exist; name another.")
    names = sorted(
        path.relative_to(folder).as_posix()
        for path in folder.rglob("*")
        if path.suffix.lower() in PICTURES and path.is_file()
    )
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
    sizes = [_size_hw(folder / name, source) for name in names]
    return np.array(sizes, np.int32).reshape(-1, 2)


def check_placing(folder: Path, names: Sequence[str], target: Path) -> None:
    """Checks that ``place_images`` will find the images and a place for them.

    Raises:
        DataError: an image is missing, or ``target`` holds something already.
    """
    if target.resolve() != folder.resolve() and target.exists() and any(target.iterdir()):
        raise DataError(f"The folder of images {target} exists already; name another --out.")
    missing = [name for name in names if not (folder / name).is_file()]
    if missing:
        raise DataError(
            f"{len(missing)} of {len(names)} annotated images are not in {folder}, such as "
            f"{missing[0]}; add them or name the folder of the images with --images."
        )


def place_images(folder: Path, names: Sequence[str], target: Path) -> None:
    """Puts images into another folder, as hard links where the file system has them, or copies.

    Args:
        folder: where they are.
        names: paths within it, and then within ``target``.
        target: the folder to fill; nothing is done where it is ``folder`` itself.
    """
    if target.resolve() == folder.resolve():
        return
    for name in names:
        (target / name).parent.mkdir(parents=True, exist_ok=True)
        try:
            os.link((folder / name).resolve(), target / name)
        except OSError:  # another disk, no such links there, or none to files of somebody else
            shutil.copyfile(folder / name, target / name)


def _size_hw(path: Path, source: Path) -> tuple[int, int]:
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

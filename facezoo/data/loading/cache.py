"""Decoded photographs in a folder, a file each, that all processes of a machine read.

A file is what ``numpy.save`` writes, with a checksum behind it. It is written under a name of its
own and then renamed: a process that is killed leaves no half of a photograph under the name that
others look for, and no lock is needed.
"""

import hashlib
import logging
import os
import uuid
import zlib
from contextlib import suppress
from io import BytesIO
from pathlib import Path

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from facezoo.data.images import read_only_image
from facezoo.errors import ConfigError, DataError

logger = logging.getLogger(__name__)

CHECKSUM_BYTES = 4
RECOUNTS = 16
FULL, NOT_WRITABLE = 1, 2
WARNINGS = {
    FULL: "The cache of decoded images in {folder} is full ({limit:,.1f} MiB): the other images "
    "are decoded each time; data.cache_limit sets its size.",
    NOT_WRITABLE: "No more decoded images can be written to {folder}: the other images are decoded "
    "each time; make room there for the next run, or give data.cache another folder.",
}


class ImageCache:
    """Photographs that were decoded once, for all processes that have the folder.

    They fill it together up to its limit, and nothing is ever taken out: the rest is decoded each
    time. A photograph is known by its path, its size in bytes, the time of its last change and the
    version of OpenCV. Each process compares a file with its checksum when it first reads it; one
    that is damaged is decoded anew and replaced.

    Args:
        folder: is made where it is missing.
        limit: bytes of all files. Processes that fill the last of it at once may exceed it.

    Raises:
        ConfigError: the folder is ``memory``, as older versions had it.
        DataError: there can be no such folder.
    """

    def __init__(self, folder: str | Path, limit: int) -> None:
        if folder == "memory":
            raise ConfigError(
                "data.cache: memory is gone; give a folder that lies in memory, such as "
                "data.cache=/dev/shm/images, and remove it when you no longer need it."
            )
        self.folder = Path(folder).expanduser()
        self.limit = limit
        self._claimed = 0
        self._stopped = torch.zeros(1, dtype=torch.uint8).share_memory_()  # for all workers
        self._warned = False
        self._checked: set[str] = set()
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise DataError(
                f"The cache of decoded images {folder} cannot be made ({error.strerror}); give "
                "data.cache a folder that you may write to."
            ) from error

    def read(self, path: str | Path) -> NDArray[np.uint8]:
        """Returns and raises what ``read_only_image`` does."""
        file = self._file(path)
        image = None if file is None else self._load(file)
        if image is None:
            image = read_only_image(path)
            if file is not None:
                self._save(file, image)
        return image

    def warn_if_stopped(self) -> None:
        """Says once in the log why photographs are decoded each time, if they are."""
        reason = int(self._stopped[0])
        if reason and not self._warned:
            self._warned = True
            logger.warning(WARNINGS[reason].format(folder=self.folder, limit=self.limit / 2**20))

    def _file(self, path: str | Path) -> Path | None:
        """Returns the file of a photograph; None where there is no such photograph."""
        try:
            status = os.stat(path)
        except (OSError, ValueError):
            return None
        known = (os.path.abspath(path), status.st_size, status.st_mtime_ns, cv2.__version__)
        text = repr(known).encode("utf-8", "surrogateescape")
        return self.folder / f"{hashlib.blake2b(text, digest_size=16).hexdigest()}.npy"

    def _load(self, file: Path) -> NDArray[np.uint8] | None:
        """Returns the photograph in a file; None where there is none that can be used."""
        try:
            if file.name not in self._checked:
                data = np.memmap(file, np.uint8, "r")
                checksum = int.from_bytes(data[-CHECKSUM_BYTES:].tobytes(), "little")
                if zlib.crc32(data[:-CHECKSUM_BYTES].data) != checksum:
                    return None
                self._checked.add(file.name)
            return np.asarray(np.load(file, mmap_mode="r"))
        except (OSError, ValueError):  # missing, empty, or cut since it was checked
            return None

    def _save(self, file: Path, image: NDArray[np.uint8]) -> None:
        if self._stopped[0] or image.nbytes > self.limit:
            return
        part = file.with_suffix(f".{uuid.uuid4().hex}.part")
        try:
            if not self._has_room(image.nbytes):
                self._stopped[0] = FULL
                return
            buffer = BytesIO()
            np.save(buffer, image)
            data = buffer.getbuffer()
            with part.open("wb") as opened:
                opened.write(data)
                opened.write(zlib.crc32(data).to_bytes(CHECKSUM_BYTES, "little"))
            part.replace(file)
        except OSError:
            self._stopped[0] = NOT_WRITABLE
            with suppress(OSError):
                part.unlink()

    def _has_room(self, size: int) -> bool:
        """Claims the bytes of a photograph, if they are free.

        A process claims a part of the room that is left at a time, and counts the folder again when
        that is used up, since others fill it too.
        """
        if self._claimed < size:
            used = 0
            for one in os.scandir(self.folder):
                with suppress(FileNotFoundError):  # renamed meanwhile
                    used += one.stat().st_size if one.name.endswith((".npy", ".part")) else 0
            room = self.limit - used
            self._claimed = max(room // RECOUNTS, min(room, size))
        self._claimed -= size
        return self._claimed >= 0

"""Decoded photographs in memory, or in a file, that all processes of a machine read.

One region holds a header, an index and the pixels. The index is a table of hashes (open addressing)
from a photograph's key to the place of its pixels. Entries are added under a lock, and never change
or go. An entry is marked as ready after its pixels are there, so that readers need no lock, and a
process that is killed leaves an entry that nobody reads.
"""

from __future__ import annotations

import hashlib
import logging
import mmap
import os
import sys
import threading
import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing.reduction import DupFd
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from facezoo.data.images import read_image
from facezoo.errors import ConfigError, DataError

logger = logging.getLogger(__name__)

MEMORY = "memory"
FILE_NAME = "decoded_images.bin"
MAGIC = int.from_bytes(b"fzcache1", "little")
HEADER = np.dtype(
    [("magic", "u8"), ("slots", "i8"), ("entries", "i8"), ("used", "i8"), ("refused", "i8")]
)
HEADER_BYTES = 4096
SLOT = np.dtype(
    [("state", "i8"), ("key", "u8", 2), ("offset", "i8"), ("height", "i8"), ("width", "i8")]
)
EMPTY, RESERVED, READY = range(3)
BYTES_PER_SLOT = 1 << 15
"""Of the limit, for each place in the index: photographs of twice as many bytes fill half of it."""
LEAST_SLOTS = 1024


class ImageCache:
    """Photographs that were decoded once, for all processes that have the cache.

    Worker processes share it, forked or spawned. It is filled up to its limit, and nothing is ever
    taken out: what finds no place is decoded each time. A photograph is known by its path, its
    size in bytes, the time of its last change, the reduction and the version of OpenCV.

    Args:
        place: ``memory``, which ends with the process that made the cache and its workers, or a
            folder, whose file other processes and later runs share; it is made where it is missing.
        limit: bytes of pixels. A file keeps what it has where a later limit is lower.

    Raises:
        ConfigError: ``memory`` on a system other than Linux, a folder on Windows.
        DataError: the folder cannot be used.
    """

    def __init__(self, place: str | Path, limit: int) -> None:
        self.limit = limit
        self.path = None if place == MEMORY else Path(place) / FILE_NAME
        self._file = _memory_file() if self.path is None else _opened(self.path)
        self._told = False
        self._attach()
        self._header["refused"] = 0  # the limit may be higher than that of a run before

    @property
    def full(self) -> bool:
        """Whether a photograph found no place."""
        return bool(self._header["refused"])

    @property
    def used(self) -> int:
        """Bytes of pixels that are taken."""
        return int(self._header["used"])

    def read(self, path: str | Path, reduction: int = 1) -> NDArray[np.uint8]:
        """Returns what ``read_image`` does, as an array that is not to be written to.

        Raises:
            DataError: see ``read_image``.
        """
        key = _key(path, reduction)
        if key is None:  # the file is not there, which reading it tells
            return read_image(path, reduction)
        slot = self._find(key)
        if self._slots[slot]["state"] == READY:
            found = self._pixels(slot)
            if found is not None:
                return found
        image = read_image(path, reduction)
        self._add(key, image)
        return image

    def tell_if_full(self) -> None:
        """Says in the log, once, where photographs no longer find a place."""
        if self.full and not self._told:
            self._told = True
            logger.warning(
                "The cache of decoded images is full (%.1f GiB): the other images are decoded each "
                "time; data.cache_limit sets its size.",
                self.used / 2**30,
            )

    def _attach(self) -> None:
        """Maps the region, and lays it out where it is new."""
        weakref.finalize(self, os.close, self._file)
        self._thread_lock = threading.Lock()
        with self._locked():
            size = os.fstat(self._file).st_size
            beginning = os.pread(self._file, HEADER.itemsize, 0)
            head = np.frombuffer(beginning.ljust(HEADER.itemsize, b"\0"), HEADER)[0]
            if head["magic"] not in (0, MAGIC):
                raise DataError(
                    f"{self.path} is no cache of decoded images of this version; remove it, or "
                    "give data.cache another folder."
                )
            new = head["magic"] == 0
            slots = _slots_for(self.limit) if new else int(head["slots"])
            self._start = HEADER_BYTES + slots * SLOT.itemsize
            os.ftruncate(self._file, max(size, self._start + self.limit))
            self._map = mmap.mmap(self._file, 0)
            self._header = np.frombuffer(self._map, HEADER, 1)[0]
            self._slots = np.frombuffer(self._map, SLOT, slots, HEADER_BYTES)
            if new:
                self._header["slots"] = slots
                self._header["magic"] = MAGIC

    def _find(self, key: tuple[int, int]) -> int:
        """Returns the place of a key in the index, or the empty one where it belongs."""
        slots = self._slots
        place = key[0] % len(slots)
        while slots[place]["state"] != EMPTY and tuple(slots[place]["key"]) != key:
            place = (place + 1) % len(slots)
        return place

    def _pixels(self, slot: int) -> NDArray[np.uint8] | None:
        """Returns the photograph of an entry; None where it lies behind what is mapped here."""
        _, _, offset, height, width = self._slots[slot].tolist()
        shape = (height, width, 3)
        if self._start + offset + height * width * 3 > len(self._map):
            return None
        image: NDArray[np.uint8] = np.ndarray(shape, np.uint8, self._map, self._start + offset)
        image.flags.writeable = False
        return image

    def _add(self, key: tuple[int, int], image: NDArray[np.uint8]) -> None:
        with self._locked():
            slot = self._find(key)
            if self._slots[slot]["state"] != EMPTY:  # another process was faster
                return
            offset = self.used
            # A table more than half full takes ever longer to search.
            crowded = 2 * self._header["entries"] > len(self._slots)
            if offset + image.nbytes > self.limit or crowded:
                self._header["refused"] = 1
                return
            self._header["used"] = offset + image.nbytes
            self._header["entries"] += 1
            self._slots[slot] = (RESERVED, key, offset, *image.shape[:2])
        if self._write(image, self._start + offset):
            self._slots[slot]["state"] = READY

    def _write(self, image: NDArray[np.uint8], offset: int) -> bool:
        """Writes pixels; where a disk is full, this tells, while a map would end the process."""
        rest = image.reshape(-1).data
        try:
            while len(rest):
                written = os.pwrite(self._file, rest, offset)
                rest, offset = rest[written:], offset + written
        except OSError:
            self._header["refused"] = 1
            return False
        return True

    @contextmanager
    def _locked(self) -> Iterator[None]:
        """Holds every other thread and process off the index."""
        import fcntl  # not on Windows

        with self._thread_lock:
            fcntl.lockf(self._file, fcntl.LOCK_EX)
            try:
                yield
            finally:
                fcntl.lockf(self._file, fcntl.LOCK_UN)

    def __getstate__(self) -> dict[str, Any]:
        """Returns what a spawned process gets: of a cache in memory, the open file itself."""
        file = DupFd(self._file) if self.path is None else None
        return {"limit": self.limit, "path": self.path, "file": file}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.limit, self.path, self._told = state["limit"], state["path"], False
        self._file = state["file"].detach() if self.path is None else _opened(self.path)
        self._attach()


def _memory_file() -> int:
    if sys.platform != "linux":
        raise ConfigError(
            "data.cache: memory needs Linux; give a folder, which on other systems serves as well."
        )
    return os.memfd_create("facezoo_images")


def _opened(path: Path) -> int:
    if sys.platform == "win32":
        raise ConfigError("data.cache does not work on Windows; leave it out.")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        return os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
    except OSError as error:
        raise DataError(
            f"The cache of decoded images {path} cannot be opened ({error.strerror}); give "
            "data.cache a folder that you may write to."
        ) from error


def _slots_for(limit: int) -> int:
    return max(LEAST_SLOTS, 1 << (limit // BYTES_PER_SLOT).bit_length())


def _key(path: str | Path, reduction: int) -> tuple[int, int] | None:
    """Returns what a photograph is known by; None where there is no such file."""
    try:
        status = os.stat(path)
    except (OSError, ValueError):
        return None
    known = (os.path.abspath(path), status.st_size, status.st_mtime_ns, reduction, cv2.__version__)
    digest = hashlib.blake2b(
        repr(known).encode("utf-8", "surrogateescape"), digest_size=16
    ).digest()
    return int.from_bytes(digest[:8], "little"), int.from_bytes(digest[8:], "little")

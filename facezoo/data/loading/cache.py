"""Decoded photographs in memory, or in a file, that all processes of a machine read.

One region holds a header, an index and the pixels. The index is a table of hashes (open addressing)
from a photograph's key to the place of its pixels. Entries are added under a lock, and never change
or go. An entry is marked as ready after its pixels are there, so that readers need no lock, and a
process that is killed leaves no entry.
"""

from __future__ import annotations

import hashlib
import logging
import mmap
import os
import zlib
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from facezoo.data.images import read_image
from facezoo.data.loading.shared_file import SharedFile
from facezoo.errors import DataError

logger = logging.getLogger(__name__)

MEMORY = "memory"
FILE_NAME = "decoded_images.bin"
MAGIC = int.from_bytes(b"fzcache2", "little")

NOT_KEPT = {
    "disk": "No more decoded images can be written to {place}, which has {used:,.1f} MiB of them: "
    "the other images are decoded each time; make room there for the next run.",
    "index": "The index of the cache of decoded images in {place} is full, with {entries:,d} "
    "images of {used:,.1f} MiB: the other images are decoded each time; a new cache with a higher "
    "data.cache_limit has a larger index (a file has to be removed first).",
    "room": "The cache of decoded images in {place} is full ({used:,.1f} of {limit:,.1f} MiB): the "
    "other images are decoded each time; data.cache_limit sets its size.",
    "size": "An image is larger than the whole cache of decoded images in {place} ({limit:,.1f} "
    "MiB) and is decoded each time; raise data.cache_limit.",
    "damage": "The cache of decoded images in {place} is damaged: the images concerned are decoded "
    "each time; remove the file.",
}
"""Why an image is not served from the cache: fields of the header, and what the log says."""

HEADER = np.dtype(
    [(name, "i8") for name in ("magic", "slots", "bytes", "entries", "used", *NOT_KEPT)]
)
HEADER_BYTES = 4096
SLOT = np.dtype(
    [
        ("ready", "i8"),
        ("key", "u8", 2),
        ("offset", "i8"),
        ("height", "i4"),
        ("width", "i4"),
        ("checksum", "i8"),
    ]
)
BYTES_PER_SLOT = 1 << 15
"""Of the limit, for each place in the index: photographs of twice as many bytes fill half of it."""
LEAST_SLOTS = 1024


class ImageCache:
    """Photographs that were decoded once, for all processes that have the cache.

    Worker processes share it, forked or spawned. It is filled up to its limit, and nothing is ever
    taken out: what finds no place is decoded each time. A photograph is known by its path, its
    size in bytes, the time of its last change and the version of OpenCV. Of a file,
    each process checks the pixels of an entry once, by their CRC-32.

    Args:
        place: ``memory``, which ends with the process that made the cache and its workers, or a
            folder, whose file other processes and later runs share; it is made where it is missing.
        limit: bytes of pixels. A file keeps what it has where a later limit is lower.

    Raises:
        ConfigError: ``memory`` on a system other than Linux, a folder on Windows.
        DataError: the folder cannot be used or has no room for the index, or its file is cut off
            or something else.
    """

    def __init__(self, place: str | Path, limit: int) -> None:
        self.limit = limit
        self._file = SharedFile(None if place == MEMORY else Path(place).expanduser() / FILE_NAME)
        self._attach()
        for reason in NOT_KEPT:  # the limit may be higher than that of a run before
            self._header[reason] = 0

    @property
    def full(self) -> bool:
        """Whether a photograph found no place."""
        return any(self._header[reason] for reason in NOT_KEPT if reason != "damage")

    @property
    def used(self) -> int:
        """Bytes of pixels that are taken."""
        return int(self._header["used"])

    def read(self, path: str | Path) -> NDArray[np.uint8]:
        """Returns what ``read_image`` does, as an array that cannot be written to.

        Raises:
            DataError: see ``read_image``.
        """
        key = _key(path)
        found = None if key is None else self._pixels(self._find(key))
        if found is not None:
            return found
        image = read_image(path)
        image.flags.writeable = False
        if key is not None:
            self._add(key, image)
        return image

    def tell_if_full(self) -> None:
        """Says in the log, once for each reason, why photographs are decoded each time."""
        for reason, sentence in NOT_KEPT.items():
            if self._header[reason] and reason not in self._told:
                self._told.add(reason)
                logger.warning(
                    sentence.format(
                        place=self._file.path or MEMORY,
                        used=self.used / 2**20,
                        limit=self.limit / 2**20,
                        entries=int(self._header["entries"]),
                    )
                )

    def _attach(self) -> None:
        """Maps the region, and lays it out where it is new."""
        self._told: set[str] = set()
        with self._file.locked():
            size = self._file.size()
            slots = self._slots_of_file(size) if size else _slots_for(self.limit)
            self._start = HEADER_BYTES + slots * SLOT.itemsize
            try:
                self._file.allocate(self._start, self._start + self.limit)
                self._map = mmap.mmap(self._file.fileno(), 0)
            except (OSError, OverflowError, ValueError) as error:
                os.ftruncate(self._file.fileno(), size)
                raise DataError(
                    f"The cache of decoded images in {self._file.path or MEMORY} has no room for "
                    f"its index of {self._start / 2**20:,.1f} MiB, or for its limit of "
                    f"{self.limit / 2**20:,.1f} MiB ({error}); lower data.cache_limit, or give "
                    "data.cache another folder."
                ) from error
            self._header = np.frombuffer(self._map, HEADER, 1)[0]
            self._slots = np.frombuffer(self._map, SLOT, slots, HEADER_BYTES)
            # Memory holds nothing but what this run wrote.
            self._checked = np.full(slots, self._file.path is None)
            self._header["slots"], self._header["bytes"] = slots, len(self._map)
            self._header["magic"] = MAGIC

    def _slots_of_file(self, size: int) -> int:
        """Returns how many places the index of a file has.

        Raises:
            DataError: the file is something else, or shorter than it was.
        """
        head = np.frombuffer(self._file.read(HEADER.itemsize), HEADER)[0]
        slots = int(head["slots"])
        if head["magic"] != MAGIC:
            raise DataError(
                f"{self._file.path} is no cache of decoded images of this version; remove it, or "
                "give data.cache another folder."
            )
        if slots < 1 or not HEADER_BYTES + slots * SLOT.itemsize <= head["bytes"] <= size:
            raise DataError(
                f"The cache of decoded images {self._file.path} is cut off, at {size:,d} of "
                f"{int(head['bytes']):,d} bytes; remove it, so that it is filled anew."
            )
        return slots

    def _find(self, key: tuple[int, int]) -> int:
        """Returns the place of a key in the index, or the empty one where it belongs."""
        slots = self._slots
        place = key[0] % len(slots)
        while slots[place]["ready"] and tuple(slots[place]["key"]) != key:
            place = (place + 1) % len(slots)
        return place

    def _pixels(self, slot: int) -> NDArray[np.uint8] | None:
        """Returns the photograph of an entry; None where there is none that can be used."""
        ready, _, offset, height, width, checksum = self._slots[slot].tolist()
        # A higher limit of another process may have put it behind what is mapped here.
        if not ready or self._start + offset + height * width * 3 > len(self._map):
            return None
        shape = (height, width, 3)
        image: NDArray[np.uint8] = np.ndarray(shape, np.uint8, self._map, self._start + offset)
        image.flags.writeable = False
        if not self._checked[slot]:
            if zlib.crc32(image.data) != checksum:
                self._header["damage"] = 1
                return None
            self._checked[slot] = True
        return image

    def _refusal(self, image: NDArray[np.uint8]) -> str | None:
        """Returns why a photograph finds no place, by the names of ``NOT_KEPT``; None if it does.

        Nothing but a new run makes room again, so that who asks needs no lock.
        """
        if self._header["disk"]:
            return "disk"
        if 2 * self._header["entries"] > len(self._slots):  # from there, searching takes ever more
            return "index"
        if image.nbytes > self.limit:
            return "size"
        return "room" if self.used + image.nbytes > self.limit else None

    def _add(self, key: tuple[int, int], image: NDArray[np.uint8]) -> None:
        refusal = self._refusal(image)
        if refusal is None:
            checksum = zlib.crc32(image.data)
            with self._file.locked():
                refusal = self._refusal(image) or self._added(key, image, checksum)
        if refusal is not None:
            self._header[refusal] = 1

    def _added(self, key: tuple[int, int], image: NDArray[np.uint8], checksum: int) -> str | None:
        """Adds a photograph, under the lock; returns why it could not."""
        slot = self._find(key)
        if self._slots[slot]["ready"]:  # another process was faster
            return None
        offset = self.used
        try:
            self._file.write(image.reshape(-1).data, self._start + offset)
        except OSError:
            return "disk"
        self._slots[slot] = (0, key, offset, *image.shape[:2], checksum)
        self._header["used"] = offset + image.nbytes
        self._header["entries"] += 1
        self._slots[slot]["ready"] = 1
        return None

    def __getstate__(self) -> dict[str, Any]:
        """Returns what a spawned process gets."""
        return {"limit": self.limit, "_file": self._file}

    def __setstate__(self, state: dict[str, Any]) -> None:
        vars(self).update(state)
        self._attach()


def _slots_for(limit: int) -> int:
    return max(LEAST_SLOTS, 1 << (limit // BYTES_PER_SLOT).bit_length())


def _key(path: str | Path) -> tuple[int, int] | None:
    """Returns what a photograph is known by; None where there is no such file."""
    try:
        status = os.stat(path)
    except (OSError, ValueError):
        return None
    known = (os.path.abspath(path), status.st_size, status.st_mtime_ns, cv2.__version__)
    digest = hashlib.blake2b(
        repr(known).encode("utf-8", "surrogateescape"), digest_size=16
    ).digest()
    return int.from_bytes(digest[:8], "little"), int.from_bytes(digest[8:], "little")

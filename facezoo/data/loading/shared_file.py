"""An open file that several processes map, write to and lock, whether or not it has a name."""

from __future__ import annotations

import os
import sys
import threading
import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing.reduction import DupFd
from pathlib import Path
from typing import Any

from facezoo.errors import ConfigError, DataError


class SharedFile:
    """A file in a folder, or memory that is one; it is closed with the last reference to this.

    Its lock belongs to the open file (flock). A lock of POSIX belongs to the process: two objects
    of one file would not exclude each other, and closing one would drop the lock of both.

    Args:
        path: is made where it is missing, with its folder; None takes memory, which ends with the
            last process that has it.

    Raises:
        ConfigError: memory on a system other than Linux, a file on Windows.
        DataError: the file cannot be opened.
    """

    def __init__(self, path: Path | None) -> None:
        self.path = path
        self._hold(_memory_file() if path is None else _opened(path))
        self._locks: dict[int, threading.Lock] = {}

    def fileno(self) -> int:
        """Returns its descriptor."""
        return self._number

    def size(self) -> int:
        """Returns its length in bytes, with its holes."""
        return os.fstat(self._number).st_size

    def read(self, count: int) -> bytes:
        """Returns its first bytes, followed by zeros where it is shorter."""
        return os.pread(self._number, count, 0).ljust(count, b"\0")

    def write(self, data: memoryview, offset: int) -> None:
        """Writes bytes; a full disk raises an error here, where a map would end the process.

        Raises:
            OSError: not all could be written.
        """
        while len(data):
            written = os.pwrite(self._number, data, offset)
            data, offset = data[written:], offset + written

    def allocate(self, start: int, size: int) -> None:
        """Makes the file ``size`` bytes long at least, and gives the first ``start`` their blocks.

        Those can be written through a map. Memory has no disk that could be full.

        Raises:
            OSError: there is not enough room.
            OverflowError: no system has files of that size.
        """
        os.ftruncate(self._number, max(self.size(), size))
        if self.path is not None and sys.platform != "darwin":  # has no such call
            os.posix_fallocate(self._number, 0, start)

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Holds off every other thread and process."""
        import fcntl  # not on Windows

        # By process, since a lock that another thread held while this one was forked stays locked.
        with self._locks.setdefault(os.getpid(), threading.Lock()):
            if self._owner != os.getpid():
                self._hold(_reopened(self._number, self.path))
            fcntl.flock(self._number, fcntl.LOCK_EX)
            try:
                yield
            finally:
                fcntl.flock(self._number, fcntl.LOCK_UN)

    def _hold(self, number: int) -> None:
        weakref.finalize(self, os.close, number)
        self._number, self._owner = number, os.getpid()

    def __getstate__(self) -> dict[str, Any]:
        """Returns what a spawned process gets: of memory, the open file itself."""
        return {"path": self.path, "file": DupFd(self._number) if self.path is None else None}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.path, self._locks = state["path"], {}
        if self.path is not None:
            self._hold(_opened(self.path))
            return
        passed = state["file"].detach()
        self._hold(_reopened(passed, None))
        os.close(passed)


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


def _reopened(number: int, path: Path | None) -> int:
    """Opens the file of a descriptor anew: what is passed on or forked shares its lock."""
    if path is None or sys.platform == "linux":  # also where the file has been removed
        return os.open(f"/proc/self/fd/{number}", os.O_RDWR)
    return _opened(path)

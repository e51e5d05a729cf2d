"""What a run changes in its whole process: log, signals, random generators, the C allocator."""

from __future__ import annotations

import ctypes
import logging
import os
import platform
import random
import signal
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any

import numpy as np
import torch
from rich.logging import RichHandler

from facezoo import distributed
from facezoo.writing import terminal

logger = logging.getLogger(__name__)

SAME_SECONDS = 1.0
"""Signals this close to the first are the same wish: torchrun passes on the Ctrl-C that the
terminal has sent to every process already."""
LOGGED = "facezoo"


@contextmanager
def logging_to(path: Path, rank: int = 0) -> Iterator[None]:
    """Logs to a file, and to the terminal where nobody has set up logging.

    Of several processes only rank 0 writes the file; the others warn on the terminal.
    """
    facezoo_logger = logging.getLogger(LOGGED)
    level = facezoo_logger.level
    handlers: list[logging.Handler] = [] if rank else [_LogFile(path)]
    if not facezoo_logger.hasHandlers():
        handlers.append(_to_stderr(logging.WARNING, f"rank {rank}: ") if rank else _to_terminal())
    for handler in handlers:
        facezoo_logger.addHandler(handler)
    facezoo_logger.setLevel(logging.DEBUG)
    try:
        yield
    finally:
        facezoo_logger.setLevel(level)
        for handler in handlers:
            facezoo_logger.removeHandler(handler)
            handler.close()


class _LogFile(logging.FileHandler):
    """A file that a full disk ends with one sentence, instead of a traceback for every line."""

    def __init__(self, path: Path) -> None:
        super().__init__(path, encoding="utf-8")
        self.setFormatter(logging.Formatter("%(asctime)s %(message)s", "%Y-%m-%d %H:%M:%S"))

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802 - logging's name
        """Says why, once, and writes no more."""
        logging.getLogger(LOGGED).removeHandler(self)
        logging.getLogger(LOGGED).warning(
            "%s gets no more lines: %s.", self.baseFilename, sys.exc_info()[1]
        )


def _to_terminal() -> logging.Handler:
    """Returns lines that leave a progress bar whole on a terminal, and plain lines elsewhere."""
    if terminal().is_terminal:
        return RichHandler(
            logging.INFO, terminal(), show_level=False, show_path=False, show_time=False
        )
    return _to_stderr(logging.INFO)


def _to_stderr(level: int, start: str = "") -> logging.Handler:
    plain = logging.StreamHandler()
    plain.setLevel(level)
    plain.setFormatter(logging.Formatter(f"{start}%(message)s"))
    return plain


class Signals:
    """Listens to SIGTERM and SIGINT while a run trains; only the main thread can.

    ``received`` is the name of the first, None before it.
    """

    def __init__(self) -> None:
        self.received: str | None = None
        self._since = 0.0
        self._before: dict[int, Any] = {}

    def __enter__(self) -> Signals:
        """Begins to listen."""
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGTERM, signal.SIGINT):
                self._before[number] = signal.signal(number, self._receive)
        return self

    def __exit__(self, failure: object, *_: object) -> None:
        """Gives the signals back to whoever had them."""
        # torchrun ends every rank once one fails, and this one has to say why first.
        ends = failure is not None and distributed.share().world_size > 1
        for number, handler in self._before.items():
            signal.signal(number, signal.SIG_IGN if ends and number == signal.SIGTERM else handler)

    def _receive(self, number: int, _: FrameType | None) -> None:
        now = time.monotonic()
        if self.received is None:
            self.received, self._since = signal.Signals(number).name, now
            words = (
                f"\n{self.received}: finishing the step and saving it; once more ends at once.\n"
            )
            os.write(2, words.encode())  # a logger may be in the middle of a line
        elif now - self._since > SAME_SECONDS:
            terminal().show_cursor(True)
            signal.signal(number, signal.SIG_DFL)
            os.kill(os.getpid(), number)


def seed_generators(seed: int, *place: int) -> None:
    """Seeds the global generators of Python, NumPy and torch.

    ``place`` tells one use of the run's seed from another, such as step and rank.
    """
    if place:
        seed = int(np.random.SeedSequence(seed, spawn_key=place).generate_state(1)[0])
    random.seed(seed)
    np.random.seed(seed)
    torch.manual_seed(seed)


def generators() -> dict[str, Any]:
    """Returns the states of the global generators of Python, NumPy and torch, as plain values."""
    _, keys, *rest = np.random.get_state(legacy=True)
    return {
        "python": random.getstate(),
        "numpy": [torch.from_numpy(np.asarray(keys, dtype=np.int64)), *rest],
        "torch": torch.get_rng_state(),
        "cuda": torch.cuda.get_rng_state_all() if torch.cuda.is_available() else [],
    }


def set_generators(states: Mapping[str, Any]) -> None:
    """Puts the global generators into the states that ``generators`` gave."""
    version, internal, gauss = states["python"]
    random.setstate((version, tuple(internal), gauss))
    keys, position, has_gauss, cached = states["numpy"]
    np.random.set_state(("MT19937", keys.numpy().astype(np.uint32), position, has_gauss, cached))
    torch.set_rng_state(states["torch"].cpu())
    if torch.cuda.is_available() and len(states["cuda"]) == torch.cuda.device_count():
        torch.cuda.set_rng_state_all([state.cpu() for state in states["cuda"]])


# glibc gives large freed blocks back to the system, so every step maps its activations anew and the
# kernel clears each page again: up to half of a step's time on a CPU. Kept instead, the memory of
# the largest step stays with the process until it ends.
M_TRIM_THRESHOLD, M_TOP_PAD, M_MMAP_MAX = -1, -2, -4
MALLOC_OPTIONS = {M_TRIM_THRESHOLD: 2**31 - 1, M_TOP_PAD: 64 * 2**20, M_MMAP_MAX: 0}


def keep_freed_memory() -> bool:
    """Tells glibc to keep freed blocks for the next step; call it before the first large tensor.

    Returns whether it was done; with another C library it is not.
    """
    if platform.libc_ver()[0] != "glibc":
        return False
    libc = ctypes.CDLL(None)
    done = all([libc.mallopt(option, value) == 1 for option, value in MALLOC_OPTIONS.items()])
    if done:
        logger.info(
            "C allocator: freed memory is kept for the next step (mallopt), "
            "which makes training on a CPU up to twice as fast."
        )
    return done

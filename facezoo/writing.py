"""What every room writes with: the console, numbers as they are shown, files that appear whole.

Progress bars and log lines go to stderr, as results go to stdout.
"""

from __future__ import annotations

import contextlib
import functools
import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TypeVar

from rich.console import Console
from rich.progress import track

Item = TypeVar("Item")
COUNTS = ("_faces", "_predictions", "/predictions", "/max_dets")
"""Ends of the names of metrics that count something."""


@functools.cache
def terminal() -> Console:
    """Returns the console; progress bars and log lines share it, so that neither breaks."""
    return Console(stderr=True, highlight=False, markup=False)


def tracked(items: Iterable[Item], doing: str, total: float | None = None) -> Iterable[Item]:
    """Returns the items, on a terminal with a progress bar that says what is being done."""
    console = terminal()
    hidden = not console.is_terminal
    return track(items, doing, total, console=console, transient=True, disable=hidden)


def show_number(name: str, value: float) -> str:
    """Returns a metric as it is shown: counts whole, everything else with four decimals."""
    return f"{value:.0f}" if name.endswith(COUNTS) else f"{value:.4f}"


@contextlib.contextmanager
def atomic_write(path: Path) -> Iterator[Path]:
    """Gives a temporary path beside ``path`` to write to, and renames it once all is on the disk.

    Raises:
        OSError: it cannot be written; what stood at ``path`` before still does.
    """
    temporary = path.with_name(f".{path.name}.new")
    try:
        yield temporary
        with temporary.open("rb+") as file:
            os.fsync(file.fileno())
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)

"""The console of progress bars and log lines: stderr, as results go to stdout."""

from __future__ import annotations

import functools
from collections.abc import Iterable
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

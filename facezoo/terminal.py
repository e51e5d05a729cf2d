"""The one console on which long work shows how far it is: stderr, as results go to stdout."""

from __future__ import annotations

import functools

from rich.console import Console

COUNTS = ("_faces", "_predictions", "/predictions", "/max_dets")
"""Ends of the names of metrics that count something."""


@functools.cache
def terminal() -> Console:
    """Returns the console; progress bars and log lines share it, so that neither breaks."""
    return Console(stderr=True, highlight=False, markup=False)


def show_number(name: str, value: float) -> str:
    """Returns a metric as it is shown: counts whole, everything else with four decimals."""
    return f"{value:.0f}" if name.endswith(COUNTS) else f"{value:.4f}"

"""The one console on which long work shows how far it is: stderr, as results go to stdout."""

from __future__ import annotations

import functools

from rich.console import Console


@functools.cache
def terminal() -> Console:
    """Returns the console; progress bars and log lines share it, so that neither breaks."""
    return Console(stderr=True, highlight=False, markup=False)

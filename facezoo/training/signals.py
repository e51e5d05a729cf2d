"""SIGTERM and Ctrl-C: the first lets the run finish its step and save, the second ends it."""

from __future__ import annotations

import os
import signal
import threading
import time
from types import FrameType
from typing import Any

from facezoo.terminal import terminal

SAME_SECONDS = 1.0
"""Signals this close to the first are the same wish: torchrun passes on the Ctrl-C that the
terminal has sent to every process already."""


class Signals:
    """Listens to SIGTERM and SIGINT while a run trains; only the main thread can.

    Attributes:
        received: name of the first signal, None before it.
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

    def __exit__(self, *_: object) -> None:
        """Gives the signals back to whoever had them."""
        for number, handler in self._before.items():
            signal.signal(number, handler)

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

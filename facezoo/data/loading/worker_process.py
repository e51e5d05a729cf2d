"""How a process that reads images starts, and what it does with threads and signals."""

from __future__ import annotations

import os
import signal
import sys
import threading
from typing import Literal

import cv2
import torch

StartMethod = Literal["fork", "spawn", "forkserver"]

DEFAULT_START_METHOD: StartMethod | None = "fork" if sys.platform == "linux" else None
"""Named, as Python 3.14 has another. A SIGTERM that a scheduler sends to every process of a job
ends a spawned one that still imports its modules, and the server of ``forkserver``. What is forked
has neither: it starts with the signal handler of the process that trains."""


def start_worker(parent: int, _: int) -> None:
    """Makes a worker use one thread, and leave signals to the process that trains.

    Args:
        parent: id of that process.
    """
    cv2.setNumThreads(0)
    torch.set_num_threads(1)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if hasattr(signal, "sigwaitinfo"):  # not on macOS and Windows
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
        threading.Thread(target=_end_with, args=[parent], daemon=True).start()


def _end_with(parent: int) -> None:
    """Ends this worker on a SIGTERM of the process that trains, and on no other.

    A scheduler sends SIGTERM to every process of a job. The one that trains then finishes its step
    and saves it, for which the workers have to live on.
    """
    while signal.sigwaitinfo({signal.SIGTERM}).si_pid != parent:
        pass
    os._exit(0)

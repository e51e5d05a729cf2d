"""The processes that read images: how they start, their threads and signals, how they die."""

from __future__ import annotations

import os
import re
import signal
import sys
import threading
from typing import Literal

import cv2
import torch

from facezoo.errors import DataError

StartMethod = Literal["fork", "spawn", "forkserver"]

DEFAULT_START_METHOD: StartMethod | None = "fork" if sys.platform == "linux" else None
"""Named, as Python 3.14 has another. A SIGTERM that a scheduler sends to every process of a job
ends a spawned one that still imports its modules, and the server of ``forkserver``. What is forked
has neither: it starts with the signal handler of the process that trains."""

_DEAD_WORKER = re.compile(
    r"DataLoader worker \(pid(?:\(s\))? (?P<pids>[\d, ]+)\) "
    r"(?:is killed by signal: (?P<signal>.+?)\. |exited unexpectedly)"
)
"""What torch says, from its handler of SIGCHLD and from its queue."""

_LIKELY_CAUSES = {"Killed": "the memory was used up", "Bus error": "/dev/shm is too small"}
"""Why a process gets a signal that nobody sent by hand, by the start of the signal's name."""


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


def worker_failure(error: BaseException) -> DataError | None:
    """Returns what to tell the user where an error says that a worker died, else None.

    The streams of this module raise it themselves. But torch also raises from a signal handler,
    wherever the main thread happens to be: who trains has to ask here about a ``RuntimeError``.
    """
    if not isinstance(error, RuntimeError):
        return None
    found = _DEAD_WORKER.match(str(error))
    if found is None:
        return None
    # The queue's own error does not know the signal; that of the handler, if it came, is its cause.
    told = _DEAD_WORKER.match(str(error.__cause__)) or found
    name = told["signal"] or ""
    causes = [why for start, why in _LIKELY_CAUSES.items() if not name or name.startswith(start)]
    died = f"died ({name})" if name else "died"
    probably = f", probably because {' or '.join(causes)}" if causes else ""
    return DataError(
        f"A worker process that reads images (pid {found['pids']}) {died}{probably}: give fewer "
        "data.workers and go on with --resume."
    )

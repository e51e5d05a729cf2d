"""The processes that read images: how they start, how they die, and the memory that they share.

A page of shared memory that is touched for the first time has to be cleared by the kernel, which
for the images of a batch costs more than to copy them. So a worker keeps a few *slots* and writes
the next batch where one that was used up lay. A slot is free again once nothing in the process that
trains refers to its images any more, not even through a view. A worker without a free slot takes
memory of its own for that batch.
"""

from __future__ import annotations

import math
import os
import re
import signal
import sys
import threading
import weakref
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

import cv2
import numpy as np
import torch
from torch import Tensor

from facezoo.data.loading.samples import collate
from facezoo.errors import DataError
from facezoo.structures import Batch, Sample

StartMethod = Literal["fork", "spawn", "forkserver"]

DEFAULT_START_METHOD: StartMethod | None = "fork" if sys.platform == "linux" else None
"""Named, as Python 3.14 has another. A SIGTERM that a scheduler sends to every process of a job
ends a spawned one that still imports its modules, and the server of ``forkserver``. What is forked
has neither: it starts with the signal handler of the process that trains."""

SLOTS = 4
"""Of a worker: the batch that it makes, one that waits, and two that the training holds."""

_DEAD_WORKER = re.compile(
    r"DataLoader worker \(pid(?:\(s\))? (?P<pids>[\d, ]+)\) "
    r"(?:is killed by signal: (?P<signal>.+?)\. |exited unexpectedly)"
)
"""What torch says, from its handler of SIGCHLD and from its queue."""

_LIKELY_CAUSES = {"Killed": "the memory was used up", "Bus error": "/dev/shm is too small"}
"""Why a process gets a signal that nobody sent by hand, by the start of the signal's name."""


def start_worker(parent: int, _: int) -> None:
    """Makes a worker use one thread, and leave signals to the process that trains, ``parent``."""
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


@dataclass(frozen=True)
class Parcel:
    """A batch in shared memory, on its way from a worker."""

    batch: Batch
    worker: int
    slot: int | None  # where the images lie; None where they have memory of their own
    copied: bool = False  # is ``batch`` a copy by now, in page-locked memory?

    def pin_memory(self) -> Parcel:
        """Returns the parcel in page-locked memory (the data loader calls this)."""
        return replace(self, batch=self.batch.pin_memory(), copied=True)


class SharedImages:
    """The slots of all workers; each worker and the process that trains have one, that agree."""

    def __init__(self, workers: int) -> None:
        self._share(torch.zeros(workers, SLOTS, dtype=torch.uint8).share_memory_())

    def _share(self, in_use: Tensor) -> None:
        self._in_use = in_use
        # A slot is freed whenever its last image goes, maybe in the middle of a compilation or of a
        # mode that changes what torch does: so not by torch.
        self._marks = in_use.numpy()
        self._memory: dict[int, Tensor] = {}

    def __getstate__(self) -> Tensor:
        """Returns what a spawned process gets: the marks, not a copy of them."""
        return self._in_use

    def __setstate__(self, state: Tensor) -> None:
        self._share(state)

    def take(self, worker: int, shape: Sequence[int]) -> tuple[Tensor, int | None]:
        """Returns uint8 memory of a shape and its slot, in a worker.

        Raises:
            RuntimeError: there is not enough shared memory.
        """
        size = math.prod(shape)
        free = np.flatnonzero(self._marks[worker] == 0)
        if not len(free):
            return torch.empty(tuple(shape), dtype=torch.uint8), None
        slot = int(free[0])  # the lowest, so that no more slots get memory than are needed
        if slot not in self._memory or len(self._memory[slot]) < size:
            self._memory.pop(slot, None)
            self._memory[slot] = torch.empty(size, dtype=torch.uint8).share_memory_()
        self._marks[worker, slot] = 1
        return self._memory[slot][:size].view(tuple(shape)), slot

    def open(self, parcel: Parcel) -> Batch:
        """Returns the batch of a parcel, in the process that trains, and frees its slot in time."""
        if parcel.slot is None:
            return parcel.batch
        if parcel.copied:
            self.free(parcel.worker, parcel.slot)
            return parcel.batch
        # Every tensor that shows these pixels keeps this array, and nothing else does.
        array = parcel.batch.images.numpy()
        weakref.finalize(array, self.free, parcel.worker, parcel.slot)
        return replace(parcel.batch, images=torch.from_numpy(array))

    def free(self, worker: int, slot: int) -> None:
        """Lets a slot be taken again."""
        self._marks[worker, slot] = 0


def packed(samples: Sequence[Sample], shared: SharedImages, worker: int) -> Parcel:
    """Returns the batch of some samples where the process that trains can read it.

    The queue would put it there itself, but where it failed it would lose the batch without an
    error, and the process that trains would wait for it without an end.

    Raises:
        DataError: they cannot be a batch, or there is not enough shared memory.
    """
    slot: int | None = None

    def memory(shape: Sequence[int]) -> Tensor:
        nonlocal slot
        images, slot = shared.take(worker, shape)
        return images

    try:
        batch = collate(samples, memory)
        for tensor in (batch.images, batch.maps, *vars(batch.targets).values()):
            tensor.share_memory_()
    except Exception as error:
        if slot is not None:
            shared.free(worker, slot)
        if not isinstance(error, RuntimeError):
            raise
        reason = str(error).partition("\n")[0]
        raise DataError(
            f"A worker process cannot pass on its batch, probably because /dev/shm is too small "
            f"({reason}): enlarge it or give fewer data.workers, and go on with --resume."
        ) from error
    return Parcel(batch, worker, slot)

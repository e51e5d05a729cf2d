"""Batches on the device that trains: copied there ahead of time, and augmented as a whole."""

from __future__ import annotations

import itertools
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TypeVar

import torch

from facezoo.data.loading.sampler import TrainPlan
from facezoo.data.transforms.batch_transform import BatchTransform
from facezoo.structures import Batch

Item = TypeVar("Item")
Begun = TypeVar("Begun")


def prefetched(
    stream: Iterator[Batch],
    device: torch.device,
    change: Callable[[Batch], Batch] | None = None,
) -> Iterator[Batch]:
    """Gives the batches of a stream on a device; ``maps`` stay on the CPU.

    On CUDA a batch is copied on a stream of its own, beside the work on the batch before. This
    needs batches in page-locked memory (``pin_memory`` of the data loader): others are copied too,
    but while the caller waits.

    Args:
        stream: of batches; on CUDA read one batch ahead of what is given, elsewhere not ahead.
        device: where the batches are used, on the stream that is current when each is asked for.
        change: is done to each batch, in order, once it is on its way to the device; on CUDA beside
            the work on the batch before.

    Raises:
        Exception: what ``stream`` or ``change`` raises, after the batches before it.
    """
    if device.type != "cuda":
        for batch in stream:
            moved = batch.to(device)
            yield moved if change is None else change(moved)
        return
    side = torch.cuda.Stream(device)

    def begin(batch: Batch) -> tuple[Batch, torch.cuda.Event]:
        with torch.cuda.stream(side):
            copy = batch.to(device, non_blocking=True)
            if change is not None:
                copy = change(copy)
        return copy, side.record_event()

    for batch, copied in ahead(stream, begin):
        user = torch.cuda.current_stream(device)
        # Not wait_stream(side): the next copy is on its way there, and is not to be waited for.
        user.wait_event(copied)
        for tensor in (batch.images, *vars(batch.targets).values()):
            # Its memory belongs to the side stream, which else takes it back while still in use.
            tensor.record_stream(user)
        yield batch


def ahead(items: Iterator[Item], begin: Callable[[Item], Begun]) -> Iterator[Begun]:
    """Gives ``begin(item)`` for each item in order, with that of one more item done before.

    Args:
        items: read one further than what is given.
        begin: starts something that goes on by itself.

    Raises:
        Exception: what ``items`` or ``begin`` raises, in its turn: after all that came before.
    """
    begun: deque[Begun] = deque()
    try:
        for item in items:
            begun.append(begin(item))
            if len(begun) > 1:
                yield begun.popleft()
    except Exception:
        yield from begun
        raise
    yield from begun


@dataclass(frozen=True)
class BatchAugmentation:
    """Changes the batch of a step, which depends on nothing but the plan and the batch.

    Each image has a generator of its own, by its position, so that it is the same in a run that
    goes on at some step, and in whatever slice of the batch a process has.

    Args:
        transforms: applied in turn.
        plan: of the run, for the share of this process.
    """

    transforms: tuple[BatchTransform, ...]
    plan: TrainPlan

    def __call__(self, batch: Batch, step: int) -> Batch:
        """Returns the changed batch of a step.

        Args:
            batch: of this process, on the device where it is to be changed.
            step: its number, from 0.
        """
        generators = [self.plan.batch_generator(position) for position in self.plan(step)]
        for transform in self.transforms:
            numbers = [transform.draw(generator) for generator in generators]
            batch = transform.change(batch, torch.tensor(numbers, dtype=torch.float32))
        return batch

    def from_step(self, step: int) -> Callable[[Batch], Batch]:
        """Returns what changes the batches of a stream that begins at a step, one after another."""
        steps = itertools.count(step)
        return lambda batch: self(batch, next(steps))

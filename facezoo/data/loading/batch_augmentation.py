"""The transforms of whole batches, and the numbers that are random about them."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import dataclass

import torch

from facezoo.data.loading.sampler import TrainPlan
from facezoo.data.transforms.batch_transform import BatchTransform
from facezoo.structures import Batch


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

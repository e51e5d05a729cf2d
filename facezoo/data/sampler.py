"""The order of the data as a pure function of seed and position.

A *position* counts the samples that a run has taken, from 0, over all epochs. Nothing here has a
state that matters, so that a run may go on at any position and any worker may serve it.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

_ORDER, _SAMPLE, _EVALUATED = range(3)
"""The kinds of random streams under one seed."""


def epoch_order(seed: int, epoch: int, length: int) -> NDArray[np.int64]:
    """Returns the permutation of ``length`` indices that an epoch takes them in."""
    return _generator(seed, _ORDER, epoch).permutation(length)


def sample_generator(seed: int, position: int) -> np.random.Generator:
    """Returns the generator of all that is random about the sample at a position."""
    return _generator(seed, _SAMPLE, position)


def _generator(seed: int, kind: int, number: int) -> np.random.Generator:
    return np.random.Generator(
        np.random.Philox(np.random.SeedSequence(seed, spawn_key=(kind, number)))
    )


@dataclass(frozen=True)
class TrainPlan:
    """Which samples a step takes: the epochs' permutations one after another, cut into batches.

    No batch is partial; one may hold the end of an epoch and the start of the next.

    Args:
        length: of the data set.
        batch_size: samples per step.
        seed: of order and augmentation.
    """

    length: int
    batch_size: int
    seed: int
    _orders: dict[int, NDArray[np.int64]] = field(default_factory=dict, repr=False, compare=False)

    def __call__(self, step: int) -> list[tuple[int, np.random.Generator]]:
        """Returns index and generator of each sample of a step."""
        first = step * self.batch_size
        return [
            (self._index(position), sample_generator(self.seed, position))
            for position in range(first, first + self.batch_size)
        ]

    def _index(self, position: int) -> int:
        epoch, place = divmod(position, self.length)
        if epoch not in self._orders:
            self._orders.clear()  # one epoch's order is enough to remember
            self._orders[epoch] = epoch_order(self.seed, epoch, self.length)
        return int(self._orders[epoch][place])


@dataclass(frozen=True)
class ValPlan:
    """Which samples a batch of an evaluation takes: each once, in order; the last may be partial.

    Args:
        length: of the data set.
        batch_size: samples per batch.
    """

    length: int
    batch_size: int

    def __len__(self) -> int:
        return -(-self.length // self.batch_size)

    def __call__(self, number: int) -> list[tuple[int, np.random.Generator]]:
        """Returns index and generator of each sample of a batch; the generators never change."""
        first = number * self.batch_size
        return [
            (index, _generator(0, _EVALUATED, index))
            for index in range(first, min(first + self.batch_size, self.length))
        ]

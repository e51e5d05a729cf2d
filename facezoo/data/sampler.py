"""The order of the data as a pure function of seed and position.

A *position* counts the samples that a run has taken, from 0, over all epochs. Nothing here has a
state that matters, so that a run may go on at any position and any worker or process may serve it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from facezoo.config_schema import check_multi_scale
from facezoo.errors import ConfigError

_ORDER, _SAMPLE, _EVALUATED, _SIDE = range(4)
"""The kinds of random streams under one seed; a number that changed would change every run."""


@dataclass(frozen=True)
class Share:
    """The part of the data that one of several processes takes.

    Args:
        rank: number of this process, from 0.
        world_size: processes in all.

    Raises:
        ConfigError: there is no such process.
    """

    rank: int = 0
    world_size: int = 1

    def __post_init__(self) -> None:
        if self.world_size < 1:
            raise ConfigError(f"The number of processes is {self.world_size}; give at least 1.")
        if not 0 <= self.rank < self.world_size:
            raise ConfigError(
                f"The rank {self.rank} is none of {self.world_size} processes; give 0 to "
                f"{self.world_size - 1}."
            )


ONE_PROCESS = Share()


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

    No batch is partial; one may hold the end of an epoch and the start of the next. Several
    processes take equal slices of a batch, one after another in the order of their ranks.

    Args:
        length: of the data set.
        batch_size: samples per step, over all processes.
        seed: of order and augmentation.
        share: the process that this plan is for.

    Raises:
        ConfigError: the batch cannot be cut into equal slices.
    """

    length: int
    batch_size: int
    seed: int
    share: Share = ONE_PROCESS
    _orders: dict[int, NDArray[np.int64]] = field(default_factory=dict, repr=False, compare=False)

    def __post_init__(self) -> None:
        if self.batch_size % self.share.world_size:
            raise ConfigError(
                f"data.batch_size ({self.batch_size}) is not a multiple of the "
                f"{self.share.world_size} processes that train; each takes an equal slice of a "
                "step's batch."
            )

    def __call__(self, step: int) -> list[tuple[int, np.random.Generator]]:
        """Returns index and generator of each sample that this process takes of a step."""
        size = self.batch_size // self.share.world_size
        first = step * self.batch_size + self.share.rank * size
        return [
            (self._index(position), sample_generator(self.seed, position))
            for position in range(first, first + size)
        ]

    def _index(self, position: int) -> int:
        epoch, place = divmod(position, self.length)
        if epoch not in self._orders:
            self._orders.clear()  # one epoch's order is enough to remember
            self._orders[epoch] = epoch_order(self.seed, epoch, self.length)
        return int(self._orders[epoch][place])


@dataclass(frozen=True)
class SidePlan:
    """Which side the square images of a step have, the same in every process.

    Args:
        sides: to choose from, in pixels.
        seed: of the choice.

    Raises:
        ConfigError: a side is not a positive multiple of 32, or there is none.
    """

    sides: Sequence[int]
    seed: int

    def __post_init__(self) -> None:
        check_multi_scale(self.sides)

    def __call__(self, step: int) -> int:
        """Returns the side of a step, in pixels."""
        return self.sides[int(_generator(self.seed, _SIDE, step).integers(len(self.sides)))]


@dataclass(frozen=True)
class ValPlan:
    """Which samples a batch of an evaluation takes: each once, in order; the last may be partial.

    Several processes take turns at the batches that one process would make, so that each batch is
    the very same: none is cut, and no sample is there twice.

    Args:
        length: of the data set.
        batch_size: samples per batch.
        share: the process that this plan is for.
    """

    length: int
    batch_size: int
    share: Share = ONE_PROCESS

    def __len__(self) -> int:
        """Returns how many batches this process takes."""
        batches = -(-self.length // self.batch_size)
        return len(range(self.share.rank, batches, self.share.world_size))

    def __call__(self, number: int) -> list[tuple[int, np.random.Generator]]:
        """Returns index and generator of each sample of this process's batch of a number.

        The generators never change.
        """
        first = (self.share.rank + number * self.share.world_size) * self.batch_size
        return [
            (index, _generator(0, _EVALUATED, index))
            for index in range(first, min(first + self.batch_size, self.length))
        ]

"""The order of the data as a pure function of seed and position.

A *position* counts the samples that a run has taken, from 0, over all epochs. Nothing here has a
state that matters, so that a run may go on at any position and any worker or process may serve it.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from facezoo.errors import ConfigError

_ORDER, _SAMPLE, _EVALUATED, _SIDE, _PARTNER, _EVALUATED_PARTNER, _BATCH = range(7)
"""The kinds of random streams under one seed; a number that changed would change every run."""


@dataclass(frozen=True)
class Share:
    """The part of the data that process ``rank``, from 0, takes of ``world_size`` in all.

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


def side_of_step(seed: int, step: int, sides: Sequence[int]) -> int:
    """Returns the side that the square images of a step have in every process, one of some."""
    return sides[int(_generator(seed, _SIDE, step).integers(len(sides)))]


def _generator(seed: int, kind: int, *numbers: int) -> np.random.Generator:
    return np.random.Generator(
        np.random.Philox(np.random.SeedSequence(seed, spawn_key=(kind, *numbers)))
    )


class Plan:
    """What is read at which position, and all that is random about it."""

    seed: int
    streams: ClassVar[tuple[int, int]]  # kinds of those of a sample and of its partners

    def __call__(self, number: int, /) -> range:
        """Returns the positions of the batch of a number that this process makes."""
        raise NotImplementedError

    def epoch(self, position: int) -> int:
        """Returns the pass over the data that a position lies in, from 0."""
        raise NotImplementedError

    def indices(self, position: int) -> Iterator[int]:
        """Gives the index of the sample at a position, then those of samples to take its place."""
        raise NotImplementedError

    def generator(self, position: int) -> np.random.Generator:
        """Returns the generator of all that is random about the sample at a position."""
        return _generator(self.seed, self.streams[0], position)

    def partner_generator(self, position: int, path: Sequence[int]) -> np.random.Generator:
        """Returns the generator of a partner of the sample at a position.

        The ``path`` is the number of the transform that wants the partner and the partner's among
        those that it wants; behind these, the same of a partner of that partner, and so on.
        """
        return _generator(self.seed, self.streams[1], position, *path)


@dataclass(frozen=True)
class TrainPlan(Plan):
    """Which samples a step takes: the epochs' permutations one after another, cut into batches.

    No batch is partial; one may hold the end of an epoch and the start of the next. Several
    processes take equal slices of a batch, one after another in the order of their ranks.

    Raises:
        ConfigError: the batch cannot be cut into equal slices.
    """

    streams = (_SAMPLE, _PARTNER)

    length: int  # of the data set
    batch_size: int  # over all processes
    seed: int
    share: Share = ONE_PROCESS  # the process that this plan is for
    _orders: dict[int, NDArray[np.int64]] = field(default_factory=dict, repr=False, compare=False)

    def __post_init__(self) -> None:
        if self.batch_size % self.share.world_size:
            raise ConfigError(
                f"data.batch_size ({self.batch_size}) is not a multiple of the "
                f"{self.share.world_size} processes that train; each takes an equal slice of a "
                "step's batch."
            )

    def __call__(self, step: int) -> range:
        """Returns the positions of the samples that this process takes of a step."""
        size = self.batch_size // self.share.world_size
        first = step * self.batch_size + self.share.rank * size
        return range(first, first + size)

    def epoch(self, position: int) -> int:
        """Returns how many epochs end before a position."""
        return position // self.length

    def indices(self, position: int) -> Iterator[int]:
        """Gives the index at a position and the others of its epoch, in its order, then its start.

        Each index of the data set comes once.
        """
        epoch, place = divmod(position, self.length)
        if epoch not in self._orders:
            self._orders.clear()  # one epoch's order is enough to remember
            self._orders[epoch] = epoch_order(self.seed, epoch, self.length)
        order = self._orders[epoch]
        return (int(order[(place + ahead) % self.length]) for ahead in range(self.length))

    def batch_generator(self, position: int) -> np.random.Generator:
        """Returns the generator of what transforms of whole batches do to a position's image."""
        return _generator(self.seed, _BATCH, position)


@dataclass(frozen=True)
class ValPlan(Plan):
    """Which samples a batch of an evaluation takes: each once, in order; the last may be partial.

    Several processes take turns at the batches that one process would make, so that each batch is
    the very same: none is cut, and no sample is there twice.
    """

    seed = 0  # what is random about a sample is the same in each evaluation
    streams = (_EVALUATED, _EVALUATED_PARTNER)

    length: int
    batch_size: int
    share: Share = ONE_PROCESS

    def __len__(self) -> int:
        """Returns how many batches this process takes."""
        batches = -(-self.length // self.batch_size)
        return len(range(self.share.rank, batches, self.share.world_size))

    def __call__(self, number: int) -> range:
        """Returns the positions, which are indices, of this process's batch of a number."""
        first = (self.share.rank + number * self.share.world_size) * self.batch_size
        return range(first, min(first + self.batch_size, self.length))

    def epoch(self, position: int) -> int:
        """Returns 0, whichever the position."""
        return 0

    def indices(self, position: int) -> Iterator[int]:
        """Gives the one index that belongs to a position: nothing takes its place."""
        return iter((position,))

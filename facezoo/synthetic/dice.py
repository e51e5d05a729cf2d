"""Random choices of a scene."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import TypeVar

import numpy as np

Option = TypeVar("Option")
BLOCK = 256


class Dice:
    """Scalar random choices from one generator.

    Uniform numbers are taken in blocks: a call of a NumPy generator per choice would cost as much
    as the drawing does.

    Args:
        generator: source of all random numbers; also used directly for arrays of noise.
    """

    def __init__(self, generator: np.random.Generator) -> None:
        self.generator = generator
        self._units: Iterator[float] = iter(())

    def unit(self) -> float:
        """Returns a number in [0, 1)."""
        value = next(self._units, None)
        if value is None:
            self._units = iter(self.generator.random(BLOCK).tolist())
            value = next(self._units)
        return value

    def uniform(self, low: float, high: float) -> float:
        """Returns a number in [low, high)."""
        return low + (high - low) * self.unit()

    def log_uniform(self, low: float, high: float) -> float:
        """Returns a number in [low, high) whose logarithm is uniform."""
        return low * math.exp(self.unit() * math.log(high / low))

    def bell(self, spread: float) -> float:
        """Returns a number around 0 with this standard deviation, never beyond 3 of them."""
        return 2 * spread * (self.unit() + self.unit() + self.unit() - 1.5)

    def integer(self, low: int, high: int) -> int:
        """Returns an integer from low to high, both included."""
        return low + int((high - low + 1) * self.unit())

    def chance(self, probability: float) -> bool:
        """Returns True with this probability."""
        return self.unit() < probability

    def pick(self, options: Sequence[Option]) -> Option:
        """Returns one of the options."""
        return options[int(len(options) * self.unit())]

    def sign(self) -> int:
        """Returns -1 or 1."""
        return 1 if self.unit() < 0.5 else -1

"""What every transform is."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from facezoo.data.transforms.checks import check_probability
from facezoo.errors import ConfigError
from facezoo.structures import Sample


class Transform:
    """A change of a sample: of its image and, with it, of its boxes, landmarks and map.

    A transform keeps no state between samples and draws every random number from the generator it
    is given, so that a sample depends on nothing but its seed.
    """

    def __call__(self, sample: Sample, generator: np.random.Generator) -> Sample:
        """Returns the changed sample; the one that was given is left as it is."""
        raise NotImplementedError


class PartnerTransform(Transform):
    """A transform that joins a sample with others of the same data set, its *partners*.

    The loader asks ``wants`` first. Where that is so, it draws the partners, sends each through the
    transforms that stand before this one, and calls ``join``: where not, it reads nothing, and the
    sample goes on as it is.

    Args:
        p: probability.
        until: the epoch, from 0, from which on samples are no longer joined; None joins to the end.

    Attributes:
        partners: how many other samples are wanted.

    Raises:
        ConfigError: an argument is out of range.
    """

    partners: int

    def __init__(self, p: float, until: int | None) -> None:
        check_probability(p, type(self).__name__)
        if until is not None and until < 0:
            raise ConfigError(
                f"until of {type(self).__name__} is {until}; give a number of epochs, or null."
            )
        self.p = p
        self.until = until

    def wants(self, epoch: int, generator: np.random.Generator) -> bool:
        """Returns whether a sample of an epoch is to be joined, with probability ``p``."""
        return (self.until is None or epoch < self.until) and generator.random() < self.p

    def join(
        self, sample: Sample, partners: Sequence[Sample], generator: np.random.Generator
    ) -> Sample:
        """Returns the sample joined with its partners; those that were given are left as they are.

        Its name, path and map are those of ``sample``, whatever of the image comes from partners.
        """
        raise NotImplementedError

    def __call__(self, sample: Sample, generator: np.random.Generator) -> Sample:
        """Cannot be: without partners there is nothing to join.

        Raises:
            ConfigError: always.
        """
        raise ConfigError(
            f"{type(self).__name__} needs {self.partners} other samples: list it in the "
            "transforms of data.train or data.val, whose loader draws them."
        )

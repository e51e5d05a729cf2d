"""What every transform of a sample is, and what several of them need."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

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


def joined(image: NDArray[np.uint8], samples: Sequence[Sample]) -> Sample:
    """Returns a sample that shows ``image`` and has the faces of all samples, in their order.

    Name, path and map are those of the first. Attributes are kept where all samples have them.

    Args:
        image: H x W x 3.
        samples: one or more, with boxes and landmarks in the pixels of ``image``.
    """
    attributes = [one.attributes for one in samples if one.attributes is not None]
    return replace(
        samples[0],
        image=image,
        boxes=np.concatenate([one.boxes for one in samples]),
        landmarks=np.concatenate([one.landmarks for one in samples]),
        ignore=np.concatenate([one.ignore for one in samples]),
        labels=np.concatenate([one.labels for one in samples]),
        attributes=np.concatenate(attributes) if len(attributes) == len(samples) else None,
        dropped=sum(one.dropped for one in samples),
    )


def check_size(size: int, transform: str) -> None:
    """Raises a ConfigError unless ``size`` is a length in pixels."""
    if size < 1:
        raise ConfigError(f"size of {transform} is {size}; give at least 1 pixel.")


def check_probability(p: float, transform: str) -> None:
    """Raises a ConfigError unless ``p`` is a probability."""
    if not 0 <= p <= 1:
        raise ConfigError(f"p of {transform} is {p}; give a probability from 0 to 1.")


def check_colour(value: tuple[int, int, int], transform: str) -> None:
    """Raises a ConfigError unless ``value`` is a colour of 8 bits."""
    if not all(0 <= one <= 255 for one in value):
        raise ConfigError(
            f"value of {transform} is {list(value)}; give red, green and blue from 0 to 255."
        )

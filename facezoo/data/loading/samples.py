"""One sample at a position of a plan: read, joined with its partners, transformed."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from facezoo.data.datasets.face_dataset import FaceDataset
from facezoo.data.loading.cache import ImageCache, read_only_image
from facezoo.data.loading.collate import check_sample
from facezoo.data.loading.sampler import Plan
from facezoo.data.transforms.transform import PartnerTransform, Transform
from facezoo.errors import DataError
from facezoo.structures import Sample

OnUnreadable = Literal["stop", "next"]


@dataclass(frozen=True)
class _Work:
    """What is needed to make a sample, or a partner of one.

    Attributes:
        position: see ``facezoo.data.loading.sampler``.
        path: of a partner, see ``Plan.partner_generator``; empty for the sample itself.
        generator: of all that is random about it.
        unreadable: is given the error of each image that could not be read.
    """

    position: int
    path: tuple[int, ...]
    generator: np.random.Generator
    unreadable: list[str]


@dataclass(frozen=True)
class SampleMaker:
    """Makes the sample at a position, which depends on nothing but the plan and the data.

    Args:
        dataset: where samples come from.
        transforms: applied to each sample in turn.
        plan: what is read at which position.
        on_unreadable: where an image cannot be read, ``stop`` with its error or take the ``next``
            that the plan names.
        cache: of decoded photographs; None decodes each time.
    """

    dataset: FaceDataset
    transforms: tuple[Transform, ...]
    plan: Plan
    on_unreadable: OnUnreadable = "stop"
    cache: ImageCache | None = None

    def __call__(self, position: int, unreadable: list[str]) -> Sample:
        """Returns the sample at a position.

        Args:
            position: see ``facezoo.data.loading.sampler``.
            unreadable: is given the error of each image that could not be read.

        Raises:
            DataError: an image or its annotation is unusable; with ``next``, none can be read.
            ConfigError: a transform cannot be applied.
        """
        work = _Work(position, (), self.plan.generator(position), unreadable)
        return self._made(self.plan.indices(position), work, len(self.transforms))

    def _made(self, indices: Iterator[int], work: _Work, end: int) -> Sample:
        """Returns what the first ``end`` transforms make of the first index that can be read."""
        sample = self._read(indices, work)
        for number, transform in enumerate(self.transforms[:end]):
            if not isinstance(transform, PartnerTransform):
                sample = transform(sample, work.generator)
            elif transform.wants(self.plan.epoch(work.position), work.generator):
                partners = [self._partner(work, number, one) for one in range(transform.partners)]
                sample = transform.join(sample, partners, work.generator)
        return sample

    def _partner(self, work: _Work, number: int, one: int) -> Sample:
        """Returns a partner, changed by the transforms before the one that wants it."""
        path = (*work.path, number, one)
        generator = self.plan.partner_generator(work.position, path)
        first, length = int(generator.integers(len(self.dataset))), len(self.dataset)
        indices = ((first + ahead) % length for ahead in range(length))
        return self._made(indices, replace(work, path=path, generator=generator), number)

    def _read(self, indices: Iterator[int], work: _Work) -> Sample:
        """Returns the first sample of some indices of the data set that can be read."""
        read = read_only_image if self.cache is None else self.cache.read
        failure: DataError | None = None
        for index in indices:
            try:
                sample = self.dataset.sample(index, read)
            except DataError as error:
                if self.on_unreadable == "stop":
                    raise
                work.unreadable.append(str(error))
                failure = failure or error
            else:
                return check_sample(sample)
        raise DataError(
            f"None of the {len(self.dataset)} images can be read; the first says: {failure}"
        ) from failure

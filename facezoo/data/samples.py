"""One sample at a position of a plan: read, joined with its partners, transformed."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np

from facezoo.data.collate import check_sample
from facezoo.data.datasets.base import FaceDataset
from facezoo.data.sampler import Plan
from facezoo.data.transforms.base import PartnerTransform, Transform
from facezoo.errors import DataError
from facezoo.structures import Sample

OnUnreadable = Literal["stop", "next"]


@dataclass(frozen=True)
class SampleMaker:
    """Makes the sample at a position, which depends on nothing but the plan and the data.

    Args:
        dataset: where samples come from.
        transforms: applied to each sample in turn.
        plan: what is read at which position.
        on_unreadable: where an image cannot be read, ``stop`` with its error or take the ``next``
            that the plan names.
    """

    dataset: FaceDataset
    transforms: tuple[Transform, ...]
    plan: Plan
    on_unreadable: OnUnreadable = "stop"

    def __call__(self, position: int, unreadable: list[str]) -> Sample:
        """Returns the sample at a position.

        Args:
            position: see ``facezoo.data.sampler``.
            unreadable: is given the error of each image that could not be read.

        Raises:
            DataError: an image or its annotation is unusable; with ``next``, none can be read.
            ConfigError: a transform cannot be applied.
        """
        generator = self.plan.generator(position)
        sample = self._read(self.plan.indices(position), unreadable)
        return self._transformed(sample, position, (), generator, len(self.transforms), unreadable)

    def _read(self, indices: Iterator[int], unreadable: list[str]) -> Sample:
        """Returns the first sample of some indices that can be read."""
        failure: DataError | None = None
        for index in indices:
            try:
                sample = self.dataset[index]
            except DataError as error:
                if self.on_unreadable == "stop":
                    raise
                unreadable.append(str(error))
                failure = failure or error
            else:
                return check_sample(sample)
        raise DataError(
            f"None of the {len(self.dataset)} images can be read; the first says: {failure}"
        ) from failure

    def _transformed(
        self,
        sample: Sample,
        position: int,
        path: tuple[int, ...],
        generator: np.random.Generator,
        end: int,
        unreadable: list[str],
    ) -> Sample:
        """Returns what the first ``end`` transforms make of the sample or partner at a path."""
        for number, transform in enumerate(self.transforms[:end]):
            if not isinstance(transform, PartnerTransform):
                sample = transform(sample, generator)
            elif transform.wants(self.plan.epoch(position), generator):
                partners = [
                    self._partner(position, (*path, number, one), unreadable)
                    for one in range(transform.partners)
                ]
                sample = transform.join(sample, partners, generator)
        return sample

    def _partner(self, position: int, path: tuple[int, ...], unreadable: list[str]) -> Sample:
        """Returns the partner at a path, changed by the transforms before the one that wants it."""
        generator = self.plan.partner_generator(position, path)
        first, length = int(generator.integers(len(self.dataset))), len(self.dataset)
        indices = ((first + ahead) % length for ahead in range(length))
        sample = self._read(indices, unreadable)
        return self._transformed(sample, position, path, generator, path[-2], unreadable)

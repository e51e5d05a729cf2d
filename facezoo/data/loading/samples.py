"""One sample at a position of a plan: read, joined with its partners, transformed."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from facezoo.data.datasets.face_dataset import FaceDataset
from facezoo.data.loading.collate import check_sample
from facezoo.data.loading.reading import PLAIN_READING, Reading, is_outline
from facezoo.data.loading.sampler import Plan
from facezoo.data.transforms.transform import PartnerTransform, Transform
from facezoo.data.transforms.window_transform import Window, WindowTransform
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
        reading: how photographs are read.
    """

    dataset: FaceDataset
    transforms: tuple[Transform, ...]
    plan: Plan
    on_unreadable: OnUnreadable = "stop"
    reading: Reading = PLAIN_READING

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
        can_plan = self.reading.reduced and self.dataset.gives_as_read
        first = self.transforms[0] if end and can_plan else None
        if not isinstance(first, WindowTransform):
            first = None
        sample = self._read(indices, work, first)
        for number in range(0 if first is None else 1, end):
            transform = self.transforms[number]
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

    def _read(self, indices: Iterator[int], work: _Work, first: WindowTransform | None) -> Sample:
        """Returns the first sample of some indices that can be read.

        Args:
            indices: of the data set.
            work: whose sample it is.
            first: the transform that tells what it will show, which is then done; or None.
        """
        read = self.reading.image if first is None else self.reading.outline
        failure: DataError | None = None
        for index in indices:
            try:
                sample = self.dataset.sample(index, read)
            except DataError as error:
                failure = self._noted(error, failure, work)
                continue
            check_sample(sample)
            if first is None:
                return sample
            if not is_outline(sample.image):
                return first(sample, work.generator)
            state = work.generator.bit_generator.state
            window = first.plan(sample, work.generator)
            try:
                image, reduction = self._pixels(sample, window)
            except DataError as error:
                failure = self._noted(error, failure, work)
                work.generator.bit_generator.state = state
                continue
            sample = replace(sample, image=image)
            if reduction is not None:
                return first.show(sample, window, reduction)
            work.generator.bit_generator.state = state
            return first(sample, work.generator)
        raise DataError(
            f"None of the {len(self.dataset)} images can be read; the first says: {failure}"
        ) from failure

    def _noted(self, error: DataError, failure: DataError | None, work: _Work) -> DataError:
        """Notes that an image cannot be read and returns the first such error, unless it ends all.

        Raises:
            DataError: ``error``, where it does.
        """
        if self.on_unreadable == "stop":
            raise error
        work.unreadable.append(str(error))
        return failure or error

    def _pixels(self, sample: Sample, window: Window) -> tuple[NDArray[np.uint8], int | None]:
        """Returns a photograph, decoded no larger than a window needs, and its scale's divisor.

        The divisor is None, and the photograph whole, where its header told another size: then the
        window is none of it.
        """
        whole_hw = sample.image.shape[:2]
        image = self.reading.image(sample.path, window.reduction)
        for reduction in (1, window.reduction):
            if image.shape[:2] == tuple(-(-side // reduction) for side in whole_hw):
                return image, reduction
        return self.reading.image(sample.path), None

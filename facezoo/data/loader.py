"""Batches, read and transformed by worker processes or in this one.

A worker makes a whole batch from its number alone, so that the batches do not depend on how many
workers there are, nor on which of them served what.
"""

from __future__ import annotations

import itertools
import signal
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import cv2
import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset

from facezoo.data.collate import check_sample, collate
from facezoo.data.datasets.base import FaceDataset
from facezoo.data.sampler import TrainPlan, ValPlan
from facezoo.data.transforms.base import Transform
from facezoo.errors import ConfigError, DataError, FacezooError
from facezoo.structures import Batch, Sample

StartMethod = Literal["fork", "spawn", "forkserver"]
Plan = Callable[[int], list[tuple[int, np.random.Generator]]]


def train_stream(
    dataset: FaceDataset,
    transforms: Sequence[Transform],
    batch_size: int,
    seed: int,
    *,
    start_step: int = 0,
    workers: int = 0,
    pin_memory: bool = False,
    start_method: StartMethod | None = None,
) -> Iterator[Batch]:
    """Opens the endless stream of training batches at a step; nothing before it is read.

    Args:
        dataset: where samples come from.
        transforms: applied to each sample in turn; they have to bring images to one size.
        batch_size: samples per step.
        seed: of order and augmentation.
        start_step: the step of the first batch.
        workers: processes that read; 0 reads in this one.
        pin_memory: copy batches into page-locked memory, from which a GPU copies faster.
        start_method: of the processes; None is the platform's default.

    Returns:
        One batch per step; the same for any number of workers.

    Raises:
        DataError: there are no images; while iterating, an image or its annotation is unusable.
        ConfigError: ``batch_size`` or ``workers`` is out of range; while iterating, a transform
            cannot be applied.
    """
    _check(batch_size, workers)
    if not len(dataset):
        raise DataError(
            f"{type(dataset).__name__} has no images to train on; check its root and split."
        )
    plan = TrainPlan(len(dataset), batch_size, seed)
    maker = _BatchMaker(dataset, tuple(transforms), plan)
    return _iterate(maker, _Steps(start_step), workers, pin_memory, start_method)


def val_batches(
    dataset: FaceDataset,
    transforms: Sequence[Transform],
    batch_size: int,
    workers: int = 0,
    *,
    pin_memory: bool = False,
    start_method: StartMethod | None = None,
) -> Iterator[Batch]:
    """Reads every image once, in order; the last batch may be partial, an empty set gives none.

    The arguments are those of ``train_stream``; a random transform draws the same each time.

    Raises:
        DataError: while iterating, an image or its annotation is unusable.
        ConfigError: see ``train_stream``.
    """
    _check(batch_size, workers)
    plan = ValPlan(len(dataset), batch_size)
    maker = _BatchMaker(dataset, tuple(transforms), plan)
    return _iterate(maker, range(len(plan)), workers, pin_memory, start_method)


def _check(batch_size: int, workers: int) -> None:
    if batch_size < 1:
        raise ConfigError(f"data.batch_size is {batch_size}; give at least 1.")
    if workers < 0:
        raise ConfigError(f"data.workers is {workers}; give 0 or more processes.")


@dataclass(frozen=True)
class _Steps:
    """The steps from ``start`` on, without an end."""

    start: int

    def __iter__(self) -> Iterator[int]:
        return itertools.count(self.start)


@dataclass(frozen=True)
class _Failure:
    """An error on its way out of a worker: raised there, it would come out with a traceback."""

    error: FacezooError


@dataclass(frozen=True)
class _BatchMaker(Dataset[Any]):
    """Makes a batch from its number."""

    dataset: FaceDataset
    transforms: tuple[Transform, ...]
    plan: Plan

    def __getitem__(self, number: int) -> Batch | _Failure:
        try:
            return collate([self._sample(*one) for one in self.plan(number)])
        except FacezooError as error:
            return _Failure(error)

    def _sample(self, index: int, generator: np.random.Generator) -> Sample:
        sample = check_sample(self.dataset[index])
        for transform in self.transforms:
            sample = transform(sample, generator)
        return sample


def _iterate(
    maker: _BatchMaker,
    numbers: Iterable[int],
    workers: int,
    pin_memory: bool,
    start_method: StartMethod | None,
) -> Iterator[Batch]:
    loader = DataLoader(
        maker,
        sampler=numbers,
        batch_size=None,
        num_workers=workers,
        collate_fn=_unchanged,
        pin_memory=pin_memory,
        worker_init_fn=_start_worker,
        multiprocessing_context=start_method if workers else None,
        generator=torch.Generator(),  # its own, or it would draw from the global one
    )
    for item in loader:
        if isinstance(item, _Failure):
            raise item.error
        yield item


def _unchanged(item: Any) -> Any:
    return item


def _start_worker(_: int) -> None:
    """Makes a worker use one thread, and leave Ctrl-C to the process that trains."""
    cv2.setNumThreads(0)
    torch.set_num_threads(1)
    signal.signal(signal.SIGINT, signal.SIG_IGN)

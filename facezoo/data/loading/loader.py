"""Batches, read and transformed by worker processes or in this one.

A worker makes a whole batch from its number alone, so that the batches do not depend on how many
workers there are, nor on which of them served what.
"""

from __future__ import annotations

import itertools
import logging
import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import torch
from torch.utils.data import DataLoader, Dataset, get_worker_info

from facezoo.data.datasets.face_dataset import FaceDataset
from facezoo.data.loading.cache import ImageCache
from facezoo.data.loading.collate import collate
from facezoo.data.loading.sampler import ONE_PROCESS, Share, SidePlan, TrainPlan, ValPlan
from facezoo.data.loading.samples import OnUnreadable, SampleMaker
from facezoo.data.loading.shared_images import Parcel, SharedImages, packed
from facezoo.data.loading.workers import (
    DEFAULT_START_METHOD,
    StartMethod,
    start_worker,
    worker_failure,
)
from facezoo.data.transforms.transform import Transform
from facezoo.data.transforms.view import scaled_to_side
from facezoo.errors import ConfigError, DataError, FacezooError
from facezoo.structures import Batch, Sample

logger = logging.getLogger(__name__)


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
    share: Share = ONE_PROCESS,
    sides: Sequence[int] | None = None,
    on_unreadable: OnUnreadable = "stop",
    cache: ImageCache | None = None,
) -> Iterator[Batch]:
    """Opens the endless stream of training batches at a step; nothing before it is read.

    Args:
        dataset: where samples come from.
        transforms: applied to each sample in turn; they have to bring images to one size.
        batch_size: samples per step, over all processes that train.
        seed: of order, augmentation and sides.
        start_step: the step of the first batch.
        workers: processes that read; 0 reads in this one.
        pin_memory: copy batches into page-locked memory, from which a GPU copies faster.
        start_method: of the processes; None is ``fork`` on Linux, elsewhere the platform's default.
        share: the process that trains on these batches, of all that train together; it gets
            ``batch_size / share.world_size`` samples per step.
        sides: in pixels; each step takes one, at random, and scales its samples to it after the
            transforms, which then have to make squares. None leaves them as they are.
        on_unreadable: what an image that cannot be read does: ``stop`` raises its error; with
            ``next`` the next image of the epoch's order takes its place (of a partner: the next
            of the data set), its error is in ``Batch.unreadable`` and is logged once.
        cache: of decoded photographs; None decodes each time.

    Returns:
        One batch per step; the same for any number of workers. The batches of all ranks joined are
        the batch of one process.

    Raises:
        DataError: there are no images; while iterating, an image or its annotation is unusable, or
            a worker died.
        ConfigError: ``batch_size``, ``workers`` or a side is out of range, or the processes cannot
            take equal slices of a batch; while iterating, a transform cannot be applied, or gives
            no square to scale to a side.
    """
    _check(batch_size, workers)
    if not len(dataset):
        raise DataError(
            f"{type(dataset).__name__} has no images to train on; check its root and split."
        )
    plan = TrainPlan(len(dataset), batch_size, seed, share)
    side_of = None if sides is None else SidePlan(tuple(sides), seed)
    samples = SampleMaker(dataset, tuple(transforms), plan, on_unreadable, cache)
    maker = _BatchMaker(samples, side_of)
    return _iterate(maker, itertools.count(start_step), workers, pin_memory, start_method)


def val_batches(
    dataset: FaceDataset,
    transforms: Sequence[Transform],
    batch_size: int,
    workers: int = 0,
    *,
    pin_memory: bool = False,
    start_method: StartMethod | None = None,
    share: Share = ONE_PROCESS,
    cache: ImageCache | None = None,
) -> Iterator[Batch]:
    """Reads every image once, in order; the last batch may be partial, an empty set gives none.

    The arguments are those of ``train_stream``; a random transform draws the same each time. Of
    several processes, each takes every ``share.world_size``-th of these same batches, from the one
    numbered ``share.rank`` on.

    Raises:
        DataError: while iterating, an image or its annotation is unusable, or a worker died.
        ConfigError: see ``train_stream``.
    """
    _check(batch_size, workers)
    plan = ValPlan(len(dataset), batch_size, share)
    maker = _BatchMaker(SampleMaker(dataset, tuple(transforms), plan, cache=cache))
    return _iterate(maker, range(len(plan)), workers, pin_memory, start_method)


def _check(batch_size: int, workers: int) -> None:
    if batch_size < 1:
        raise ConfigError(f"data.batch_size is {batch_size}; give at least 1.")
    if workers < 0:
        raise ConfigError(f"data.workers is {workers}; give 0 or more processes.")


@dataclass(frozen=True)
class _Failure:
    """An error on its way out of a worker: raised there, it would come out with a traceback."""

    error: FacezooError


@dataclass(frozen=True)
class _BatchMaker(Dataset[Any]):
    """Makes a batch from its number."""

    samples: SampleMaker
    side_of: SidePlan | None = None
    shared: SharedImages | None = None

    def __getitem__(self, number: int) -> Batch | Parcel | _Failure:
        try:
            unreadable: list[str] = []
            samples = [self.samples(one, unreadable) for one in self.samples.plan(number)]
            if self.side_of is not None:
                samples = [_to_side(sample, self.side_of(number)) for sample in samples]
            worker = get_worker_info()
            if self.shared is None or worker is None:
                return replace(collate(samples), unreadable=tuple(unreadable))
            parcel = packed(samples, self.shared, worker.id)
            batch = replace(parcel.batch, unreadable=tuple(unreadable))
            return replace(parcel, batch=batch)
        except FacezooError as error:
            return _Failure(error)


def _to_side(sample: Sample, side: int) -> Sample:
    height, width = sample.image.shape[:2]
    if height != width:
        raise ConfigError(
            f"data.multi_scale scales squares, but the transforms give image {sample.image_id} "
            f"{width} x {height} pixels: put SquareCrop or Letterbox last."
        )
    return scaled_to_side(sample, side)


def _iterate(
    maker: _BatchMaker,
    numbers: Iterable[int],
    workers: int,
    pin_memory: bool,
    start_method: StartMethod | None,
) -> Iterator[Batch]:
    shared = SharedImages(workers) if workers else None
    loader = DataLoader(
        replace(maker, shared=shared),
        sampler=numbers,
        batch_size=None,
        num_workers=workers,
        collate_fn=_unchanged,
        pin_memory=pin_memory,
        worker_init_fn=partial(start_worker, os.getpid()),
        multiprocessing_context=(start_method or DEFAULT_START_METHOD) if workers else None,
        generator=torch.Generator(),  # its own, or it would draw from the global one
    )
    cache = maker.samples.cache
    named: set[str] = set()
    try:
        for item in loader:
            if isinstance(item, _Failure):
                raise item.error
            if shared is not None:
                item = shared.open(item)
            for reason in dict.fromkeys(item.unreadable):
                if reason not in named:
                    named.add(reason)
                    logger.warning("%s The next image takes its place.", reason)
            if cache is not None:
                cache.warn_if_stopped()
            yield item
    except RuntimeError as error:
        failure = worker_failure(error)
        if failure is None:
            raise
        raise failure from error


def _unchanged(item: Any) -> Any:
    return item

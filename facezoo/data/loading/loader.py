"""Batches: read by worker processes or in this one, copied to the device ahead of time, augmented.

A worker makes a whole batch from its number alone, so that the batches do not depend on how many
workers there are, nor on which of them served what.
"""

import itertools
import logging
import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, TypeVar

import torch
from torch.utils.data import DataLoader, Dataset, get_worker_info

from facezoo.config.sections import check_multi_scale
from facezoo.data.datasets.face_dataset import FaceDataset
from facezoo.data.loading.cache import ImageCache
from facezoo.data.loading.sampler import ONE_PROCESS, Share, TrainPlan, ValPlan, side_of_step
from facezoo.data.loading.samples import OnUnreadable, SampleMaker, collate
from facezoo.data.loading.workers import (
    DEFAULT_START_METHOD,
    Parcel,
    SharedImages,
    StartMethod,
    packed,
    start_worker,
    worker_failure,
)
from facezoo.data.transforms.batch import BatchTransform
from facezoo.data.transforms.transform import Transform, scaled_to_side
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
    if sides is not None:
        check_multi_scale(sides)
    samples = SampleMaker(dataset, tuple(transforms), plan, on_unreadable, cache)
    maker = _BatchMaker(samples, sides)
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
class _BatchMaker(Dataset[Any]):
    """Makes a batch from its number."""

    samples: SampleMaker
    sides: Sequence[int] | None = None
    shared: SharedImages | None = None

    def __getitem__(self, number: int) -> Batch | Parcel | FacezooError:
        try:
            unreadable: list[str] = []
            samples = [self.samples(one, unreadable) for one in self.samples.plan(number)]
            if self.sides is not None:
                side = side_of_step(self.samples.plan.seed, number, self.sides)
                samples = [_to_side(sample, side) for sample in samples]
            worker = get_worker_info()
            if self.shared is None or worker is None:
                return replace(collate(samples), unreadable=tuple(unreadable))
            parcel = packed(samples, self.shared, worker.id)
            batch = replace(parcel.batch, unreadable=tuple(unreadable))
            return replace(parcel, batch=batch)
        except FacezooError as error:
            return error  # raised in a worker, it would come out with a traceback


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
            if isinstance(item, FacezooError):
                raise item
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


Item = TypeVar("Item")
Begun = TypeVar("Begun")


def prefetched(
    stream: Iterator[Batch], device: torch.device, change: Callable[[Batch], Batch] | None = None
) -> Iterator[Batch]:
    """Gives the batches of a stream on a device; ``maps`` stay on the CPU.

    On CUDA a batch is copied on a stream of its own, beside the work on the batch before. This
    needs batches in page-locked memory (``pin_memory`` of the data loader): others are copied too,
    but while the caller waits.

    Args:
        stream: of batches; on CUDA read one batch ahead of what is given, elsewhere not ahead.
        device: where the batches are used, on the stream that is current when each is asked for.
        change: is done to each batch, in order, once it is on its way to the device; on CUDA beside
            the work on the batch before.

    Raises:
        Exception: what ``stream`` or ``change`` raises, after the batches before it.
    """
    if device.type != "cuda":
        for batch in stream:
            moved = batch.to(device)
            yield moved if change is None else change(moved)
        return
    side = torch.cuda.Stream(device)

    def begin(batch: Batch) -> tuple[Batch, torch.cuda.Event]:
        with torch.cuda.stream(side):
            copy = batch.to(device, non_blocking=True)
            if change is not None:
                copy = change(copy)
        return copy, side.record_event()

    for batch, copied in ahead(stream, begin):
        user = torch.cuda.current_stream(device)
        # Not wait_stream(side): the next copy is on its way there, and is not to be waited for.
        user.wait_event(copied)
        for tensor in (batch.images, *vars(batch.targets).values()):
            # Its memory belongs to the side stream, which else takes it back while still in use.
            tensor.record_stream(user)
        yield batch


def ahead(items: Iterator[Item], begin: Callable[[Item], Begun]) -> Iterator[Begun]:
    """Gives ``begin(item)`` for each item in order, with that of one more item done before.

    What ``items`` or ``begin`` raises comes in its turn: after all that came before.
    """
    begun: deque[Begun] = deque()
    try:
        for item in items:
            begun.append(begin(item))
            if len(begun) > 1:
                yield begun.popleft()
    except Exception:
        yield from begun
        raise
    yield from begun


@dataclass(frozen=True)
class BatchAugmentation:
    """Changes the batch of a step, which depends on nothing but the plan and the batch.

    Each image has a generator of its own, by its position, so that it is the same in a run that
    goes on at some step, and in whatever slice of the batch a process has.
    """

    transforms: tuple[BatchTransform, ...]
    plan: TrainPlan  # for the share of this process

    def __call__(self, batch: Batch, step: int) -> Batch:
        """Returns the changed batch that this process has of a step, on the batch's device."""
        generators = [self.plan.batch_generator(position) for position in self.plan(step)]
        for transform in self.transforms:
            numbers = [transform.draw(generator) for generator in generators]
            batch = transform.change(batch, torch.tensor(numbers, dtype=torch.float32))
        return batch

    def from_step(self, step: int) -> Callable[[Batch], Batch]:
        """Returns what changes the batches of a stream that begins at a step, one after another."""
        steps = itertools.count(step)
        return lambda batch: self(batch, next(steps))

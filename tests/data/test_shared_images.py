"""Slots of shared memory: used again as soon as nobody looks, and never before."""

from __future__ import annotations

import gc
import itertools
from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch._subclasses.fake_tensor import FakeTensorMode

from facezoo.data.datasets.synthetic_faces import SyntheticFaces
from facezoo.data.loading import workers
from facezoo.data.loading.loader import train_stream
from facezoo.data.loading.samples import collate
from facezoo.data.loading.workers import SLOTS, Parcel, SharedImages, packed
from facezoo.data.transforms import Flip, SquareCrop
from facezoo.errors import DataError
from facezoo.structures import Batch, Sample


def sample(shade: int, side: int = 4) -> Sample:
    return Sample(
        np.full((side, side, 3), shade, np.uint8),
        boxes=np.zeros((0, 4), np.float32),
        landmarks=np.zeros((0, 5, 2), np.float32),
        ignore=np.zeros(0, bool),
        labels=np.zeros(0, np.int64),
        image_id=f"{shade}.jpg",
    )


def made(shared: SharedImages, shade: int, side: int = 4) -> Parcel:
    """Makes a parcel as worker 1 does."""
    slots: list[int | None] = []

    def memory(shape: tuple[int, ...]) -> torch.Tensor:
        images, slot = shared.take(1, shape)
        slots.append(slot)
        return images

    return Parcel(collate([sample(shade, side)], memory), 1, slots[0])  # type: ignore[arg-type]


def test_a_slot_is_taken_until_its_batch_is_gone() -> None:
    shared = SharedImages(2)
    first = made(shared, 1)
    assert first.slot == 0 and first.batch.images.is_shared()
    opened = shared.open(first)
    del first
    assert made(shared, 2).slot == 1
    address = opened.images.data_ptr()
    del opened
    gc.collect()
    again = made(shared, 3)
    assert again.slot == 0 and again.batch.images.data_ptr() == address


@pytest.mark.parametrize("view", [lambda x: x[0, 1], lambda x: x.permute(1, 2, 3, 0).flatten()[:1]])
def test_a_view_of_the_images_keeps_their_slot(view) -> None:
    shared = SharedImages(2)
    kept = view(shared.open(made(shared, 7)).images)
    gc.collect()
    for shade in range(20, 30):
        shared.open(made(shared, shade))
    assert (kept == 7).all()


def test_without_a_free_slot_a_batch_has_memory_of_its_own() -> None:
    shared = SharedImages(2)
    held = [shared.open(made(shared, shade)) for shade in range(SLOTS + 2)]
    assert [int(one.images.max()) for one in held] == list(range(SLOTS + 2))
    assert made(shared, 9).slot is None


def test_a_slot_grows_with_the_batches_and_a_smaller_one_fits_in() -> None:
    shared = SharedImages(2)
    for side in (4, 32, 8):
        parcel = made(shared, side, side)
        assert parcel.slot == 0 and parcel.batch.images.shape == (1, 3, side, side)
        assert (shared.open(parcel).images == side).all()
        del parcel


def test_a_copy_frees_its_slot_at_once() -> None:
    shared = SharedImages(2)
    parcel = made(shared, 5)
    copy = Batch(parcel.batch.images.clone(), parcel.batch.targets, ("5.jpg",), parcel.batch.maps)
    held = shared.open(Parcel(copy, 1, parcel.slot, copied=True))
    assert made(shared, 6).slot == 0
    assert (held.images == 5).all()


def test_a_slot_is_freed_whatever_torch_is_doing() -> None:
    shared = SharedImages(2)
    opened = shared.open(made(shared, 1))
    with FakeTensorMode():
        del opened
        gc.collect()
    assert made(shared, 2).slot == 0


@pytest.mark.parametrize("error", [DataError, RuntimeError])
def test_a_batch_that_fails_frees_its_slot(
    error: type[Exception], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(samples: object, memory: Callable[[tuple[int, ...]], torch.Tensor]) -> Batch:
        memory((1, 3, 4, 4))
        raise error("no batch")

    shared = SharedImages(2)
    with monkeypatch.context() as patch:
        patch.setattr(workers, "collate", fail)
        for _ in range(2):
            with pytest.raises(DataError, match="no batch"):
                packed([sample(1)], shared, 1)
    assert packed([sample(1)], shared, 1).slot == 0


@pytest.mark.slow
def test_batches_that_are_dropped_or_kept_are_those_of_one_process() -> None:
    def stream(workers: int):
        dataset = SyntheticFaces(0, 12, 64, (8, 40))
        return train_stream(
            dataset, [SquareCrop(48), Flip()], 4, 3, workers=workers, sides=[32, 64]
        )

    expected = list(itertools.islice(stream(0), 24))
    kept = []
    for number, (batch, own) in enumerate(zip(stream(2), expected, strict=False)):
        assert torch.equal(batch.images, own.images)
        if number % 5 == 0:
            kept.append((batch, own))
    assert len(kept) == 5
    assert all(torch.equal(batch.images, own.images) for batch, own in kept)

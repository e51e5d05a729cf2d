"""The cache of decoded photographs: the same pixels, once per machine, and never half of them."""

from __future__ import annotations

import itertools
import logging
import multiprocessing
import os
import re
import signal
from pathlib import Path

import numpy as np
import pytest
import torch

from facezoo.data.datasets.annotated_images import AnnotatedImages, Annotations
from facezoo.data.datasets.combined import Concat, Subset
from facezoo.data.images import read_image, write_image
from facezoo.data.loading import cache as cache_module
from facezoo.data.loading.cache import FILE_NAME, MEMORY, ImageCache
from facezoo.data.loading.loader import train_stream, val_batches
from facezoo.data.loading.reading import PLAIN_READING, Reading, open_reading
from facezoo.data.transforms import (
    HSV,
    Albumentations,
    ColorJitter,
    Flip,
    Letterbox,
    Mosaic,
    RandomPerspective,
    SquareCrop,
    Transform,
)
from facezoo.errors import ConfigError, DataError
from facezoo.structures import Batch, Sample

COUNT, SIZE_HW = 6, (40, 64)
BYTES = SIZE_HW[0] * SIZE_HW[1] * 3
FORK = multiprocessing.get_context("fork")


@pytest.fixture
def paths(tmp_path: Path) -> list[Path]:
    """Names of photographs of different noise."""
    found = [tmp_path / "images" / f"{number}.jpg" for number in range(COUNT)]
    for number, path in enumerate(found):
        noise = np.random.default_rng(number).integers(0, 256, (*SIZE_HW, 3), dtype=np.uint8)
        write_image(path, noise)
    return found


@pytest.fixture(params=[MEMORY, "folder"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    return MEMORY if request.param == MEMORY else str(tmp_path / "cache")


@pytest.fixture
def decoded(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Names the photographs that the cache had to decode."""
    names: list[str] = []

    def read(path: Path) -> np.ndarray:
        names.append(path.name)
        return read_image(path)

    monkeypatch.setattr(cache_module, "read_image", read)
    return names


def dataset_of(paths: list[Path]) -> AnnotatedImages:
    boxes = np.tile([8.0, 8, 40, 32], (len(paths), 1))
    annotations = Annotations(
        [path.name for path in paths],
        np.arange(len(paths) + 1),
        boxes,
        np.zeros(len(paths), bool),
        np.full((len(paths), 5, 2), np.nan, np.float32),
    )
    return AnnotatedImages(paths[0].parent, annotations, Path("faces.txt"))


def said(caplog: pytest.LogCaptureFixture) -> str:
    """Returns the only line of the log."""
    (record,) = caplog.records
    return record.getMessage()


def test_a_photograph_is_decoded_once(paths: list[Path], place: str, decoded: list[str]) -> None:
    cache = ImageCache(place, 2**20)
    first, again = ([cache.read(path) for path in paths] for _ in range(2))
    assert decoded == [path.name for path in paths]
    for path, one, other in zip(paths, first, again, strict=True):
        assert np.array_equal(one, read_image(path)) and np.array_equal(other, one)
    assert cache.used == COUNT * BYTES and not cache.full
    for image in (first[0], again[0], PLAIN_READING.image(paths[0])):
        with pytest.raises(ValueError, match="read-only"):
            image[0] = 0


def test_a_photograph_that_changed_is_decoded_again(paths: list[Path], place: str) -> None:
    cache = ImageCache(place, 2**20)
    cache.read(paths[0])
    write_image(paths[0], np.full((8, 9, 3), 77, np.uint8))
    assert cache.read(paths[0]).shape == (8, 9, 3)
    before = os.stat(paths[1])
    cache.read(paths[1])
    other = paths[1].read_bytes()[::-1]
    paths[1].write_bytes(other)  # of the same size
    os.utime(paths[1], ns=(before.st_atime_ns, before.st_mtime_ns + 1))
    with pytest.raises(DataError, match="cannot be decoded"):
        cache.read(paths[1])


def test_a_missing_photograph_says_so(paths: list[Path], place: str) -> None:
    cache = ImageCache(place, 2**20)
    cache.read(paths[0])
    paths[0].unlink()
    with pytest.raises(DataError, match=r"0\.jpg does not exist"):
        cache.read(paths[0])


def test_beyond_the_limit_photographs_are_decoded_each_time(
    paths: list[Path], place: str, decoded: list[str], caplog: pytest.LogCaptureFixture
) -> None:
    cache = ImageCache(place, 2 * BYTES + 5)
    dataset, reading = dataset_of(paths), Reading(cache)
    plain = list(val_batches(dataset, [], 2))
    with caplog.at_level(logging.WARNING):
        for _ in range(2):
            batches = list(val_batches(dataset, [], 2, reading=reading))
            assert all(torch.equal(a.images, b.images) for a, b in zip(batches, plain, strict=True))
    assert cache.used == 2 * BYTES and cache.full
    assert len(decoded) == COUNT + COUNT - 2
    told = said(caplog)
    assert re.match(r"The cache of decoded images in .* is full \(0\.0 of 0\.0 MiB\)", told)


def test_many_small_photographs_fill_the_index(
    paths: list[Path], place: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cache_module, "LEAST_SLOTS", 4)
    cache = ImageCache(place, 20_000 * 4)
    for path in paths * 2:
        assert np.array_equal(cache.read(path), read_image(path))
    assert cache.full and cache.used < COUNT * BYTES


def test_a_folder_serves_a_second_run(
    paths: list[Path], tmp_path: Path, decoded: list[str]
) -> None:
    first = ImageCache(tmp_path / "cache", 3 * BYTES)
    images = [first.read(path) for path in paths]
    assert first.full
    decoded.clear()
    second = ImageCache(tmp_path / "cache", COUNT * BYTES)
    assert not second.full
    again = [second.read(path) for path in paths]
    assert decoded == [path.name for path in paths[3:]] and second.used == COUNT * BYTES
    assert all(np.array_equal(a, b) for a, b in zip(images, again, strict=True))
    # The first does not see what lies behind its own limit, and decodes it.
    assert np.array_equal(first.read(paths[-1]), images[-1])


def test_processes_that_fill_it_together_keep_each_photograph_once(
    paths: list[Path], place: str
) -> None:
    cache = ImageCache(place, 2**20)
    barrier = FORK.Barrier(4)

    def fill(seed: int) -> None:
        barrier.wait()
        for number in np.random.default_rng(seed).permutation(COUNT):
            assert np.array_equal(cache.read(paths[number]), read_image(paths[number]))

    processes = [FORK.Process(target=fill, args=[seed]) for seed in range(4)]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    assert [process.exitcode for process in processes] == [0] * 4
    assert cache.used == COUNT * BYTES
    for path in paths:
        assert np.array_equal(cache.read(path), read_image(path))


def test_a_process_killed_while_it_writes_leaves_nothing_that_is_served(
    paths: list[Path], place: str
) -> None:
    cache = ImageCache(place, 2**20)

    def die() -> None:
        def half(data: memoryview, offset: int) -> None:
            os.pwrite(cache._file.fileno(), data[: BYTES // 2], offset)
            os.kill(os.getpid(), signal.SIGKILL)

        cache._file.write = half  # type: ignore[method-assign]
        cache.read(paths[0])

    process = FORK.Process(target=die)
    process.start()
    process.join()
    assert process.exitcode == -signal.SIGKILL
    assert cache.used == 0
    for path in [paths[0], *paths]:
        assert np.array_equal(cache.read(path), read_image(path))
    assert cache.used == COUNT * BYTES


def test_a_full_disk_is_no_more_than_a_full_cache(
    paths: list[Path],
    place: str,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    def refuse(*_: object) -> int:
        raise OSError(28, "No space left on device")

    cache = ImageCache(place, 2**20)
    with monkeypatch.context() as patch:
        patch.setattr(os, "pwrite", refuse)
        for path in paths:
            assert np.array_equal(cache.read(path), read_image(path))
    assert cache.full and cache.used == 0
    cache.read(paths[0])  # it is not tried again and again
    assert cache.used == 0
    with caplog.at_level(logging.WARNING):
        cache.tell_if_full()
    assert re.match(
        r"No more decoded images can be written to .*, which has 0\.0 MiB", said(caplog)
    )
    if place != MEMORY:  # a later run, with room on the disk
        cache = ImageCache(place, 2**20)
        for path in paths:
            cache.read(path)
        assert cache.used == COUNT * BYTES and not cache.full


def test_memory_is_given_back_with_the_cache(paths: list[Path]) -> None:
    cache = ImageCache(MEMORY, 2**20)
    cache.read(paths[0])
    file = cache._file.fileno()
    del cache
    with pytest.raises(OSError, match="Bad file"):
        os.fstat(file)


def test_a_file_of_something_else_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / FILE_NAME).write_bytes(b"a diary, " * 1000)
    with pytest.raises(DataError, match=r"is no cache of decoded images of this version; remove"):
        ImageCache(tmp_path, 2**20)
    assert (tmp_path / FILE_NAME).read_bytes().startswith(b"a diary, a diary")


def test_a_folder_that_cannot_be_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(DataError, match=r"cannot be opened \(.*\); give data.cache a folder"):
        ImageCache(tmp_path / "file", 2**20)


@pytest.mark.parametrize(("limit", "found"), [(10**6, 10**6), ("2KB", 2000), ("1.5 MiB", 1572864)])
def test_a_limit_is_a_number_of_bytes(limit: int | str, found: int, tmp_path: Path) -> None:
    cache = open_reading(str(tmp_path), limit).cache
    assert cache is not None and cache.limit == found


@pytest.mark.parametrize("limit", [0, -5, "much", "8 bananas"])
def test_a_limit_that_is_none_is_one_sentence(limit: int | str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"^data.cache_limit is .*; give a number of bytes"):
        open_reading(str(tmp_path), limit)


def stream(dataset: AnnotatedImages, reading: Reading, **options: object) -> list[Batch]:
    transforms = [Mosaic(96), SquareCrop(32), Flip()]
    batches = train_stream(dataset, transforms, 4, 3, reading=reading, **options)  # type: ignore[arg-type]
    return list(itertools.islice(batches, 6))


@pytest.mark.parametrize(
    "workers", [0, pytest.param(1, marks=pytest.mark.slow), pytest.param(4, marks=pytest.mark.slow)]
)
@pytest.mark.filterwarnings("ignore:This DataLoader will create 4 worker processes")
@pytest.mark.parametrize("limit", [2**20, 3 * BYTES])
def test_samples_are_the_same_with_a_cache(
    paths: list[Path], place: str, workers: int, limit: int
) -> None:
    dataset = dataset_of(paths)
    plain = stream(dataset, Reading())
    cache = ImageCache(place, limit)
    for _ in range(2):
        for batch, own in zip(stream(dataset, Reading(cache), workers=workers), plain, strict=True):
            assert batch.ids == own.ids and torch.equal(batch.images, own.images)
            assert torch.equal(batch.targets.boxes, own.targets.boxes)
    assert 0 < cache.used <= min(limit, COUNT * BYTES)


@pytest.mark.slow
def test_spawned_workers_fill_the_same_cache(paths: list[Path], place: str) -> None:
    dataset, cache = dataset_of(paths), ImageCache(place, 2**20)
    plain = stream(dataset, Reading())
    batches = stream(dataset, Reading(cache), workers=2, start_method="spawn")
    assert all(torch.equal(a.images, b.images) for a, b in zip(batches, plain, strict=True))
    assert cache.used == COUNT * BYTES


def test_joined_data_sets_read_through_the_cache(
    paths: list[Path], place: str, decoded: list[str]
) -> None:
    cache = ImageCache(place, 2**20)
    dataset = Concat([Subset(dataset_of(paths), ["2.jpg", "0.jpg"])])
    for index, name in enumerate(["2.jpg", "0.jpg"]):
        sample = dataset.sample(index, cache.read)
        assert sample.image_id == name and np.array_equal(sample.image, dataset[index].image)
    assert decoded == ["2.jpg", "0.jpg"]


def test_a_transform_that_writes_in_place_fails_alike_with_and_without_a_cache(
    paths: list[Path],
) -> None:
    class Erase(Transform):
        def __call__(self, sample: Sample, generator: np.random.Generator) -> Sample:
            sample.image[:8] = 0
            return sample

    for reading in (PLAIN_READING, cached := Reading(ImageCache(MEMORY, 2**20)), cached):
        with pytest.raises(ValueError, match="read-only"):
            list(val_batches(dataset_of(paths), [Erase()], 2, reading=reading))


@pytest.mark.parametrize(
    "transform",
    [
        SquareCrop(24),
        Letterbox(24),
        RandomPerspective(24),
        Flip(1.0),
        HSV(),
        ColorJitter(p=1.0),
        Albumentations("ColorJitter", p=1.0),
        Albumentations("CoarseDropout", p=1.0),
        Albumentations("Affine", p=1.0, rotate=20),
        Albumentations("MotionBlur", p=1.0),
    ],
)
def test_every_transform_takes_an_image_of_the_cache_and_leaves_it(
    paths: list[Path], transform: Transform
) -> None:
    dataset, cache = dataset_of(paths), ImageCache(MEMORY, 2**20)
    for _ in range(2):
        cached = transform(dataset.sample(0, cache.read), np.random.default_rng(1))
        plain = transform(dataset[0], np.random.default_rng(1))
        assert np.array_equal(cached.image, plain.image)
    assert np.array_equal(cache.read(paths[0]), read_image(paths[0]))

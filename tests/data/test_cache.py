"""The cache of decoded photographs: the same pixels, once per machine, and never half of them."""

from __future__ import annotations

import itertools
import logging
import multiprocessing
import os
import re
import signal
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from facezoo.config.config import load_config
from facezoo.config.sections import cache_bytes
from facezoo.data import images
from facezoo.data.datasets.annotated_images import AnnotatedImages, Annotations
from facezoo.data.datasets.combined import Concat, Subset
from facezoo.data.images import read_image, read_only_image, write_image
from facezoo.data.loading.cache import ImageCache
from facezoo.data.loading.loader import train_stream, val_batches
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
FILE_BYTES = SIZE_HW[0] * SIZE_HW[1] * 3 + 132
FORK = multiprocessing.get_context("fork")


@pytest.fixture
def paths(tmp_path: Path) -> list[Path]:
    """Names of photographs of different noise."""
    found = [tmp_path / "images" / f"{number}.jpg" for number in range(COUNT)]
    for number, path in enumerate(found):
        noise = np.random.default_rng(number).integers(0, 256, (*SIZE_HW, 3), dtype=np.uint8)
        write_image(path, noise)
    return found


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "cache"


@pytest.fixture
def decoded(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Names the photographs that the cache had to decode."""
    names: list[str] = []

    def read(path: Path) -> np.ndarray:
        names.append(path.name)
        return read_image(path)

    monkeypatch.setattr(images, "read_image", read)
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


def warning(cache: ImageCache, caplog: pytest.LogCaptureFixture) -> str:
    """Returns what the cache warns of, which it has to do once."""
    caplog.clear()
    with caplog.at_level(logging.WARNING):
        cache.warn_if_stopped()
        cache.warn_if_stopped()
    return "\n".join(caplog.messages)


def files(folder: Path) -> int:
    """Returns how many photographs a cache has; nothing else may lie there."""
    assert all(one.suffix == ".npy" for one in folder.iterdir())
    return len(list(folder.iterdir()))


def check(cache: ImageCache, paths: list[Path]) -> None:
    for path in paths:
        assert np.array_equal(cache.read(path), read_image(path))


def test_a_photograph_is_decoded_once(paths: list[Path], folder: Path, decoded: list[str]) -> None:
    cache = ImageCache(folder, 2**20)
    first, again = ([cache.read(path) for path in paths] for _ in range(2))
    assert decoded == [path.name for path in paths]
    for path, one, other in zip(paths, first, again, strict=True):
        assert np.array_equal(one, read_image(path)) and np.array_equal(other, one)
    assert files(folder) == COUNT
    for image in (first[0], again[0], read_only_image(paths[0])):
        assert type(image) is np.ndarray
        with pytest.raises(ValueError, match="read-only"):
            image[0] = 0


def test_a_photograph_that_changed_is_decoded_again(paths: list[Path], folder: Path) -> None:
    cache = ImageCache(folder, 2**20)
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


def test_a_missing_photograph_says_so(paths: list[Path], folder: Path) -> None:
    cache = ImageCache(folder, 2**20)
    cache.read(paths[0])
    paths[0].unlink()
    with pytest.raises(DataError, match=r"0\.jpg does not exist"):
        cache.read(paths[0])


def test_beyond_the_limit_photographs_are_decoded_each_time(
    paths: list[Path], folder: Path, decoded: list[str], caplog: pytest.LogCaptureFixture
) -> None:
    cache = ImageCache(folder, 2 * FILE_BYTES + 5)
    dataset = dataset_of(paths)
    plain = list(val_batches(dataset, [], 2))
    decoded.clear()
    with caplog.at_level(logging.WARNING):
        for _ in range(2):
            batches = list(val_batches(dataset, [], 2, cache=cache))
            assert all(torch.equal(a.images, b.images) for a, b in zip(batches, plain, strict=True))
    assert files(folder) == 2
    assert len(decoded) == COUNT + COUNT - 2
    (message,) = caplog.messages
    assert re.match(r"The cache of decoded images in .* is full \(0\.0 MiB\)", message)


def test_a_single_large_photograph_does_not_fill_a_cache(
    tmp_path: Path, paths: list[Path], folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    write_image(tmp_path / "large.png", np.zeros((200, 200, 3), np.uint8))
    cache = ImageCache(folder, 100_000)
    check(cache, [tmp_path / "large.png", paths[0]])
    assert files(folder) == 1 and not warning(cache, caplog)


def test_a_folder_serves_a_second_run(paths: list[Path], folder: Path, decoded: list[str]) -> None:
    check(ImageCache(folder, 3 * FILE_BYTES), paths)
    decoded.clear()
    check(ImageCache(folder, COUNT * FILE_BYTES), paths)
    assert decoded == [path.name for path in paths[3:]] and files(folder) == COUNT


def in_processes(target: Callable[[int], None], count: int) -> list[int | None]:
    """Runs a function in forked processes at once; returns how they ended."""
    processes = [FORK.Process(target=target, args=[number]) for number in range(count)]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    return [process.exitcode for process in processes]


@pytest.mark.parametrize("limit", [2**20, 4 * FILE_BYTES])
def test_processes_fill_it_together(paths: list[Path], folder: Path, limit: int) -> None:
    cache, barrier = ImageCache(folder, limit), FORK.Barrier(4)

    def fill(seed: int) -> None:
        barrier.wait()
        check(cache, [paths[one] for one in np.random.default_rng(seed).permutation(COUNT)])

    assert in_processes(fill, 4) == [0] * 4
    assert files(folder) == COUNT if limit == 2**20 else files(folder) >= 4
    check(cache, paths)


def test_a_process_killed_while_it_writes_leaves_nothing_that_is_served(
    paths: list[Path], folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache = ImageCache(folder, 2**20)

    def die(_: int) -> None:
        monkeypatch.setattr(Path, "replace", lambda *_: os.kill(os.getpid(), signal.SIGKILL))
        cache.read(paths[0])

    assert in_processes(die, 1) == [-signal.SIGKILL]
    assert [one.suffix for one in folder.iterdir()] == [".part"]
    check(cache, paths)
    assert len(list(folder.glob("*.npy"))) == COUNT


def test_a_damaged_file_is_decoded_anew_and_replaced(
    paths: list[Path], folder: Path, decoded: list[str]
) -> None:
    check(ImageCache(folder, 2**20), paths[:1])
    (file,) = folder.iterdir()
    whole = file.read_bytes()
    shape = whole.index(b"(40, 64, 3)")
    for damaged in (
        b"",
        b"PK\x03\x04",
        whole[:-1],
        whole[:200],
        whole[:150] + bytes(len(whole) - 150),
        whole[:shape] + b"(64, 40, 3)" + whole[shape + 11 :],
        whole + b"more",
    ):
        file.write_bytes(damaged)
        decoded.clear()
        cache = ImageCache(folder, 2**20)
        check(cache, paths[:1] * 2)
        assert len(decoded) == 1 and file.read_bytes() == whole
    file.write_bytes(whole[:300])  # after it was checked
    check(cache, paths[:1])


def test_a_full_disk_is_no_more_than_a_full_cache(
    paths: list[Path],
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    def refuse(*_: object) -> None:
        raise OSError(28, "No space left on device")

    cache = ImageCache(folder, 2**20)
    with monkeypatch.context() as patch:
        patch.setattr(Path, "replace", refuse)
        check(cache, paths)
    check(cache, paths)  # it is not tried again and again
    assert files(folder) == 0
    assert warning(cache, caplog).startswith("No more decoded images can be written to ")
    check(ImageCache(folder, 2**20), paths)  # a later run, with room on the disk
    assert files(folder) == COUNT


def test_a_folder_that_goes_away_is_no_error(paths: list[Path], folder: Path) -> None:
    cache = ImageCache(folder, 2**20)
    folder.rmdir()
    check(cache, paths)


def test_a_folder_that_cannot_be_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(DataError, match=r"cannot be made \(.*\); give data.cache a folder"):
        ImageCache(tmp_path / "file", 2**20)


def test_a_folder_in_the_home_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    ImageCache("~/kept", 2**20)
    assert (tmp_path / "kept").is_dir()


def test_memory_is_gone_and_an_empty_folder_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"^data\.cache: memory is gone; .*=/dev/shm/"):
        ImageCache("memory", 2**30)
    for place in ("", " "):
        with pytest.raises(ConfigError, match=r"data\.cache is empty; give a folder, or null"):
            load_config({"data": {"cache": place}})


@pytest.mark.parametrize(("limit", "found"), [(10**6, 10**6), ("2KB", 2000), ("1.5 MiB", 1572864)])
def test_a_limit_is_a_number_of_bytes(limit: int | str, found: int) -> None:
    assert cache_bytes(limit) == found


@pytest.mark.parametrize("limit", [0, -5, "much", "8 bananas"])
def test_a_limit_that_is_none_is_one_sentence(limit: int | str) -> None:
    with pytest.raises(ConfigError, match=r"^data.cache_limit is .*; give a number of bytes"):
        cache_bytes(limit)


def stream(dataset: AnnotatedImages, cache: ImageCache | None, **options: object) -> list[Batch]:
    transforms = [Mosaic(96), SquareCrop(32), Flip()]
    batches = train_stream(dataset, transforms, 4, 3, cache=cache, **options)  # type: ignore[arg-type]
    return list(itertools.islice(batches, 6))


@pytest.mark.parametrize(
    "workers", [0, pytest.param(1, marks=pytest.mark.slow), pytest.param(4, marks=pytest.mark.slow)]
)
@pytest.mark.filterwarnings("ignore:This DataLoader will create 4 worker processes")
@pytest.mark.parametrize("limit", [2**20, 3 * FILE_BYTES])
def test_samples_are_the_same_with_a_cache(
    paths: list[Path], folder: Path, workers: int, limit: int
) -> None:
    dataset = dataset_of(paths)
    plain = stream(dataset, None)
    cache = ImageCache(folder, limit)
    for _ in range(2):
        for batch, own in zip(stream(dataset, cache, workers=workers), plain, strict=True):
            assert batch.ids == own.ids and torch.equal(batch.images, own.images)
            assert torch.equal(batch.targets.boxes, own.targets.boxes)
    room = COUNT if limit == 2**20 else 3
    # Processes that fill the last of the limit at once may exceed it, by one file each.
    assert room <= files(folder) <= min(COUNT, room + max(0, workers - 1))


@pytest.mark.slow
def test_spawned_workers_fill_the_same_cache(paths: list[Path], folder: Path) -> None:
    dataset, cache = dataset_of(paths), ImageCache(folder, 2**20)
    plain = stream(dataset, None)
    batches = stream(dataset, cache, workers=2, start_method="spawn")
    assert all(torch.equal(a.images, b.images) for a, b in zip(batches, plain, strict=True))
    assert files(folder) == COUNT


def test_joined_data_sets_read_through_the_cache(
    paths: list[Path], folder: Path, decoded: list[str]
) -> None:
    cache = ImageCache(folder, 2**20)
    dataset = Concat([Subset(dataset_of(paths), ["2.jpg", "0.jpg"])])
    for index, name in enumerate(["2.jpg", "0.jpg"]):
        sample = dataset.sample(index, cache.read)
        assert sample.image_id == name and np.array_equal(sample.image, dataset[index].image)
    assert decoded == ["2.jpg", "0.jpg"]


def test_a_transform_that_writes_in_place_fails_alike_with_and_without_a_cache(
    paths: list[Path], folder: Path
) -> None:
    class Erase(Transform):
        def __call__(self, sample: Sample, generator: np.random.Generator) -> Sample:
            sample.image[:8] = 0
            return sample

    for cache in (None, cached := ImageCache(folder, 2**20), cached):
        with pytest.raises(ValueError, match="read-only"):
            list(val_batches(dataset_of(paths), [Erase()], 2, cache=cache))


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
    paths: list[Path], folder: Path, transform: Transform
) -> None:
    dataset, cache = dataset_of(paths), ImageCache(folder, 2**20)
    for _ in range(2):
        cached = transform(dataset.sample(0, cache.read), np.random.default_rng(1))
        plain = transform(dataset[0], np.random.default_rng(1))
        assert np.array_equal(cached.image, plain.image)
    assert np.array_equal(cache.read(paths[0]), read_image(paths[0]))

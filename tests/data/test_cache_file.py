"""The file of the cache: what cuts, copies, full disks and other holders of it may do to it."""

from __future__ import annotations

import fcntl
import logging
import multiprocessing
import os
import shutil
from pathlib import Path

import numpy as np
import pytest

from facezoo.config.config import load_config
from facezoo.data.images import read_image, write_image
from facezoo.data.loading import cache as cache_module
from facezoo.data.loading.cache import FILE_NAME, MEMORY, ImageCache
from facezoo.data.loading.shared_file import SharedFile
from facezoo.errors import ConfigError, DataError

COUNT, SIZE_HW = 5, (40, 64)
BYTES = SIZE_HW[0] * SIZE_HW[1] * 3
FORK = multiprocessing.get_context("fork")


@pytest.fixture
def paths(tmp_path: Path) -> list[Path]:
    """Names of photographs of different noise."""
    found = [tmp_path / "images" / f"{number}.png" for number in range(COUNT)]
    for number, path in enumerate(found):
        noise = np.random.default_rng(number).integers(0, 256, (*SIZE_HW, 3), dtype=np.uint8)
        write_image(path, noise)
    return found


@pytest.fixture(params=[MEMORY, "folder"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    return MEMORY if request.param == MEMORY else str(tmp_path / "cache")


def filled(folder: Path, paths: list[Path], limit: int = 2**20) -> tuple[Path, int]:
    """Fills a cache; returns its file and where in it the pixels begin."""
    cache = ImageCache(folder, limit)
    for path in paths:
        cache.read(path)
    assert cache.used == len(paths) * BYTES
    return folder / FILE_NAME, cache._start


def told(cache: ImageCache, caplog: pytest.LogCaptureFixture) -> str:
    """Returns what the cache says, which it has to say once."""
    caplog.clear()
    with caplog.at_level(logging.WARNING):
        cache.tell_if_full()
        cache.tell_if_full()
    (record,) = caplog.records
    return record.getMessage()


def test_a_file_that_was_cut_is_refused(tmp_path: Path, paths: list[Path]) -> None:
    whole, start = filled(tmp_path / "whole", paths)
    (tmp_path / "cut").mkdir()
    cut = tmp_path / "cut" / FILE_NAME
    size = whole.stat().st_size
    for length in (1, 8, 24, 4096, 4097, start, start + BYTES, start + COUNT * BYTES, size - 1):
        shutil.copy(whole, cut)
        os.truncate(cut, length)
        with pytest.raises(DataError, match=r"is cut off, .*remove it|is no cache of decoded im"):
            ImageCache(cut.parent, 2**20)
        assert cut.stat().st_size == length
    shutil.copy(whole, cut)
    assert ImageCache(cut.parent, 2**20).used == COUNT * BYTES


@pytest.mark.parametrize("slots", [0, -1, 1 << 60])
def test_an_index_that_cannot_be_is_refused(tmp_path: Path, paths: list[Path], slots: int) -> None:
    file, _ = filled(tmp_path, paths)
    data = bytearray(file.read_bytes())
    data[8:16] = slots.to_bytes(8, "little", signed=True)
    file.write_bytes(data)
    with pytest.raises(DataError, match="is cut off"):
        ImageCache(tmp_path, 2**20)


def test_pixels_that_were_lost_are_decoded_anew(
    tmp_path: Path, paths: list[Path], caplog: pytest.LogCaptureFixture
) -> None:
    file, start = filled(tmp_path / "cache", paths)
    with file.open("r+b") as opened:  # of its full length, but a part never arrived
        opened.seek(start + BYTES + 100)
        opened.write(bytes(2 * BYTES))
    cache = ImageCache(file.parent, 2**20)
    for path in paths * 2:
        assert np.array_equal(cache.read(path), read_image(path))
    assert told(cache, caplog).startswith(f"The cache of decoded images in {file} is damaged")
    assert not cache.full


def test_what_is_written_through_the_map_has_its_blocks(tmp_path: Path, paths: list[Path]) -> None:
    cache = ImageCache(tmp_path / "cache", 2**26)
    status = os.stat(tmp_path / "cache" / FILE_NAME)
    # Or a full disk would end the process by a signal.
    assert cache._start <= status.st_blocks * 512 < status.st_size


@pytest.mark.skipif(not hasattr(os, "posix_fallocate"), reason="needs a system with the call")
def test_no_room_for_the_index_is_one_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "posix_fallocate", refuse)
        with pytest.raises(DataError, match=r"has no room for its index of .* MiB.*No space left"):
            ImageCache(tmp_path, 2**20)
    assert (tmp_path / FILE_NAME).stat().st_size == 0
    assert ImageCache(tmp_path, 2**20).used == 0


@pytest.mark.parametrize("limit", [2**62, 2**80])
def test_a_limit_beyond_every_system_is_one_sentence(place: str, limit: int) -> None:
    with pytest.raises(DataError, match=r"or for its limit of .* MiB .*; lower data.cache_limit"):
        ImageCache(place, limit)


def test_a_single_large_photograph_does_not_fill_a_cache(
    tmp_path: Path, paths: list[Path], place: str, caplog: pytest.LogCaptureFixture
) -> None:
    write_image(tmp_path / "large.png", np.zeros((200, 200, 3), np.uint8))
    cache = ImageCache(place, 100_000)
    cache.read(tmp_path / "large.png")
    assert told(cache, caplog).startswith("An image is larger than the whole cache")
    cache.read(paths[0])
    assert cache.used == BYTES


def test_a_full_index_is_told_apart(
    paths: list[Path],
    place: str,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr(cache_module, "LEAST_SLOTS", 4)
    cache = ImageCache(place, 10 * BYTES)
    for path in paths:
        cache.read(path)
    assert "The index of the cache of decoded images in " in told(cache, caplog)


@pytest.mark.parametrize("limit", [2 * BYTES, BYTES // 2, 2**20])
def test_a_full_cache_takes_no_lock(
    paths: list[Path], place: str, limit: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cache_module, "LEAST_SLOTS", 4)  # which the highest limit fills
    cache = ImageCache(place, limit)
    monkeypatch.setattr(cache_module, "BYTES_PER_SLOT", 1)
    for path in paths[:3] if limit < 2**20 else []:
        cache.read(path)
    if limit == 2**20:
        cache._header["entries"] = len(cache._slots)

    def refuse(_: SharedFile) -> None:
        raise AssertionError("the lock was taken")

    monkeypatch.setattr(SharedFile, "locked", refuse)
    assert np.array_equal(cache.read(paths[4]), read_image(paths[4]))


def is_free(file: SharedFile) -> bool:
    """Returns whether the lock of a file could be taken by way of this very object."""
    try:
        fcntl.flock(file.fileno(), fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    fcntl.flock(file.fileno(), fcntl.LOCK_UN)
    return True


def test_two_caches_of_a_file_exclude_each_other(tmp_path: Path) -> None:
    one, two, third = (ImageCache(tmp_path, 2**20) for _ in range(3))
    assert is_free(two._file)
    with one._file.locked():
        assert not is_free(two._file)
        del third
        assert not is_free(two._file)
    assert is_free(two._file)


def test_a_process_and_its_forked_worker_exclude_each_other(place: str) -> None:
    file = ImageCache(place, 2**20)._file
    real = fcntl.flock

    def expect_locked() -> None:
        fcntl.flock = lambda number, operation: real(number, operation | fcntl.LOCK_NB)
        with pytest.raises(BlockingIOError), file.locked():
            pass

    with file.locked():
        process = FORK.Process(target=expect_locked)
        process.start()
        process.join()
    assert process.exitcode == 0


def test_memory_that_is_passed_on_has_a_lock_of_its_own() -> None:
    class Passed:
        def detach(self) -> int:
            return os.dup(file.fileno())

    file, other = SharedFile(None), SharedFile.__new__(SharedFile)
    other.__setstate__({"path": None, "file": Passed()})
    file.write(memoryview(b"pixels"), 0)
    assert other.read(8) == b"pixels\0\0"
    with file.locked():
        assert not is_free(other)
    assert is_free(other)


def test_a_forked_worker_goes_on_where_the_file_was_removed(
    tmp_path: Path, paths: list[Path]
) -> None:
    cache = ImageCache(tmp_path / "cache", 2**20)
    (tmp_path / "cache" / FILE_NAME).unlink()
    process = FORK.Process(target=cache.read, args=[paths[0]])
    process.start()
    process.join()
    assert process.exitcode == 0 and cache.used == BYTES


def test_a_folder_in_the_home_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    ImageCache("~/kept", 2**20)
    assert (tmp_path / "kept" / FILE_NAME).is_file()


@pytest.mark.parametrize("place", ["", " "])
def test_an_empty_folder_is_one_sentence(place: str) -> None:
    with pytest.raises(ConfigError, match=r"data\.cache is empty; give memory, a folder, or null"):
        load_config({"data": {"cache": place}})

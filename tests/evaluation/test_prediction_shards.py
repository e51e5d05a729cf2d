"""What a cache of predictions writes and reads: every bit, whichever process removes a shard."""

from __future__ import annotations

import os
import uuid
from pathlib import Path

import numpy as np
import pytest

from facezoo.errors import DataError
from facezoo.evaluation import prediction_cache
from facezoo.evaluation.prediction_cache import PredictionCache
from facezoo.structures import Faces


def one_face(number: int) -> Faces:
    return Faces(np.full((1, 4), number, np.float32), np.ones(1, np.float32))


def keep(folder: Path, found: dict[str, Faces], file: Path) -> PredictionCache:
    if not file.exists():
        file.touch()
    cache = PredictionCache(folder, {}, dict.fromkeys(found, file))
    cache.add(found)
    cache.write()
    return cache


def test_the_faces_of_another_folder_are_not_served(tmp_path: Path) -> None:
    """Two data sets whose photographs have the same ids, sizes and times."""
    files = [tmp_path / name / "0.png" for name in ("a", "b")]
    for path in files:
        path.parent.mkdir()
        path.write_bytes(path.parent.name.encode())
        os.utime(path, (1e9, 1e9))
    keep(tmp_path / "kept", {"0.png": one_face(1)}, files[0])
    assert PredictionCache(tmp_path / "kept", {}, {"0.png": files[1]}).read() == {}
    back = PredictionCache(tmp_path / "kept", {}, {"0.png": files[0]}).read()
    assert back["0.png"].boxes.tobytes() == one_face(1).boxes.tobytes()


@pytest.mark.parametrize("names", ["rising", "falling"])
def test_of_two_shards_the_later_one_counts(
    names: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    numbers = list(range(100)) if names == "rising" else list(range(100))[::-1]
    monkeypatch.setattr(prediction_cache.uuid, "uuid4", lambda: uuid.UUID(int=numbers.pop(0)))
    for seed in range(5):
        cache = keep(tmp_path / "kept", {"a": one_face(seed)}, tmp_path / "a.png")
    assert cache.read()["a"].boxes.tobytes() == one_face(4).boxes.tobytes()
    last = max(cache.folder.glob("*.npz"))
    last.write_bytes(last.read_bytes()[:99])
    assert cache.read()["a"].boxes.tobytes() == one_face(3).boxes.tobytes()


@pytest.mark.parametrize("damaged", [False, True])
def test_a_shard_that_another_process_removes_is_not_known(
    damaged: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache = keep(tmp_path / "kept", {"a": one_face(1)}, tmp_path / "a.png")
    (shard,) = cache.folder.glob("*.npz")
    read_bytes = Path.read_bytes

    def while_read(path: Path) -> bytes:
        data = read_bytes(path)[:99] if damaged else b""
        path.unlink()
        return data if damaged else read_bytes(path)

    monkeypatch.setattr(Path, "read_bytes", while_read)
    assert cache.read() == {} and not shard.exists()


def test_a_shard_that_may_not_be_read_is_a_sentence(tmp_path: Path) -> None:
    cache = keep(tmp_path / "kept", {"a": one_face(1)}, tmp_path / "a.png")
    (cache.folder / "a_folder.npz").mkdir()
    with pytest.raises(DataError, match=r"a_folder\.npz in the cache .* cannot be read"):
        cache.read()


def test_every_bit_of_any_faces_comes_back(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    found = {}
    for number, image_id in enumerate(["a/b.jpg", "broken\udcff.jpg", "ünï", "none", "points"]):
        count = 0 if image_id == "none" else number + 1
        boxes = rng.normal(0, 1e4, (count, 4)).astype(np.float32)
        landmarks = rng.normal(0, 1e-9, (count, 5, 2)).astype(np.float32)
        landmarks[::2, 0] = np.nan
        has = image_id in ("none", "points", "a/b.jpg")
        found[image_id] = Faces(boxes, rng.random(count, np.float32), landmarks if has else None)
    file = tmp_path / "one.jpg"
    file.touch()
    cache = PredictionCache(tmp_path, {"protocol": "vga"}, dict.fromkeys(found, file))
    cache.add(found)
    cache.write()
    back = PredictionCache(tmp_path, {"protocol": "vga"}, dict.fromkeys(found, file)).read()
    assert back.keys() == found.keys()
    for image_id, faces in found.items():
        for name in ("boxes", "scores", "landmarks"):
            one, other = getattr(faces, name), getattr(back[image_id], name)
            assert (one is None) == (other is None)
            if one is not None:
                assert one.dtype == other.dtype == np.float32 and one.tobytes() == other.tobytes()
                assert other.base is None or other.base.size == other.size
    assert PredictionCache(tmp_path, {"protocol": "x"}, dict.fromkeys(found, file)).read() == {}


def test_any_number_of_landmarks_comes_back(tmp_path: Path) -> None:
    points = np.random.default_rng(0).normal(size=(3, 98, 2)).astype(np.float32)
    found = {
        "none": Faces(np.zeros((0, 4), np.float32), np.zeros(0, np.float32), points[:0]),
        "some": Faces(np.zeros((3, 4), np.float32), np.ones(3, np.float32), points),
        "without": Faces(np.zeros((2, 4), np.float32), np.ones(2, np.float32)),
    }
    back = keep(tmp_path / "kept", found, tmp_path / "a.png").read()
    assert np.array_equal(back["some"].landmarks, points) and back["without"].landmarks is None
    assert back["none"].landmarks.shape == (0, 98, 2)

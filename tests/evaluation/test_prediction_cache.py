"""A second look at faces that were found: what is taken, what is looked for again, what is left."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch

from facezoo import version
from facezoo.builder import build_model
from facezoo.data.datasets.synthetic_faces import SyntheticFaces
from facezoo.data.datasets.wider_face import WiderFace
from facezoo.data.images import write_image
from facezoo.errors import ConfigError, DataError
from facezoo.evaluation import prediction_cache
from facezoo.evaluation.evaluate import Report, evaluate
from facezoo.models.face_detector import FaceDetector
from facezoo.structures import Faces
from facezoo.zoo.safe_load import save_tensors

IMAGES = 12
BATCH = 4


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Drawn photographs in the layout of WIDER FACE."""
    drawn = SyntheticFaces(seed=4, num_images=IMAGES, image_size=64, face_sizes=(12, 40))
    lines = []
    for i in range(IMAGES):
        name = f"{i % 2}--Event/{i}.png"
        write_image(tmp_path / "root/WIDER_val/images" / name, drawn[i].image)
        boxes = drawn.truth(i).boxes
        rows = np.column_stack([boxes[:, :2], boxes[:, 2:] - boxes[:, :2]]).tolist()
        lines += [name, str(len(rows)), *(" ".join(map(str, row)) + " 0 0 0 0 0 0" for row in rows)]
        lines += [] if rows else ["0 0 0 0 0 0 0 0 0 0"]
    annotation = tmp_path / "root/wider_face_split/wider_face_val_bbx_gt.txt"
    annotation.parent.mkdir()
    annotation.write_text("\n".join(lines) + "\n")
    return tmp_path / "root"


@pytest.fixture
def weights(tmp_path: Path) -> Path:
    torch.manual_seed(0)
    tensors = {
        name: one.contiguous() for name, one in build_model("tiny_test").state_dict().items()
    }
    save_tensors(tmp_path / "w.safetensors", tensors, {})
    return tmp_path / "w.safetensors"


@pytest.fixture(autouse=True)
def looked(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many photographs were predicted together, each time.

    In place of a network, whose results move by rounding errors with the neighbours in a batch,
    stands one whose results are others altogether where the neighbours are.
    """
    seen: list[int] = []

    def predict(self: FaceDetector, images: torch.Tensor, *_: Any) -> list[Faces]:
        seen.append(len(images))
        return [drawn_lots(int(images.sum()), int(one.sum())) for one in images]

    monkeypatch.setattr(FaceDetector, "predict", predict)
    return seen


def drawn_lots(*seed: int) -> Faces:
    rng = np.random.default_rng(seed)
    count = int(rng.integers(5, 30))
    corner, size = rng.uniform(0, 40, (count, 2)), rng.uniform(8, 24, (count, 2))
    return Faces(
        np.concatenate([corner, corner + size], axis=1).astype(np.float32),
        np.sort(rng.random(count, np.float32))[::-1].copy(),
        (corner[:, None] + size[:, None] * rng.random((count, 5, 2))).astype(np.float32),
    )


@pytest.fixture
def look(root: Path, weights: Path, tmp_path: Path) -> Callable[..., dict[str, Any]]:
    def evaluated(*overrides: str, **options: Any) -> dict[str, Any]:
        given = {"cache": tmp_path / "kept", "batch_size": BATCH, "weights": weights, **options}
        given["report"] = Report(slices=True) if "report" not in options else options["report"]
        return evaluate("tiny_test", data=root, overrides=list(overrides), **given)

    return evaluated


def numbers(results: dict[str, Any]) -> dict[str, Any]:
    depends = ("time/", "from_cache", "device", "threads", "image_sizes")
    return {name: value for name, value in results.items() if not name.startswith(depends)}


def test_a_second_look_says_the_same_without_the_network(
    look: Callable, looked: list[int], tmp_path: Path
) -> None:
    plain = look(cache=None)
    first = look()
    assert looked == [BATCH] * 6 and first["from_cache"] == 0 and "from_cache" not in plain
    second = look(report=Report(slices=True, out=tmp_path / "out"))
    assert len(looked) == 6 and second["from_cache"] == IMAGES
    assert numbers(plain) == numbers(first) == numbers(second)
    assert first["slices/all_faces"] > 10 and first["calibration/predictions"] > 60
    assert "time/detect_ms" in first and not any(name.startswith("time/") for name in second)
    assert (tmp_path / "out" / "report.html").is_file()


def test_other_evaluators_are_given_what_is_kept(look: Callable, looked: list[int]) -> None:
    look()
    only = look("evaluation.evaluators=[{type: RecallBySize, edges: [0, 20]}]", report=Report())
    assert only["recall_by_size/20+_faces"] > 0 and not any("coco" in name for name in only)
    assert only["from_cache"] == IMAGES and len(looked) == 3


@pytest.mark.parametrize(
    "change",
    [
        {"overrides": ["evaluation.nms_thresh=0.3"]},
        {"overrides": ["evaluation.score_thresh=0.03"]},
        {
            "overrides": ["evaluation.protocols.near={views: [long:96], mirror: true}"],
            "protocol": "near",
        },
        {"protocol": "long:96"},
        {"batch_size": 3},
    ],
)
def test_whatever_faces_depend_on_makes_it_look_again(
    change: dict[str, Any], look: Callable, looked: list[int]
) -> None:
    look()
    before = len(looked)
    overrides = change.pop("overrides", [])
    assert look(*overrides, **change)["from_cache"] == 0 and len(looked) > before
    assert look(*overrides, **change)["from_cache"] == IMAGES
    assert look()["from_cache"] == IMAGES  # the first is still there


def test_other_weights_and_other_versions_look_again(
    look: Callable, weights: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    look()
    for module in (version, cv2, np):
        with monkeypatch.context() as patch:
            patch.setattr(module, "__version__", "another")
            assert look()["from_cache"] == 0
    assert look()["from_cache"] == IMAGES
    tensors = {
        name: one.contiguous() for name, one in build_model("tiny_test").state_dict().items()
    }
    save_tensors(weights, tensors, {})
    assert look()["from_cache"] == 0


def test_threads_and_precision_look_again(look: Callable, monkeypatch: pytest.MonkeyPatch) -> None:
    look()
    for name, value in (("num_threads", 61), ("float32_matmul_precision", "medium")):
        with monkeypatch.context() as patch:
            patch.setattr(torch, f"get_{name}", lambda value=value: value)
            assert look()["from_cache"] == 0
    assert look()["from_cache"] == IMAGES


def test_the_name_of_a_protocol_does_not_matter(look: Callable) -> None:
    look(protocol="long:96")
    named = look("evaluation.protocols.near=long:96", protocol="near")
    assert named["from_cache"] == IMAGES
    assert named["protocol"] == "near" and named["protocol_definition"] == "long:96"


def test_a_photograph_that_changed_is_looked_at_with_its_batch(
    look: Callable, looked: list[int], root: Path
) -> None:
    before = look()
    path = root / "WIDER_val/images/1--Event/5.png"
    changed = path.stat().st_mtime_ns + 10**9
    os.utime(path, ns=(changed, changed))
    looked.clear()
    after = look()
    assert looked == [BATCH] and after["from_cache"] == IMAGES - BATCH
    assert numbers(after) == numbers(before) and "time/whole_ms" not in after


def test_an_evaluation_that_is_stopped_goes_on(
    look: Callable, looked: list[int], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(prediction_cache, "SECONDS_PER_SHARD", 0.0)
    whole = look(cache=tmp_path / "other")
    looked.clear()
    counted = FaceDetector.predict

    def stopped(self: FaceDetector, images: torch.Tensor, *rest: Any) -> list[Faces]:
        if len(looked) == 2:
            raise KeyboardInterrupt
        return counted(self, images, *rest)

    with monkeypatch.context() as patch:
        patch.setattr(FaceDetector, "predict", stopped)
        with pytest.raises(KeyboardInterrupt):
            look()
    (folder,) = (tmp_path / "kept").iterdir()
    assert len(list(folder.glob("*.npz"))) == 2
    (folder / ".killed.new").write_bytes(b"half")  # what a kill leaves in the middle of a write
    looked.clear()
    rest = look()
    assert looked == [BATCH] and rest["from_cache"] == 2 * BATCH
    assert numbers(rest) == numbers(whole)


def test_what_is_not_due_is_written_where_it_stops(look: Callable, tmp_path: Path) -> None:
    look()
    (folder,) = (tmp_path / "kept").iterdir()
    assert len(list(folder.glob("*.npz"))) == 1  # it all took less than the period


@pytest.mark.parametrize("damage", ["cut", "flip", "other"])
def test_a_damaged_shard_is_looked_for_again(
    damage: str,
    look: Callable,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr(prediction_cache, "SECONDS_PER_SHARD", 0.0)
    before = look()
    (folder,) = (tmp_path / "kept").iterdir()
    path = sorted(folder.glob("*.npz"))[1]
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 0xFF
    path.write_bytes(
        {"cut": bytes(data[: len(data) // 3]), "flip": bytes(data), "other": b"text"}[damage]
    )
    after = look()
    (line,) = [one for one in caplog.messages if "damaged" in one]
    assert line == f"{path} is damaged and was removed; its photographs are looked at again."
    assert after["from_cache"] == IMAGES - BATCH and numbers(after) == numbers(before)
    assert not path.exists() and look()["from_cache"] == IMAGES


def test_a_subset_is_taken_from_the_whole_and_the_whole_from_subsets(
    look: Callable, root: Path, looked: list[int], tmp_path: Path
) -> None:
    dataset = WiderFace(root, "val")
    names = [dataset.image_id(i) for i in (0, 3, 7)]
    fresh = look(batch_size=1, cache=None, report=Report(names=names))
    look(batch_size=1)
    looked.clear()
    kept = look(batch_size=1, report=Report(names=names))
    assert not looked and kept["from_cache"] == kept["images"] == 3
    assert numbers(kept) == numbers(fresh)
    other = tmp_path / "other"
    look(batch_size=1, cache=other, report=Report(names=names))
    looked.clear()
    assert look(batch_size=1, cache=other)["from_cache"] == 3 and len(looked) == IMAGES - 3


def test_a_folder_that_cannot_be_used_is_said_before_anything_is_computed(
    look: Callable, looked: list[int], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(DataError, match=r"cannot be written to \(Not a directory\); name a folder"):
        look(cache=tmp_path / "file" / "kept")
    look()  # makes the folder, which on a disk that is full cannot be used either
    looked.clear()
    monkeypatch.setattr(os, "fsync", no_space)
    with pytest.raises(DataError, match=r"cannot be written to \(No space left on device\)"):
        look()
    assert looked == []


def no_space(descriptor: int) -> None:
    raise OSError(28, "No space left on device")


def test_a_disk_that_fills_is_said_once_and_the_evaluation_goes_on(
    look: Callable,
    looked: list[int],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr(prediction_cache, "SECONDS_PER_SHARD", 0.0)
    whole = look(cache=tmp_path / "other")
    predict = FaceDetector.predict
    looked.clear()

    def filling(self: FaceDetector, images: torch.Tensor, *rest: Any) -> list[Faces]:
        if len(looked) == 1:
            monkeypatch.setattr(os, "fsync", no_space)
        return predict(self, images, *rest)

    with monkeypatch.context() as patch:
        patch.setattr(FaceDetector, "predict", filling)
        full = look()
    assert numbers(full) == numbers(whole) and looked == [BATCH] * 3
    (line,) = [one for one in caplog.messages if "cannot be written to" in one]
    assert line.endswith("(No space left on device): what is found from now on is not kept.")
    (folder,) = (tmp_path / "kept").iterdir()
    assert len(list(folder.glob("*.npz"))) == 1 and len(list(folder.iterdir())) == 2


def test_what_cannot_be_kept_is_said(look: Callable, root: Path, tmp_path: Path) -> None:
    drawn = SyntheticFaces(num_images=2, image_size=64)
    with pytest.raises(ConfigError, match="SyntheticFaces may be in none"):
        evaluate("tiny_test", data=drawn, weights=tmp_path / "w.safetensors", cache=tmp_path)
    with pytest.raises(ConfigError, match="A cache goes with a model that is not built yet"):
        evaluate(build_model("tiny_test"), data=drawn, cache=tmp_path)
    gone = root / "WIDER_val/images/0--Event/2.png"
    gone.unlink()
    with pytest.raises(DataError, match=r"2\.png cannot be found"):
        look()


KILLED = """
import json, os, signal, sys
import facezoo.evaluation.prediction_cache as prediction_cache
from facezoo.evaluation.evaluate import evaluate
from facezoo.models.face_detector import FaceDetector

prediction_cache.SECONDS_PER_SHARD = 0.0
predict, batches = FaceDetector.predict, []

def killed(self, images, *rest):
    if len(batches) == 2:
        os.kill(os.getpid(), signal.SIGKILL)
    batches.append(images)
    return predict(self, images, *rest)

if len(sys.argv) == 4:
    FaceDetector.predict = killed
root, weights, cache = sys.argv[1:4]
found = evaluate("tiny_test", data=root, weights=weights, cache=cache, batch_size=4,
                 overrides=["evaluation.score_thresh=0.0099"])
print(json.dumps(found))
"""


@pytest.mark.slow
def test_a_process_that_is_killed_goes_on(root: Path, weights: Path, tmp_path: Path) -> None:
    """With the real network, whose results depend on the batches."""

    def run(cache: str, *more: str) -> subprocess.CompletedProcess[str]:
        words = [str(root), str(weights), str(tmp_path / cache), *more]
        environment = {**os.environ, "OMP_NUM_THREADS": "1"}
        return subprocess.run(
            [sys.executable, "-c", KILLED, *words], capture_output=True, text=True, env=environment
        )

    assert run("kept").returncode == -signal.SIGKILL
    rest, whole = run("kept", "on"), run("other", "on")
    lines = [json.loads(one.stdout) for one in (rest, whole)]
    assert [one.pop("from_cache") for one in lines] == [2 * BATCH, 0]
    assert numbers(lines[0]) == numbers(lines[1]) and lines[0]["coco/ap50"] >= 0

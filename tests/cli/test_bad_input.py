"""Each kind of bad input, as a user meets it: one sentence on stderr, exit code 2, nothing lost."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
import yaml

from facezoo.cli import main

ANNOTATION = "wider_face_split/wider_face_train_bbx_gt.txt"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def wider(folder: Path) -> Callable[[str], Path]:
    """Makes a data root of one photograph with the annotation that is given."""

    def make(annotation: str) -> Path:
        picture = folder / "data/WIDER_train/images/0--Parade/a.jpg"
        picture.parent.mkdir(parents=True)
        noise = np.random.default_rng(0).integers(0, 255, (160, 200, 3), dtype=np.uint8)
        cv2.imwrite(str(picture), noise)
        (folder / "data/wider_face_split").mkdir()
        (folder / "data" / ANNOTATION).write_text(annotation)
        return folder / "data"

    return make


def config_of(folder: Path, **dataset: Any) -> str:
    """Writes a config of the tiny model with another training set, and returns its name."""
    training = {"dataset": dataset}
    training["transforms"] = [{"type": "SquareCrop", "size": 128}]
    (folder / "mine.yaml").write_text(
        yaml.safe_dump({"_BASE_": "tiny_test", "data": {"train": training}})
    )
    return "mine.yaml"


def refusal(capsys: pytest.CaptureFixture, *argv: str) -> str:
    """Returns the one sentence that a command is refused with."""
    assert main(list(argv)) == 2
    printed = capsys.readouterr().err.strip().splitlines()
    sentence = printed[-1]
    assert sentence.startswith("facezoo: ") and "Traceback" not in "\n".join(printed)
    return sentence


CONFIGS = {
    "misspelt key": (
        "_BASE_: tiny_test\nmodel:\n  neck: {chanels: 8}\n",
        ["FPN has no argument 'chanels'", "did you mean 'channels'", "model.neck", "bad.yaml:3"],
    ),
    "misspelt section": ("_BASE_: tiny_test\noptimiser: {lr: 1}\n", ["optimizer", "bad.yaml:2"]),
    "unknown part": (
        "_BASE_: tiny_test\nmodel:\n  backbone:\n    type: MobilNetV1\n",
        ["BACKBONES has no part 'MobilNetV1'", "MobileNetV1", "bad.yaml:4"],
    ),
    "wrong type": (
        "_BASE_: tiny_test\nmodel:\n  neck:\n    channels: '16'\n",
        ["model.neck.channels", "takes int, not '16'", "bad.yaml:4"],
    ),
    "missing argument": (
        "_BASE_: tiny_test\nmodel:\n  head:\n    _delete_: true\n    type: RetinaFaceHead\n"
        "    class_loss: {type: Focal}\n    box_loss: {type: GIoU}\n",
        ["model.head", "RetinaFaceHead needs 'anchors'", "bad.yaml:"],
    ),
    "cycle": ("_BASE_: bad.yaml\n", ["bad.yaml", "_BASE_"]),
    "missing base": ("_BASE_: nowhere.yaml\n", ["nowhere.yaml", "bad.yaml:1"]),
    "not YAML": ("model: [\n", ["bad.yaml"]),
}


@pytest.mark.parametrize("kind", CONFIGS)
def test_configs(kind: str, folder: Path, capsys: pytest.CaptureFixture) -> None:
    text, parts = CONFIGS[kind]
    (folder / "bad.yaml").write_text(text)
    sentence = refusal(capsys, "train", "bad.yaml")
    assert all(part in sentence for part in parts), sentence
    assert not (folder / "runs").exists() or not any((folder / "runs").rglob("*.safetensors"))


def test_override_of_a_path_that_is_not_there(capsys: pytest.CaptureFixture) -> None:
    sentence = refusal(capsys, "train", "tiny_test", "model.nekc.channels=8")
    assert "model.nekc" in sentence and "neck" in sentence and "command line" in sentence


def test_missing_data_root(folder: Path, capsys: pytest.CaptureFixture) -> None:
    sentence = refusal(capsys, "train", "retinaface_mnet025", "data.root=nowhere")
    assert "nowhere does not exist" in sentence
    assert "facezoo data download widerface --root nowhere" in sentence


@pytest.mark.parametrize(
    ("annotation", "parts"),
    [
        ("", [ANNOTATION, "empty"]),
        ("0--Parade/a.jpg\n1\n10 nan 20 20 0 0 0 0 0 0\n", [f"{ANNOTATION}:3", "nan"]),
        ("0--Parade/a.jpg\n2\n10 10 20 20 0 0 0 0 0 0\n", [f"{ANNOTATION}:2", "says 2 faces"]),
    ],
)
def test_annotations(
    annotation: str,
    parts: list[str],
    folder: Path,
    wider: Callable[[str], Path],
    capsys: pytest.CaptureFixture,
) -> None:
    name = config_of(folder, type="WiderFace", root=str(wider(annotation)))
    sentence = refusal(capsys, "train", name)
    assert all(part in sentence for part in parts), sentence


@pytest.mark.parametrize("workers", [0, 1])
def test_a_photograph_that_is_torn(
    workers: int, folder: Path, wider: Callable[[str], Path], capsys: pytest.CaptureFixture
) -> None:
    root = wider("0--Parade/a.jpg\n1\n10 10 40 40 0 0 0 0 0 0\n")
    picture = root / "WIDER_train/images/0--Parade/a.jpg"
    picture.write_bytes(picture.read_bytes()[:2000])
    name = config_of(folder, type="WiderFace", root=str(root))
    sentence = refusal(capsys, "train", name, f"data.workers={workers}")
    assert "a.jpg" in sentence and "worker" not in sentence.lower()


def test_checkpoints(folder: Path, capsys: pytest.CaptureFixture) -> None:
    assert main(["train", "tiny_test", "--out", "run", "train.max_steps=1"]) == 0
    weights = folder / "run/checkpoints/last/model.safetensors"
    sentence = refusal(capsys, "eval", "retinaface_mnet025", "--weights", str(weights))
    assert "is of another architecture" in sentence and "backbone.stage1.0.0.weight" in sentence

    whole = weights.read_bytes()
    weights.write_bytes(whole[: len(whole) // 2])
    assert "is truncated" in refusal(capsys, "eval", "run")
    state = weights.with_name("state.pt")
    state.write_bytes(state.read_bytes()[:1000])
    assert "damaged" in refusal(capsys, "train", "tiny_test", "--out", "run", "--resume")

    torch.save(torch.nn.Linear(2, 2), "model.pt")
    for verb in (["eval", "tiny_test", "--weights"], ["zoo", "convert", "--from", "biubug6"]):
        assert "more than plain tensors" in refusal(capsys, *verb, "model.pt")


def test_other_faces_than_any(folder: Path, capsys: pytest.CaptureFixture) -> None:
    """An image without faces and one with 2,000, in one set that trains and evaluates."""
    generator = np.random.default_rng(0)
    for split in ("train", "val"):
        images = folder / f"data/WIDER_{split}/images/0--Parade"
        images.mkdir(parents=True)
        lines = []
        for name, count in (("empty.jpg", 0), ("crowd.jpg", 2000)):
            noise = generator.integers(0, 255, (320, 400, 3), dtype=np.uint8)
            cv2.imwrite(str(images / name), noise)
            corners = np.column_stack(
                [generator.integers(0, 380, count), generator.integers(0, 300, count)]
            )
            lines += [f"0--Parade/{name}", str(count)]
            lines += [f"{x} {y} 12 14 0 0 0 0 0 0" for x, y in corners] or ["0 " * 10]
        folder.joinpath("data/wider_face_split").mkdir(exist_ok=True)
        folder.joinpath(f"data/wider_face_split/wider_face_{split}_bbx_gt.txt").write_text(
            "\n".join(lines)
        )
    letterbox = [{"type": "Letterbox", "size": 256}]
    sets = {
        split: {
            "dataset": {"type": "WiderFace", "split": split, "root": "data"},
            "transforms": letterbox,
        }
        for split in ("train", "val")
    }
    config = {"_BASE_": "tiny_test", "data": {"batch_size": 2, **sets}}
    (folder / "mine.yaml").write_text(yaml.safe_dump(config))
    words = ["mine.yaml", "train.max_steps=2", "hooks.evaluation.every_steps=1", "--out", "run"]
    assert main(["train", *words]) == 0
    printed = capsys.readouterr().out
    assert "val/loss" in printed and "nan" not in printed
    assert main(["eval", "run"]) == 0

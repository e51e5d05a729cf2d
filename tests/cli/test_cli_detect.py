"""``facezoo detect``: what it reads, prints, writes, and how it goes on after a broken file."""

import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from facezoo.cli import main
from facezoo.data.images import read_image
from facezoo.errors import DataError
from facezoo.inference.photographs import find_photographs
from facezoo.structures import Faces

FACE = Faces(
    np.array([[10, 20, 40.123, 60]], np.float32),
    np.array([0.75], np.float32),
    np.full((1, 5, 2), 30, np.float32),
)


class OneFace:
    """Stands for the detector: one face in each picture that is not black."""

    batch_size = 2
    given: dict[str, Any] = {}

    def __init__(self, model: str, **given: Any) -> None:
        OneFace.given = {"model": model, **given}

    def __call__(self, images: list[np.ndarray]) -> list[Faces]:
        return [FACE if image.any() else FACE[:0] for image in images]

    def describe(self) -> dict[str, Any]:
        return {"model": OneFace.given["model"], "protocol": "original"}


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder, with photographs in subfolders of it."""
    monkeypatch.setattr("facezoo.inference.detector.Detector", OneFace)
    monkeypatch.chdir(tmp_path)
    for name, value in (
        ("a.png", 90),
        ("in/a.png", 90),
        ("in/b [1].PNG", 0),
        ("in/deep/c.jpg", 90),
    ):
        Path(name).parent.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(name, np.full((80, 64, 3), value, np.uint8))
    Path("in/notes.txt").write_text("no photograph")
    return tmp_path


def test_finds_photographs_in_order_and_passes_over_its_own_output(folder: Path) -> None:
    found, skipped = find_photographs(["a.png", "in", "in/a.png"], Path("in/deep"))
    assert skipped == 1
    assert list(found.items()) == [
        (Path("a.png"), Path("a.png")),
        (Path("in/a.png"), Path("a_2.png")),
        (Path("in/b [1].PNG"), Path("b [1].PNG")),
    ]
    with pytest.raises(DataError, match="no file or folder"):
        find_photographs(["a.png", "z.png"], Path("detections"))


def test_json_holds_every_face(folder: Path, capsys: pytest.CaptureFixture) -> None:
    assert main(["detect", "a.png", "in", "--json", "out/faces.json", "--nms-thresh", "0.3"]) == 0
    written = json.loads(Path("out/faces.json").read_text())
    assert written["model"] == "retinaface_mnet025" and written["protocol"] == "original"
    paths = [one["path"] for one in written["images"]]
    assert paths == ["a.png", "in/a.png", "in/b [1].PNG", "in/deep/c.jpg"]
    first = written["images"][0]
    assert (first["width"], first["height"]) == (64, 80)
    assert first["faces"] == [
        {"box": [10, 20, 40.12, 60], "score": 0.75, "landmarks": [[30, 30]] * 5}
    ]
    assert written["images"][2]["faces"] == [] and written["failures"] == []
    printed = capsys.readouterr()
    assert "in/b [1].PNG: no faces" in printed.out
    assert "3 faces in 4 photographs" in printed.out
    assert "retinaface_mnet025" in printed.err
    assert not Path("detections").exists()
    assert OneFace.given["nms_thresh"] == 0.3 and OneFace.given["score_thresh"] == 0.5


def test_draws_into_the_output_folder(folder: Path) -> None:
    assert main(["detect", "in", "a.png", "--draw"]) == 0
    names = {str(path.relative_to("detections")) for path in Path("detections").rglob("*.*")}
    assert names == {"a.png", "b [1].PNG", "deep/c.jpg", "a_2.png"}
    drawn, original = cv2.imread("detections/a.png"), cv2.imread("in/a.png")
    assert drawn.shape == original.shape and (drawn != original).any()


def test_an_unreadable_photograph_is_named_and_the_others_go_on(
    folder: Path, capsys: pytest.CaptureFixture
) -> None:
    Path("in/b [1].PNG").write_bytes(b"torn")
    assert main(["detect", "in", "--json", "faces.json"]) == 1
    printed = capsys.readouterr()
    assert "1 of 3 photographs could not be read" in printed.err
    assert "b [1].PNG" in printed.err
    written = json.loads(Path("faces.json").read_text())
    assert len(written["images"]) == 2
    assert [one["path"] for one in written["failures"]] == ["in/b [1].PNG"]


def test_device_and_batch_size_reach_the_detector(folder: Path) -> None:
    assert main(["detect", "a.png", "--device", "cpu", "--batch-size", "3"]) == 0
    assert OneFace.given["device"] == "cpu" and OneFace.given["batch_size"] == 3
    assert main(["detect", "a.png"]) == 0
    assert OneFace.given["device"] == "auto" and OneFace.given["batch_size"] == 8


@pytest.mark.parametrize(
    "words",
    [
        ["a.png", "--draw", "--out", "."],
        ["in/a.png", "--draw", "--out", "in"],
        ["in", "--draw", "--out", "in"],
        ["in/a.png", "--draw", "--out", "linked"],
        ["a.png", "--json", "a.png"],
        ["in", "--draw", "--out", "."],  # a.png is none of the photographs asked for
    ],
)
def test_a_photograph_is_never_overwritten(
    words: list[str], folder: Path, capsys: pytest.CaptureFixture
) -> None:
    Path("linked").symlink_to("in")
    before = {path: path.read_bytes() for path in folder.rglob("*.*")}
    OneFace.given = {}
    assert main(["detect", *words]) == 2
    printed = capsys.readouterr().err
    assert "would overwrite" in printed and printed.count("\n") == 1
    assert not OneFace.given, "refused before any work"
    assert {path: path.read_bytes() for path in folder.rglob("*.*")} == before


def test_earlier_drawings_are_passed_over_only_when_drawing(
    folder: Path, capsys: pytest.CaptureFixture
) -> None:
    assert main(["detect", "in", "--out", "."]) == 0
    assert "in 3 photographs" in capsys.readouterr().out
    assert main(["detect", "in", "--draw", "--out", "in/out"]) == 0
    capsys.readouterr()
    assert main(["detect", "in", "--draw", "--out", "in/out"]) == 0
    printed = capsys.readouterr()
    assert "3 pictures in in/out are passed over" in printed.err
    assert "in 3 photographs" in printed.out
    assert main(["detect", "in", "--out", "in/out"]) == 0
    assert "in 6 photographs" in capsys.readouterr().out


def test_draws_above_the_folder(folder: Path) -> None:
    Path("a.png").unlink()
    assert main(["detect", "in", "--draw", "--out", "."]) == 0
    assert Path("a.png").is_file() and Path("deep/c.jpg").is_file()


def test_draws_photographs_of_any_name(folder: Path) -> None:
    for name in ("größe.png", "photo", "photo.scan"):
        Path(name).write_bytes(Path("a.png").read_bytes())
    words = ["größe.png", "photo", "photo.scan"]
    assert main(["detect", *words, "--draw"]) == 0
    names = {path.name for path in Path("detections").iterdir()}
    assert names == {"größe.png", "photo.png", "photo.scan.png"}
    assert (read_image("detections/photo.png") != read_image("a.png")).any()

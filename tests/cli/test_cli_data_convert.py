"""``facezoo data convert`` and ``facezoo data split`` as they are typed."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from facezoo.cli import main
from facezoo.data.annotations import FORMATS

LABELS = "# a/1.png\n1 2 3 4 {} 0.5\n# b/2.png\n5 6 7 8 {} 0.5\n".format(
    " ".join(["5 6 0"] * 5), " ".join(["-1"] * 15)
)


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "80")
    Path("label.txt").write_text(LABELS)
    for name in ("a/1.png", "b/2.png"):
        path = Path("pictures", name)
        path.parent.mkdir(parents=True)
        cv2.imwrite(str(path), np.zeros((40, 60, 3), np.uint8))
    return tmp_path


def test_convert_says_what_is_there_and_what_is_lost(capsys: pytest.CaptureFixture) -> None:
    words = ["data", "convert", "label.txt", "--from", "retinaface", "--to", "yolo"]
    assert main([*words, "--out", "y/labels", "--images", "pictures"]) == 0
    assert capsys.readouterr().out.splitlines() == [
        "y/labels: 2 images, 2 faces",
        "Only RetinaFace has a confidence: 2 of 2 are lost, as it has no agreed meaning.",
        "yolo has no landmarks: those of 1 of 2 faces are lost.",
    ]
    assert sorted(path.as_posix() for path in Path("y").rglob("*.*")) == [
        "y/images/a/1.png",
        "y/images/b/2.png",
        "y/labels/a/1.txt",
        "y/labels/b/2.txt",
    ]
    words = ["data", "convert", "y/labels", "--from", "yolo", "--to", "coco", "--out", "c.json"]
    assert main(words) == 0
    assert capsys.readouterr().out == "c.json: 2 images, 2 faces\n"


def test_convert_names_the_formats_there_are(capsys: pytest.CaptureFixture) -> None:
    assert main(["data", "convert", "--help"]) == 0
    assert f"Formats: {', '.join(FORMATS)}." in capsys.readouterr().out
    words = ["data", "convert", "label.txt", "--to", "yolo", "--out", "x", "--from"]
    assert main([*words, "voc"]) == 2
    assert "yolo-landmarks" in capsys.readouterr().err
    assert main([*words, "cvat"]) == 2
    assert "CVAT exports and imports 'COCO Keypoints'" in capsys.readouterr().err


def test_convert_reports_a_fault_in_one_line(capsys: pytest.CaptureFixture) -> None:
    Path("label.txt").write_text("# a/1.png\n1 2 3 4\n")
    words = ["data", "convert", "label.txt", "--from", "retinaface", "--to", "coco"]
    assert main([*words, "--out", "x.json", "--images", "pictures"]) == 2
    printed = capsys.readouterr()
    assert (
        printed.out == "" and printed.err.count("\n") == 1 and "label.txt:2: a face" in printed.err
    )
    assert not Path("x.json").exists()


def test_split(capsys: pytest.CaptureFixture) -> None:
    words = ["data", "split", "pictures", "--parts", "train=0.5,val=0.5", "--by", "event"]
    assert main([*words, "--seed", "3", "--out", "lists"]) == 0
    assert capsys.readouterr().out.splitlines() == [
        "lists/train.txt: 1 images of 1 events",
        "lists/val.txt: 1 images of 1 events",
    ]
    names = [Path("lists", f"{part}.txt").read_text().strip() for part in ("train", "val")]
    assert sorted(names) == ["a/1.png", "b/2.png"]
    assert main([*words, "--out", "lists"]) == 2
    assert "exists already" in capsys.readouterr().err

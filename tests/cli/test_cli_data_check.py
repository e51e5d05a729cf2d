"""``facezoo data check`` as a user meets it."""

import json
from pathlib import Path

import cv2
import numpy as np
import pytest

from facezoo.cli import main

ANNOTATION = "wider_face_split/wider_face_train_bbx_gt.txt"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Seven images, one face each."""
    images = tmp_path / "data" / "WIDER_train" / "images" / "0--Parade"
    images.mkdir(parents=True)
    lines = []
    for number in range(7):
        cv2.imwrite(str(images / f"{number}.png"), np.full((40, 50, 3), number, np.uint8))
        lines += [f"0--Parade/{number}.png", "1", "1 2 9 9 0 0 0 0 0 0"]
    (tmp_path / "data" / "wider_face_split").mkdir()
    (tmp_path / "data" / ANNOTATION).write_text("\n".join(lines) + "\n")
    return tmp_path / "data"


def test_nothing_is_wrong(root: Path, capsys: pytest.CaptureFixture) -> None:
    assert main(["data", "check", str(root)]) == 0
    printed = capsys.readouterr().out
    assert "7 images, 7 faces; 7 images read" in printed and "Nothing is wrong." in printed


def test_findings(root: Path, capsys: pytest.CaptureFixture) -> None:
    for number in range(1, 7):
        (root / "WIDER_train" / "images" / "0--Parade" / f"{number}.png").unlink()
    path = root / ANNOTATION
    path.write_text(path.read_text().replace("1 2 9 9", "1 2 9 -9", 1))
    report = root.parent / "findings.json"
    assert main(["data", "check", str(root), "--split", "train", "--json", str(report)]) == 1
    printed = capsys.readouterr().out
    assert "images that are missing (6):" in printed
    assert f"  {path}:4: 0--Parade/1.png: the image does not exist\n" in printed
    assert "  and 1 more; --json FILE has all" in printed  # five of six are printed
    assert f"  {path}:3: 0--Parade/0.png: the box is 9 x -9\n" in printed
    cells = [[cell.strip() for cell in line.split("│")[1:-1]] for line in printed.splitlines()]
    assert ["images that are missing", "6"] in cells and ["boxes without area", "1"] in cells
    (written,) = json.loads(report.read_text())
    assert written["counts"]["missing_image"] == 6 and written["images_read"] == 7
    assert [one["kind"] for one in written["findings"]].count("missing_image") == 6


def test_fix(root: Path, capsys: pytest.CaptureFixture) -> None:
    (root / "WIDER_train" / "images" / "0--Parade" / "3.png").write_bytes(b"")
    path, out = root / ANNOTATION, root.parent / "fixed"
    path.write_text(path.read_text().replace("1 2 9 9 ", "44 2 9 9 ", 1))
    before = path.read_bytes()
    assert main(["data", "check", str(root), "--fix", str(out)]) == 1
    assert f"written: {out / ANNOTATION}" in capsys.readouterr().out
    assert path.read_bytes() == before
    lines = before.decode().splitlines()
    del lines[9:12]
    lines[2] = lines[2].replace("44 2 9 9", "44 2 6 9")
    assert (out / ANNOTATION).read_text().splitlines() == lines
    changes = (out / "changes.txt").read_text().splitlines()
    assert len(changes) == 3 and changes[0].endswith("2 changes")
    (clipped,) = (
        line for line in changes if line.startswith(f"{path}:3: 0--Parade/0.png: the box")
    )
    assert clipped.endswith("leaves its image of 50 x 40; box clipped to the image")
    # Refused before anything is read.
    (root / "WIDER_train" / "images" / "0--Parade" / "4.png").unlink()
    assert main(["data", "check", str(root), "--fix", str(out)]) == 2
    printed = capsys.readouterr()
    assert "exists already; give --fix an empty or new folder." in printed.err and not printed.out

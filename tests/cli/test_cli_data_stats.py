"""``facezoo data stats`` as a user meets it."""

import json
from pathlib import Path

import cv2
import numpy as np
import pytest

from facezoo.cli import main

FACES = "0 0 0 0 1 0\n"
TEXT = f"0--Parade/a.jpg\n2\n1 2 9 9 {FACES}4 4 0 9 {FACES}0--Parade/b.jpg\n1\n1 2 30 40 {FACES}"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    folder = tmp_path / "data" / "wider_face_split"
    folder.mkdir(parents=True)
    for split in ("train", "val"):
        (folder / f"wider_face_{split}_bbx_gt.txt").write_text(TEXT)
    return tmp_path / "data"


def test_table_json_and_picture(root: Path, capsys: pytest.CaptureFixture) -> None:
    out = root.parent / "out"
    words = ["data", "stats", str(root), "--json", str(out / "s.json")]
    assert main([*words, "--picture", str(out / "s.png")]) == 0
    printed = capsys.readouterr().out
    cells = [[cell.strip() for cell in line.split("│")[1:-1]] for line in printed.splitlines()]
    assert ["images", "2", "2"] in cells and ["dropped (boxes without area)", "1", "1"] in cells
    assert ["mean", "1.5", "1.5"] in cells and ["partial", "3", "3"] in cells
    assert "val: these are not the counts of WIDER FACE's val split, 3,226 images" in printed
    counted = json.loads((out / "s.json").read_text())
    assert list(counted) == ["train", "val"] and counted["val"]["faces"] == 3
    picture = cv2.imread(str(out / "s.png"))
    assert min(picture.shape[:2]) > 400 and len(np.unique(picture.reshape(-1, 3), axis=0)) > 10


def test_one_split_and_one_file(root: Path, capsys: pytest.CaptureFixture) -> None:
    assert main(["data", "stats", str(root), "--split", "val"]) == 0
    assert "train" not in capsys.readouterr().out
    label = root / "label.txt"
    label.write_text(f"# a.jpg\n1 2 9 9 {'3 4 0 ' * 5}0.9\n")
    assert main(["data", "stats", str(label), "--picture", str(root / "label.png")]) == 0
    cells = [line.split("│")[1:-1] for line in capsys.readouterr().out.splitlines()]
    assert ["with landmarks", "1"] in [[cell.strip() for cell in line] for line in cells]
    assert (root / "label.png").stat().st_size > 1000


@pytest.mark.parametrize(
    ("argv", "sentence"),
    [
        (["nowhere"], "There is no file or folder nowhere; give a folder in the layout of WIDER"),
        (["empty"], "The folder empty is no data set that facezoo knows: it has no wider_face_spl"),
        (["data", "--split", "test"], "invalid choice: 'test'"),
        (["one.json"], "one.json has no list 'images'; give a json in COCO's format."),
        (["no.json"], "no.json is no valid JSON"),
        (["blank.txt"], "The annotation file blank.txt is empty; give an annotation of WIDER FACE"),
        (["words.txt"], "words.txt names no image; give an annotation of WIDER FACE"),
        (["words.txt", "--split", "val"], "--split chooses in a folder, but words.txt is one file"),
        ([], "ROOT"),
    ],
)
@pytest.mark.parametrize("action", ["stats", "check"])
def test_wrong_requests(
    action: str,
    argv: list[str],
    sentence: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture,
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("empty").mkdir()
    for name, text in {
        "one.json": "{}",
        "no.json": "{",
        "blank.txt": "",
        "words.txt": "some words",
    }.items():
        Path(name).write_text(text)
    assert main(["data", action, *argv]) == 2
    printed = capsys.readouterr()
    assert sentence in printed.err and printed.err.count("\n") == 1 and not printed.out


def test_a_malformed_annotation(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    path = tmp_path / "broken.txt"
    path.write_text("a.jpg\ntwo\n")
    assert main(["data", "stats", str(path)]) == 2
    sentence = f"{path}:2: 'two' stands where the number of faces belongs; see all 1"
    assert sentence in capsys.readouterr().err


@pytest.mark.parametrize("action", ["download", "stats", "check", "show"])
def test_help_has_examples(action: str, capsys: pytest.CaptureFixture) -> None:
    assert main(["data", action, "--help"]) == 0
    printed = capsys.readouterr().out
    assert f"examples:\n  facezoo data {action} " in printed
    assert max(map(len, printed.splitlines())) <= 100

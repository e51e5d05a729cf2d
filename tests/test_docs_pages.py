"""The pages that show how to add parts are run as they stand."""

import re
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

PROJECT = Path(__file__).resolve().parent.parent
FENCE = re.compile(r"^```(\w+)\n(.*?)^```$", re.M | re.S)


def read_blocks(page: str, after: str = "") -> list[tuple[str, str]]:
    """Returns language and text of what is fenced in a page, from a heading on."""
    text = (PROJECT / "docs" / page).read_text(encoding="utf-8")
    return FENCE.findall(text[text.index(after) :])


def write_files(blocks: list[tuple[str, str]], folder: Path) -> None:
    """Writes each block of code to the file that its first line names."""
    for language, text in blocks:
        if language in ("python", "yaml"):
            (folder / text.split("\n", 1)[0].removeprefix("# ")).write_text(text)


def commands_of(blocks: list[tuple[str, str]]) -> list[str]:
    return [line for language, text in blocks if language == "bash" for line in text.splitlines()]


def run(command: str, folder: Path) -> None:
    words = command.replace("facezoo", "", 1).split()
    done = subprocess.run(
        [sys.executable, "-m", "facezoo.cli", *words], cwd=folder, capture_output=True, text=True
    )
    assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"


@pytest.mark.slow
def test_plug_in_of_the_docs_trains(tmp_path: Path) -> None:
    blocks = read_blocks("extend.md")
    write_files(blocks, tmp_path)
    noise = np.random.default_rng(0).integers(0, 255, (120, 160, 3), dtype=np.uint8)
    cv2.imwrite(str(tmp_path / "photo.jpg"), noise)

    subprocess.run([sys.executable, "make_data.py"], cwd=tmp_path, check=True)
    commands = commands_of(blocks)
    assert len(commands) == 6
    for command in commands:
        run(command, tmp_path)
    for folder in ("trained", "trained_on_mine"):
        assert (tmp_path / folder / "checkpoints" / "last" / "model.safetensors").is_file()

    script = subprocess.run(
        [sys.executable, "build_it.py"], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    assert int(script.stdout) > 1000


@pytest.mark.slow
def test_family_of_the_docs_trains(tmp_path: Path) -> None:
    """And its rule is the one that it states, written down once more in plain numbers."""
    blocks = read_blocks("family.md", "## All of it in one file")
    write_files(blocks, tmp_path)
    run(commands_of(blocks)[1], tmp_path)
    assert (tmp_path / "trained" / "checkpoints" / "last" / "model.safetensors").is_file()

    (tmp_path / "check_it.py").write_text(CHECK)
    check = [sys.executable, "check_it.py"]
    done = subprocess.run(check, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


CHECK = """
import numpy as np, torch
from facezoo.geometry.priors import AnchorGrid
from facezoo.structures import Targets
from point_family import CentreCell, DistanceBoxCodec

strides, sizes = [8, 16, 32], [(12, 16), (6, 8), (3, 4)]
grid = AnchorGrid({s: [s] for s in strides}, strides)(sizes, torch.device("cpu"))
draw = np.random.default_rng(0)
centres, sides = draw.uniform((-10, -10), (140, 100), (40, 2)), draw.uniform(3, 300, (40, 2))
boxes = torch.tensor(np.concatenate([centres - sides / 2, centres + sides / 2], 1))[None].float()
ignore = torch.arange(40)[None] % 7 == 0
flags = torch.ones(1, 40, dtype=torch.bool)
zeros = torch.zeros(1, 40, 5, 2)
targets = Targets(boxes, flags, ignore, flags.long(), zeros, zeros[..., 0].bool())

wanted, first, longest = [-1] * len(grid.priors), 0, [float("inf")] * len(grid.priors)
for level, (stride, (rows, columns)) in enumerate(zip(strides, sizes)):
    for face, (x1, y1, x2, y2) in enumerate(boxes[0].tolist()):
        column, row = (x1 + x2) / 2 // stride, (y1 + y2) / 2 // stride
        longer = max(x2 - x1, y2 - y1)
        if ignore[0, face] or not (0 <= row < rows and 0 <= column < columns):
            continue
        if (level > 0 and longer < 2 * stride) or (level < 2 and longer >= 8 * stride):
            continue
        prior = first + int(row) * columns + int(column)
        if longer < longest[prior]:
            wanted[prior], longest[prior] = face, longer
    first += rows * columns
assert CentreCell().assign(grid, targets, None).index[0].tolist() == wanted
assert sum(one >= 0 for one in wanted) > 10

box = grid.priors[:, :2].repeat(1, 2) + torch.tensor([-3.0, -40.0, 17.0, 5.0])
codec = DistanceBoxCodec()
assert torch.allclose(codec.decode(grid, codec.encode(grid, box)), box, atol=1e-3)
"""


def test_format_of_the_docs_is_checked_converted_and_repaired(tmp_path: Path) -> None:
    write_files(read_blocks("formats.md", "## A format of your own")[:2], tmp_path)
    (tmp_path / "use_it.py").write_text(USE_OF_A_FORMAT)
    done = subprocess.run(
        [sys.executable, "use_it.py"], cwd=tmp_path, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout + done.stderr


USE_OF_A_FORMAT = """
import subprocess, sys
from pathlib import Path
import cv2, numpy as np
from csv_text import CsvImages

def main(words):
    return subprocess.run([sys.executable, "check_csv.py", *words]).returncode

Path("images").mkdir()
for name in "ab":
    cv2.imwrite(f"images/{name}.png", np.full((60, 80, 3), ord(name), np.uint8))
Path("faces.csv").write_text("b.png,1,2,30,40\\na.png,5,6,25,26.5\\nb.png,10,10,20,20\\n")
assert main(["data", "check", "faces.csv"]) == 0
assert main("data convert faces.csv --from csv --to coco --images images --out a.json".split()) == 0
assert main("data convert a.json --from coco --to csv --out back.csv".split()) == 0
assert Path("back.csv").read_text().splitlines() == [
    "b.png,1,2,30,40", "b.png,10,10,20,20", "a.png,5,6,25,26.5"
]
dataset = CsvImages(Path("images"), Path("faces.csv"))
assert dataset[0].boxes.tolist() == [[1, 2, 30, 40], [10, 10, 20, 20]]
with open("faces.csv", "a") as file:
    file.write("a.png,1,2,x,4\\na.png,50,50,90,55\\nb.png,3,3,3,9\\n")
assert main(["data", "check", "faces.csv", "--fix", "clean"]) == 1
assert Path("clean/faces.csv").read_text().splitlines() == [
    "b.png,1,2,30,40", "b.png,10,10,20,20", "a.png,5,6,25,26.5", "a.png,50,50,80,55"
]
"""

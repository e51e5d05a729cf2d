"""``facezoo eval-compare`` and ``--slices`` from files to what is printed."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from facezoo.cli import main
from facezoo.data.datasets.synthetic_faces import SyntheticFaces
from facezoo.evaluation.evaluate import Report, evaluate
from facezoo.metrics.predictions import write_widerface_predictions
from facezoo.structures import Faces

SIDE = 30
IMAGES = 40


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Four faces an image, alternately clear and heavily blurred; b finds the blurred ones too."""
    lines, found = [], {"a": {}, "b": {}}
    left = np.arange(4) * 50
    boxes = np.stack([left, 0 * left, left + SIDE, 0 * left + SIDE], axis=1).astype(np.float32)
    for i in range(IMAGES):
        name = f"{i % 2}--Event/{i}.jpg"
        lines += [name, "4"]
        lines += [f"{x} 0 {SIDE} {SIDE} {2 * (k % 2)} 0 0 0 0 0" for k, x in enumerate(left)]
        for which, kept in (("a", boxes[::2]), ("b", boxes)):
            found[which][name] = Faces(kept, np.full(len(kept), 0.9, np.float32))
    (tmp_path / "wider_face_split").mkdir()
    annotation = tmp_path / "wider_face_split/wider_face_val_bbx_gt.txt"
    annotation.write_text("\n".join(lines) + "\n")
    for which, predictions in found.items():
        write_widerface_predictions(tmp_path / which, predictions)
    return tmp_path


def test_compare(folder: Path, capsys: pytest.CaptureFixture) -> None:
    listed, numbers = folder / "list.txt", folder / "numbers.json"
    listed.write_text("\n".join(f"{i % 2}--Event/{i}.jpg" for i in range(30)))
    words = ["eval-compare", str(folder / "a"), str(folder / "b"), "--data", str(folder)]
    words += ["--list", str(listed), "--json", str(numbers), "--out", str(folder / "out")]
    assert main(words) == 0
    printed = capsys.readouterr().out
    rows = {line.split()[1]: line for line in printed.splitlines() if "slices/" in line}
    assert "B is better, beyond noise" in rows["slices/blur/heavy/recall"]
    assert "within noise" in rows["slices/blur/clear/recall"]
    assert "+1.0000 to +1.0000" in rows["slices/blur/heavy/recall"]
    assert "images: 30" in printed and "0--Event/0.jpg" in printed
    written = json.loads(numbers.read_text())
    assert written["slices/blur/heavy/recall/difference"] == 1
    assert written["slices/blur/clear/recall/share_b_better"] == 0
    assert written["widerface_by_size/hard/b"] == 1
    names = {path.name for path in (folder / "out").iterdir()}
    assert names == {"differences.csv", "images.csv", "differences.png"}


def test_equal_sides_and_the_annotation_file_itself(
    folder: Path, capsys: pytest.CaptureFixture
) -> None:
    annotation = folder / "wider_face_split/wider_face_val_bbx_gt.txt"
    words = ["eval-compare", str(folder / "a"), str(folder / "a"), "--data", str(annotation)]
    assert main(words) == 0
    printed = capsys.readouterr().out
    assert "is better" not in printed and "2 events, not shown, differ within noise" in printed
    assert "+0.0000 to +0.0000" in printed


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["a", "none", "--data", "."], "There is no folder of predictions none"),
        (["a", "b"], "The official .mat files are neither in nor beside a"),
        (["a", "b", "--data", "none"], "The annotation file none does not exist"),
        (["a", "b", "--data", ".", "--truth", "."], ". lacks wider_face_val.mat"),
    ],
)
def test_bad_requests(
    words: list[str],
    sentence: str,
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture,
) -> None:
    monkeypatch.chdir(folder)
    assert main(["eval-compare", *words]) == 2
    assert sentence in capsys.readouterr().err


@pytest.mark.parametrize("option", [["--slices"], ["--data", "d"]])
def test_slices_of_predictions_need_data(option: list, capsys: pytest.CaptureFixture) -> None:
    assert main(["eval-predictions", "p", *option]) == 2
    assert "--slices and --data go together" in capsys.readouterr().err


def test_slices_of_predictions_reach_the_function(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: dict[str, Any] = {}

    def evaluate_predictions(directory: Path, **options: Any) -> dict[str, float]:
        seen.update(options)
        return {"slices/blur/heavy/recall": 0.5}

    monkeypatch.setattr(
        "facezoo.metrics.evaluate_predictions.evaluate_predictions", evaluate_predictions
    )
    assert main(["eval-predictions", "p", "--slices", "--data", str(folder)]) == 0
    annotated = seen["annotated"]["1--Event/1.jpg"]
    assert annotated.attributes[:, 0].tolist() == [0, 2, 0, 2] and len(seen["annotated"]) == IMAGES


def test_eval_adds_slices() -> None:
    from facezoo.builder import build_model

    dataset = SyntheticFaces(num_images=3, image_size=64, face_sizes=(16, 32))
    model = build_model("tiny_test")
    plain, sliced = (
        {
            name: value
            for name, value in evaluate(model, data=dataset, report=Report(slices=one)).items()
            if not name.startswith("time/")
        }
        for one in (False, True)
    )
    added = {name.split("/")[0] for name in set(sliced) - set(plain)}
    assert added == {"slices", "landmark_error", "calibration", "duplicates"}
    assert {name: sliced[name] for name in plain} == plain


@pytest.mark.slow
def test_imports_no_torch(folder: Path) -> None:
    words = ["eval-compare", str(folder / "a"), str(folder / "b"), "--data", str(folder)]
    script = (
        f"import sys; from facezoo.cli import main; main({words}); print('torch' in sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert done.stdout.splitlines()[-1] == "False"

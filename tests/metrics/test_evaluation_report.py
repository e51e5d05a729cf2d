"""A folder of predictions scored as it lies there."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from facezoo.errors import DataError
from facezoo.metrics.evaluate_predictions import evaluate_predictions
from facezoo.metrics.evaluators import WiderFaceAP
from facezoo.metrics.predictions import write_widerface_predictions


@pytest.fixture
def folder(random_set: Callable, write_official: Callable, tmp_path: Path) -> Path:
    """Predictions for 12 images, with the official truth beside them."""
    predictions, truth = random_set(0)
    write_official(tmp_path / "eval_tools" / "ground_truth", truth, 0)
    write_widerface_predictions(tmp_path / "predictions", predictions)
    return tmp_path / "predictions"


def test_equals_the_evaluator(folder: Path, random_set: Callable) -> None:
    predictions, truth = random_set(0)
    where = folder.parent / "eval_tools" / "ground_truth"
    measured = evaluate_predictions(folder)
    assert measured == {
        **WiderFaceAP(truth=where)(predictions, truth).metrics,
        "images": 12,
        "missing_predictions": 0,
        "truth": str(where),
    }
    assert evaluate_predictions(folder, truth=where) == measured


def test_names_are_a_set_of_its_own(folder: Path, random_set: Callable) -> None:
    predictions, truth = random_set(0)
    names = list(truth)[3:8]
    (folder / names[0]).with_suffix(".txt").unlink()
    measured = evaluate_predictions(folder, names=[*names, names[0]])
    assert (measured["images"], measured["missing_predictions"]) == (5, 1)
    evaluator = WiderFaceAP(truth=folder.parent / "eval_tools" / "ground_truth")
    part = {name: predictions[name] for name in names[1:]}
    expected = evaluator(part, {name: truth[name] for name in names}).metrics
    assert {name: measured[name] for name in expected} == expected


@pytest.mark.parametrize("place", ["predictions", "", "data/widerface"])
def test_where_the_truth_is_found(
    place: str, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / place).mkdir(parents=True, exist_ok=True)
    (tmp_path / "eval_tools").rename(tmp_path / place / "eval_tools")
    monkeypatch.chdir(tmp_path)
    assert evaluate_predictions(Path("predictions"))["images"] == 12


def test_without_truth(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "eval_tools").rename(tmp_path / "elsewhere")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(DataError, match="give their folder with --truth"):
        evaluate_predictions(folder)


def test_unknown_name(folder: Path) -> None:
    with pytest.raises(DataError, match=r"names 'a/b\.jpg', which .* \(1 of 2 names"):
        evaluate_predictions(folder, names=["0--Event/image_0.jpg", "a/b.jpg"])


def test_wrong_folder(folder: Path) -> None:
    with pytest.raises(DataError, match="no folder of predictions"):
        evaluate_predictions(folder / "none")
    with pytest.raises(DataError, match=r"for none of 12 images, such as 0--Event/image_0\.txt"):
        evaluate_predictions(folder / "0--Event", truth=folder.parent / "eval_tools/ground_truth")


@pytest.mark.slow
def test_import_is_light() -> None:
    script = (
        "import sys, facezoo.metrics.evaluate_predictions; "
        "print([m for m in ('torch', 'matplotlib', 'pycocotools', 'scipy') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.stdout == "[]\n", done.stderr

"""``facezoo eval`` and ``eval-predictions``: what they hand over, print and write."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from facezoo.cli import main

RESULTS = {"widerface/easy": 0.71009, "coco/ap50": 0.5, "images": 400, "protocol": "vga"}


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, dict[str, Any]]]:
    seen: list[tuple[str, dict[str, Any]]] = []

    def evaluate(model: str, **options: Any) -> dict[str, Any]:
        seen.append((model, options))
        return dict(RESULTS)

    monkeypatch.setattr("facezoo.engine.evaluate.evaluate", evaluate)
    return seen


def test_everything_reaches_the_engine(
    calls: list, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    names = tmp_path / "names.txt"
    names.write_text("0--Parade/a.jpg\n")
    words = ["--weights", "w", "--data", "d", "--truth", "t", "--list", str(names)]
    words += ["--protocol", "vga", "--out", "o", "--json", str(tmp_path / "m.json")]
    assert main(["eval", "tiny_test", "a.b=1", *words, "c=2"]) == 0
    ((model, options),) = calls
    assert model == "tiny_test"
    assert options == {
        "weights": "w",
        "data": Path("d"),
        "truth": Path("t"),
        "names": ["0--Parade/a.jpg"],
        "protocol": "vga",
        "out": Path("o"),
        "overrides": ["a.b=1", "c=2"],
        "allow_imports": False,
    }
    printed = capsys.readouterr().out
    assert "0.7101" in printed and "tiny_test, protocol vga" in printed and "images: 400" in printed
    assert json.loads((tmp_path / "m.json").read_text()) == RESULTS


def test_what_is_not_given_is_left_to_the_config(calls: list) -> None:
    assert main(["eval", "tiny_test"]) == 0
    ((_, options),) = calls
    assert not any(options.values())


def test_eval_predictions_hands_over(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    seen: dict[str, Any] = {}

    def evaluate_predictions(directory: Path, **options: Any) -> dict[str, float]:
        seen.update(directory=directory, **options)
        return {"widerface/hard": 0.25}

    monkeypatch.setattr("facezoo.evaluation.report.evaluate_predictions", evaluate_predictions)
    out = tmp_path / "m.json"
    assert main(["eval-predictions", "p", "--truth", "t", "--json", str(out)]) == 0
    assert seen == {"directory": Path("p"), "truth": Path("t"), "names": None}
    assert "0.2500" in capsys.readouterr().out
    assert json.loads(out.read_text()) == {"widerface/hard": 0.25}


@pytest.mark.slow
def test_eval_predictions_imports_no_torch(tmp_path: Path) -> None:
    script = (
        "import sys; from facezoo.cli import main; main(['eval-predictions', 'none']); "
        "import facezoo.evaluation.report; print('torch' in sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert done.stdout == "False\n"
    assert "none" in done.stderr


@pytest.mark.slow
def test_published_checkpoint_through_the_command_line(shared_data: Path, tmp_path: Path) -> None:
    weights, listed, numbers = (tmp_path / name for name in ("w.safetensors", "l.txt", "m.json"))
    checkpoint = shared_data / "weights/retinaface/mobilenet0.25_Final.pth"
    command = ["zoo", "convert", str(checkpoint), "--from", "biubug6", "--out", str(weights)]
    assert main(command) == 0
    data = shared_data / "widerface_mini"
    listed.write_text("\n".join((data / "mini_val.txt").read_text().split()[::20]))
    command = ["eval", "retinaface_mnet025", "--weights", str(weights), "--data", str(data)]
    command += ["--protocol", "vga", "--list", str(listed), "--json", str(numbers)]
    assert main(command) == 0
    measured = json.loads(numbers.read_text())
    assert measured["images"] == 20 and measured["protocol"] == "vga"
    assert measured["widerface/easy"] > 0.75

"""``facezoo eval`` and ``eval-predictions``: what they hand over, print and write."""

import json
import subprocess
import sys
from collections.abc import Collection
from pathlib import Path
from typing import Any

import pytest
import torch

from facezoo.builder import build_model
from facezoo.cli import main
from facezoo.data.datasets.synthetic_faces import SyntheticFaces
from facezoo.errors import ConfigError, DataError
from facezoo.evaluation.evaluate import Report, evaluate
from facezoo.metrics.evaluator import NO_FACES
from facezoo.metrics.evaluators import OperatingPoint
from facezoo.models.face_detector import FaceDetector
from facezoo.structures import Faces
from facezoo.zoo.safe_load import save_tensors

RESULTS = {"widerface/easy": 0.71009, "coco/ap50": 0.5, "images": 400, "protocol": "vga"}


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, dict[str, Any]]]:
    seen: list[tuple[str, dict[str, Any]]] = []

    def evaluate(model: str, **options: Any) -> dict[str, Any]:
        seen.append((model, options))
        return dict(RESULTS)

    monkeypatch.setattr("facezoo.evaluation.evaluate.evaluate", evaluate)
    return seen


def test_everything_reaches_the_engine(
    calls: list, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    names = tmp_path / "names.txt"
    names.write_text("0--Parade/a.jpg\n")
    words = ["--weights", "w", "--data", "d", "--truth", "t", "--list", str(names)]
    words += ["--device", "cpu", "--batch-size", "2", "--slices", "--cache", "k"]
    words += ["--protocol", "vga", "--out", "o", "--json", str(tmp_path / "m.json")]
    assert main(["eval", "tiny_test", "a.b=1", *words, "c=2"]) == 0
    ((model, options),) = calls
    assert model == "tiny_test"
    assert options == {
        "weights": Path("w"),
        "data": Path("d"),
        "protocol": "vga",
        "overrides": ["a.b=1", "c=2"],
        "device": "cpu",
        "batch_size": 2,
        "allow_imports": False,
        "cache": Path("k"),
        "report": Report(["0--Parade/a.jpg"], truth=Path("t"), slices=True, out=Path("o")),
    }
    printed = capsys.readouterr().out
    assert "0.7101" in printed and "tiny_test, protocol vga" in printed and "images: 400" in printed
    assert json.loads((tmp_path / "m.json").read_text()) == RESULTS


def test_what_is_not_given_is_left_to_the_config(calls: list) -> None:
    assert main(["eval", "tiny_test"]) == 0
    ((_, options),) = calls
    assert options.pop("device") == "auto" and options.pop("batch_size") == 8
    assert options.pop("report") == Report() and not any(options.values())


def small_set() -> SyntheticFaces:
    return SyntheticFaces(num_images=3, image_size=64, face_sizes=(16, 32))


def test_device_and_batch_size_reach_the_detector(monkeypatch: pytest.MonkeyPatch) -> None:
    batches: list[int] = []

    def predict(self: FaceDetector, images: torch.Tensor, *_: Any) -> list[Faces]:
        batches.append(len(images))
        return [NO_FACES] * len(images)

    monkeypatch.setattr(FaceDetector, "predict", predict)
    evaluate(build_model("tiny_test"), data=small_set(), batch_size=2)
    assert batches == [2, 1]
    with pytest.raises(ConfigError, match="batch_size is 0"):
        evaluate(build_model("tiny_test"), data=small_set(), batch_size=0)


def test_a_set_that_cannot_be_judged_is_refused_before_the_work(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    class Strict(OperatingPoint):
        def check(self, image_ids: Collection[str]) -> None:
            raise DataError(f"{len(image_ids)} images are unknown.")

    monkeypatch.setattr("facezoo.evaluation.evaluate._evaluators", lambda *_: [Strict()])
    monkeypatch.setattr("facezoo.evaluation.evaluate.judge", lambda *_, **__: pytest.fail("judged"))
    with pytest.raises(DataError, match="3 images are unknown"):
        evaluate(build_model("tiny_test"), data=small_set())


def test_a_report_keeps_both_of_two_images_of_one_name(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    ids = ["e/a.jpg", "e/a.png", "e/a"]
    monkeypatch.setattr(SyntheticFaces, "image_id", lambda self, index: ids[index])
    with pytest.raises(DataError, match="would share the file"):
        evaluate(build_model("tiny_test"), data=small_set(), report=Report(out=tmp_path))
    written = {path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*.*")}
    assert written >= {"metrics.json", "predictions.json", "predictions.jpg", "worst_misses.jpg"}
    assert written >= {"predictions/e/a.txt", "predictions/e/a.png.txt"}


def test_a_report_takes_a_name_that_is_no_text(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(SyntheticFaces, "image_id", lambda self, index: f"e/{index}\udcff.jpg")
    evaluate(build_model("tiny_test"), data=small_set(), report=Report(out=tmp_path, slices=True))
    assert len(list((tmp_path / "predictions" / "e").iterdir())) == 3
    assert (tmp_path / "report.html").is_file() and (tmp_path / "predictions.json").is_file()


def test_a_protocol_of_a_config_is_part_of_the_result(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    monkeypatch.setattr(FaceDetector, "predict", lambda self, images, *_: [NO_FACES] * len(images))
    monkeypatch.chdir(tmp_path)
    save_tensors(tmp_path / "w.safetensors", contiguous(build_model("tiny_test").state_dict()), {})
    (tmp_path / "mine.yaml").write_text(
        "_BASE_: tiny_test\nevaluation: {protocols: {near: long:96}}\n"
        "data: {val: {dataset: {num_images: 3}}}\n"
    )
    words = ["eval", "mine.yaml", "--weights", "w.safetensors", "--out", "o"]
    assert main([*words, "--protocol", "near", "--json", "m.json"]) == 0
    assert "mine.yaml, protocol near" in capsys.readouterr().out
    for written in ("m.json", "o/metrics.json"):
        results = json.loads((tmp_path / written).read_text())
        assert results["protocol"] == "near" and results["protocol_definition"] == "long:96"
        assert results["data"] == "SyntheticFaces" and results["images"] == 3
        assert results["time/whole_ms"] > 0 and results["device"] == "cpu"
    crowd = "evaluation.protocols.crowd={views: [near, long:9]}"
    assert main([*words, crowd, "--protocol", "crowd"]) == 0
    assert "protocol_definition: views long:96, long:9" in capsys.readouterr().out
    assert main([*words, crowd.replace("near", "far"), "--protocol", "crowd"]) == 2
    assert "evaluation.protocols.crowd: The protocol 'far' is unknown" in capsys.readouterr().err


def contiguous(tensors: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    return {name: one.contiguous() for name, one in tensors.items()}


def test_eval_predictions_hands_over(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    seen: dict[str, Any] = {}

    def evaluate_predictions(directory: Path, **options: Any) -> dict[str, float]:
        seen.update(directory=directory, **options)
        return {"widerface/hard": 0.25}

    monkeypatch.setattr(
        "facezoo.metrics.evaluate_predictions.evaluate_predictions", evaluate_predictions
    )
    out = tmp_path / "m.json"
    assert main(["eval-predictions", "p", "--truth", "t", "--json", str(out)]) == 0
    assert seen.pop("annotated") is None
    assert seen == {"directory": Path("p"), "truth": Path("t"), "names": None}
    assert "0.2500" in capsys.readouterr().out
    assert json.loads(out.read_text()) == {"widerface/hard": 0.25}


@pytest.mark.slow
def test_eval_predictions_imports_no_torch(tmp_path: Path) -> None:
    script = (
        "import sys; from facezoo.cli import main; main(['eval-predictions', 'none']); "
        "import facezoo.metrics.evaluate_predictions; print('torch' in sys.modules)"
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

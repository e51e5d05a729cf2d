"""``facezoo train`` hands over what it was given, and really trains."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from facezoo.cli import main
from facezoo.config.config import load_config
from facezoo.runs.model_comparison import ModelComparison, model_row
from facezoo.runs.run import TrainResult


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> list[tuple[Any, dict[str, Any]]]:
    seen: list[tuple[Any, dict[str, Any]]] = []

    def train(config: Any, **options: Any) -> TrainResult:
        seen.append((config, options))
        return TrainResult(config, Path("runs/x"), {"val/loss": 1.25})

    def train_many(configs: Any, **options: Any) -> list[TrainResult]:
        return [train(config, **options) for config in configs]

    monkeypatch.setattr("facezoo.runs.run.train", train)
    monkeypatch.setattr("facezoo.runs.run.train_many", train_many)
    return seen


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ([], {"resume": None, "out": None, "init_from": None, "sample": False}),
        (["--resume"], {"resume": True}),
        (["--resume", "runs/x"], {"resume": "runs/x"}),
        (["--resume", "train.epochs=3"], {"resume": True}),
        (["--out", "here", "--sample"], {"out": Path("here"), "sample": True}),
        (["--allow-imports"], {"allow_imports": True}),
        (["--init-from", "w.safetensors:backbone"], {"init_from": "w.safetensors:backbone"}),
    ],
)
def test_options_reach_the_engine(
    words: list[str], expected: dict, calls: list, capsys: pytest.CaptureFixture
) -> None:
    assert main(["train", "tiny_test", "optimizer.lr=0.5", *words]) == 0
    ((config, options),) = calls
    assert {name: options[name] for name in expected} == expected
    assert config == "tiny_test"
    extra = ["train.epochs=3"] if "train.epochs=3" in words else []
    assert sorted(options["overrides"]) == sorted(["optimizer.lr=0.5", *extra])
    assert "1.2500" in capsys.readouterr().out


def compared(results: list[TrainResult]) -> ModelComparison:
    config = load_config("tiny_test", ["evaluation.protocol=vga", "evaluation.nms_thresh=0.4"])
    measured = [replace(one, metrics={"val/widerface/easy": 0.625}) for one in results]
    models = [model_row(one, config, None, None) for one in measured]
    return ModelComparison(models)


def test_several_configs_end_in_one_table(
    calls: list, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    monkeypatch.setattr("facezoo.runs.model_comparison.compare_models", compared)
    several = ["train", "tiny_test", "retinaface_mnet025", "train.seed=7"]
    assert main([*several, "--out", str(tmp_path)]) == 0
    assert [config for config, _ in calls] == ["tiny_test", "retinaface_mnet025"]
    assert all(options["overrides"] == ["train.seed=7"] for _, options in calls)
    printed = capsys.readouterr().out
    rows = [line.split() for line in printed.splitlines() if "0.6250" in line]
    assert [row[:5] for row in rows] == [
        ["tiny_test", "vga", "0.02", "0.4", "0.6250"],
        ["retinaface_mnet025", "vga", "0.02", "0.4", "0.6250"],
    ]
    assert {one.name for one in tmp_path.iterdir()} == {"comparison.json", "comparison.md"}


def test_a_model_that_failed_is_a_row_and_exit_code_1(
    calls: list, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    def train_many(configs: Any, **options: Any) -> list[TrainResult]:
        first, second = configs
        return [
            TrainResult(first, Path("runs/x"), {"val/loss": 1.25}),
            TrainResult(second, Path("runs/y"), {}, failure="The loss is not finite."),
        ]

    monkeypatch.setattr("facezoo.runs.run.train_many", train_many)
    monkeypatch.setattr("facezoo.runs.model_comparison.compare_models", compared)
    assert main(["train", "tiny_test", "retinaface_mnet025"]) == 1
    printed = capsys.readouterr().out
    assert "retinaface_mnet025 failed: The loss is not finite." in printed
    assert "tiny_test: weights in runs/x/checkpoints" in printed
    assert "weights in runs/y" not in printed


def test_one_run_cannot_be_resumed_by_several_configs(
    calls: list, capsys: pytest.CaptureFixture
) -> None:
    assert main(["train", "tiny_test", "retinaface_mnet025", "--resume", "runs/x"]) == 2
    assert "runs/x is one run" in capsys.readouterr().err
    assert not calls


def test_print_config_trains_nothing(calls: list, capsys: pytest.CaptureFixture) -> None:
    assert main(["train", "tiny_test", "train.seed=7", "--print-config"]) == 0
    printed = capsys.readouterr().out
    assert "seed: 7" in printed and "command line" in printed and "tiny_test.yaml:" in printed
    assert not calls


def test_check_trains_nothing_and_reports_every_error(
    calls: list, capsys: pytest.CaptureFixture
) -> None:
    assert main(["train", "tiny_test", "--check"]) == 0
    assert "tiny_test: everything can be built." in capsys.readouterr().out
    wrong = ["model.backbone.type=MobileNetV7", "optimizer.lr=fast"]
    assert main(["train", "tiny_test", "--check", *wrong]) == 2
    printed = capsys.readouterr().err
    assert "MobileNetV7" in printed and "optimizer.lr" in printed
    assert not calls


def test_check_and_print_take_a_run(
    tmp_path: Path, calls: list, capsys: pytest.CaptureFixture
) -> None:
    (tmp_path / "config.yaml").write_text("_BASE_: tiny_test\ntrain: {seed: 3}\n")
    assert main(["train", str(tmp_path), "--check"]) == 0
    assert main(["train", str(tmp_path), "--print-config"]) == 0
    assert "seed: 3" in capsys.readouterr().out
    assert main(["train", str(tmp_path), "--check", "schedule=null", "train.accumulate=3"]) == 2
    printed = capsys.readouterr().err
    assert "schedule: a run needs it" in printed and "train.accumulate (3)" in printed
    assert not calls


@pytest.mark.slow
def test_trains_evaluates_and_detects(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    run = tmp_path / "run"
    assert main(["train", "tiny_test", "--out", str(run), "train.max_steps=2"]) == 0
    assert (run / "checkpoints" / "last" / "model.safetensors").is_file()
    assert main(["train", "tiny_test", "--out", str(run)]) == 2
    assert "resume" in capsys.readouterr().err
    assert main(["eval", str(run), "--json", str(tmp_path / "m.json")]) == 0
    assert "protocol" in capsys.readouterr().out

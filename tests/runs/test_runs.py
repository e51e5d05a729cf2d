"""Run folders as they are found on disk: listed and compared."""

from __future__ import annotations

import json
import os
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest

from facezoo.errors import ConfigError, DataError
from facezoo.runs.listing import (
    Run,
    find_runs,
    is_run,
    open_runs,
    settings_that_differ,
    validation_metrics,
)

CONFIG = """\
model: {type: FaceDetector, anchors: {8: [16, 32]}}
optimizer: {type: torch.AdamW, lr: 0.001}
hooks:
  ema: {type: EMA, decay: 0.9}
  checkpoint: {type: Checkpoint}
"""
START = datetime(2026, 3, 1, 12, tzinfo=timezone.utc)


def make_run(
    folder: Path,
    *,
    config: str = CONFIG,
    losses: tuple[float | None, ...] | None = (3.0, 2.0, 2.5),
    state: str | None = "finished",
    hour: int = 0,
    **status: Any,
) -> Path:
    """A run folder as a run leaves it that evaluated after every tenth step."""
    folder.mkdir(parents=True)
    (folder / "config.yaml").write_text(config)
    if losses is not None:
        rows = []
        for step, loss in enumerate(losses, 1):
            rows.append({"step": 10 * step, "train/loss": 4.0 / step})
            rows.append({"step": 10 * step, "val/loss": loss, "val/coco/ap50": step / 10})
        (folder / "metrics.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    changed = START + timedelta(hours=hour)
    if state is not None:
        content = {
            "state": state,
            "step": 30,
            "total_steps": 40,
            "host": "another-machine",
            "process_id": 1,
            "message": "",
        }
        (folder / "status.json").write_text(json.dumps(content | status))
    for path in folder.iterdir():
        os.utime(path, (changed.timestamp(), changed.timestamp()))
    return folder


def one(folder: Path) -> Run:
    (run,) = find_runs(folder)
    return run


def test_a_run_is_what_its_files_say(tmp_path: Path) -> None:
    make_run(tmp_path / "tiny" / "first", hour=2)
    run = one(tmp_path)
    assert (run.name, run.folder) == ("tiny/first", tmp_path / "tiny" / "first")
    assert (run.state, run.step, run.total_steps, run.remark) == ("finished", 30, 40, "")
    assert (run.metric, run.best_value, run.best_step) == ("val/loss", 2.0, 20)
    assert run.changed == START + timedelta(hours=2)
    assert run.points("val/loss") == {10: 3.0, 20: 2.0, 30: 2.5}
    assert run.points("val/none") == {}


@pytest.mark.parametrize(
    ("checkpoint", "best"),
    [
        ("{type: Checkpoint, best: val/coco/ap50, mode: max}", ("val/coco/ap50", 0.3, 30)),
        ("{type: Checkpoint, best: val/coco/ap50}", ("val/coco/ap50", 0.1, 10)),
        ("{type: Checkpoint, best: val/none}", ("val/none", None, None)),
        ("{type: Checkpoint, best: null}", (None, None, None)),
        ("null", (None, None, None)),
    ],
)
def test_the_config_chooses_the_best(
    checkpoint: str, best: tuple[str | None, float | None, int | None], tmp_path: Path
) -> None:
    make_run(tmp_path / "a", config=CONFIG.replace("{type: Checkpoint}", checkpoint))
    run = one(tmp_path)
    assert (run.metric, run.best_value, run.best_step) == best


def test_of_equal_values_the_first_is_the_best_and_null_is_none(tmp_path: Path) -> None:
    make_run(tmp_path / "a", losses=(None, 2.0, 2.0))
    assert (one(tmp_path).best_value, one(tmp_path).best_step) == (2.0, 20)


def test_the_newest_comes_first(tmp_path: Path) -> None:
    for name, hour in (("b", 1), ("a", 3), ("deep/er/c", 2)):
        make_run(tmp_path / name, hour=hour)
    assert [run.name for run in find_runs(tmp_path)] == ["a", "deep/er/c", "b"]


def test_a_run_without_status_is_unknown(tmp_path: Path) -> None:
    make_run(tmp_path / "old", state=None, hour=5)
    run = one(tmp_path)
    assert (run.state, run.step, run.total_steps) == ("unknown", 30, None)
    assert run.changed == START + timedelta(hours=5)


def test_while_a_run_goes_on_its_metrics_are_ahead_of_its_status(tmp_path: Path) -> None:
    folder = make_run(tmp_path / "a", state="running", step=0)
    later = (START + timedelta(hours=7)).timestamp()
    os.utime(folder / "metrics.jsonl", (later, later))
    run = one(tmp_path)
    assert (run.state, run.step, run.total_steps) == ("running", 30, 40)
    assert run.changed == START + timedelta(hours=7)


def test_a_failed_run_says_why(tmp_path: Path) -> None:
    make_run(tmp_path / "a", state="failed", message="The loss is not finite.", losses=None)
    run = one(tmp_path)
    assert (run.state, run.remark, run.best_value) == ("failed", "The loss is not finite.", None)


def test_what_is_no_run_is_passed_over(tmp_path: Path) -> None:
    folder = make_run(tmp_path / "a")
    checkpoint = folder / "checkpoints" / "step_000010"
    make_run(checkpoint)  # inside of a run: not another one
    (tmp_path / "only_config").mkdir()
    (tmp_path / "only_config" / "config.yaml").write_text(CONFIG)
    (tmp_path / "only_metrics").mkdir()
    (tmp_path / "only_metrics" / "metrics.jsonl").write_text("")
    assert [run.name for run in find_runs(tmp_path)] == ["a"]
    assert not is_run(tmp_path / "only_config") and not is_run(tmp_path / "none")
    (tmp_path / "only_config" / "checkpoints").mkdir()
    assert is_run(tmp_path / "only_config")


def test_a_folder_that_is_a_run_itself(tmp_path: Path) -> None:
    make_run(tmp_path / "a")
    assert one(tmp_path / "a").name == "a"


def test_no_folder_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"There is no folder .*none; name one"):
        find_runs(tmp_path / "none")


@pytest.mark.parametrize(
    ("file", "text", "remark"),
    [
        ("config.yaml", "model: [", "config.yaml"),
        ("config.yaml", "model: {a: 1, a: 2}", "'a' was given before"),
        ("metrics.jsonl", "{]\n", "has a line that is no JSON"),
        ("metrics.jsonl", '{"val/loss": 1}\n', "has a line without a step"),
        ("metrics.jsonl", "3\n", "has a line without a step"),
    ],
)
def test_one_damaged_run_does_not_hide_the_others(
    file: str, text: str, remark: str, tmp_path: Path
) -> None:
    make_run(tmp_path / "whole")
    damaged = make_run(tmp_path / "damaged", hour=1)
    (damaged / file).write_text(text)
    first, second = find_runs(tmp_path)
    assert (first.name, first.state, first.best_value) == ("damaged", "finished", None)
    assert remark in first.remark and "\n" not in first.remark
    assert (second.name, second.remark, second.best_value) == ("whole", "", 2.0)
    with pytest.raises((ConfigError, DataError)) as caught:
        open_runs([tmp_path / "whole", damaged])
    assert remark in str(caught.value)


def test_metrics_that_are_no_text_are_a_remark(tmp_path: Path) -> None:
    (make_run(tmp_path / "a") / "metrics.jsonl").write_bytes(b"\xff\n")
    assert "has a line that is no JSON" in one(tmp_path).remark


def test_plug_ins_of_a_run_are_not_imported(tmp_path: Path) -> None:
    folder = make_run(tmp_path / "a", config="imports: [plugin_that_must_not_run]\n" + CONFIG)
    (folder / "plugin_that_must_not_run.py").write_text("raise SystemExit\n")
    assert one(tmp_path).remark == ""


def test_runs_are_named_by_what_differs(tmp_path: Path) -> None:
    folders = [make_run(tmp_path / name) for name in ("x/a", "x/b")]
    assert [run.name for run in open_runs(folders)] == ["a", "b"]
    folders.append(make_run(tmp_path / "y" / "a"))
    assert [run.name for run in open_runs(folders)] == ["x/a", "x/b", "y/a"]


def test_what_cannot_be_compared_is_one_sentence(tmp_path: Path) -> None:
    run = make_run(tmp_path / "a")
    for folders, kind, words in (
        ([], ConfigError, "at least two runs to compare; the words name 0"),
        ([run], ConfigError, "at least two runs to compare; the words name 1"),
        ([run, tmp_path / "none"], DataError, "none is no run folder"),
        ([run, tmp_path], DataError, "is no run folder"),
        ([run, tmp_path / "x" / ".." / "a"], ConfigError, "a is named twice"),
    ):
        (tmp_path / "x").mkdir(exist_ok=True)
        with pytest.raises(kind) as caught:
            open_runs(folders)
        assert words in str(caught.value) and "\n" not in str(caught.value)


def test_only_settings_that_differ_are_told(tmp_path: Path) -> None:
    texts = {
        "a": CONFIG,
        "b": CONFIG.replace("0.001", "0.002").replace("decay: 0.9", "decay: 0.8"),
        "c": CONFIG.replace("ema: {type: EMA, decay: 0.9}", "ema: null").replace("[16, 32]", "[9]"),
    }
    a, b, c = open_runs([make_run(tmp_path / name, config=text) for name, text in texts.items()])
    assert settings_that_differ([a, b]) == {
        "optimizer.lr": ["0.001", "0.002"],
        "hooks.ema.decay": ["0.9", "0.8"],
    }
    assert settings_that_differ([a, a]) == {}
    assert settings_that_differ([a, b, c]) == {
        "optimizer.lr": ["0.001", "0.002", "0.001"],
        "model.anchors.8": ["[16, 32]", "[16, 32]", "[9]"],
        "hooks.ema.type": ["'EMA'", "'EMA'", "-"],
        "hooks.ema.decay": ["0.9", "0.8", "-"],
        "hooks.ema": ["-", "-", "null"],
    }


def test_parts_of_a_list_have_a_path_each(tmp_path: Path) -> None:
    flip, crop = "{type: Flip, p: 0.5}", "{type: Crop}"
    folders = [
        make_run(tmp_path / name, config=f"{CONFIG}data: {{train: {{transforms: [{parts}]}}}}\n")
        for name, parts in (("a", f"{flip}, {crop}"), ("b", flip.replace("0.5", "0.1")))
    ]
    assert settings_that_differ(open_runs(folders)) == {
        "data.train.transforms.0.p": ["0.5", "0.1"],
        "data.train.transforms.1.type": ["'Crop'", "-"],
    }


def test_validation_metrics_are_those_of_all_runs(tmp_path: Path) -> None:
    runs = open_runs([make_run(tmp_path / "a"), make_run(tmp_path / "b", losses=())])
    assert validation_metrics(runs) == ["val/loss", "val/coco/ap50"]

"""``facezoo runs`` over folders made by hand, and over one that a training has made."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from datetime import datetime, timezone
from pathlib import Path

import pytest

from facezoo.cli import main
from facezoo.runs.run import train


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "120")
    return tmp_path


def make_run(
    name: str, lr: float = 0.001, best: int = 20, message: str | None = None, hour: int = 12
) -> Path:
    folder = Path("runs", name)
    folder.mkdir(parents=True)
    (folder / "config.yaml").write_text(
        f"optimizer: {{lr: {lr}}}\nhooks: {{checkpoint: {{type: Checkpoint}}}}\n"
    )
    rows = [
        {"step": step, "train/loss": 5.0, "val/loss": 1.5 if step == best else 2.5, "val/ap": 0.25}
        for step in (10, 20, 30)
    ]
    (folder / "metrics.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    if message is not None:
        status = {
            "state": "failed",
            "step": 33,
            "total_steps": 40,
            "host": "h",
            "process_id": 1,
            "message": message,
        }
        (folder / "status.json").write_text(json.dumps(status))
    changed = datetime(2026, 3, 1, hour, tzinfo=timezone.utc).timestamp()
    for path in folder.iterdir():
        os.utime(path, (changed, changed))
    return folder


def test_the_list(capsys: pytest.CaptureFixture) -> None:
    make_run("tiny/first", hour=14)
    make_run("tiny/second", message="The loss [bold] is not finite.")
    assert main(["runs", "--json", "out/runs.json"]) == 0
    printed = capsys.readouterr().out
    first, second = (line for line in printed.splitlines() if "tiny/" in line)
    assert [cell.strip() for cell in first.split("│")[1:4]] == ["tiny/first", "unknown", "30"]
    assert "val/loss 1.5000 at 20" in first
    assert [cell.strip() for cell in second.split("│")[1:4]] == ["tiny/second", "failed", "33/40"]
    assert "The loss [bold]" in second
    listed = json.loads(Path("out/runs.json").read_text())
    assert [one["name"] for one in listed] == ["tiny/first", "tiny/second"]
    assert listed[1] == {
        "name": "tiny/second",
        "folder": "runs/tiny/second",
        "state": "failed",
        "step": 33,
        "total_steps": 40,
        "metric": "val/loss",
        "best_value": 1.5,
        "best_step": 20,
        "changed": "2026-03-01T12:00:00+00:00",
        "remark": "The loss [bold] is not finite.",
    }


def test_a_folder_without_runs(capsys: pytest.CaptureFixture) -> None:
    Path("mine").mkdir()
    assert main(["runs", "mine", "--json", "runs.json"]) == 0
    assert capsys.readouterr().out == "There is no run in mine.\n"
    assert json.loads(Path("runs.json").read_text()) == []


def rows_of(printed: str) -> list[list[str]]:
    return [[cell.strip() for cell in line.split("│")[1:-1]] for line in printed.splitlines()]


def test_compare(capsys: pytest.CaptureFixture) -> None:
    folders = [
        make_run("tiny/a"),
        make_run("tiny/b", lr=0.01, best=30, message="The disk is full."),
    ]
    assert main(["runs", "compare", *map(str, folders)]) == 0
    printed = capsys.readouterr().out
    assert [row for row in rows_of(printed) if row] == [
        ["optimizer.lr", "0.001", "0.01"],
        ["state", "unknown", "failed"],
        ["step", "30", "33"],
        ["best step", "20", "30"],
        ["val/loss", "2.5000 (1.5000)", "1.5000"],
        ["val/ap", "0.2500", "0.2500"],
    ]


def test_compare_of_like_runs(capsys: pytest.CaptureFixture) -> None:
    folders = [make_run("a"), make_run("b")]
    assert main(["runs", "compare", *map(str, folders)]) == 0
    assert ["settings", "all the same", ""] in rows_of(capsys.readouterr().out)


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        ([], "There is no folder runs"),
        (["none"], "There is no folder none"),
        (["a", "b"], "'b' is one word too many"),
        (["compare"], "at least two runs to compare; the words name 0"),
        (["compare", "mine/a"], "at least two runs to compare; the words name 1"),
        (["compare", "mine/a", "mine/none"], "mine/none is no run folder"),
        (["compare", "mine/a", "mine/a"], "mine/a is named twice"),
        (["compare", "mine/a", "mine/b", "--json", "x"], "--json belongs to the list"),
        (["compare", "mine/a", "mine/b", "--out", "x.png"], "--out is gone"),
    ],
)
def test_wrong_requests(words: list[str], sentence: str, capsys: pytest.CaptureFixture) -> None:
    make_run("a")
    Path("runs").rename("mine")
    assert main(["runs", *words]) == 2
    printed = capsys.readouterr()
    assert sentence in printed.err and printed.err.count("\n") == 1
    assert not printed.out


@pytest.mark.slow
def test_runs_of_a_training(capsys: pytest.CaptureFixture) -> None:
    small = ["train.max_steps=2", "train.log_every=1", "data.batch_size=2"]
    small += ["data.train.dataset.num_images=4", "data.val.dataset.num_images=2"]
    small += ["hooks.tensorboard=null", "hooks.early_stopping=null"]
    for name, lr in (("first", "0.001"), ("second", "0.002")):
        train("tiny_test", overrides=[*small, f"optimizer.lr={lr}"], out=f"runs/{name}")
    capsys.readouterr()
    assert main(["runs", "--json", "runs.json"]) == 0
    second, first = json.loads(Path("runs.json").read_text())
    assert (first["name"], first["step"], first["metric"]) == ("first", 2, "val/loss")
    assert first["best_step"] == 2 and first["best_value"] > 0 and second["remark"] == ""
    capsys.readouterr()
    assert main(["runs", "compare", "runs/first", "runs/second"]) == 0
    rows = [row[0] for row in rows_of(capsys.readouterr().out) if row]
    assert rows[:4] == ["optimizer.lr", "state", "step", "best step"] and "val/coco/ap50" in rows


@pytest.mark.slow
def test_help_imports_nothing_heavy() -> None:
    script = (
        "import sys; from facezoo.cli import main; code = main(['runs', '--help']); "
        "print(code, {'torch', 'matplotlib', 'cv2'} & set(sys.modules))"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert done.stdout.splitlines()[-1] == "0 set()"

"""The status of a run on disk: written at its start and at its end, whatever the end is."""

from __future__ import annotations

import json
import logging
import os
import platform
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from facezoo.distributed import RunInterrupted
from facezoo.errors import ConfigError
from facezoo.runs.listing import read_status, recording
from facezoo.training.trainer import Trainer

MakeTrainer = Callable[..., Trainer]


def content(folder: Path) -> dict[str, Any]:
    return json.loads((folder / "status.json").read_text())


def write(folder: Path, **changes: Any) -> None:
    """A status as a run of this process would have it, with changes; None takes a key away."""
    known = {
        "state": "running",
        "step": 3,
        "total_steps": 6,
        "host": platform.node(),
        "process_id": os.getpid(),
        "message": "",
    }
    kept = {name: value for name, value in (known | changes).items() if value is not None}
    (folder / "status.json").write_text(json.dumps(kept))


def test_a_run_is_running_and_then_finished(make_trainer: MakeTrainer, tmp_path: Path) -> None:
    trainer = make_trainer(steps=2)
    with recording(tmp_path, trainer):
        running = content(tmp_path)
        assert read_status(tmp_path).state == "running"
        trainer.fit()
    assert (running["state"], running["step"], running["total_steps"]) == ("running", 0, 2)
    assert (running["host"], running["process_id"]) == (platform.node(), os.getpid())
    assert running["message"] == ""
    status = read_status(tmp_path)
    assert (status.state, status.step, status.message) == ("finished", 2, "")
    assert [path.name for path in tmp_path.iterdir()] == ["status.json"]


@pytest.mark.parametrize(
    ("error", "state", "message"),
    [
        (ConfigError(["data.val: no such set.", "and more."]), "failed", "data.val: no such set."),
        (ZeroDivisionError("division by zero"), "failed", "ZeroDivisionError: division by zero"),
        (MemoryError(), "failed", "MemoryError"),
        (SystemExit(3), "failed", "SystemExit: 3"),
        (RunInterrupted("SIGTERM", "Stopped by SIGTERM."), "interrupted", ""),
        (KeyboardInterrupt(), "interrupted", ""),
    ],
)
def test_how_a_run_ends_with_an_error(
    error: BaseException, state: str, message: str, make_trainer: MakeTrainer, tmp_path: Path
) -> None:
    trainer = make_trainer(steps=6)
    with pytest.raises(type(error)) as caught, recording(tmp_path, trainer):
        trainer.step = 4
        raise error
    assert caught.value is error
    status = read_status(tmp_path)
    assert (status.state, status.message, status.step) == (state, message, 4)


def test_a_full_disk_ends_no_run(
    make_trainer: MakeTrainer,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    trainer = make_trainer(steps=1)
    monkeypatch.setattr("facezoo.runs.listing.os.replace", full)
    with recording(tmp_path, trainer):
        trainer.fit()
    assert trainer.step == 1 and read_status(tmp_path) is None
    warnings = [one.message for one in caplog.records if one.levelno == logging.WARNING]
    assert (
        warnings
        == ["The status of the run could not be written: [Errno 28] No space left on device"] * 2
    )


def test_the_old_status_stays_whole_until_the_new_one_stands(
    make_trainer: MakeTrainer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path, state="finished")
    seen = []
    replace = os.replace

    def spy(new: Path, old: Path) -> None:
        seen.append((json.loads(Path(new).read_text())["state"], content(tmp_path)["state"]))
        replace(new, old)

    monkeypatch.setattr("facezoo.runs.listing.os.replace", spy)
    with recording(tmp_path, make_trainer()):
        pass
    assert seen == [("running", "finished"), ("finished", "running")]


def test_a_process_that_is_gone_was_killed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    write(tmp_path, process_id=gone.pid)
    assert read_status(tmp_path).state == "killed"
    write(tmp_path, process_id=gone.pid, state="failed")
    assert read_status(tmp_path).state == "failed"
    write(tmp_path, process_id=gone.pid, host="another-machine")
    assert read_status(tmp_path).state == "running"
    write(tmp_path, process_id=gone.pid)
    monkeypatch.setattr("facezoo.runs.listing.sys.platform", "win32")
    assert read_status(tmp_path).state == "running"


def test_a_process_of_another_user_is_alive(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise PermissionError

    write(tmp_path)
    monkeypatch.setattr("facezoo.runs.listing.os.kill", refuse)
    assert read_status(tmp_path).state == "running"


def test_a_status_of_an_older_version_is_read(tmp_path: Path) -> None:
    write(tmp_path, state="finished", started="2026-03-01T12:00:00+00:00")
    assert read_status(tmp_path).state == "finished"


@pytest.mark.parametrize("text", ["", "{", "[]", "3", '"running"', '{"state": "running"}'])
def test_a_damaged_status_is_none(text: str, tmp_path: Path) -> None:
    assert read_status(tmp_path) is None
    (tmp_path / "status.json").write_text(text)
    assert read_status(tmp_path) is None


def test_a_status_that_is_no_text_is_none(tmp_path: Path) -> None:
    (tmp_path / "status.json").write_bytes(b"\xff\xfe\x00")
    assert read_status(tmp_path) is None

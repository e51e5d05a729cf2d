"""The profile of a few steps: what is in its files, and that training goes on."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from facezoo.errors import ConfigError
from facezoo.training.hook import Hook
from facezoo.training.hooks.profile import STEP, Profile
from facezoo.training.trainer import Trainer

MakeTrainer = Callable[..., Trainer]


def events(folder: Path, name: str) -> list[dict[str, Any]]:
    trace = json.loads((folder / "profile" / "trace.json").read_text())
    return [one for one in trace["traceEvents"] if one.get("name") == name]


def convolutions(folder: Path) -> int:
    return len(events(folder, "aten::convolution"))


def test_exactly_the_steps_are_profiled_and_training_goes_on(
    make_trainer: MakeTrainer, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "facezoo")
    trainer = make_trainer({"profile": Profile(steps=3, skip=2)}, steps=9)
    trainer.fit()
    assert trainer.step == 9
    assert len(events(tmp_path, STEP)) == 3
    assert convolutions(tmp_path) == 3  # the Toy has one convolution
    assert len(events(tmp_path, "Optimizer.step#AdamW.step")) == 3
    table = (tmp_path / "profile" / "operations.txt").read_text()
    assert "convolution" in table and STEP not in table
    assert "Profiled 3 steps" in caplog.text and str(tmp_path / "profile") in caplog.text
    shares = [one for one in caplog.messages if " calls)" in one]
    assert len(shares) == 3


def test_the_table_has_the_ten_longest_first(make_trainer: MakeTrainer, tmp_path: Path) -> None:
    make_trainer({"profile": Profile(steps=1, skip=0)}, steps=1).fit()
    lines = (tmp_path / "profile" / "operations.txt").read_text().splitlines()
    rules = [number for number, line in enumerate(lines) if line.startswith("---")]
    heading, rows = lines[rules[0] + 1], lines[rules[1] + 1 : rules[2]]
    start = heading.index("Self CPU %")
    end = start + len("Self CPU %")
    shares = [float(row[:end].split()[-1].rstrip("%")) for row in rows]
    assert len(rows) == 10
    assert shares == sorted(shares, reverse=True) and shares[0] > 0


def test_no_step_goes_before_where_none_is_skipped(
    make_trainer: MakeTrainer, tmp_path: Path
) -> None:
    make_trainer({"profile": Profile(steps=2, skip=0)}, steps=2).fit()
    assert (len(events(tmp_path, STEP)), convolutions(tmp_path)) == (2, 2)


@pytest.mark.parametrize("steps", [4, 5])
def test_a_short_run_writes_what_it_has(
    steps: int, make_trainer: MakeTrainer, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "facezoo")
    make_trainer({"profile": Profile(steps=10, skip=3)}, steps=steps).fit()
    assert len(events(tmp_path, STEP)) == convolutions(tmp_path) == steps - 3
    assert f"Profiled {steps - 3} steps" in caplog.text


def test_a_failed_run_writes_what_it_has(make_trainer: MakeTrainer, tmp_path: Path) -> None:
    class Fails(Hook):
        def before_step(self, trainer: Trainer) -> None:
            if trainer.step == 3:
                raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        make_trainer({"profile": Profile(skip=1), "fails": Fails()}).fit()
    assert convolutions(tmp_path) == 2


def test_nothing_to_profile_is_said(
    make_trainer: MakeTrainer, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    make_trainer({"profile": Profile(skip=3)}, steps=3).fit()
    assert "Nothing was profiled: the run has 3 steps" in caplog.text
    assert not (tmp_path / "profile").exists()


def test_a_full_disk_ends_no_run(
    make_trainer: MakeTrainer, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "profile").write_text("in the way of the folder")
    trainer = make_trainer({"profile": Profile(steps=1, skip=1)}, steps=3)
    trainer.fit()
    assert trainer.step == 3
    assert "The profile could not be written" in caplog.text


@pytest.mark.parametrize(("arguments", "word"), [({"steps": 0}, "steps"), ({"skip": -1}, "skip")])
def test_arguments_are_checked(arguments: dict[str, int], word: str) -> None:
    with pytest.raises(ConfigError, match=f"{word} is "):
        Profile(**arguments)


def test_only_the_main_process_profiles() -> None:
    assert Profile.rank_0_only

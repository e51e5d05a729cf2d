"""SIGTERM and Ctrl-C at every moment of a run, and what goes on afterwards."""

from __future__ import annotations

import os
import shlex
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import ClassVar

import pytest
import torch
from safetensors.torch import load_file

from facezoo.cli import main
from facezoo.config.config import load_config
from facezoo.distributed import RunInterrupted
from facezoo.runs.listing import read_status
from facezoo.runs.run import train, train_many
from facezoo.structures import Batch
from facezoo.training.checkpoint import load_checkpoint, read_state
from facezoo.training.hook import Hook
from facezoo.training.hooks import JSONL, Checkpoint
from facezoo.training.metrics_file import read_metrics
from facezoo.training.trainer import Trainer

MakeTrainer = Callable[..., Trainer]


class Send(Hook):
    """Sends this process a signal at one moment of a run."""

    def __init__(self, number: int, at: int, event: str = "after_step", times: int = 1) -> None:
        self.number, self.at, self.event, self.times = number, at, event, times
        setattr(self, event, self._send)

    def _send(self, trainer: Trainer) -> None:
        if trainer.step == self.at:
            for _ in range(self.times):
                os.kill(os.getpid(), self.number)


class Count(Hook):
    """Counts its calls, as an evaluation would that comes after the signal."""

    comes_before: ClassVar[tuple[str, ...]] = ("Checkpoint",)

    def __init__(self) -> None:
        self.steps: list[int] = []

    def after_step(self, trainer: Trainer) -> None:
        for _ in trainer.watch(range(2)):
            pass
        self.steps.append(trainer.step)
        trainer.publish({"val/loss": 1.0 / trainer.step})


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
@pytest.mark.parametrize("event", ["before_step", "after_step"])
def test_a_signal_ends_the_run_after_its_step(
    make_trainer: MakeTrainer, tmp_path: Path, number: signal.Signals, event: str
) -> None:
    before = signal.getsignal(number)
    at = 2 if event == "before_step" else 3
    hooks = {"send": Send(number, at, event), "checkpoint": Checkpoint(every_epochs=None)}
    trainer = make_trainer(hooks)
    with pytest.raises(RunInterrupted, match=f"{number.name} ended the run after step") as caught:
        trainer.fit()
    assert caught.value.exit_code == 128 + number
    # A signal between two steps ends the run after the next one, as that has begun by then.
    step = trainer.step
    assert step == 3 if event == "before_step" else step in (3, 4)
    assert (tmp_path / "checkpoints" / "last").resolve().name == f"step_{step:06d}"
    assert trainer.interrupted == number.name and not trainer.failed
    assert signal.getsignal(number) is before


def test_signals_that_come_together_are_one(make_trainer: MakeTrainer, tmp_path: Path) -> None:
    """torchrun passes on the Ctrl-C that the terminal has sent to every process already."""
    hooks = {"send": Send(signal.SIGINT, 2, times=3), "checkpoint": Checkpoint(every_epochs=None)}
    with pytest.raises(RunInterrupted):
        make_trainer(hooks).fit()
    assert (tmp_path / "checkpoints" / "last").exists()


def test_what_a_signal_cut_short_is_done_when_the_run_goes_on(
    make_trainer: MakeTrainer, tmp_path: Path
) -> None:
    """The evaluation of step 3 is cut short, and that of a resumed run has the same metrics."""

    def hooks(send: bool) -> dict[str, Hook]:
        sent = {"send": Send(signal.SIGTERM, 3)} if send else {}
        return {**sent, "count": Count(), "checkpoint": Checkpoint(every_epochs=None, keep=9)}

    straight = make_trainer(hooks(False), folder=tmp_path / "straight")
    straight.fit()
    broken = make_trainer(hooks(True), folder=tmp_path / "broken")
    with pytest.raises(RunInterrupted, match="after step 3"):
        broken.fit()
    assert broken.hooks["count"].steps == [1, 2]
    resumed = make_trainer(hooks(False), folder=tmp_path / "broken")
    load_checkpoint(resumed, tmp_path / "broken" / "checkpoints" / "last")
    resumed.fit()
    assert resumed.hooks["count"].steps == [3, 4, 5, 6]
    states = [
        torch.load(tmp_path / name / "checkpoints/last/state.pt", weights_only=True)
        for name in ("straight", "broken")
    ]
    assert states[0]["hooks"]["checkpoint"] == states[1]["hooks"]["checkpoint"]
    weights = [
        load_file(tmp_path / name / "checkpoints/last/model.safetensors")
        for name in ("straight", "broken")
    ]
    assert all(torch.equal(weights[0][name], weights[1][name]) for name in weights[0])


@pytest.mark.slow
def test_the_second_ctrl_c_ends_at_once(tmp_path: Path) -> None:
    """A program that trains steps without an end: after the second signal nothing is saved."""
    program = (
        "import os, signal, sys, time\n"
        "from facezoo.training.process import Signals\n"
        "with Signals() as signals:\n"
        "    os.kill(os.getpid(), signal.SIGINT)\n"
        "    assert signals.received == 'SIGINT'\n"
        "    signals._since -= 2\n"
        "    os.kill(os.getpid(), signal.SIGINT)\n"
        "    print('still here')\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.returncode == -signal.SIGINT
    assert "still here" not in done.stdout and "once more ends at once" in done.stderr


def test_a_run_says_how_to_go_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    original = Trainer._train_on

    def interrupted(self: Trainer, batch: Batch) -> None:
        if self.step == 1:
            os.kill(os.getpid(), signal.SIGTERM)
        original(self, batch)

    monkeypatch.setattr(Trainer, "_train_on", interrupted)
    small = ["data.batch_size=2", "hooks.evaluation=null", "hooks.tensorboard=null"]
    small += ["hooks.checkpoint.best=null"]
    with pytest.raises(RunInterrupted) as caught:
        train("tiny_test", overrides=small, out="run")
    assert str(caught.value) == (
        "SIGTERM ended the run after step 2; go on with: facezoo train tiny_test --resume run"
    )
    status = read_status(Path("run"))
    assert status is not None and (status.state, status.step) == ("interrupted", 2)


def test_metrics_of_a_step_are_written_once(make_trainer: MakeTrainer, tmp_path: Path) -> None:
    """Cut short in an evaluation, resumed past it, killed before the next checkpoint, resumed."""

    def hooks(*more: tuple[str, Hook]) -> dict[str, Hook]:
        checkpoint = Checkpoint(every_epochs=None, best=None)
        return dict([*more, ("count", Count()), ("checkpoint", checkpoint), ("jsonl", JSONL())])

    with pytest.raises(RunInterrupted, match="after step 3"):
        make_trainer(hooks(("send", Send(signal.SIGTERM, 3)))).fit()
    for _ in range(2):  # the first of the two leaves no checkpoint
        resumed = make_trainer(hooks())
        load_checkpoint(resumed, tmp_path / "checkpoints" / "step_000003")
        resumed.fit()
    rows = read_metrics(tmp_path / "metrics.jsonl")
    assert [row["step"] for row in rows if "val/loss" in row] == [1, 2, 3, 4, 5, 6]
    assert [row["step"] for row in rows if "train/loss" in row] == [1, 2, 3, 4, 5, 6]


@pytest.fixture
def pair(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    monkeypatch.chdir(tmp_path)
    for name in ("first", "second"):
        Path(f"{name}.yaml").write_text(
            "_BASE_: tiny_test\n"
            "data: {batch_size: 2}\ntrain: {max_steps: 2, log_every: 1}\n"
            "hooks: {evaluation: null, tensorboard: null, checkpoint: {best: null}}\n"
        )
    return ["first.yaml", "second.yaml"]


def interrupt_at(step: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Sends SIGTERM while the first trainer is at this step."""
    original, sent = Trainer._publish_losses, []

    def interrupted(self: Trainer) -> None:
        if self.step == step and not sent:
            sent.append(step)
            os.kill(os.getpid(), signal.SIGTERM)
        original(self)

    monkeypatch.setattr(Trainer, "_publish_losses", interrupted)


def test_a_signal_at_the_end_of_one_run_keeps_the_next_from_beginning(
    pair: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    interrupt_at(2, monkeypatch)
    with pytest.raises(RunInterrupted, match="first was at its end; the others were not begun"):
        train_many(pair, out="runs")
    status = read_status(Path("runs/first"))
    assert status is not None and status.state == "finished"
    assert not Path("runs/second").exists()


def test_the_command_after_a_signal_goes_on_with_all_runs(
    pair: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    interrupt_at(1, monkeypatch)
    overrides = ["train.seed=3", "evaluation.protocol={long: 96}"]
    with pytest.raises(RunInterrupted) as caught:
        train_many(pair, overrides=overrides, out="several runs")
    command = shlex.split(str(caught.value).split("go on with: ")[1])
    assert command[:2] == ["facezoo", "train"] and not Path("several runs/second").exists()
    assert main(command[1:]) == 0
    for name in ("first", "second"):
        run = Path("several runs", name)
        assert read_state(run / "checkpoints/last/state.pt")["step"] == 2
        assert load_config(run / "config.yaml")["train.seed"] == 3
    assert "Resumed from several runs/first" in Path("several runs/first/log.txt").read_text()

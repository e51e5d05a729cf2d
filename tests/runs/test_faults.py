"""What goes wrong for real: a dead worker, no memory, a failing hook, two runs in one folder."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import nn

from facezoo.errors import ConfigError, DataError
from facezoo.runs.listing import read_status
from facezoo.runs.run import train
from facezoo.training.hook import Hook
from facezoo.training.hooks import Checkpoint
from facezoo.training.trainer import Trainer
from facezoo.training.update import OutOfMemoryError

MakeTrainer = Callable[..., Trainer]


def test_a_worker_that_dies_ends_the_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from facezoo.data.datasets.synthetic_faces import SyntheticFaces

    original = SyntheticFaces.__getitem__
    parent = os.getpid()

    def deadly(self: SyntheticFaces, index: int) -> object:
        if os.getpid() != parent and index % 3 == 0:
            os.kill(os.getpid(), signal.SIGKILL)
        return original(self, index)

    monkeypatch.setattr(SyntheticFaces, "__getitem__", deadly)
    overrides = ["data.workers=1", "data.batch_size=2", "hooks.evaluation=null"]
    overrides += ["hooks.tensorboard=null", "hooks.checkpoint.best=null"]
    with pytest.raises(DataError, match=r"A worker process .* died .*--resume"):
        train("tiny_test", overrides=overrides, out=tmp_path / "run")
    status = read_status(tmp_path / "run")
    assert status is not None and status.state == "failed" and "worker" in status.message


def test_memory_that_is_not_there_is_one_sentence(make_trainer: MakeTrainer) -> None:
    class Greedy(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.out = nn.Linear(1, 1)

        def forward(self, images: torch.Tensor, targets: object) -> torch.Tensor:
            return torch.empty(2**50)

    with pytest.raises(
        OutOfMemoryError, match=r"cpu ran out of memory at step 1 \(4 images of 8x8"
    ):
        make_trainer(model=Greedy()).fit()


def test_a_failing_hook_is_named(
    make_trainer: MakeTrainer, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    class Raises(Hook):
        def after_step(self, trainer: Trainer) -> None:
            if trainer.step == 2:
                raise ZeroDivisionError("the hook's own error")

    hooks = {"mine": Raises(), "checkpoint": Checkpoint(every_epochs=None)}
    with pytest.raises(ZeroDivisionError):
        make_trainer(hooks).fit()
    assert "The hook mine failed in after_step, after step 2." in caplog.messages
    assert (tmp_path / "checkpoints" / "last").resolve().name == "step_000002"


def test_two_processes_do_not_share_a_run_folder(tmp_path: Path) -> None:
    program = (
        "import sys, fcntl\n"
        "file = open(sys.argv[1], 'w')\n"
        "fcntl.lockf(file, fcntl.LOCK_EX)\n"
        "print('held', flush=True)\n"
        "sys.stdin.read()\n"
    )
    run = tmp_path / "run"
    run.mkdir()
    words = [sys.executable, "-c", program, str(run / ".lock")]
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as other:
        assert other.stdout is not None and other.stdout.readline() == b"held\n"
        with pytest.raises(ConfigError, match="Another process trains in"):
            train("tiny_test", overrides=["train.max_steps=1"], out=run)
        assert other.stdin is not None
        other.stdin.close()

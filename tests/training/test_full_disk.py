"""A disk that fills up for real: a file system of 300 KB."""

from __future__ import annotations

import logging
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from facezoo.errors import CheckpointError
from facezoo.training.checkpoint import load_checkpoint
from facezoo.training.hook import Hook
from facezoo.training.hooks import JSONL, Checkpoint, TensorBoard
from facezoo.training.metrics_file import read_metrics
from facezoo.training.trainer import Trainer

MakeTrainer = Callable[..., Trainer]


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 300 KB."""
    place = tmp_path / "disk"
    place.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=300k", "tmpfs", str(place)]
    try:
        subprocess.run(mount, check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("only root can mount the small disk that this test fills")
    yield place
    subprocess.run(["umount", "-l", str(place)], check=True)


class Fill(Hook):
    """Fills the disk after a step, and may make room later."""

    def __init__(self, disk: Path, at: int, room_at: int | None = None) -> None:
        self.path, self.at, self.room_at = disk / "filler", at, room_at

    def before_step(self, trainer: Trainer) -> None:
        if trainer.step == self.at:
            writing = trainer.hooks["checkpoint"]._writing
            if writing is not None:  # the checkpoint before is to stand
                writing.result()
            with self.path.open("wb", buffering=0) as file:
                while True:
                    try:
                        file.write(bytes(1024))
                    except OSError:
                        return
        if trainer.step == self.room_at:
            self.path.unlink()


class Talkative(Hook):
    """Publishes more than fits into the rest of a page of the disk."""

    def after_step(self, trainer: Trainer) -> None:
        trainer.publish({f"val/a_metric_with_a_long_name_{number}": 1.0 for number in range(200)})


def test_a_full_disk_ends_the_run_and_leaves_the_checkpoint_before(
    make_trainer: MakeTrainer, small_disk: Path
) -> None:
    def checkpoint() -> Checkpoint:
        return Checkpoint(every_epochs=None, every_steps=2, best=None)

    hooks = {"fill": Fill(small_disk, 3), "checkpoint": checkpoint()}
    trainer = make_trainer(hooks, folder=small_disk)
    with pytest.raises(CheckpointError, match=r"step_000004 could not be written .*make room"):
        trainer.fit()
    assert [path.name for path in sorted((small_disk / "checkpoints").iterdir())] == [
        "last",
        "step_000002",
    ]
    resumed = make_trainer({"checkpoint": checkpoint()}, folder=small_disk)
    load_checkpoint(resumed, small_disk / "checkpoints" / "last")
    (small_disk / "filler").unlink()
    resumed.fit()
    assert (small_disk / "checkpoints" / "last").resolve().name == "step_000006"


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_a_run_may_outlive_a_full_disk(
    make_trainer: MakeTrainer, small_disk: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Metrics wait for room; TensorBoard's curves end; the next checkpoint stands again."""
    hooks = {
        "fill": Fill(small_disk, 3, room_at=5),
        "checkpoint": Checkpoint(None, every_steps=2, best=None, on_write_error="warn"),
        "talkative": Talkative(),
        "jsonl": JSONL(),
        "tensorboard": TensorBoard(),
    }
    make_trainer(hooks, folder=small_disk).fit()
    assert "step_000004 could not be written" in caplog.text
    assert "metrics.jsonl waits for room" in caplog.text
    assert (small_disk / "checkpoints" / "last").resolve().name == "step_000006"
    assert [row["step"] for row in read_metrics(small_disk / "metrics.jsonl")] == [
        step for step in range(1, 7) for _ in range(2)
    ]


def test_a_log_on_a_full_disk_says_so_once(
    small_disk: Path, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    from facezoo.training.process import logging_to

    logger = logging.getLogger("facezoo.test")
    with logging_to(small_disk / "log.txt"):
        (small_disk / "filler").write_bytes(np.zeros(250_000, np.uint8).tobytes())
        for _ in range(5):
            logger.debug("x" * 30_000)
    assert "Traceback" not in capsys.readouterr().err
    assert caplog.text.count("gets no more lines") == 1

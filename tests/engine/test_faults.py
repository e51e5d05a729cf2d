"""What goes wrong for real: signals, a full disk, a poisoned batch, a dead worker, no memory."""

from __future__ import annotations

import itertools
import logging
import math
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from torch import nn

from facezoo.engine.checkpoint import load_checkpoint
from facezoo.engine.faults import OutOfMemoryError
from facezoo.engine.hooks import JSONL, Checkpoint, EarlyStopping, TensorBoard
from facezoo.engine.hooks.base import Hook
from facezoo.engine.metrics_file import read_metrics
from facezoo.engine.run import train
from facezoo.engine.signals import RunInterrupted
from facezoo.engine.status import read_status
from facezoo.engine.trainer import Trainer
from facezoo.engine.window import NonFiniteLossError
from facezoo.errors import CheckpointError, ConfigError, DataError
from facezoo.structures import Batch

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
        "from facezoo.engine.signals import Signals\n"
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


def poisoned(batch_of: Callable[[int, int], Batch], steps: set[int]) -> Callable[[int], Iterator]:
    def stream(start: int) -> Iterator[Batch]:
        while True:
            batch = batch_of(start, 4)
            if start in steps:
                batch.targets.boxes[1, 0] = math.nan
            yield batch
            start += 1

    return stream


@pytest.mark.parametrize("precision", ["fp32", "bf16", "fp16"])
@pytest.mark.parametrize("optimizer", ["SGD", "AdamW"])
def test_a_bad_step_may_be_skipped(
    make_trainer: MakeTrainer,
    toy: type[nn.Module],
    batch_of: Callable[[int, int], Batch],
    precision: str,
    optimizer: str,
) -> None:
    """It changes neither weights nor statistics of batch norm, and is counted."""
    states = []

    class Keep(Hook):
        def after_step(self, trainer: Trainer) -> None:
            state = {name: one.clone() for name, one in trainer.model.state_dict().items()}
            state.pop("norm.num_batches_tracked")
            states.append(state)

    trainer = make_trainer(
        {"keep": Keep()},
        model=toy(batch_norm=True),
        open_stream=poisoned(batch_of, {2, 4}),
        max_skipped=2,
        precision=precision,
        optimizer=optimizer,
        clip_norm=10.0,
    )
    metrics = trainer.fit()
    assert trainer.step == 6 and metrics["train/skipped_steps"] == 2
    assert math.isfinite(metrics["train/loss"])
    for step in range(1, 6):
        same = [torch.equal(states[step][name], states[step - 1][name]) for name in states[0]]
        if step in (2, 4):
            assert all(same)
        elif precision != "fp16":  # where the scaler may leave out a step of its own
            assert not any(same)
    assert not torch.equal(states[-1]["out.weight"], states[0]["out.weight"])


def test_one_bad_step_too_many_ends_the_run(
    make_trainer: MakeTrainer, batch_of: Callable[[int, int], Batch], tmp_path: Path
) -> None:
    """Also after a resume, which goes on counting."""
    stream = poisoned(batch_of, {1, 3, 4})
    hooks = {"checkpoint": Checkpoint(every_steps=3, best=None)}
    trainer = make_trainer(hooks, open_stream=stream, max_skipped=2, steps=3)
    trainer.fit()
    resumed = make_trainer(open_stream=stream, max_skipped=2)
    load_checkpoint(resumed, tmp_path / "checkpoints" / "last")
    with pytest.raises(NonFiniteLossError, match="step 5 after 2 skipped steps"):
        resumed.fit()
    assert resumed.step == 4


def test_weights_stay_for_whoever_looks_late(
    make_trainer: MakeTrainer, batch_of: Callable[[int, int], Batch]
) -> None:
    """As on a GPU, where nobody looks before the next log: the update itself refuses to move."""
    trainer = make_trainer()
    stream = poisoned(batch_of, {1})(0)
    trainer.model.train()
    weights = []
    for _ in range(4):
        trainer.update(next(stream))
        weights.append(trainer.model.out.weight.clone())
    assert all(torch.equal(one, weights[0]) for one in weights[1:])
    assert int(trainer.update.bad_steps) == 1


def test_gradients_that_are_not_finite_are_a_bad_step(make_trainer: MakeTrainer) -> None:
    class RootOfZero(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.out = nn.Parameter(torch.zeros(()))

        def forward(self, images: torch.Tensor, targets: object) -> dict:
            from facezoo.structures import LossTerm

            return {"box": LossTerm(self.out.abs().sqrt() * self.out.sign(), torch.ones(()))}

    trainer = make_trainer(model=RootOfZero(), clip_norm=1.0)
    with pytest.raises(NonFiniteLossError, match="norm of the gradients is not finite at step 1"):
        trainer.fit()


def test_a_worker_that_dies_ends_the_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from facezoo.data.datasets.synthetic import SyntheticFaces

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


@pytest.mark.parametrize("name", ["model.safetensors", "raw.safetensors", "state.pt"])
def test_a_checkpoint_with_a_changed_byte_is_refused(
    make_trainer: MakeTrainer, tmp_path: Path, name: str
) -> None:
    """A file may be damaged and yet be read: the digest tells."""
    from facezoo.engine.hooks import EMA

    def hooks() -> dict[str, Hook]:
        return {"ema": EMA(), "checkpoint": Checkpoint(every_steps=3, best=None, keep=9)}

    make_trainer(hooks()).fit()
    path = (tmp_path / "checkpoints" / "last").resolve() / name
    data = bytearray(path.read_bytes())
    data[-20] ^= 1
    path.write_bytes(data)
    with pytest.raises(CheckpointError, match=rf"{name} is damaged.*resume from .*step_000003"):
        load_checkpoint(make_trainer(hooks()), tmp_path / "checkpoints" / "last")


def test_a_folder_that_was_being_replaced_is_put_back(
    make_trainer: MakeTrainer, tmp_path: Path
) -> None:
    from facezoo.engine.checkpoint_files import find_checkpoint

    make_trainer({"checkpoint": Checkpoint(every_steps=3, best=None)}).fit()
    folder = tmp_path / "checkpoints" / "step_000006"
    folder.rename(folder.with_name(".step_000006.old"))
    assert find_checkpoint(tmp_path).resolve() == folder and folder.is_dir()


def test_a_log_on_a_full_disk_says_so_once(
    small_disk: Path, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    from facezoo.engine.logs import logging_to

    logger = logging.getLogger("facezoo.test")
    with logging_to(small_disk / "log.txt"):
        (small_disk / "filler").write_bytes(np.zeros(250_000, np.uint8).tobytes())
        for _ in range(5):
            logger.debug("x" * 30_000)
    assert "Traceback" not in capsys.readouterr().err
    assert caplog.text.count("gets no more lines") == 1


@pytest.mark.parametrize("decides_on_device", [False, True])
def test_an_update_skips_alike_on_the_host_and_on_the_device(
    make_trainer: MakeTrainer, batch_of: Callable[[int, int], Batch], decides_on_device: bool
) -> None:
    """Fused optimizers take the decision as a tensor, on a CPU too."""
    trainer = make_trainer(max_skipped=1)
    model = trainer.model
    trainer.update.optimizer = torch.optim.AdamW(model.parameters(), lr=1e-2, fused=True)
    trainer.update._decides_on_device = decides_on_device
    stream = poisoned(batch_of, {0, 2})(0)
    weights = [model.out.weight.clone()]
    for _ in range(5):
        trainer.update(next(stream))
        weights.append(model.out.weight.clone())
    moved = [not torch.equal(*pair) for pair in itertools.pairwise(weights)]
    # The second bad step is one too many, after which nothing moves.
    assert moved == [False, True, False, False, False]


def test_momentum_begins_well_after_a_first_step_that_is_left_out(
    make_trainer: MakeTrainer, batch_of: Callable[[int, int], Batch]
) -> None:
    from facezoo.engine.optim import TorchOptimizer

    trainers = []
    for bad in (set(), {0}):
        trainer = make_trainer(open_stream=poisoned(batch_of, bad), max_skipped=1, precision="fp16")
        optimizer = TorchOptimizer("SGD", trainer.model, 1e-2, momentum=0.9)
        trainer.optimizer = trainer.update.optimizer = optimizer
        trainer._base_rates = [group["lr"] for group in optimizer.param_groups]
        trainer.fit()
        trainers.append(trainer)
    for trainer in trainers:
        assert all(float(p.detach().abs().max()) < 10 for p in trainer.model.parameters())


def test_fewer_skipped_steps_than_there_were_are_refused(
    make_trainer: MakeTrainer, batch_of: Callable[[int, int], Batch], tmp_path: Path
) -> None:
    stream = poisoned(batch_of, {1})
    hooks = {"checkpoint": Checkpoint(every_steps=3, best=None)}
    make_trainer(hooks, open_stream=stream, max_skipped=2, steps=3).fit()
    resumed = make_trainer(open_stream=stream, max_skipped=0)
    with pytest.raises(ConfigError, match=r"left out 1 steps already; train\.max_skipped is 0"):
        load_checkpoint(resumed, tmp_path / "checkpoints" / "last")


def test_gradients_that_no_scale_makes_finite_end_the_run(make_trainer: MakeTrainer) -> None:
    """The scaler leaves such steps out by itself, and would do so to the end."""

    class RootOfZero(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.out = nn.Parameter(torch.zeros(()))

        def forward(self, images: torch.Tensor, targets: object) -> dict:
            from facezoo.structures import LossTerm

            return {"box": LossTerm(self.out.abs().sqrt() * self.out.sign(), torch.ones(()))}

    trainer = make_trainer(model=RootOfZero(), precision="fp16", steps=100)
    with pytest.raises(NonFiniteLossError, match=r"not finite in fp16.*train\.precision=bf16"):
        trainer.fit()
    assert trainer.step < 50


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


def test_an_early_stopped_run_stays_stopped(make_trainer: MakeTrainer, tmp_path: Path) -> None:
    class Worse(Hook):
        comes_before: ClassVar[tuple[str, ...]] = ("EarlyStopping", "Checkpoint")

        def after_step(self, trainer: Trainer) -> None:
            trainer.publish({"val/loss": float(trainer.step)})

    def hooks(patience: int) -> dict[str, Hook]:
        stopping = EarlyStopping(patience=patience)
        return {"worse": Worse(), "stopping": stopping, "checkpoint": Checkpoint(best=None)}

    make_trainer(hooks(2)).fit()
    for patience, last in ((2, 3), (3, 4)):
        resumed = make_trainer(hooks(patience))
        load_checkpoint(resumed, tmp_path / "checkpoints" / "last")
        resumed.fit()
        assert resumed.step == last


def test_another_metric_chooses_best_anew(make_trainer: MakeTrainer, tmp_path: Path) -> None:
    class Publish(Hook):
        comes_before: ClassVar[tuple[str, ...]] = ("Checkpoint",)

        def after_step(self, trainer: Trainer) -> None:
            trainer.publish({"val/loss": 5.0 + trainer.step, "val/ap": trainer.step / 10})

    def hooks(**choice: str) -> dict[str, Hook]:
        return {"publish": Publish(), "checkpoint": Checkpoint(every_steps=3, keep=9, **choice)}

    make_trainer(hooks()).fit()
    assert (tmp_path / "checkpoints" / "best").resolve().name == "step_000001"
    resumed = make_trainer(hooks(best="val/ap", mode="max"))
    load_checkpoint(resumed, tmp_path / "checkpoints" / "step_000003")
    resumed.fit()
    assert (tmp_path / "checkpoints" / "best").resolve().name == "step_000006"


def test_best_never_names_what_is_gone(
    make_trainer: MakeTrainer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The process ends between the move of one name and that of the other."""
    from facezoo.engine.hooks import checkpoint as module

    class Publish(Hook):
        comes_before: ClassVar[tuple[str, ...]] = ("Checkpoint",)

        def after_step(self, trainer: Trainer) -> None:
            trainer.publish({"val/loss": 1.0 if trainer.step == 2 else 5.0})

    def hooks() -> dict[str, Hook]:
        return {"publish": Publish(), "checkpoint": Checkpoint(every_steps=1, keep=1)}

    original, moves = module.point, []

    def ends(entry: Path, target: Path) -> None:
        moves.append(entry.name)
        if len(moves) == 4:  # both names were moved at step 1, and one at step 2
            raise CheckpointError("the process ended here")
        original(entry, target)

    with monkeypatch.context() as patched, pytest.raises(CheckpointError):
        patched.setattr(module, "point", ends)
        make_trainer(hooks()).fit()
    resumed = make_trainer(hooks())
    load_checkpoint(resumed, tmp_path / "checkpoints" / "last")
    resumed.fit()
    assert (tmp_path / "checkpoints" / "best").resolve() == tmp_path / "checkpoints/step_000002"
    assert (tmp_path / "checkpoints" / "best" / "state.pt").is_file()


def test_what_cannot_be_deleted_ends_no_run(
    make_trainer: MakeTrainer, monkeypatch: pytest.MonkeyPatch
) -> None:
    def busy(path: Path, ignore_errors: bool = False) -> None:
        if not ignore_errors:
            raise OSError("Directory not empty")

    monkeypatch.setattr("facezoo.engine.hooks.checkpoint.shutil.rmtree", busy)
    trainer = make_trainer({"checkpoint": Checkpoint(every_steps=1, keep=1, best=None)})
    trainer.fit()
    assert trainer.step == 6


def test_a_signal_at_the_end_of_one_run_keeps_the_next_from_beginning(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from facezoo.engine.run import train_many

    monkeypatch.chdir(tmp_path)
    for name in ("first", "second"):
        Path(f"{name}.yaml").write_text(
            "_BASE_: tiny_test\n"
            "data: {batch_size: 2}\ntrain: {max_steps: 2}\n"
            "hooks: {evaluation: null, tensorboard: null, checkpoint: {best: null}}\n"
        )
    original = Trainer._publish_window

    def interrupted(self: Trainer) -> None:
        if self.is_last_step:
            os.kill(os.getpid(), signal.SIGTERM)
        original(self)

    monkeypatch.setattr(Trainer, "_publish_window", interrupted)
    with pytest.raises(RunInterrupted, match="first was at its end; the others were not begun"):
        train_many(["first.yaml", "second.yaml"], out="runs")
    status = read_status(Path("runs/first"))
    assert status is not None and status.state == "finished"
    assert not Path("runs/second").exists()

"""Which checkpoint is last and best, which is damaged, and what a resumed run takes from it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import ClassVar

import pytest

from facezoo.errors import CheckpointError
from facezoo.training.checkpoint import load_checkpoint
from facezoo.training.hook import Hook
from facezoo.training.hooks import Checkpoint, EarlyStopping
from facezoo.training.trainer import Trainer

MakeTrainer = Callable[..., Trainer]


@pytest.mark.parametrize("name", ["model.safetensors", "raw.safetensors", "state.pt"])
def test_a_checkpoint_with_a_changed_byte_is_refused(
    make_trainer: MakeTrainer, tmp_path: Path, name: str
) -> None:
    """A file may be damaged and yet be read: the digest tells."""
    from facezoo.training.hooks import EMA

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
    from facezoo.training.checkpoint_files import find_checkpoint

    make_trainer({"checkpoint": Checkpoint(every_steps=3, best=None)}).fit()
    folder = tmp_path / "checkpoints" / "step_000006"
    folder.rename(folder.with_name(".step_000006.old"))
    assert find_checkpoint(tmp_path).resolve() == folder and folder.is_dir()


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
    from facezoo.training.hooks import checkpointing as module

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

    monkeypatch.setattr("facezoo.training.hooks.checkpointing.shutil.rmtree", busy)
    trainer = make_trainer({"checkpoint": Checkpoint(every_steps=1, keep=1, best=None)})
    trainer.fit()
    assert trainer.step == 6

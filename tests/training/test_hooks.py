import csv
import json
import logging
import math
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from facezoo.errors import ConfigError
from facezoo.training.checkpoint import load_checkpoint
from facezoo.training.hook import Hook
from facezoo.training.hooks.checkpointing import Checkpoint
from facezoo.training.hooks.ema import EMA
from facezoo.training.hooks.evaluation import EarlyStopping
from facezoo.training.hooks.trackers import TensorBoard
from facezoo.training.hooks.writers import JSONL, Console
from facezoo.training.metrics_file import read_metrics
from facezoo.training.trainer import Trainer
from facezoo.training.update import NonFiniteLossError

MakeTrainer = Callable[..., Trainer]


class Metric(Hook):
    """Publishes ``val/loss`` from a list after each step, as an evaluation would."""

    def __init__(self, values: list[float]) -> None:
        self.values = values

    def after_step(self, trainer: Trainer) -> None:
        trainer.publish({"val/loss": self.values[trainer.step - 1]})


def saved_steps(folder: Path) -> list[int]:
    return sorted(int(path.name[5:]) for path in (folder / "checkpoints").glob("step_*"))


def test_average_follows_the_definition(make_trainer: MakeTrainer, toy: type) -> None:
    class Loop(Hook):
        """The same average, in float64, one number at a time."""

        def before_train(self, trainer: Trainer) -> None:
            self.average = {k: v.double().clone() for k, v in trainer.model.state_dict().items()}

        def after_step(self, trainer: Trainer) -> None:
            decay = min(0.7, trainer.step / (trainer.step + 10))
            for name, tensor in trainer.model.state_dict().items():
                if tensor.is_floating_point():
                    old = self.average[name]
                    self.average[name] = decay * old + (1 - decay) * tensor.double()
                else:
                    self.average[name] = tensor.double()

    loop = Loop()
    trainer = make_trainer({"ema": EMA(0.7), "loop": loop}, steps=40, model=toy(batch_norm=True))
    trainer.fit()
    found = trainer.averaged.state_dict()
    assert "norm.running_var" in found and found["norm.num_batches_tracked"] == 40
    for name, expected in loop.average.items():
        torch.testing.assert_close(found[name].double(), expected, rtol=1e-5, atol=1e-6)
    assert not trainer.averaged.training and trainer.model.training


@pytest.mark.parametrize("decay", [-0.1, 1.0])
def test_decay_is_checked(decay: float) -> None:
    with pytest.raises(ConfigError, match="decay"):
        EMA(decay)


def test_checkpoints_are_pruned_but_not_the_best(make_trainer: MakeTrainer, tmp_path: Path) -> None:
    values = [5.0, 1.0, 4.0, 3.0, 2.0, 2.5, 2.2]
    hooks = {"metric": Metric(values), "checkpoint": Checkpoint(every_steps=1, keep=2)}
    make_trainer(hooks, steps=7).fit()
    assert saved_steps(tmp_path) == [2, 6, 7]
    checkpoints = tmp_path / "checkpoints"
    assert (checkpoints / "best").resolve().name == "step_000002"
    assert (checkpoints / "last").resolve().name == "step_000007"
    assert {path.name for path in checkpoints.iterdir()} == {
        *("best", "last", "step_000002", "step_000006", "step_000007")
    }


def test_best_is_saved_though_nothing_else_is_due(
    make_trainer: MakeTrainer, tmp_path: Path
) -> None:
    checkpoint = Checkpoint(every_epochs=None, mode="max", keep=1)
    hooks = {"metric": Metric([1, 3, 2, 2, 2, 2]), "checkpoint": checkpoint}
    make_trainer(hooks, steps=6).fit()
    assert saved_steps(tmp_path) == [2, 6]
    assert checkpoint.state_dict() == {
        "best_value": 3,
        "best_step": 2,
        "chosen_by": ["val/loss", "max"],
    }


def test_a_metric_that_never_comes_is_said(
    make_trainer: MakeTrainer, caplog: pytest.LogCaptureFixture
) -> None:
    hooks = {"checkpoint": Checkpoint(best="val/los"), "stop": EarlyStopping("val/los")}
    make_trainer(hooks).fit()
    assert "val/los was never published" in caplog.text
    assert "never saw val/los" in caplog.text
    assert "train/loss_box" in caplog.text


def test_early_stopping_waits_for_its_patience(make_trainer: MakeTrainer, tmp_path: Path) -> None:
    values = [5.0, 4.0, 4.5, 3.9, 4.0, 3.89, 3.95, 9.0]
    stopping = EarlyStopping(patience=3, min_delta=0.05)
    hooks = {"metric": Metric(values), "stop": stopping, "checkpoint": Checkpoint(every_steps=100)}
    trainer = make_trainer(hooks, steps=8)
    trainer.fit()
    assert trainer.step == 7  # 3.89 is not better than 3.9 by 0.05
    assert "val/loss was not better than 3.9 in 3 evaluations" in trainer.stop_reason
    assert 7 in saved_steps(tmp_path)
    assert stopping.state_dict() == {
        "best": 3.9,
        "without_progress": 3,
        "chosen_by": ["val/loss", "min"],
    }


def test_a_metric_that_is_not_finite_is_never_the_best(
    make_trainer: MakeTrainer, tmp_path: Path
) -> None:
    stopping, checkpoint = EarlyStopping(patience=9), Checkpoint(every_steps=1)
    values = [math.nan, -math.inf, 3.0, math.nan, 2.0, math.nan]
    make_trainer({"metric": Metric(values), "stop": stopping, "checkpoint": checkpoint}).fit()
    assert (checkpoint.best_value, checkpoint.best_step) == (2.0, 5)
    assert stopping.state_dict() == {
        "best": 2.0,
        "without_progress": 1,
        "chosen_by": ["val/loss", "min"],
    }


def test_a_metric_that_is_never_finite_is_said(
    make_trainer: MakeTrainer, caplog: pytest.LogCaptureFixture
) -> None:
    hooks = {
        "metric": Metric([math.nan] * 6),
        "stop": EarlyStopping(patience=4),
        "checkpoint": Checkpoint(),
    }
    trainer = make_trainer(hooks)
    trainer.fit()
    assert trainer.step == 4 and "not finite in 4 evaluations" in trainer.stop_reason
    assert "val/loss was never finite" in caplog.text


class Fails(Hook):
    """Stands for an evaluation that goes wrong."""

    comes_before = ("Checkpoint",)

    def __init__(self, at: int) -> None:
        self.at = at

    def after_step(self, trainer: Trainer) -> None:
        if trainer.step == self.at:
            raise ZeroDivisionError("the evaluation failed")


@pytest.mark.parametrize("at", [4, 6])
def test_a_failed_run_keeps_its_latest_step(
    make_trainer: MakeTrainer, tmp_path: Path, at: int
) -> None:
    hooks = {"fails": Fails(at), "checkpoint": Checkpoint(every_steps=3, keep=9)}
    with pytest.raises(ZeroDivisionError):
        make_trainer(hooks).fit()
    assert saved_steps(tmp_path) == [3, at]
    assert (tmp_path / "checkpoints" / "last").resolve().name == f"step_00000{at}"
    resumed = make_trainer({"checkpoint": Checkpoint(every_steps=3, keep=9)})
    load_checkpoint(resumed, tmp_path / "checkpoints" / "last")
    resumed.fit()
    assert resumed.step == 6


def test_a_run_that_cannot_be_saved_fails_with_its_own_error(
    make_trainer: MakeTrainer,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def full(*_: object) -> None:
        raise OSError("no space left")

    monkeypatch.setattr("facezoo.training.hooks.checkpointing.write_snapshot", full)
    with pytest.raises(ZeroDivisionError):
        make_trainer({"fails": Fails(2), "checkpoint": Checkpoint(every_epochs=None)}).fit()
    assert "Step 2 is not saved: no space left" in caplog.text


def test_weights_of_a_bad_loss_are_not_saved(make_trainer: MakeTrainer, tmp_path: Path) -> None:
    trainer = make_trainer({"checkpoint": Checkpoint(every_epochs=None)})

    class Poison(Hook):
        def before_step(self, trainer: Trainer) -> None:
            if trainer.step == 2:
                torch.nn.init.constant_(trainer.model.out.bias, math.nan)

    trainer.hooks["poison"] = Poison()
    with pytest.raises(NonFiniteLossError):
        trainer.fit()
    assert saved_steps(tmp_path) == []


def test_nothing_is_saved_where_no_step_was_done(make_trainer: MakeTrainer, tmp_path: Path) -> None:
    class Refuses(Hook):
        def before_train(self, trainer: Trainer) -> None:
            raise ConfigError("nothing to measure on")

    trainer = make_trainer({"refuses": Refuses(), "checkpoint": Checkpoint()})
    trainer.step = 3  # resumed
    with pytest.raises(ConfigError):
        trainer.fit()
    assert saved_steps(tmp_path) == []


def test_metrics_are_lines_and_a_table(make_trainer: MakeTrainer, tmp_path: Path) -> None:
    hooks = {"jsonl": JSONL(), "metric": Metric([3.0, math.nan, 1.0])}
    make_trainer(hooks, steps=3).fit()
    rows = read_metrics(tmp_path / "metrics.jsonl")
    assert [row["step"] for row in rows] == [1, 1, 2, 2, 3, 3]
    assert [row["val/loss"] for row in rows[1::2]] == [3.0, None, 1.0]
    with (tmp_path / "metrics.csv").open() as file:
        table = list(csv.DictReader(file))
    assert [row["step"] for row in table] == ["1", "2", "3"]
    assert table[2]["val/loss"] == "1.0" and float(table[2]["train/loss"]) > 0


def test_resumed_run_drops_what_it_does_again(make_trainer: MakeTrainer, tmp_path: Path) -> None:
    path = tmp_path / "metrics.jsonl"
    lines = [json.dumps({"step": step, "train/loss": 1.0}) + "\n" for step in (1, 2, 3)]
    path.write_text("".join(lines) + '{"step": 4, "trai')
    trainer = make_trainer({"jsonl": JSONL()}, steps=3)
    trainer.step = 2
    trainer.fit()
    assert [row["step"] for row in read_metrics(path)] == [1, 2, 3]
    assert read_metrics(path)[-1]["train/loss"] != 1.0


def test_plain_lines_say_what_a_user_wants(
    make_trainer: MakeTrainer, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "facezoo")
    trainer = make_trainer({"console": Console(), "metric": Metric([0.5] * 3)}, steps=3)
    trainer.note = "sample run on synthetic faces"
    trainer.fit()
    lines = [one for one in caplog.messages if one.startswith("step ")]
    assert len(lines) == 6
    for word in (
        "step 1/3",
        "loss ",
        "box ",
        "landmark ",
        "lr ",
        "images/s",
        "data",
        "GiB",
        "ETA 0:",
    ):
        assert word in lines[0]
    assert "val/loss 0.5000" in lines[1]
    assert all("sample run on synthetic faces" in line for line in lines)


def test_tensorboard_has_curves_and_pictures(make_trainer: MakeTrainer, tmp_path: Path) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    class Show(Hook):
        def after_step(self, trainer: Trainer) -> None:
            picture = torch.full((4, 6, 3), 100, dtype=torch.uint8).numpy()
            trainer.show({"val/predictions": picture})

    make_trainer({"tensorboard": TensorBoard(), "show": Show()}, steps=3).fit()
    events = EventAccumulator(str(tmp_path / "tensorboard"))
    events.Reload()
    assert {"train/loss", "train/loss_box", "lr"} <= set(events.Tags()["scalars"])
    assert [event.step for event in events.Scalars("train/loss")] == [1, 2, 3]
    assert (events.Images("val/predictions")[0].width, len(events.Images("val/predictions"))) == (
        6,
        3,
    )

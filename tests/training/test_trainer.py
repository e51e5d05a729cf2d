import math
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import ClassVar

import pytest
import torch
from torch import nn

from facezoo.config.sections import TrainSettings
from facezoo.errors import ConfigError
from facezoo.structures import Batch
from facezoo.training.hook import Hook, in_order, is_due
from facezoo.training.trainer import Trainer
from facezoo.training.update import NonFiniteLossError

MakeTrainer = Callable[..., Trainer]


class Recorder(Hook):
    """Notes which event came at which step."""

    def __init__(self, fail_at: int | None = None) -> None:
        self.events: list[tuple[str, int]] = []
        self.published: list[dict[str, float]] = []
        self.failed: bool | None = None
        self.fail_at = fail_at

    def before_train(self, trainer: Trainer) -> None:
        self.events.append(("before_train", trainer.step))

    def before_step(self, trainer: Trainer) -> None:
        self.events.append(("before_step", trainer.step))

    def after_step(self, trainer: Trainer) -> None:
        self.events.append(("after_step", trainer.step))
        if trainer.step == self.fail_at:
            raise ZeroDivisionError("a hook that fails")

    def after_epoch(self, trainer: Trainer) -> None:
        self.events.append(("after_epoch", trainer.step))

    def after_train(self, trainer: Trainer) -> None:
        self.events.append(("after_train", trainer.step))
        self.failed = trainer.failed

    def write(self, trainer: Trainer, metrics: dict[str, float]) -> None:
        self.published.append(dict(metrics))


def test_events_come_in_order(make_trainer: MakeTrainer) -> None:
    recorder = Recorder()
    make_trainer({"recorder": recorder}, steps=4, batch_size=5).fit()
    assert recorder.events == [
        ("before_train", 0),
        *[("before_step", 0), ("after_step", 1)],
        *[("before_step", 1), ("after_step", 2)],
        *[("before_step", 2), ("after_step", 3), ("after_epoch", 3)],  # 15 of 12 images
        *[("before_step", 3), ("after_step", 4)],
        ("after_train", 4),
    ]
    assert recorder.failed is False


def test_after_train_of_every_hook_follows_an_error(make_trainer: MakeTrainer) -> None:
    first, second = Recorder(fail_at=2), Recorder()
    with pytest.raises(ZeroDivisionError, match="a hook that fails"):
        make_trainer({"first": first, "second": second}).fit()
    assert first.events[-1] == second.events[-1] == ("after_train", 2)
    assert first.failed and second.failed


def test_a_hook_that_comes_before_others_is_moved_forward() -> None:
    class Early(Hook):
        comes_before: ClassVar[tuple[str, ...]] = ("Recorder",)

    hooks = {"plain": Hook(), "recorder": Recorder(), "other": Recorder(), "early": Early()}
    assert list(in_order(hooks)) == ["plain", "early", "recorder", "other"]


def test_loss_falls_and_metrics_are_flat_floats(make_trainer: MakeTrainer) -> None:
    recorder = Recorder()
    make_trainer({"recorder": recorder}, steps=60).fit()
    losses = [one["train/loss"] for one in recorder.published]
    assert len(losses) == 60
    assert sum(losses[-10:]) < 0.8 * sum(losses[:10])
    last = recorder.published[-1]
    assert last["train/loss"] == pytest.approx(last["train/loss_box"] + last["train/loss_landmark"])
    assert all(isinstance(value, float) for value in last.values())
    assert last["epoch"] == 60 * 4 / 12


def test_published_loss_is_the_mean_since_the_last(make_trainer: MakeTrainer) -> None:
    every, third = Recorder(), Recorder()
    make_trainer({"recorder": every}, steps=6).fit()
    trainer = make_trainer({"recorder": third}, steps=6)
    trainer.settings = replace(trainer.settings, log_every=3)
    trainer.fit()
    losses = [one["train/loss"] for one in every.published]
    expected = [sum(losses[:3]) / 3, sum(losses[3:]) / 3]
    assert [one["train/loss"] for one in third.published] == pytest.approx(expected)


def test_learning_rate_follows_the_schedule(make_trainer: MakeTrainer) -> None:
    recorder = Recorder()
    make_trainer({"recorder": recorder}, steps=10, lr=0.1).fit()
    expected = [0.1 * 0.05 / 0.2, 0.1 * 0.15 / 0.2]
    expected += [
        0.1 * (1 + math.cos(math.pi * ((i + 0.5) / 10 - 0.2) / 0.8)) / 2 for i in range(2, 10)
    ]
    assert [one["lr"] for one in recorder.published] == pytest.approx(expected)


def test_accumulated_slices_teach_what_the_batch_teaches(make_trainer: MakeTrainer) -> None:
    """Also where the slices hold very different numbers of faces, or none."""

    def uneven(start: int) -> Iterator[Batch]:
        while True:
            batch = _batch(start)
            valid = batch.targets.valid.clone()
            valid[0], valid[3], valid[2:, 1:] = False, False, False
            yield replace(batch, targets=replace(batch.targets, valid=valid))
            start += 1

    trained = []
    for accumulate in (1, 2, 4):
        trainer = make_trainer(open_stream=uneven, accumulate=accumulate, optimizer="SGD")
        trainer.fit()
        trained.append(nn.utils.parameters_to_vector(trainer.model.parameters()))
    torch.testing.assert_close(trained[1], trained[0], rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(trained[2], trained[0], rtol=1e-5, atol=1e-6)


def test_counting_slices_leaves_batch_norm_alone(
    make_trainer: MakeTrainer, toy: type[nn.Module]
) -> None:
    trainer = make_trainer(model=toy(batch_norm=True), accumulate=2, steps=1)
    trainer.fit()
    assert trainer.model.norm.num_batches_tracked == 2


def test_batch_must_divide_into_slices(make_trainer: MakeTrainer) -> None:
    with pytest.raises(ConfigError, match=r"batch_size \(4\).*accumulate \(3\)"):
        make_trainer(accumulate=3)


def test_clipping_bounds_the_norm_of_the_gradients(make_trainer: MakeTrainer) -> None:
    trainer = make_trainer(optimizer="SGD", lr=1.0, steps=1, clip_norm=1e-3)
    before = nn.utils.parameters_to_vector(trainer.model.parameters()).clone()
    trainer.fit()
    moved = nn.utils.parameters_to_vector(trainer.model.parameters()) - before
    factor = trainer.schedule.factor(0.5)
    assert moved.norm().item() == pytest.approx(1e-3 * factor, rel=1e-3)


@pytest.mark.parametrize("precision", ["bf16", "fp16"])
def test_mixed_precision_trains(make_trainer: MakeTrainer, precision: str) -> None:
    trainer = make_trainer(steps=30, precision=precision, clip_norm=10.0)
    recorder = Recorder()
    trainer.hooks["recorder"] = recorder
    trainer.fit()
    losses = [one["train/loss"] for one in recorder.published]
    assert sum(losses[-5:]) < sum(losses[:5])
    assert all(p.dtype == torch.float32 for p in trainer.model.parameters())


def test_non_finite_loss_stops_before_it_spoils_the_weights(make_trainer: MakeTrainer) -> None:
    def poisoned(start: int) -> Iterator[Batch]:
        while True:
            batch = _batch(start)
            if start == 2:
                batch.targets.boxes[1, 0] = math.nan
            yield batch
            start += 1

    trainer = make_trainer(open_stream=poisoned)
    with pytest.raises(NonFiniteLossError) as caught:
        trainer.fit()
    message = str(caught.value)
    assert "step 3 (box nan" in message and "step2_image1" in message
    assert trainer.failed and trainer.step == 2
    assert all(p.isfinite().all() for p in trainer.model.parameters())


def test_meter_names_the_first_bad_step_when_it_looks_late(make_trainer: MakeTrainer) -> None:
    meter = make_trainer().meter
    for step, value in enumerate([1.0, math.inf, math.nan], start=1):
        loss = torch.tensor(value)
        meter.update(
            step, replace(_batch(0), ids=(f"image{step}",)), {"box": loss}, ~loss.isfinite()
        )
    with pytest.raises(NonFiniteLossError, match=r"step 2 \(box inf; images image2\)"):
        meter.reset(1)


def test_images_without_faces_and_with_thousands_train(make_trainer: MakeTrainer) -> None:
    def crowds(start: int) -> Iterator[Batch]:
        while True:
            batch = _batch(start)
            faces = 1 if start % 2 else 2048
            targets = replace(
                batch.targets,
                boxes=torch.ones(4, faces, 4),
                valid=torch.full((4, faces), start % 2 == 0),
                landmarks_valid=torch.zeros(4, faces, 5, dtype=torch.bool),
            )
            yield replace(batch, targets=targets)
            start += 1

    metrics = make_trainer(open_stream=crowds).fit()
    assert math.isfinite(metrics["train/loss"])


def test_stop_ends_the_run_after_the_step(make_trainer: MakeTrainer) -> None:
    class Stopper(Hook):
        def after_step(self, trainer: Trainer) -> None:
            if trainer.step == 3:
                trainer.stop("enough")

    trainer = make_trainer({"stopper": Stopper()})
    trainer.fit()
    assert trainer.step == 3 and not trainer.failed


def test_published_values_are_floats(make_trainer: MakeTrainer) -> None:
    class Tensors(Hook):
        def after_step(self, trainer: Trainer) -> None:
            trainer.publish({"val/loss": torch.tensor(0.5), "val/faces": 3})

    recorder = Recorder()
    trainer = make_trainer({"recorder": recorder, "tensors": Tensors()}, steps=1)
    trainer.fit()
    assert recorder.published[-1] == {"val/loss": 0.5, "val/faces": 3.0}
    assert all(type(value) is float for value in trainer.metrics.values())


@pytest.mark.parametrize(
    ("limits", "steps"),
    [
        ({"epochs": 3}, 8),  # 30 images, 4 a step
        ({"epochs": 3, "max_steps": 5}, 5),
        ({"max_samples": 31}, 7),
        ({"max_samples": 2}, 1),
        ({"epochs": 0.5, "max_samples": 100}, 2),
    ],
)
def test_first_limit_ends_the_run(limits: dict[str, float], steps: int) -> None:
    assert TrainSettings(**limits).total_steps(samples_per_epoch=10, batch_size=4) == steps


def test_something_must_end_the_run() -> None:
    with pytest.raises(ConfigError, match="Nothing ends the run"):
        TrainSettings().total_steps(10, 4)


def test_seed_is_not_negative() -> None:
    with pytest.raises(ConfigError, match=r"train\.seed is -1; give 0 or more"):
        TrainSettings(seed=-1)


@pytest.mark.parametrize("name", ["epochs", "max_steps", "accumulate", "clip_norm", "log_every"])
def test_settings_are_above_zero(name: str) -> None:
    with pytest.raises(ConfigError, match=f"train.{name} is 0"):
        TrainSettings(**{name: 0})


@pytest.mark.parametrize(
    ("every_epochs", "every_steps", "due"),
    [
        (None, None, [12]),
        (1, None, [3, 6, 9, 12]),
        (2, None, [6, 12]),
        (0.5, None, [2, 3, 5, 6, 8, 9, 11, 12]),
        (None, 5, [5, 10, 12]),
    ],
)
def test_periodic_hooks_are_due(
    make_trainer: MakeTrainer, every_epochs: float | None, every_steps: int | None, due: list[int]
) -> None:
    trainer = make_trainer(steps=12)  # 12 images an epoch, 4 a step
    found = []
    for step in range(1, 13):
        trainer.step = step
        if is_due(trainer, every_epochs, every_steps):
            found.append(step)
    assert found == due


def _batch(start: int) -> Batch:
    return _BATCHES(start, 4)


@pytest.fixture(autouse=True)
def _use_batches(batch_of: Callable[[int, int], Batch]) -> None:
    global _BATCHES
    _BATCHES = batch_of

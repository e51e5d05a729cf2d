"""The warm-up of YOLOv5: learning rates rise, those of biases fall, and momentum moves."""

from __future__ import annotations

import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from facezoo.errors import CheckpointError, ConfigError
from facezoo.training.checkpoint import load_checkpoint, take_snapshot, write_snapshot
from facezoo.training.optim import Cosine, Scheduler, TorchOptimizer, separate_biases
from facezoo.training.trainer import Trainer

MakeTrainer = Callable[..., Trainer]


def detector() -> nn.Module:
    model = nn.Module()
    model.backbone = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4))
    model.head = nn.Linear(4, 2)
    model.lr_scale = {"backbone": 0.5}
    return model


def groups_of(model: nn.Module, optimizer: torch.optim.Optimizer) -> dict[str, dict[str, Any]]:
    names = {id(parameter): name for name, parameter in model.named_parameters()}
    return {names[id(p)]: group for group in optimizer.param_groups for p in group["params"]}


def test_rates_and_momentum_follow_the_rule_of_yolov5() -> None:
    """By its own words: numpy.interp between the start of the warm-up and its end."""
    model = detector()
    optimizer = TorchOptimizer("SGD", model, lr=0.01, momentum=0.937, weight_decay=5e-4)
    schedule = Cosine(0.25, warmup_momentum=0.8, warmup_bias_lr=0.1)
    scheduler = Scheduler(model, optimizer, schedule)
    groups = groups_of(model, optimizer)
    for step in range(16):
        progress = (step + 0.5) / 16
        scheduler.set(progress)
        done = min(progress / 0.25, 1.0)
        factor = schedule.factor(progress)
        for name, group in groups.items():
            scale = 0.5 if name.startswith("backbone") else 1.0
            expected = 0.01 * factor
            if name.endswith("bias") and done < 1:
                expected = 0.1 + (0.01 - 0.1) * done
            assert group["lr"] == pytest.approx(scale * expected, rel=1e-12), (name, step)
            assert group["momentum"] == pytest.approx(0.8 + 0.137 * done, rel=1e-12)
            assert group["weight_decay"] == (
                5e-4 if name.endswith("weight") and "1" not in name else 0
            )
    assert groups["head.weight"]["momentum"] == 0.937


def test_the_first_beta_is_the_momentum_of_adam() -> None:
    model = detector()
    optimizer = TorchOptimizer("AdamW", model, lr=0.01, betas=(0.9, 0.99))
    scheduler = Scheduler(model, optimizer, Cosine(0.5, warmup_momentum=0.5))
    scheduler.set(0.25)
    assert {group["betas"] for group in optimizer.param_groups} == {(0.7, 0.99)}
    scheduler.set(0.75)
    assert {group["betas"] for group in optimizer.param_groups} == {(0.9, 0.99)}


@pytest.mark.parametrize("name", ["SGD", "Adagrad"])
def test_an_optimiser_without_momentum_has_none_to_warm_up(name: str) -> None:
    model = detector()
    with pytest.raises(ConfigError, match=f"warmup_momentum is 0.8, but {name} has no momentum"):
        Scheduler(model, TorchOptimizer(name, model, lr=0.01), Cosine(0.1, warmup_momentum=0.8))


def test_a_learning_rate_of_zero_is_none_to_warm_up_to() -> None:
    model = detector()
    optimizer = TorchOptimizer("SGD", model, lr=0.0)
    groups = len(optimizer.param_groups)
    with pytest.raises(ConfigError, match=r"warmup_bias_lr is 0\.1, but optimizer\.lr is 0") as one:
        Scheduler(model, optimizer, Cosine(0.1, warmup_bias_lr=0.1))
    assert len(optimizer.param_groups) == groups and len(one.value.problems) == 1
    with pytest.raises(ConfigError) as both:
        Scheduler(model, optimizer, Cosine(0.1, warmup_bias_lr=0.1, warmup_momentum=0.8))
    assert len(both.value.problems) == 2


def test_a_frozen_part_begins_at_zero() -> None:
    model = detector()
    model.lr_scale = {"backbone": 0.0}
    optimizer = TorchOptimizer("SGD", model, lr=0.01, momentum=0.9)
    Scheduler(model, optimizer, Cosine(0.5, warmup_bias_lr=0.1)).set(0.1)
    groups = groups_of(model, optimizer)
    assert groups["backbone.0.bias"]["lr"] == 0 and groups["head.bias"]["lr"] > 0.08


def test_groups_stay_as_they_are_where_no_bias_warms_up() -> None:
    model = detector()
    optimizer = TorchOptimizer("SGD", model, lr=0.01, momentum=0.9)
    before = [[id(p) for p in group["params"]] for group in optimizer.param_groups]
    Scheduler(model, optimizer, Cosine(0.1, warmup_momentum=0.8))
    assert [[id(p) for p in group["params"]] for group in optimizer.param_groups] == before


def test_biases_of_norms_are_biases_and_their_weights_are_not() -> None:
    model = detector()
    optimizer = TorchOptimizer("SGD", model, lr=0.01, momentum=0.9, weight_decay=1e-4)
    first = separate_biases(model, optimizer)
    own = {id(p) for group in optimizer.param_groups[first:] for p in group["params"]}
    named = {name for name, p in model.named_parameters() if id(p) in own}
    assert named == {"backbone.0.bias", "backbone.1.bias", "head.bias"}
    total = sum(len(group["params"]) for group in optimizer.param_groups)
    assert total == len(list(model.parameters()))


def warm(make_trainer: MakeTrainer, steps: int = 8, **arguments: Any) -> Trainer:
    trainer = make_trainer(steps=steps)
    optimizer = torch.optim.SGD(trainer.model.parameters(), lr=1e-2, momentum=0.9)
    arguments = {"warmup_momentum": 0.5, "warmup_bias_lr": 0.05, **arguments}
    return Trainer(
        trainer.model,
        optimizer,
        Cosine(0.75, **arguments),
        trainer.open_stream,
        samples_per_epoch=trainer.samples_per_epoch,
        batch_size=trainer.batch_size,
        settings=trainer.settings,
        config=trainer.config,
    )


def test_a_resume_within_the_warm_up_is_exact(make_trainer: MakeTrainer, tmp_path: Path) -> None:
    whole = warm(make_trainer)
    whole.fit()

    cut = warm(make_trainer)
    cut._call_pending_hooks = lambda: cut.stop("enough") if cut.step == 3 else None  # type: ignore[method-assign]
    cut.fit()
    assert cut.step == 3
    write_snapshot(take_snapshot(cut), tmp_path / "state")
    resumed = warm(make_trainer)
    load_checkpoint(resumed, tmp_path / "state")
    resumed.fit()
    for one, other in zip(whole.model.parameters(), resumed.model.parameters(), strict=True):
        assert torch.equal(one, other)

    other_groups = warm(make_trainer, warmup_bias_lr=None)
    with pytest.raises(CheckpointError, match="resume with the config of the run"):
        load_checkpoint(other_groups, tmp_path / "state")


def test_training_differs_only_where_a_warm_up_is_asked_for(make_trainer: MakeTrainer) -> None:
    plain = warm(make_trainer, warmup_momentum=None, warmup_bias_lr=None)
    start = copy.deepcopy(plain.model)
    plain.fit()
    moved = warm(make_trainer)
    moved.fit()
    # By hand, without a scheduler.
    optimizer = torch.optim.SGD(start.parameters(), lr=1e-2, momentum=0.9)
    by_hand = plain.open_stream(0)
    for step in range(8):
        optimizer.param_groups[0]["lr"] = 1e-2 * Cosine(0.75).factor((step + 0.5) / 8)
        batch = next(by_hand)
        terms = start(batch.images, batch.targets).values()
        sum(term.total / term.count.clamp(min=1) for term in terms).backward()
        optimizer.step()
        optimizer.zero_grad()
    vectors = [
        nn.utils.parameters_to_vector(one.parameters()) for one in (plain.model, start, moved.model)
    ]
    torch.testing.assert_close(vectors[0], vectors[1], rtol=1e-6, atol=1e-7)
    assert not torch.allclose(vectors[0], vectors[2], rtol=1e-3)

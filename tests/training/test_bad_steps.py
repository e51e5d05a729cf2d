"""Losses and gradients that are not finite: skipped and counted, or the end of the run."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch
from torch import nn

from facezoo.errors import ConfigError
from facezoo.structures import Batch, LossTerm
from facezoo.training.checkpoint import load_checkpoint
from facezoo.training.hook import Hook
from facezoo.training.hooks import Checkpoint
from facezoo.training.trainer import Trainer
from facezoo.training.update import NonFiniteLossError

MakeTrainer = Callable[..., Trainer]


def poisoned(batch_of: Callable[[int, int], Batch], steps: set[int]) -> Callable[[int], Iterator]:
    def stream(start: int) -> Iterator[Batch]:
        while True:
            batch = batch_of(start, 4)
            if start in steps:
                batch.targets.boxes[1, 0] = math.nan
            yield batch
            start += 1

    return stream


class RootOfZero(nn.Module):
    """Its loss is zero, and the gradient of its root is not finite."""

    def __init__(self) -> None:
        super().__init__()
        self.out = nn.Parameter(torch.zeros(()))

    def forward(self, images: torch.Tensor, targets: object) -> dict:
        return {"box": LossTerm(self.out.abs().sqrt() * self.out.sign(), torch.ones(()))}


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
        same = {
            name: torch.equal(one, states[step - 1][name]) for name, one in states[step].items()
        }
        if step in (2, 4):
            assert all(same.values())
        elif precision != "fp16":  # where the scaler may leave out a step of its own
            same.pop("body.bias")  # before batch norm its gradient is rounding, or nothing at all
            assert not any(same.values())
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
    trainer = make_trainer(model=RootOfZero(), clip_norm=1.0)
    with pytest.raises(NonFiniteLossError, match="norm of the gradients is not finite at step 1"):
        trainer.fit()


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
    from facezoo.training.optim import Scheduler, TorchOptimizer

    trainers = []
    for bad in (set(), {0}):
        trainer = make_trainer(open_stream=poisoned(batch_of, bad), max_skipped=1, precision="fp16")
        optimizer = TorchOptimizer("SGD", trainer.model, 1e-2, momentum=0.9)
        trainer.optimizer = trainer.update.optimizer = optimizer
        trainer.scheduler = Scheduler(trainer.model, optimizer, trainer.schedule)
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
    trainer = make_trainer(model=RootOfZero(), precision="fp16", steps=100)
    with pytest.raises(NonFiniteLossError, match=r"not finite in fp16.*train\.precision=bf16"):
        trainer.fit()
    assert trainer.step < 50

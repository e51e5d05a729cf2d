"""A training step of one's own: another update in the trainer, and a loop without a trainer."""

from __future__ import annotations

from collections.abc import Callable
from importlib import util
from pathlib import Path

import pytest
import torch
from torch import Tensor

from facezoo.structures import Batch
from facezoo.training.checkpoint import load_checkpoint
from facezoo.training.hooks import Checkpoint
from facezoo.training.trainer import Trainer

PROJECT = Path(__file__).resolve().parents[2]


def test_a_trainer_takes_another_update(
    make_trainer: Callable[..., Trainer], toy: type[torch.nn.Module], tmp_path: Path
) -> None:
    """Sign descent, without the trainer's optimizer; the run is saved and goes on."""

    def trainer(steps: int) -> Trainer:
        torch.manual_seed(0)
        model = toy()

        def update(batch: Batch) -> tuple[dict[str, Tensor], Tensor]:
            terms = model(batch.images, batch.targets)
            losses = {name: term.total / term.count.clamp(min=1) for name, term in terms.items()}
            gradients = torch.autograd.grad(sum(losses.values()), list(model.parameters()))
            with torch.no_grad():
                for parameter, gradient in zip(model.parameters(), gradients, strict=True):
                    parameter -= 1e-3 * gradient.sign()
            return {name: loss.detach() for name, loss in losses.items()}, torch.tensor(False)

        hooks = {"checkpoint": Checkpoint(best=None)}
        return make_trainer(hooks, steps=steps, model=model, update=update)

    whole = trainer(6)
    first = whole.model.out.weight.clone()
    metrics = whole.fit()
    assert {"train/loss", "train/loss_box", "train/loss_landmark"} <= metrics.keys()
    moved = (whole.model.out.weight - first).abs().max()
    assert 1e-3 <= float(moved.detach()) <= 6.1e-3 and not whole.scaler.is_enabled()
    trainer(3).fit()
    resumed = trainer(6)
    load_checkpoint(resumed, tmp_path / "checkpoints" / "last")
    resumed.fit()
    for one, other in zip(whole.model.parameters(), resumed.model.parameters(), strict=True):
        assert torch.equal(one, other)


@pytest.mark.slow
def test_the_plain_loop_learns() -> None:
    specification = util.spec_from_file_location("plain", PROJECT / "examples/plain_loop.py")
    assert specification is not None and specification.loader is not None
    plain = util.module_from_spec(specification)
    specification.loader.exec_module(plain)
    losses = plain.train(40)
    assert sum(losses[-10:]) < 0.9 * sum(losses[:10])

"""Slices of a batch teach what the batch teaches, also where the assigner looks at predictions."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import Tensor, nn

from facezoo.builder import build_model
from facezoo.config.config import Config, load_config
from facezoo.config.sections import TrainSettings
from facezoo.data.build_data import build_dataset
from facezoo.data.loading.loader import train_stream
from facezoo.models.face_detector import FaceDetector
from facezoo.structures import Batch, LossTerm, Targets
from facezoo.training import update as update_module
from facezoo.training.update import Update, cut

LOOKS = {
    "backbone": {"type": "MobileNetV1", "width": 0.0625},
    "neck": {"type": "FPN", "channels": 16},
    "head": {
        "type": "YOLOFreeHead",
        "assigner": {"type": "TaskAligned"},
        "class_loss": {"type": "BCE"},
        "box_loss": {"type": "CIoU"},
        "distribution_loss": {"type": "DistributionFocal"},
        "landmark_loss": {"type": "SmoothL1"},
    },
}


def config_of() -> Config:
    return load_config({"_BASE_": "tiny_test", "model": LOOKS})


@pytest.fixture(scope="module")
def batch() -> Batch:
    return next(train_stream(*build_dataset(config_of(), "train"), batch_size=4, seed=3))


@pytest.fixture
def model() -> FaceDetector:
    torch.manual_seed(0)
    model = build_model(config_of()).train()
    assert model.head.assigner.looks_at_predictions
    with torch.no_grad():  # statistics as of other pictures, so that the two modes differ
        for module in model.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.running_mean.normal_(0, 0.5)
                module.running_var.uniform_(0.3, 3)
    return model


def update_of(model: nn.Module, accumulate: int) -> Update:
    optimizer = torch.optim.SGD(model.parameters(), lr=0.0)
    return Update(model, optimizer, TrainSettings(max_steps=1, accumulate=accumulate))


def gradients(model: nn.Module, batch: Batch, accumulate: int) -> tuple[dict[str, Tensor], Tensor]:
    losses = update_of(model, accumulate)._gradients(cut(batch, accumulate))
    grads = [p.grad.flatten() for p in model.parameters() if p.grad is not None]
    return losses, torch.cat(grads)


def freeze_batch_norm(model: nn.Module) -> None:
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.eval()


@pytest.mark.parametrize("accumulate", [2, 4])
def test_gradients_of_slices_are_those_of_the_batch(
    model: FaceDetector, batch: Batch, accumulate: int
) -> None:
    freeze_batch_norm(model)
    other = copy.deepcopy(model)
    losses, whole = gradients(model, batch, 1)
    sliced_losses, sliced = gradients(other, batch, accumulate)
    for name, value in losses.items():
        torch.testing.assert_close(sliced_losses[name], value, rtol=1e-5, atol=1e-6)
    assert whole.norm() > 0
    torch.testing.assert_close(sliced, whole, rtol=1e-4, atol=1e-5 * float(whole.abs().max()))


def test_counts_are_those_of_the_passes_that_are_learned_from(
    model: FaceDetector, batch: Batch, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Batch norm takes the statistics of a slice, not those that it has learned."""
    update = update_of(model, 2)
    learned: list[dict[str, LossTerm]] = []
    plain = update_module.loss_terms

    def noted(network: nn.Module, part: Batch, precision: str) -> dict[str, LossTerm]:
        terms = plain(network, part, precision)
        if torch.is_grad_enabled():
            learned.append({k: LossTerm(t.total.detach(), t.count) for k, t in terms.items()})
        return terms

    monkeypatch.setattr(update_module, "loss_terms", noted)
    losses = update._gradients(cut(batch, 2))
    for name, value in losses.items():
        total = sum(float(terms[name].total) for terms in learned)
        count = sum(float(terms[name].count) for terms in learned)
        assert float(value) == pytest.approx(total / max(count, 1), rel=1e-5)


def test_counting_leaves_nothing_behind(model: FaceDetector, batch: Batch) -> None:
    update = update_of(model, 2)
    before = {name: one.clone() for name, one in model.state_dict().items()}
    state = torch.get_rng_state()
    counts = update._counts(cut(batch, 2))
    assert float(counts["box"]) > 0
    assert torch.equal(torch.get_rng_state(), state)
    for name, one in model.state_dict().items():
        assert torch.equal(one, before[name]), name
    assert all(module.training for module in model.modules())


class Drawn(nn.Module):
    """A loss whose count is drawn at random, as dropout moves what an assigner looks at."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(()))

    def forward(self, images: Tensor, targets: Targets) -> dict[str, LossTerm]:
        count = torch.randint(1, 1000, ())
        return {"box": LossTerm(self.weight * count, count)}


def test_what_is_drawn_while_counting_is_drawn_again(batch: Batch) -> None:
    losses, gradient = gradients(Drawn(), batch, 4)
    assert float(losses["box"]) == pytest.approx(1) and float(gradient) == pytest.approx(1)

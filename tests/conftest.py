"""Fixtures and settings that every test shares, among them a trainer of milliseconds."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pytest
import torch
from hypothesis import settings
from torch import Tensor, nn

from facezoo.config.config import load_config
from facezoo.config.sections import TrainSettings
from facezoo.structures import Batch, LossTerm, Targets
from facezoo.training.hook import Hook
from facezoo.training.optim import Cosine
from facezoo.training.trainer import Trainer
from facezoo.training.update import UpdateStep

# How long an example takes says more of what else the machine does than of the code.
settings.register_profile("no deadline", deadline=None)
settings.load_profile("no deadline")

PROJECT = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of real photographs, weights and predictions; skips where there is none."""
    folder = Path(os.environ.get("FACEZOO_SHARED", PROJECT / ".." / "shared")) / "data"
    if not folder.is_dir():
        pytest.skip(f"needs the shared data folder, which FACEZOO_SHARED names (not at {folder})")
    return folder.resolve()


@pytest.fixture(autouse=True, scope="session")
def _two_threads() -> None:
    import torch

    torch.set_num_threads(2)


SIDE = 8
SAMPLES = 12


class Toy(nn.Module):
    """Two loss terms with counts that differ from image to image; dropout draws random numbers."""

    def __init__(self, dropout: float = 0.0, batch_norm: bool = False) -> None:
        super().__init__()
        self.body = nn.Conv2d(3, 4, 3, padding=1)
        self.norm = nn.BatchNorm2d(4) if batch_norm else nn.Identity()
        self.drop = nn.Dropout(dropout)
        self.out = nn.Linear(4, 4)

    def forward(self, images: Tensor, targets: Targets) -> dict[str, LossTerm]:
        features = self.norm(self.body(images.float() / 255)).mean((2, 3))
        predicted = self.out(self.drop(features))
        error = (predicted[:, None] - targets.boxes / SIDE).abs().sum(-1)
        count = targets.valid.sum()
        labelled = targets.landmarks_valid.any(-1) & targets.valid
        return {
            "box": LossTerm((error * targets.valid).sum(), count),
            "landmark": LossTerm((error.square() * labelled).sum(), labelled.sum()),
        }


def make_batch(step: int, batch_size: int) -> Batch:
    """The batch of a step, a function of the step alone."""
    generator = torch.Generator().manual_seed(step)
    faces = 4
    boxes = torch.rand(batch_size, faces, 4, generator=generator) * SIDE
    valid = torch.rand(batch_size, faces, generator=generator) < 0.6
    landmarks_valid = torch.rand(batch_size, faces, 1, generator=generator) < 0.5
    targets = Targets(
        boxes=boxes * valid[..., None],
        valid=valid,
        ignore=torch.zeros_like(valid),
        labels=torch.zeros(batch_size, faces, dtype=torch.int64),
        landmarks=torch.zeros(batch_size, faces, 5, 2),
        landmarks_valid=landmarks_valid.expand(-1, -1, 5),
    )
    images = torch.randint(
        0, 256, (batch_size, 3, SIDE, SIDE), generator=generator, dtype=torch.uint8
    )
    ids = tuple(f"step{step}_image{i}" for i in range(batch_size))
    return Batch(images, targets, ids, torch.eye(2, 3).double().repeat(batch_size, 1, 1))


def stream(start: int, batch_size: int) -> Iterator[Batch]:
    while True:
        yield make_batch(start, batch_size)
        start += 1


@pytest.fixture
def make_trainer(tmp_path: Path) -> Callable[..., Trainer]:
    """Builds a trainer of a Toy; what it needs may be given instead."""

    def make(
        hooks: Mapping[str, Hook] | None = None,
        *,
        steps: int = 6,
        batch_size: int = 4,
        model: nn.Module | None = None,
        folder: Path = tmp_path,
        open_stream: Callable[[int], Iterator[Batch]] | None = None,
        optimizer: str = "AdamW",
        lr: float = 1e-2,
        update: UpdateStep | None = None,
        **settings: object,
    ) -> Trainer:
        torch.manual_seed(0)
        model = model or Toy()
        return Trainer(
            model,
            getattr(torch.optim, optimizer)(model.parameters(), lr=lr),
            Cosine(warmup=0.2),
            open_stream or (lambda start: stream(start, batch_size)),
            samples_per_epoch=SAMPLES,
            batch_size=batch_size,
            settings=TrainSettings(max_steps=steps, log_every=1, device="cpu", **settings),
            hooks=hooks or {},
            folder=folder,
            config=load_config({"model": {"type": "Toy"}}),
            update=update,
        )

    return make


@pytest.fixture
def toy() -> type[Toy]:
    return Toy


@pytest.fixture
def batch_of() -> Callable[[int, int], Batch]:
    return make_batch

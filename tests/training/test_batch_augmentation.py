"""Transforms of whole batches in a run: what a resume goes on with, and what a bad step saves."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor

from facezoo.data.transforms import BatchTransform
from facezoo.registry import TRANSFORMS
from facezoo.runs.run import train
from facezoo.structures import Batch
from facezoo.training.update import NonFiniteLossError, Update

JITTER = "{type: BatchColorJitter, brightness: 0.5, p: 0.8}, {type: BatchFlip}"
SMALL = [
    "train.max_steps=4",
    "data.batch_size=2",
    "data.train.dataset.num_images=6",
    "data.train.transforms=[]",
    "hooks.evaluation=null",
    "hooks.tensorboard=null",
    "hooks.early_stopping=null",
    "hooks.checkpoint={every_steps: 1, best: null}",
]


class FarAway(BatchTransform):
    """Puts every landmark so far away that its loss overflows."""

    def draw(self, generator: np.random.Generator) -> list[float]:
        return []

    def change(self, batch: Batch, numbers: Tensor) -> Batch:
        landmarks = torch.full_like(batch.targets.landmarks, 3e38)
        return replace(batch, targets=replace(batch.targets, landmarks=landmarks))


class CutShortError(Exception):
    """Ends a run before its time."""


@pytest.fixture
def batches(monkeypatch: pytest.MonkeyPatch) -> list[Batch]:
    """The batches that updates learned from; the second run's third update ends it."""
    seen: list[Batch] = []
    original = Update.__call__

    def spy(self: Update, batch: Batch) -> tuple[dict[str, Tensor], Tensor]:
        if len(seen) == 6:
            seen.append(batch)
            raise CutShortError
        seen.append(batch)
        return original(self, batch)

    monkeypatch.setattr(Update, "__call__", spy)
    return seen


def test_a_resumed_run_is_the_uninterrupted_one(tmp_path: Path, batches: list[Batch]) -> None:
    words = [*SMALL, f"data.train.batch_transforms=[{JITTER}]"]
    train("tiny_test", overrides=words, out=tmp_path / "straight")
    with pytest.raises(CutShortError):
        train("tiny_test", overrides=words, out=tmp_path / "broken")
    del batches[6]
    batches.insert(0, batches[0])  # the spy counts on
    train("tiny_test", out=tmp_path / "broken", resume=True)
    weights = [
        load_file(tmp_path / name / "checkpoints/last/model.safetensors")
        for name in ("straight", "broken")
    ]
    assert all(torch.equal(weights[0][name], weights[1][name]) for name in weights[0])
    straight, again = batches[1:5], batches[5:]
    assert all(torch.equal(a.images, b.images) for a, b in zip(straight, again, strict=True))


def test_the_augmented_batch_is_learned_from(tmp_path: Path, batches: list[Batch]) -> None:
    train("tiny_test", overrides=[*SMALL, "train.max_steps=2"], out=tmp_path / "plain")
    words = [*SMALL, "train.max_steps=2", f"data.train.batch_transforms=[{JITTER}]"]
    train("tiny_test", overrides=words, out=tmp_path / "augmented")
    assert batches[0].ids == batches[2].ids
    assert not torch.equal(batches[0].images, batches[2].images)
    strides = {batch.images.stride() for batch in batches[:4]}
    assert len(strides) == 1


def test_the_saved_bad_batch_is_the_augmented_one(
    tmp_path: Path, batches: list[Batch], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(TRANSFORMS._obj_map, "FarAway", FarAway)  # as a plug-in registers it
    words = [*SMALL, f"data.train.batch_transforms=[{JITTER}, {{type: FarAway}}]"]
    with pytest.raises(NonFiniteLossError, match="step 1"):
        train("tiny_test", overrides=words, out=tmp_path / "run")
    saved = load_file(tmp_path / "run/replay/step_000001_rank0.safetensors")
    assert torch.equal(saved["batch.images"], batches[0].images)
    assert torch.equal(saved["targets.boxes"], batches[0].targets.boxes)
    assert (saved["targets.landmarks"] == 3e38).all()

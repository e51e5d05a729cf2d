"""Targets that the tests of whole networks share."""

from collections.abc import Callable

import pytest
import torch

from facezoo.structures import Targets


def make_targets(
    batch: int, faces: int, size: int, *, count: int | None = None, seed: int = 0
) -> Targets:
    """Random faces in images of ``size`` pixels, the first ``count`` of each image valid."""
    generator = torch.Generator().manual_seed(seed)
    corner = torch.rand(batch, faces, 2, generator=generator) * size * 0.7
    side = 4 + torch.rand(batch, faces, 2, generator=generator) * size * 0.25
    valid = torch.arange(faces).expand(batch, faces) < (faces if count is None else count)
    landmarks_valid = (torch.rand(batch, faces, 5, generator=generator) > 0.3) & valid[..., None]
    landmarks = corner[:, :, None] + side[:, :, None] * torch.rand(
        batch, faces, 5, 2, generator=generator
    )
    return Targets(
        boxes=torch.cat([corner, corner + side], dim=-1) * valid[..., None],
        valid=valid,
        ignore=torch.zeros_like(valid),
        labels=torch.zeros(batch, faces, dtype=torch.int64),
        landmarks=landmarks * landmarks_valid[..., None],
        landmarks_valid=landmarks_valid,
    )


@pytest.fixture
def targets_of() -> Callable[..., Targets]:
    return make_targets


@pytest.fixture
def noise() -> Callable[..., torch.Tensor]:
    def images(batch: int, size: int, seed: int = 0) -> torch.Tensor:
        generator = torch.Generator().manual_seed(seed)
        return torch.randint(0, 256, (batch, 3, size, size), dtype=torch.uint8, generator=generator)

    return images

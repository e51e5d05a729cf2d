"""What every transform of a whole batch is, and the mirror image."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from facezoo.data.transforms.transform import Transform, check_probability
from facezoo.errors import ConfigError
from facezoo.registry import TRANSFORMS
from facezoo.structures import MIRRORED_LANDMARKS, NUM_LANDMARKS, Batch, Sample


class BatchTransform(Transform):
    """A change of a whole batch on its device, listed in ``data.train.batch_transforms``.

    What is random about an image is drawn from its own generator, on the CPU, as a few numbers; the
    change is one tensor expression over the batch, that treats each image by its numbers and looks
    at no other, and waits for no device. So an image comes out the same in whatever slice of a
    batch it is, and where it stands there.
    """

    of_batches = True

    def draw(self, generator: np.random.Generator) -> list[float]:
        """Returns the numbers of an image, as many for each."""
        raise NotImplementedError

    def change(self, batch: Batch, numbers: Tensor) -> Batch:
        """Returns the changed batch; the one that was given is left as it is.

        Args:
            batch: its images and targets on the device, uint8.
            numbers: B x K, float32, on the CPU: what ``draw`` gave for each image.
        """
        raise NotImplementedError

    def __call__(self, sample: Sample, generator: np.random.Generator) -> Sample:
        """Cannot be: a sample is no batch.

        Raises:
            ConfigError: always.
        """
        raise ConfigError(
            f"{type(self).__name__} changes whole batches; list it in data.train.batch_transforms."
        )


@TRANSFORMS.register
class BatchFlip(BatchTransform):
    """Mirrors left and right, each image on its own; see ``Flip``.

    Args:
        p: probability.

    Raises:
        ConfigError: ``p`` is no probability.
    """

    def __init__(self, p: float = 0.5) -> None:
        check_probability(p, "BatchFlip")
        self.p = p

    def draw(self, generator: np.random.Generator) -> list[float]:
        """Returns 1 for an image that is to be mirrored, else 0."""
        return [float(generator.random() < self.p)]

    def change(self, batch: Batch, numbers: Tensor) -> Batch:
        """Returns the batch, some of its images mirrored with their faces and maps."""
        images, targets = batch.images, batch.targets
        width = images.shape[-1]
        on_cpu = numbers[:, 0] > 0
        flipped = on_cpu.to(images.device, non_blocking=True)[:, None, None]
        x1, y1, x2, y2 = targets.boxes.unbind(-1)
        boxes = torch.stack([width - x2, y1, width - x1, y2], dim=-1)
        x, y = targets.landmarks.unbind(-1)
        known, points = targets.landmarks_valid, torch.stack([width - x, y], dim=-1)
        if known.shape[-1] == NUM_LANDMARKS:  # only five have an order for mirror images
            order = list(MIRRORED_LANDMARKS)
            known, points = known[..., order], points[..., order, :]
        points = torch.where(known[..., None], points, 0.0)
        mirror = torch.tensor([[-1.0, 0, width], [0, 1, 0]], dtype=batch.maps.dtype)
        maps = batch.maps[..., :2] @ mirror
        maps[..., 2] += batch.maps[..., 2]
        return replace(
            batch,
            images=laid_out_as(images, torch.where(flipped[..., None], images.flip(-1), images)),
            targets=replace(
                targets,
                boxes=torch.where(flipped & targets.valid[..., None], boxes, targets.boxes),
                landmarks=torch.where(flipped[..., None], points, targets.landmarks),
                landmarks_valid=torch.where(flipped, known, targets.landmarks_valid),
            ),
            maps=torch.where(on_cpu[:, None, None], maps, batch.maps),
        )


def laid_out_as(images: Tensor, changed: Tensor) -> Tensor:
    """Returns changed images in the memory layout of those before the change."""
    if images.is_contiguous(memory_format=torch.channels_last):
        return changed.contiguous(memory_format=torch.channels_last)
    return changed.contiguous()

"""What a step can fail by: too little memory, or a loss that is not finite, whose batch is kept."""

from __future__ import annotations

import json
from pathlib import Path

import torch
from torch import nn

from facezoo import distributed
from facezoo.distributed import SharedError
from facezoo.errors import FacezooError
from facezoo.structures import Batch
from facezoo.zoo.safe_load import save_tensors

NO_MEMORY = (
    "can't allocate memory",
    "not enough memory",
    "out of memory",
    "CUBLAS_STATUS_ALLOC_FAILED",
)


class NonFiniteLossError(SharedError):
    """The loss became infinite or not a number.

    Args:
        step: the update that was to come.
        sentence: what happened and what to do.
    """

    def __init__(self, step: int, sentence: str) -> None:
        self.step = step
        super().__init__(sentence)


class OutOfMemoryError(FacezooError):
    """A step needs more memory than the device has.

    Args:
        step: its number.
        batch: what it was made of, this process's share.
        device: where it ran.
    """

    def __init__(self, step: int, batch: Batch, device: torch.device) -> None:
        count, _, height, width = batch.images.shape
        faces = int(batch.targets.valid.cpu().sum(dim=1).max())  # the device has no room left
        super().__init__(
            f"{device} ran out of memory at step {step} ({count} images of {width}x{height} px, up "
            f"to {faces} faces in one): train.accumulate=2 or more gives the same gradients in "
            "slices, data.batch_size or data.image_size can be smaller, and train.precision=bf16 "
            "needs about half; then go on with --resume."
        )


def is_out_of_memory(error: RuntimeError) -> bool:
    """Returns whether an error of torch says that memory is used up, on whatever device."""
    return isinstance(error, torch.OutOfMemoryError) or any(
        words in str(error) for words in NO_MEMORY
    )


def save_bad_batch(path: Path, model: nn.Module, batch: Batch, step: int) -> None:
    """Writes a batch and the weights to a safetensors file, which ``tools/replay.py`` reads.

    Args:
        path: the file.
        model: with the weights before the update that failed.
        batch: what the update was to learn from.
        step: the number of the update.

    Raises:
        OSError: it cannot be written.
    """
    share = distributed.share()
    tensors = {"batch.images": batch.images, "batch.maps": batch.maps}
    tensors |= {f"targets.{name}": tensor for name, tensor in vars(batch.targets).items()}
    tensors |= {f"model.{name}": tensor for name, tensor in model.state_dict().items()}
    save_tensors(
        path,
        # Cloned, as safetensors refuses tensors that share memory, such as tied weights.
        {
            name: tensor.detach().cpu().clone(memory_format=torch.contiguous_format)
            for name, tensor in tensors.items()
        },
        {
            "step": str(step),
            "ids": json.dumps(batch.ids),
            "dropped": str(batch.dropped),
            "rank": str(share.rank),
            "world_size": str(share.world_size),
        },
    )

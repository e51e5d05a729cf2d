"""A step that needs more memory than there is, in words that say what to do."""

from __future__ import annotations

import torch

from facezoo.errors import FacezooError
from facezoo.structures import Batch

NO_MEMORY = (
    "can't allocate memory",
    "not enough memory",
    "out of memory",
    "CUBLAS_STATUS_ALLOC_FAILED",
)


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


def needs_memory(error: RuntimeError) -> bool:
    """Returns whether an error of torch says that memory is used up, on whatever device."""
    return isinstance(error, torch.OutOfMemoryError) or any(
        words in str(error) for words in NO_MEMORY
    )

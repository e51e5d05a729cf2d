"""Metrics and pictures for TensorBoard."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from facezoo.engine.hooks.base import Hook
from facezoo.registry import HOOKS

if TYPE_CHECKING:
    from torch.utils.tensorboard import SummaryWriter

    from facezoo.engine.trainer import Trainer


@HOOKS.register
class TensorBoard(Hook):
    """Writes losses, learning rate, metrics and drawn predictions to ``tensorboard/``."""

    def __init__(self) -> None:
        self._writer: SummaryWriter | None = None

    def before_train(self, trainer: Trainer) -> None:
        """Opens the event file; a resumed run hides the steps that it does again."""
        from torch.utils.tensorboard import SummaryWriter

        self._writer = SummaryWriter(
            str(trainer.folder / "tensorboard"),
            purge_step=trainer.step + 1 if trainer.step else None,
        )
        if trainer.note:
            self._writer.add_text("note", trainer.note, trainer.step)

    def write(self, trainer: Trainer, metrics: Mapping[str, float]) -> None:
        """Adds a point to each metric's curve."""
        if self._writer is not None:
            for name, value in metrics.items():
                self._writer.add_scalar(name, value, trainer.step)

    def show(self, trainer: Trainer, pictures: Mapping[str, NDArray[np.uint8]]) -> None:
        """Adds the pictures of this step."""
        if self._writer is not None:
            for name, picture in pictures.items():
                self._writer.add_image(name, picture, trainer.step, dataformats="HWC")
            self._writer.flush()

    def after_train(self, trainer: Trainer) -> None:
        """Closes the event file."""
        if self._writer is not None:
            self._writer.close()
            self._writer = None

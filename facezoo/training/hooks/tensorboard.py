"""Metrics and pictures for TensorBoard."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, ClassVar

import numpy as np
from numpy.typing import NDArray

from facezoo.registry import HOOKS
from facezoo.training.hook import Hook, TrainerProtocol

if TYPE_CHECKING:
    from torch.utils.tensorboard import SummaryWriter


logger = logging.getLogger(__name__)


@HOOKS.register
class TensorBoard(Hook):
    """Writes losses, learning rate, metrics and drawn predictions to ``tensorboard/``."""

    rank_0_only: ClassVar[bool] = True

    def __init__(self) -> None:
        self._writer: SummaryWriter | None = None

    def before_train(self, trainer: TrainerProtocol) -> None:
        """Opens the event file; a resumed run hides the steps that it does again."""
        from torch.utils.tensorboard import SummaryWriter

        self._writer = SummaryWriter(
            str(trainer.folder / "tensorboard"),
            purge_step=trainer.step + 1 if trainer.step else None,
        )
        if trainer.note:
            self._writer.add_text("note", trainer.note, trainer.step)

    def write(self, trainer: TrainerProtocol, metrics: Mapping[str, float]) -> None:
        """Adds a point to each metric's curve."""

        def add(writer: SummaryWriter) -> None:
            for name, value in metrics.items():
                writer.add_scalar(name, value, trainer.step)

        self._with_writer(add)

    def show(self, trainer: TrainerProtocol, pictures: Mapping[str, NDArray[np.uint8]]) -> None:
        """Adds the pictures of this step."""

        def add(writer: SummaryWriter) -> None:
            for name, picture in pictures.items():
                writer.add_image(name, picture, trainer.step, dataformats="HWC")
            writer.flush()

        self._with_writer(add)

    def after_train(self, trainer: TrainerProtocol) -> None:
        """Closes the event file."""
        self._with_writer(lambda writer: writer.close())
        self._writer = None

    def _with_writer(self, action: Callable[[SummaryWriter], None]) -> None:
        """Does something with the writer; a full disk ends the curves, not the run."""
        if self._writer is None:
            return
        try:
            action(self._writer)
        except OSError as error:
            self._writer = None
            logger.warning("TensorBoard gets no more points: %s", error)

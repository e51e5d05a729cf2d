"""The base of all hooks: what a hook may do, and when."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from facezoo.training.trainer import Trainer


class Hook:
    """Something that happens beside the training step, at one or more of five events.

    A hook with state gives it in ``state_dict`` as plain values and tensors; the checkpoint keeps
    it under the hook's name in the config.

    Attributes:
        comes_before: names of the hook classes that must run after this one where both are there.
            The trainer moves a hook forward when the config has it later; else the order of the
            config is kept.
        keeps_average: whether it keeps ``trainer.averaged``, which a checkpoint then brings back.
        rank_0_only: whether only the first of several processes has it, such as a writer of files.
            Every other hook runs in each process, and must decide there alike.
    """

    comes_before: ClassVar[tuple[str, ...]] = ()
    keeps_average: ClassVar[bool] = False
    rank_0_only: ClassVar[bool] = False

    def before_train(self, trainer: Trainer) -> None:
        """Called once, after a resumed state was loaded."""

    def before_step(self, trainer: Trainer) -> None:
        """Called before each update, once its batch is read; hooks do not get the batch."""

    def after_step(self, trainer: Trainer) -> None:
        """Called after each update; ``trainer.step`` counts it already."""

    def after_epoch(self, trainer: Trainer) -> None:
        """Called after the step at or past the border of an epoch."""

    def after_train(self, trainer: Trainer) -> None:
        """Called once at the end, also after an error (``trainer.failed`` is True then)."""

    def write(self, trainer: Trainer, metrics: Mapping[str, float]) -> None:
        """Called with every set of metrics that the run publishes, all of ``trainer.step``."""

    def show(self, trainer: Trainer, pictures: Mapping[str, NDArray[np.uint8]]) -> None:
        """Called with pictures that the run publishes: H x W x 3, RGB, by name."""

    def state_dict(self) -> dict[str, Any]:
        """Returns what must survive a resume."""
        return {}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Takes back what ``state_dict`` gave."""


def is_due(trainer: Trainer, every_epochs: float | None, every_steps: int | None) -> bool:
    """Says whether something periodic is to happen after this step; always after the last one.

    Args:
        trainer: the trainer, after a step.
        every_epochs: period in epochs; may be a fraction, such as 0.5.
        every_steps: period in steps.
    """
    if trainer.is_last_step:
        return True
    if every_steps and trainer.step % every_steps == 0:
        return True
    if not every_epochs:
        return False
    done = int(trainer.epochs_done / every_epochs)
    return done > int(trainer.epochs_before_step / every_epochs)


def in_order(hooks: Mapping[str, Hook]) -> dict[str, Hook]:
    """Returns the hooks in their order, those moved forward that say they come before others."""
    ordered: list[tuple[str, Hook]] = []
    for name, hook in hooks.items():
        places = [
            place
            for place, (_, other) in enumerate(ordered)
            if type(other).__name__ in hook.comes_before
        ]
        ordered.insert(min(places, default=len(ordered)), (name, hook))
    return dict(ordered)

"""The base of all hooks: what a hook may do, when, and what it may use of the trainer."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, ClassVar, Protocol, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray

from facezoo.config.config import Config
from facezoo.config.sections import TrainSettings
from facezoo.evaluation.judge import Validation
from facezoo.models.face_detector import FaceDetector
from facezoo.structures import Batch, LossTerm
from facezoo.training.meter import Meter
from facezoo.training.update import UpdateStep

Item = TypeVar("Item")


class TrainerProtocol(Protocol):
    """What hooks and checkpoints use of the trainer; ``Trainer`` says what each of it is."""

    model: FaceDetector
    averaged: FaceDetector | None
    optimizer: torch.optim.Optimizer
    scaler: torch.amp.GradScaler
    update: UpdateStep
    hooks: dict[str, Hook]
    settings: TrainSettings
    validation: Validation | None
    folder: Path
    config: Config
    note: str
    device: torch.device
    total_steps: int
    step: int
    metrics: dict[str, float]
    meter: Meter
    pending: list[tuple[str, str]]
    in_step: bool
    failed: bool
    interrupted: str | None

    @property
    def epochs_done(self) -> float:
        """Passes over the training set so far."""

    @property
    def epochs_before_step(self) -> float:
        """Passes over the training set before the latest step."""

    @property
    def is_last_step(self) -> bool:
        """True when no step follows."""

    @property
    def evaluated_model(self) -> FaceDetector:
        """The model to evaluate: the average where there is one."""

    def stop(self, reason: str) -> None:
        """Ends the run after this step."""

    def watch(self, items: Iterable[Item]) -> Iterator[Item]:
        """Passes on items of long work, until a signal asks the run to end."""

    def publish(self, metrics: Mapping[str, float]) -> None:
        """Hands metrics of this step to every hook that writes them."""

    def show(self, pictures: Mapping[str, NDArray[np.uint8]]) -> None:
        """Hands pictures of this step to every hook that keeps them."""

    def on_device(self, batch: Batch) -> Batch:
        """Returns the batch where the model is, in its memory layout."""

    def loss_terms(self, model: Callable[..., Any], batch: Batch) -> dict[str, LossTerm]:
        """Returns the loss terms of a batch in the precision of the run."""


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

    def before_train(self, trainer: TrainerProtocol) -> None:
        """Called once, after a resumed state was loaded."""

    def before_step(self, trainer: TrainerProtocol) -> None:
        """Called before each update, once its batch is read; hooks do not get the batch."""

    def after_step(self, trainer: TrainerProtocol) -> None:
        """Called after each update; ``trainer.step`` counts it already."""

    def after_epoch(self, trainer: TrainerProtocol) -> None:
        """Called after the step at or past the border of an epoch."""

    def after_train(self, trainer: TrainerProtocol) -> None:
        """Called once at the end, also after an error (``trainer.failed`` is True then)."""

    def write(self, trainer: TrainerProtocol, metrics: Mapping[str, float]) -> None:
        """Called with every set of metrics that the run publishes, all of ``trainer.step``."""

    def show(self, trainer: TrainerProtocol, pictures: Mapping[str, NDArray[np.uint8]]) -> None:
        """Called with pictures that the run publishes: H x W x 3, RGB, by name."""

    def state_dict(self) -> dict[str, Any]:
        """Returns what must survive a resume."""
        return {}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Takes back what ``state_dict`` gave."""


def is_due(trainer: TrainerProtocol, every_epochs: float | None, every_steps: int | None) -> bool:
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

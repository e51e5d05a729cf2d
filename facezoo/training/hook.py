"""The base of all hooks: what a hook may do, when, and what it may use of the trainer."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import KW_ONLY, dataclass, field, replace
from pathlib import Path
from typing import Any, ClassVar, Literal, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray

from facezoo import distributed
from facezoo.config.config import Config, load_config
from facezoo.config.sections import TrainSettings
from facezoo.data.loading.loader import BatchAugmentation
from facezoo.distributed import RunInterrupted
from facezoo.evaluation.judge import Validation
from facezoo.models.face_detector import FaceDetector
from facezoo.structures import Batch
from facezoo.training.meter import Meter
from facezoo.training.optim import Schedule, Scheduler
from facezoo.training.process import Signals
from facezoo.training.update import Update, UpdateStep

Item = TypeVar("Item")


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

    def before_train(self, trainer: TrainerBase) -> None:
        """Called once, after a resumed state was loaded."""

    def before_step(self, trainer: TrainerBase) -> None:
        """Called before each update, once its batch is read; hooks do not get the batch."""

    def after_step(self, trainer: TrainerBase) -> None:
        """Called after each update; ``trainer.step`` counts it already."""

    def after_epoch(self, trainer: TrainerBase) -> None:
        """Called after the step at or past the border of an epoch."""

    def after_train(self, trainer: TrainerBase) -> None:
        """Called once at the end, also after an error (``trainer.failed`` is True then)."""

    def write(self, trainer: TrainerBase, metrics: Mapping[str, float]) -> None:
        """Called with every set of metrics that the run publishes, all of ``trainer.step``."""

    def show(self, trainer: TrainerBase, pictures: Mapping[str, NDArray[np.uint8]]) -> None:
        """Called with pictures that the run publishes: H x W x 3, RGB, by name."""

    def state_dict(self) -> dict[str, Any]:
        """Returns what must survive a resume."""
        return {}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Takes back what ``state_dict`` gave."""


@dataclass(eq=False, repr=False)
class TrainerBase:
    """What a trainer owns, and what hooks and checkpoints may use of it.

    Args:
        model: the detector, on the device it is trained on.
        optimizer: over the model's parameters; its learning rates are the base the schedule scales.
        schedule: factor of the learning rates by progress, and what else the warm-up moves.
        open_stream: gives this process's share of the endless batches from a step on.
        samples_per_epoch: images of the training set, at least 1.
        batch_size: images per step, of all processes together.
        settings: the ``train`` section of a config.
        hooks: by name, in the order in which they run.
        validation: what the Evaluation hook measures on.
        folder: the run folder.
        config: the merged config, kept in each checkpoint.
        note: stands in every line that reports a number, such as "sample run on synthetic faces".
        augmentation: what is done to whole batches on the device.
        update: moves the weights: called with this process's share of a batch, it returns the loss
            terms of the whole batch (scalars by name) and whether one is not finite (scalar, bool),
            and moves nothing then. By default an ``Update``; only those of its kind scale
            gradients in fp16 and count the steps left out before a resume.

    Attributes:
        step: updates done.
        averaged: the model with averaged weights that the EMA hook keeps, or None.
        metrics: the latest value of every published metric.
        pending: events and names of the hooks that are still to be called after this step.
        in_step: True while an update is under way, when the state belongs to no step.
        failed: True in ``after_train`` when the run ends with an error.
        interrupted: name of the signal that ends the run, or None; also where it came too late to
            cut anything short.
        stop_reason: why the run ends before its last step, or None.
        meter: losses and times since metrics were published last.
    """

    model: FaceDetector
    optimizer: torch.optim.Optimizer
    schedule: Schedule
    open_stream: Callable[[int], Iterator[Batch]]
    _: KW_ONLY
    samples_per_epoch: int
    batch_size: int
    settings: TrainSettings
    hooks: Mapping[str, Hook] = field(default_factory=dict)
    validation: Validation | None = None
    folder: Path = Path()
    config: Config = field(default_factory=lambda: load_config({}))
    note: str = ""
    augmentation: BatchAugmentation | None = None
    update: UpdateStep | None = None

    def __post_init__(self) -> None:
        self.settings.check_batch_size(self.batch_size, distributed.share().world_size)
        self.hooks = {
            name: hook
            for name, hook in in_order(self.hooks).items()
            if distributed.is_main() or not hook.rank_0_only
        }
        self.averaged: FaceDetector | None = None
        self.device = next(self.model.parameters()).device
        self.total_steps = self.settings.total_steps(self.samples_per_epoch, self.batch_size)
        self.step = 0
        self.metrics: dict[str, float] = {}
        self.pending: list[tuple[str, str]] = []
        self.in_step = False
        self.failed = False
        self.interrupted: str | None = None
        self.stop_reason: str | None = None
        self.meter = Meter(self.settings.max_skipped)
        self.scheduler = Scheduler(self.model, self.optimizer, self.schedule)
        self.update = self.update or Update(self.model, self.optimizer, self.settings)
        unscaled = torch.amp.GradScaler(self.device.type, enabled=False)
        self.scaler: torch.amp.GradScaler = getattr(self.update, "scaler", unscaled)
        self.signals = Signals()

    @property
    def epochs_done(self) -> float:
        """Passes over the training set so far."""
        return self.step * self.batch_size / self.samples_per_epoch

    def has_passed(self, epochs: float) -> bool:
        """Says whether the latest step reached or passed a multiple of so many epochs."""
        before = (self.step - 1) * self.batch_size / self.samples_per_epoch
        return int(self.epochs_done / epochs) > int(before / epochs)

    @property
    def is_last_step(self) -> bool:
        """True when no step follows."""
        return self.step >= self.total_steps or self.stop_reason is not None

    @property
    def evaluated_model(self) -> FaceDetector:
        """The model to evaluate and to publish: the average where there is one."""
        return self.model if self.averaged is None else self.averaged

    def stop(self, reason: str) -> None:
        """Ends the run after this step."""
        self.stop_reason = reason

    def watch(self, items: Iterable[Item]) -> Iterator[Item]:
        """Passes on items of long work inside a hook, until a signal asks the run to end.

        Raises:
            RunInterrupted: it does; the hook is called again when the run goes on.
        """
        for item in items:
            if self.signals.received is not None:
                raise self.interruption(self.signals.received)
            yield item

    def publish(self, metrics: Mapping[str, float]) -> None:
        """Hands metrics of this step to every hook that writes them."""
        values = {name: float(value) for name, value in metrics.items()}
        self.metrics.update(values)
        for hook in self.hooks.values():
            hook.write(self, values)

    def show(self, pictures: Mapping[str, NDArray[np.uint8]]) -> None:
        """Hands pictures of this step (H x W x 3, RGB, by name) to every hook that keeps them."""
        for hook in self.hooks.values():
            hook.show(self, pictures)

    def on_device(self, batch: Batch) -> Batch:
        """Returns the batch where the model is, in its memory layout."""
        batch = batch.to(self.device, non_blocking=True)
        if not self.settings.channels_last:
            return batch
        return replace(batch, images=batch.images.to(memory_format=torch.channels_last))

    def interruption(self, signal_name: str) -> RunInterrupted:
        """Returns the error that ends the run after this step."""
        return RunInterrupted(signal_name, f"{signal_name} ended the run after step {self.step}")


def is_due(trainer: TrainerBase, every_epochs: float | None, every_steps: int | None) -> bool:
    """Says whether something is to happen after this step; always after the last one.

    Its period may be given in epochs (also a fraction, such as 0.5) and in steps.
    """
    if trainer.is_last_step or (every_steps and trainer.step % every_steps == 0):
        return True
    return bool(every_epochs and trainer.has_passed(every_epochs))


def is_better(
    value: float, best: float | None, mode: Literal["min", "max"], min_delta: float = 0.0
) -> bool:
    """Says whether a finite value beats the best one, where there is one, by over ``min_delta``."""
    sign = -1 if mode == "min" else 1
    return math.isfinite(value) and (best is None or sign * (value - best) > min_delta)


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

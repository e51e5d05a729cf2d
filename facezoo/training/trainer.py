"""The training loop: one step, five events, and nothing that a hook can do.

A *step* is one update of the weights from one global batch of the data stream. The stream is a
function of (seed, index), so a run that starts again at step k sees what it would have seen.
Between two steps the state can be saved, and a run goes on from it exactly.
"""

from __future__ import annotations

import contextlib
import logging
import math
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray

from facezoo import distributed
from facezoo.config.config import Config, load_config
from facezoo.config.sections import TrainSettings
from facezoo.data.loading.loader import BatchAugmentation, prefetched
from facezoo.distributed import RunInterrupted
from facezoo.errors import FacezooError
from facezoo.evaluation.judge import Validation
from facezoo.models.face_detector import FaceDetector
from facezoo.structures import Batch, LossTerm
from facezoo.training.faults import (
    NonFiniteLossError,
    OutOfMemoryError,
    is_out_of_memory,
    save_bad_batch,
)
from facezoo.training.hook import Hook, in_order
from facezoo.training.meter import Meter
from facezoo.training.optim import Schedule, Scheduler
from facezoo.training.process import Signals
from facezoo.training.update import Update, UpdateStep, loss_terms

logger = logging.getLogger(__name__)

Item = TypeVar("Item")
SMALLEST_SCALE = 2.0**-14
"""Of the gradients in fp16; the scaler halves it at each that is not finite, from 2**16 on."""


class Trainer:
    """Owns the model, its average, optimizer, scaler, data stream and hooks, and runs the loop.

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

    def __init__(
        self,
        model: FaceDetector,
        optimizer: torch.optim.Optimizer,
        schedule: Schedule,
        open_stream: Callable[[int], Iterator[Batch]],
        *,
        samples_per_epoch: int,
        batch_size: int,
        settings: TrainSettings,
        hooks: Mapping[str, Hook] | None = None,
        validation: Validation | None = None,
        folder: Path = Path(),
        config: Config | None = None,
        note: str = "",
        augmentation: BatchAugmentation | None = None,
        update: UpdateStep | None = None,
    ) -> None:
        settings.check_batch_size(batch_size, distributed.share().world_size)
        self.model = model
        self.averaged: FaceDetector | None = None
        self.optimizer = optimizer
        self.schedule = schedule
        self.open_stream = open_stream
        self.augmentation = augmentation
        self.samples_per_epoch = samples_per_epoch
        self.batch_size = batch_size
        self.settings = settings
        self.hooks = {
            name: hook
            for name, hook in in_order(hooks or {}).items()
            if distributed.is_main() or not hook.rank_0_only
        }
        self.validation = validation
        self.folder = folder
        self.config = config or load_config({})
        self.note = note
        self.device = next(model.parameters()).device
        self.total_steps = settings.total_steps(samples_per_epoch, batch_size)
        self.step = 0
        self.metrics: dict[str, float] = {}
        self.pending: list[tuple[str, str]] = []
        self.in_step = False
        self.failed = False
        self.interrupted: str | None = None
        self.stop_reason: str | None = None
        self.meter = Meter(settings.max_skipped)
        self.scheduler = Scheduler(model, optimizer, schedule)
        self.update = update or Update(model, optimizer, settings)
        unscaled = torch.amp.GradScaler(self.device.type, enabled=False)
        self.scaler: torch.amp.GradScaler = getattr(self.update, "scaler", unscaled)
        self._signals = Signals()

    @property
    def epochs_done(self) -> float:
        """Passes over the training set so far."""
        return self.step * self.batch_size / self.samples_per_epoch

    @property
    def epochs_before_step(self) -> float:
        """Passes over the training set before the latest step."""
        return (self.step - 1) * self.batch_size / self.samples_per_epoch

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

    def fit(self) -> dict[str, float]:
        """Trains to the last step.

        Returns:
            The latest value of every published metric.

        Raises:
            NonFiniteLossError: the loss is infinite or not a number; the batch is saved.
            RunInterrupted: by SIGTERM or Ctrl-C, after a step.
        """
        with self._signals, contextlib.ExitStack() as ending:
            for hook in reversed(self.hooks.values()):
                ending.callback(hook.after_train, self)
            ending.push(self._record_failure)
            self.model.train()
            self._call("before_train")
            self._call_pending_hooks()
            stream = self._batches(self.step)
            self.meter.start()
            while not self.is_last_step:
                batch = self._next(stream)
                self._call("before_step")
                self._train_on(batch)
                self._call_pending_hooks()
            self.interrupted = self.interrupted or self._signals.received
            if self.stop_reason is not None:
                logger.info("Stopped after step %d: %s.", self.step, self.stop_reason)
        return self.metrics

    def watch(self, items: Iterable[Item]) -> Iterator[Item]:
        """Passes on items of long work inside a hook, until a signal asks the run to end.

        Raises:
            RunInterrupted: it does; the hook is called again when the run goes on.
        """
        for item in items:
            if self._signals.received is not None:
                raise self._interruption(self._signals.received)
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

    def loss_terms(self, model: Callable[..., Any], batch: Batch) -> dict[str, LossTerm]:
        """Returns the loss terms of a batch in the precision of the run."""
        return loss_terms(model, batch, self.settings.precision)

    def _record_failure(
        self, kind: type[BaseException] | None, error: BaseException | None, _: object
    ) -> None:
        self.failed = kind is not None and not isinstance(error, RunInterrupted)
        if isinstance(error, NonFiniteLossError):
            self._save_batch(error)

    def _call(self, event: str) -> None:
        started = time.perf_counter()
        for name in self.hooks:
            self._call_hook(event, name)
        self.meter.hook_seconds += time.perf_counter() - started

    def _call_hook(self, event: str, name: str) -> None:
        try:
            getattr(self.hooks[name], event)(self)
        except FacezooError:  # says by itself what is wrong
            raise
        except Exception:
            logger.error("The hook %s failed in %s, after step %d.", name, event, self.step)
            raise

    def _call_pending_hooks(self) -> None:
        """Calls the pending hooks; one that fails, or is cut short, stays pending.

        Raises:
            RunInterrupted: a signal asked for it.
        """
        started = time.perf_counter()
        while self.pending:
            event, name = self.pending.pop(0)
            try:
                self._call_hook(event, name)
            except BaseException as error:
                self.pending.insert(0, (event, name))
                if isinstance(error, RunInterrupted):
                    self.interrupted = error.signal_name
                raise
        self.meter.hook_seconds += time.perf_counter() - started
        if self.interrupted is not None and not self.is_last_step:
            raise self._interruption(self.interrupted)

    def _interruption(self, signal_name: str) -> RunInterrupted:
        return RunInterrupted(signal_name, f"{signal_name} ended the run after step {self.step}")

    def _batches(self, step: int) -> Iterator[Batch]:
        """Gives the batches from a step on, on the device and changed as whole batches are."""
        change = None if self.augmentation is None else self.augmentation.from_step(step)
        return prefetched(self.open_stream(step), self.device, change)

    def _next(self, stream: Iterator[Batch]) -> Batch:
        started = time.perf_counter()
        batch = next(stream)
        self.meter.data_seconds += time.perf_counter() - started
        return self.on_device(batch)

    def _train_on(self, batch: Batch) -> None:
        """Makes a step of a batch: updates the weights, and lists the hooks to be called."""
        self.in_step = True
        self.scheduler.set((self.step + 0.5) / self.total_steps)
        try:
            losses, bad = self.update(batch)
        except RuntimeError as error:
            if is_out_of_memory(error):
                raise OutOfMemoryError(self.step + 1, batch, self.device) from error
            raise
        self.meter.update(self.step + 1, batch, losses, bad)
        if self.device.type == "cpu":  # nothing to wait for, so look at once
            self.meter.check_finite()
        self.step += 1
        self.pending = [("after_step", name) for name in self.hooks]
        if math.floor(self.epochs_done) > math.floor(self.epochs_before_step):
            self.pending += [("after_epoch", name) for name in self.hooks]
        if distributed.any_rank(self._signals.received is not None):
            self.interrupted = self._signals.received or "SIGTERM"  # another rank got it
        self.in_step = False
        if self.step % self.settings.log_every == 0 or self.is_last_step:
            self._publish_losses()

    def _save_batch(self, error: NonFiniteLossError) -> None:
        """Saves the batch of a loss that is not finite, which its step gives once more."""
        rank = distributed.share().rank
        path = self.folder / "replay" / f"step_{error.step:06d}_rank{rank}.safetensors"
        try:
            save_bad_batch(path, self.model, next(self._batches(error.step - 1)), error.step)
        except (OSError, RuntimeError, ValueError, FacezooError) as reason:
            logger.warning("The batch of step %d could not be saved: %s", error.step, reason)
            return
        logger.error(
            "The batch of step %d is saved; what is not finite says: python tools/replay.py %s %s",
            error.step,
            self.folder,
            path,
        )

    def _publish_losses(self) -> None:
        self.meter.dropped = sum(distributed.gather(self.meter.dropped))
        self.meter.unreadable = sum(distributed.gather(self.meter.unreadable))
        metrics = self.meter.reset(self.batch_size)
        if self.scaler.is_enabled():
            metrics["train/scale"] = self.scaler.get_scale()
            if metrics["train/scale"] < SMALLEST_SCALE:
                raise NonFiniteLossError(
                    self.step,
                    f"The gradients are not finite in fp16, however small the scale, up to step "
                    f"{self.step}: go on with train.precision=bf16 or fp32.",
                )
        metrics["lr"] = self.optimizer.param_groups[0]["lr"]
        metrics["epoch"] = self.epochs_done
        self.publish(metrics)
        self.meter.start()

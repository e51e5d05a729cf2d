"""The training loop: one step, five events, and nothing that a hook can do.

A *step* is one update of the weights from one global batch of the data stream. The stream is a
function of (seed, index), so a run that starts again at step k sees what it would have seen.

The loss of a step is the sum over the terms of ``total / max(count, 1)``, where total and count
are added up over the whole global batch before the division: a batch cut into slices
(``accumulate``) teaches what the whole batch teaches, but for batch norm, which sees a slice at a
time.
"""

from __future__ import annotations

import contextlib
import logging
import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from facezoo.config import Config, load_config
from facezoo.engine.hooks.base import Hook
from facezoo.engine.schedules import Schedule
from facezoo.engine.settings import TrainSettings
from facezoo.engine.validation import Validation
from facezoo.engine.window import Window
from facezoo.inference.detector import evaluation_mode
from facezoo.models.detector import FaceDetector
from facezoo.structures import Batch, LossTerm, Targets

logger = logging.getLogger(__name__)

AUTOCAST_TYPES = {"bf16": torch.bfloat16, "fp16": torch.float16}


class Trainer:
    """Owns the model, its average, optimizer, scaler, data stream and hooks, and runs the loop.

    Args:
        model: the detector, on the device it is trained on.
        optimizer: over the model's parameters; its learning rates are the base the schedule scales.
        schedule: factor of the learning rates by progress.
        open_stream: gives the endless batches from a step on.
        samples_per_epoch: images of the training set, at least 1.
        batch_size: images per step.
        settings: the ``train`` section of a config.
        hooks: by name, in the order in which they run.
        validation: what the Evaluation hook measures on.
        folder: the run folder.
        config: the merged config, kept in each checkpoint.
        note: stands in every line that reports a number, such as "sample run on synthetic faces".

    Attributes:
        step: updates done.
        averaged: the model with averaged weights that the EMA hook keeps, or None.
        metrics: the latest value of every published metric.
        failed: True in ``after_train`` when the run ends with an error.
        stop_reason: why the run ends before its last step, or None.
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
    ) -> None:
        settings.check_batch_size(batch_size)
        self.model = model
        self.averaged: FaceDetector | None = None
        self.optimizer = optimizer
        self.schedule = schedule
        self.open_stream = open_stream
        self.samples_per_epoch = samples_per_epoch
        self.batch_size = batch_size
        self.settings = settings
        self.hooks = in_order(hooks or {})
        self.validation = validation
        self.folder = folder
        self.config = config or load_config({})
        self.note = note
        self.device = next(model.parameters()).device
        self.scaler = torch.amp.GradScaler(self.device.type, enabled=settings.precision == "fp16")
        self.total_steps = settings.total_steps(samples_per_epoch, batch_size)
        self.step = 0
        self.metrics: dict[str, float] = {}
        self.failed = False
        self.stop_reason: str | None = None
        self.window = Window()
        self._base_rates = [group["lr"] for group in optimizer.param_groups]
        self._parameters = [p for group in optimizer.param_groups for p in group["params"]]
        self._forward: Callable[..., Any] = (
            torch.compile(model, fullgraph=True) if settings.compile else model
        )

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
    def deployed(self) -> FaceDetector:
        """The model to evaluate and to give away: the average where there is one."""
        return self.model if self.averaged is None else self.averaged

    @contextlib.contextmanager
    def evaluated_model(self) -> Iterator[FaceDetector]:
        """Gives ``deployed`` in evaluation mode; its mode is restored also after an error."""
        with evaluation_mode(self.deployed):
            yield self.deployed

    def stop(self, reason: str) -> None:
        """Ends the run after this step."""
        self.stop_reason = reason

    def fit(self) -> dict[str, float]:
        """Trains to the last step.

        Returns:
            The latest value of every published metric.

        Raises:
            NonFiniteLossError: the loss is infinite or not a number.
        """
        with contextlib.ExitStack() as ending:
            for hook in reversed(self.hooks.values()):
                ending.callback(hook.after_train, self)
            ending.push(self._note_failure)
            self.model.train()
            self._call("before_train")
            stream = self.open_stream(self.step)
            self.window.start()
            while not self.is_last_step:
                batch = self._next(stream)
                self._call("before_step")
                self._update(batch)
                self.step += 1
                if self.step % self.settings.log_every == 0 or self.is_last_step:
                    self._publish_window()
                self._call("after_step")
                if math.floor(self.epochs_done) > math.floor(self.epochs_before_step):
                    self._call("after_epoch")
            if self.stop_reason is not None:
                logger.info("Stopped after step %d: %s.", self.step, self.stop_reason)
        return self.metrics

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
        precision = AUTOCAST_TYPES.get(self.settings.precision)
        with torch.autocast(self.device.type, precision, enabled=precision is not None):
            return model(batch.images, batch.targets)

    def check_finite(self) -> None:
        """Raises for a loss that was not finite since the last look; waits for the device.

        Raises:
            NonFiniteLossError: with the step, the loss terms and the images.
        """
        self.window.check_finite()

    def _note_failure(self, kind: type[BaseException] | None, *_: object) -> None:
        self.failed = kind is not None

    def _call(self, event: str) -> None:
        started = time.perf_counter()
        for hook in self.hooks.values():
            getattr(hook, event)(self)
        self.window.hook_seconds += time.perf_counter() - started

    def _next(self, stream: Iterator[Batch]) -> Batch:
        started = time.perf_counter()
        batch = next(stream)
        self.window.data_seconds += time.perf_counter() - started
        return self.on_device(batch)

    def _update(self, batch: Batch) -> None:
        """One update of the weights from one global batch."""
        slices = cut(batch, self.settings.accumulate)
        counts = self._counts(slices) if len(slices) > 1 else {}
        sums: dict[str, Tensor] = {}
        for part in slices:
            if self.settings.compile:
                mark_faces_dynamic(part.targets)
            terms = self.loss_terms(self._forward, part)
            losses = {
                name: term.total / counts.get(name, term.count).clamp(min=1)
                for name, term in terms.items()
            }
            self.scaler.scale(torch.stack(list(losses.values())).sum()).backward()
            for name, loss in losses.items():
                sums[name] = sums.get(name, 0) + loss.detach()
        self.window.add(self.step + 1, batch.ids, sums, batch.dropped)
        if self.device.type == "cpu":
            self.window.check_finite(latest_only=True)
        self._set_learning_rate()
        if self.settings.clip_norm is not None:
            self.scaler.unscale_(self.optimizer)
            nn.utils.clip_grad_norm_(self._parameters, self.settings.clip_norm)
        self.scaler.step(self.optimizer)
        self.scaler.update()
        self.optimizer.zero_grad(set_to_none=True)

    @torch.no_grad()
    def _counts(self, slices: Sequence[Batch]) -> dict[str, Tensor]:
        """Counts of each term over all slices, known before the first gradient is taken.

        A forward pass without gradients, in evaluation mode so that batch norm sees no image
        twice: a third of a step's time, and the gradients are those of the whole batch.
        """
        counts: dict[str, Tensor] = {}
        with evaluation_mode(self.model):
            for part in slices:
                for name, term in self.loss_terms(self.model, part).items():
                    counts[name] = counts.get(name, 0) + term.count
        return counts

    def _set_learning_rate(self) -> None:
        factor = self.schedule.factor((self.step + 0.5) / self.total_steps)
        for group, rate in zip(self.optimizer.param_groups, self._base_rates, strict=True):
            group["lr"] = rate * factor

    def _publish_window(self) -> None:
        metrics = self.window.close(self.batch_size)
        metrics["lr"] = self.optimizer.param_groups[0]["lr"]
        metrics["epoch"] = self.epochs_done
        self.publish(metrics)
        self.window.start()


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


def cut(batch: Batch, parts: int) -> list[Batch]:
    """Returns the batch cut into ``parts`` equal slices of its images."""
    size = len(batch.ids) // parts
    if parts == 1:
        return [batch]
    return [
        replace(
            batch,
            images=batch.images[start : start + size],
            targets=Targets(
                *(
                    getattr(batch.targets, name)[start : start + size]
                    for name in Targets.__dataclass_fields__
                )
            ),
            ids=batch.ids[start : start + size],
            maps=batch.maps[start : start + size],
        )
        for start in range(0, len(batch.ids), size)
    ]


def mark_faces_dynamic(targets: Targets) -> None:
    """Tells the compiler that the number of faces changes from batch to batch."""
    for name in Targets.__dataclass_fields__:
        torch._dynamo.maybe_mark_dynamic(getattr(targets, name), 1)

"""What a user sees while a model trains."""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping
from datetime import timedelta
from typing import ClassVar

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn

from facezoo.environment import peak_memory_gib
from facezoo.registry import HOOKS
from facezoo.terminal import show_number, terminal
from facezoo.training.hook import Hook, TrainerBase

logger = logging.getLogger(__name__)


@HOOKS.register
class Console(Hook):
    """A progress bar on a terminal, plain lines elsewhere; the log file has the lines always."""

    rank_0_only: ClassVar[bool] = True

    def __init__(self) -> None:
        self._progress: Progress | None = None
        self._task = TaskID(0)

    def before_train(self, trainer: TrainerBase) -> None:
        """Starts the clock, and the bar where somebody is watching."""
        self._started = time.perf_counter()
        self._first_step = trainer.step
        if terminal().is_terminal:
            self._progress = Progress(
                TextColumn("training"),
                BarColumn(bar_width=20),
                MofNCompleteColumn(),
                TextColumn("{task.description}"),
                console=terminal(),
            )
            self._task = self._progress.add_task(
                "", total=trainer.total_steps, completed=trainer.step
            )
            self._progress.start()

    def after_step(self, trainer: TrainerBase) -> None:
        """Moves the bar."""
        if self._progress is not None:
            self._progress.update(self._task, completed=trainer.step)

    def write(self, trainer: TrainerBase, metrics: Mapping[str, float]) -> None:
        """Shows losses and speed, or the result of an evaluation."""
        if "train/loss" not in metrics:
            numbers = "  ".join(
                f"{name} {show_number(name, value)}" for name, value in metrics.items()
            )
            logger.info("step %d  %s%s", trainer.step, numbers, _in_brackets(trainer.note))
            return
        watched = self._progress is not None
        logger.log(
            logging.DEBUG if watched else logging.INFO,
            "step %d/%d  epoch %.2f  loss %.3f (%s)  lr %.2e  %s%s",
            trainer.step,
            trainer.total_steps,
            metrics["epoch"],
            metrics["train/loss"],
            _terms(metrics),
            metrics["lr"],
            self._speed(trainer, metrics),
            _in_brackets(trainer.note),
        )
        if self._progress is not None:
            # The bar has one line, which the terms of the loss would fill; the log has them.
            text = f"loss {metrics['train/loss']:.3f}  {self._speed(trainer, metrics)}"
            self._progress.update(self._task, description=text + _in_brackets(trainer.note))

    def after_train(self, trainer: TrainerBase) -> None:
        """Leaves the terminal as it was."""
        if self._progress is not None:
            self._progress.stop()
            self._progress = None

    def _speed(self, trainer: TrainerBase, metrics: Mapping[str, float]) -> str:
        seconds_per_step = (time.perf_counter() - self._started) / max(
            trainer.step - self._first_step, 1
        )
        left = timedelta(seconds=round(seconds_per_step * (trainer.total_steps - trainer.step)))
        return (
            f"{metrics['time/images_per_second']:.1f} images/s  "
            f"data {metrics['time/data_share']:.0%}  {peak_memory_gib(trainer.device):.1f} GiB  "
            f"ETA {left}"
        )


def _terms(metrics: Mapping[str, float]) -> str:
    prefix = "train/loss_"
    return ", ".join(
        f"{name.removeprefix(prefix)} {value:.3f}"
        for name, value in metrics.items()
        if name.startswith(prefix)
    )


def _in_brackets(note: str) -> str:
    return f"  ({note})" if note else ""

"""What every run writes of its metrics: lines for who watches, JSON, and a table at the end."""

import csv
import json
import logging
import math
import time
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any, ClassVar

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn

from facezoo.environment import peak_memory_gib
from facezoo.registry import HOOKS
from facezoo.training.hook import Hook, TrainerBase
from facezoo.training.metrics_file import METRICS, read_metrics
from facezoo.writing import atomic_write, show_number, terminal

logger = logging.getLogger(__name__)

TERM = "train/loss_"


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
        note = f"  ({trainer.note})" if trainer.note else ""
        if "train/loss" not in metrics:
            numbers = "  ".join(
                f"{name} {show_number(name, value)}" for name, value in metrics.items()
            )
            logger.info("step %d  %s%s", trainer.step, numbers, note)
            return
        loss, speed = f"loss {metrics['train/loss']:.3f}", self._speed(trainer, metrics) + note
        terms = ", ".join(
            f"{name.removeprefix(TERM)} {value:.3f}"
            for name, value in metrics.items()
            if name.startswith(TERM)
        )
        logger.log(
            logging.INFO if self._progress is None else logging.DEBUG,
            f"step {trainer.step}/{trainer.total_steps}  epoch {metrics['epoch']:.2f}  "
            f"{loss} ({terms})  lr {metrics['lr']:.2e}  {speed}",
        )
        if self._progress is not None:
            # The bar has one line, which the terms of the loss would fill; the log has them.
            self._progress.update(self._task, description=f"{loss}  {speed}")

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


@HOOKS.register
class JSONL(Hook):
    """Appends every published set of metrics to ``metrics.jsonl``; ``metrics.csv`` at the end.

    A value that is not finite is written as null. A resumed run drops the lines of steps that it
    is about to do again. Lines that do not fit on a full disk wait until there is room.
    """

    rank_0_only: ClassVar[bool] = True

    def __init__(self) -> None:
        self._waiting: list[str] = []
        self._written: int | None = None

    def before_train(self, trainer: TrainerBase) -> None:
        """Keeps the lines that were written when the state was saved that the run starts from."""
        path = trainer.folder / METRICS
        if not path.is_file():
            self._written = 0
            return
        rows = read_metrics(path)
        if self._written is None:
            rows = [row for row in rows if row["step"] <= trainer.step]
        rows = rows[: self._written]
        self._written = len(rows)
        with atomic_write(path) as temporary:
            temporary.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")

    def write(self, trainer: TrainerBase, metrics: Mapping[str, float]) -> None:
        """Appends a line."""
        row: dict[str, Any] = {"step": trainer.step}
        if trainer.note:
            row["note"] = trainer.note
        for name, value in metrics.items():
            row[name] = value if math.isfinite(value) else None
        self._waiting.append(json.dumps(row) + "\n")
        self._written = (self._written or 0) + 1
        try:
            _append(trainer.folder / METRICS, "".join(self._waiting))
        except OSError as error:
            if len(self._waiting) == 1:
                logger.warning("metrics.jsonl waits for room on the disk: %s", error)
        else:
            self._waiting.clear()

    def after_train(self, trainer: TrainerBase) -> None:
        """Writes the table: a row per step, a column per metric."""
        rows: dict[int, dict[str, Any]] = {}
        for row in read_metrics(trainer.folder / METRICS):
            rows.setdefault(row["step"], {}).update(row)
        columns = list(dict.fromkeys(name for row in rows.values() for name in row))
        try:
            with (trainer.folder / "metrics.csv").open("w", newline="", encoding="utf-8") as file:
                table = csv.DictWriter(file, columns)
                table.writeheader()
                table.writerows(rows[step] for step in sorted(rows))
        except OSError as error:
            logger.warning("metrics.csv could not be written: %s", error)

    def state_dict(self) -> dict[str, Any]:
        """Returns the number of lines so far."""
        return {"written": self._written}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Takes back the number of lines; older states have none."""
        self._written = state.get("written")


def _append(path: Path, text: str) -> None:
    """Adds text to a file, all of it or nothing."""
    with path.open("ab", buffering=0) as file:
        size, data = file.tell(), text.encode()
        try:
            while data:
                data = data[file.write(data) :]
        except OSError:
            file.truncate(size)
            raise

"""Metrics as text: one JSON object a line while the run goes on, one table when it ends."""

from __future__ import annotations

import csv
import json
import logging
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

from facezoo.files import atomic_write
from facezoo.registry import HOOKS
from facezoo.training.hook import Hook, TrainerBase
from facezoo.training.metrics_file import METRICS, read_metrics

logger = logging.getLogger(__name__)


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
    """Adds text to a file, all of it or nothing.

    Raises:
        OSError: it cannot be written.
    """
    with path.open("ab", buffering=0) as file:
        size = file.tell()
        data = text.encode()
        written = 0
        try:
            while written < len(data):
                written += file.write(data[written:])
        except OSError:
            file.truncate(size)
            raise

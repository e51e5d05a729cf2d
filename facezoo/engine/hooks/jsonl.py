"""Metrics as text: one JSON object a line while the run goes on, one table when it ends."""

from __future__ import annotations

import csv
import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from facezoo.engine.hooks.base import Hook
from facezoo.registry import HOOKS

if TYPE_CHECKING:
    from facezoo.engine.trainer import Trainer


@HOOKS.register
class JSONL(Hook):
    """Appends every published set of metrics to ``metrics.jsonl``; ``metrics.csv`` at the end.

    A value that is not finite is written as null. A resumed run drops the lines of steps that it
    is about to do again.
    """

    def before_train(self, trainer: Trainer) -> None:
        """Keeps the lines up to the step that the run starts from."""
        path = trainer.folder / "metrics.jsonl"
        kept = [row for row in read_metrics(path) if row["step"] <= trainer.step]
        path.write_text("".join(json.dumps(row) + "\n" for row in kept), encoding="utf-8")

    def write(self, trainer: Trainer, metrics: Mapping[str, float]) -> None:
        """Appends a line."""
        row: dict[str, Any] = {"step": trainer.step}
        if trainer.note:
            row["note"] = trainer.note
        for name, value in metrics.items():
            row[name] = value if math.isfinite(value) else None
        with (trainer.folder / "metrics.jsonl").open("a", encoding="utf-8") as file:
            file.write(json.dumps(row) + "\n")

    def after_train(self, trainer: Trainer) -> None:
        """Writes the table: a row per step, a column per metric."""
        rows: dict[int, dict[str, Any]] = {}
        for row in read_metrics(trainer.folder / "metrics.jsonl"):
            rows.setdefault(row["step"], {}).update(row)
        columns = list(dict.fromkeys(name for row in rows.values() for name in row))
        with (trainer.folder / "metrics.csv").open("w", newline="", encoding="utf-8") as file:
            table = csv.DictWriter(file, columns)
            table.writeheader()
            table.writerows(rows[step] for step in sorted(rows))


def read_metrics(path: Path) -> list[dict[str, Any]]:
    """Returns the rows of a ``metrics.jsonl``, none where there is no such file.

    A last line that a killed process left unfinished is passed over.
    """
    if not path.is_file():
        return []
    lines = path.read_text(encoding="utf-8").splitlines(keepends=True)
    return [json.loads(line) for line in lines if line.endswith("\n")]

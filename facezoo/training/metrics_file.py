"""Reads ``metrics.jsonl``, without torch, so that looking at runs is quick."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

METRICS = "metrics.jsonl"


def read_metrics(path: Path) -> list[dict[str, Any]]:
    """Returns the rows of a ``metrics.jsonl``, none where there is no such file.

    A last line that a killed process left unfinished is passed over.
    """
    if not path.is_file():
        return []
    lines = path.read_text(encoding="utf-8").splitlines(keepends=True)
    return [json.loads(line) for line in lines if line.endswith("\n")]

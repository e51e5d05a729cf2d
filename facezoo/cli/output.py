"""What the command line prints: results on stdout, everything else on stderr."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from facezoo.writing import show_number

WIDEST = 1000
"""Columns of text; more than any table takes."""


def stdout() -> Console:
    """Returns the console of results."""
    return Console(highlight=False, markup=False, soft_wrap=True)


def print_whole(table: Table) -> None:
    """Prints a table with every number, also where the terminal is narrower or a file."""
    console = stdout()
    # Numbers that are cut say less than lines that a narrow terminal breaks.
    wanted = console.measure(table, options=console.options.update(width=WIDEST)).maximum
    console.width = max(console.width, wanted)
    console.print(table)


def print_metrics(title: str, results: Mapping[str, Any]) -> None:
    """Prints numbers as a table, and below it the words that say how they were measured.

    Args:
        title: what was measured.
        results: numbers, and strings or settings that belong to all of them.
    """
    metrics = {name: value for name, value in results.items() if isinstance(value, float)}
    table = Table(title=Text(title), title_justify="left")
    table.add_column("metric")
    table.add_column("value", justify="right")
    for name, value in metrics.items():
        table.add_row(Text(name), show_number(name, value))
    console = stdout()
    console.print(table)
    for name, value in results.items():
        if name not in metrics:
            console.print(f"{name}: {value}")


def write_json(path: Path, content: object) -> None:
    """Writes JSON to a file, whose folder is made where it is missing."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")

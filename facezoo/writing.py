"""What every room writes with: the console, numbers as they are shown, files that appear whole.

Progress bars and log lines go to stderr, as results go to stdout.
"""

import contextlib
import functools
import json
import os
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, TypeVar

from rich.console import Console
from rich.progress import track
from rich.table import Table
from rich.text import Text

Item = TypeVar("Item")
COUNTS = ("_faces", "_predictions", "/predictions", "/max_dets")
"""Ends of the names of metrics that count something."""
WIDEST = 1000
"""Columns of text; more than any table takes."""


@functools.cache
def terminal() -> Console:
    """Returns the console; progress bars and log lines share it, so that neither breaks."""
    return Console(stderr=True, highlight=False, markup=False)


def stdout() -> Console:
    """Returns the console of results."""
    return Console(highlight=False, markup=False, soft_wrap=True)


def tracked(items: Iterable[Item], doing: str, total: float | None = None) -> Iterable[Item]:
    """Returns the items, on a terminal with a progress bar that says what is being done."""
    console = terminal()
    hidden = not console.is_terminal
    return track(items, doing, total, console=console, transient=True, disable=hidden)


def show_number(name: str, value: float) -> str:
    """Returns a metric as it is shown: counts whole, everything else with four decimals."""
    return f"{value:.0f}" if name.endswith(COUNTS) else f"{value:.4f}"


def print_whole(table: Table) -> None:
    """Prints a table with every number, also where the terminal is narrower or a file."""
    console = stdout()
    # Numbers that are cut say less than lines that a narrow terminal breaks.
    wanted = console.measure(table, options=console.options.update(width=WIDEST)).maximum
    console.width = max(console.width, wanted)
    console.print(table)


def print_metrics(title: str, results: Mapping[str, Any]) -> None:
    """Prints numbers as a table, and below it the words that say how they were measured."""
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


@contextlib.contextmanager
def atomic_write(path: Path) -> Iterator[Path]:
    """Gives a temporary path beside ``path`` to write to, and renames it once all is on the disk.

    Raises:
        OSError: it cannot be written; what stood at ``path`` before still does.
    """
    temporary = path.with_name(f".{path.name}.new")
    try:
        yield temporary
        with temporary.open("rb+") as file:
            os.fsync(file.fileno())
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)

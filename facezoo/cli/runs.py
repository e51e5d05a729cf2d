"""``facezoo runs``: the runs in a folder, and what makes several of them differ."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.table import Table
from rich.text import Text

from facezoo.cli.options import add_verb
from facezoo.writing import show_number, stdout, write_json

if TYPE_CHECKING:
    from facezoo.runs.listing import Run

NAME = "runs"
COMPARE = "compare"
ABSENT = "-"
WRAPPED = ("best", "remark")
"""Columns that take two lines on a narrow terminal, so that the others stay whole."""


def add_parser(verbs: Any) -> None:
    """Adds the verb."""
    parser = add_verb(
        verbs,
        NAME,
        "list the runs in a folder, or compare some of them",
        "List the runs in FOLDER and below it, the one that changed last first: what became\n"
        "of each, how far it came, and the best value of the metric that chooses its checkpoint\n"
        "best. With the word compare: print the settings in which runs differ and their\n"
        "validation metrics.",
        "  facezoo runs\n"
        "  facezoo runs runs/quickstart --json runs.json\n"
        "  facezoo runs compare runs/quickstart/first runs/quickstart/second",
    )
    parser.add_argument(
        "words",
        nargs="*",
        metavar="FOLDER | compare RUN RUN ...",
        help="a folder that runs are in (default: runs), or compare and at least two run folders",
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the list to a file")
    parser.add_argument("--out", help=argparse.SUPPRESS)  # it was for the picture of curves
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Lists or compares, as the first word says."""
    from facezoo.runs.listing import find_runs, open_runs

    words, file = arguments.words, arguments.json
    if arguments.out is not None:
        arguments.parser.error(
            "--out is gone with the picture; `tensorboard --logdir runs` compares the curves of "
            "runs, as W&B and MLflow do"
        )
    if words and words[0] == COMPARE:
        if file is not None:
            arguments.parser.error("--json belongs to the list of runs, not to compare")
        stdout().print(_comparison(open_runs([Path(word) for word in words[1:]])))
        return 0
    if len(words) > 1:
        arguments.parser.error(f"{words[1]!r} is one word too many: the list takes one folder")
    folder = Path(words[0]) if words else Path("runs")
    runs = find_runs(folder)
    stdout().print(_list(runs) if runs else f"There is no run in {folder}.")
    if file is not None:
        write_json(file, [one.record() for one in runs])
    return 0


def _list(runs: Sequence[Run]) -> Table:
    table = Table()
    remarks = any(one.remark for one in runs)
    for heading in ("run", "state", "step", "best", "last change", *(["remark"] * remarks)):
        justify = "right" if heading == "step" else "left"
        table.add_column(heading, justify=justify, no_wrap=heading not in WRAPPED)  # type: ignore[arg-type]
    for one in runs:
        total = "" if one.total_steps is None else f"/{one.total_steps}"
        best = ABSENT
        if one.metric is not None and one.best_value is not None:
            best = f"{one.metric} {show_number(one.metric, one.best_value)} at {one.best_step}"
        changed = f"{one.changed.astimezone():%Y-%m-%d %H:%M}"
        cells = [one.name, one.state, f"{one.step}{total}", best, changed]
        table.add_row(*map(Text, cells + [one.remark] * remarks))
    return table


def _comparison(runs: Sequence[Run]) -> Table:
    """Returns the settings that differ, and below them the metrics."""
    from facezoo.runs.listing import settings_that_differ, validation_metrics

    table = Table(caption="Metrics: the last value (and that at the best step, if it is another)")
    table.add_column("", no_wrap=True)
    for one in runs:
        table.add_column(Text(one.name), overflow="fold")
    settings = settings_that_differ(runs)
    for path, texts in settings.items():
        table.add_row(Text(path), *map(Text, texts))
    if not settings:
        table.add_row("settings", "all the same")
    table.add_section()
    for name in ("state", "step", "best_step"):
        values = [getattr(one, name) for one in runs]
        table.add_row(name.replace("_", " "), *(ABSENT if x is None else str(x) for x in values))
    for name in validation_metrics(runs):
        table.add_row(Text(name), *(_last_and_best(one, name) for one in runs))
    return table


def _last_and_best(one: Run, name: str) -> str:
    """Returns the last value of a metric and, in brackets, another one at the best step."""
    points = one.points(name)
    if not points:
        return ABSENT
    last = points[max(points)]
    best = None if one.best_step is None else points.get(one.best_step)
    shown = show_number(name, last)
    return shown if best in (None, last) else f"{shown} ({show_number(name, best)})"

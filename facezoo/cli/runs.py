"""``facezoo runs``: the runs in a folder, and what makes several of them differ."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.table import Table
from rich.text import Text

from facezoo.cli.output import stdout, write_json
from facezoo.cli.parsing import add_verb
from facezoo.terminal import show_number

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
        "[FOLDER] [--json FILE] | compare RUN RUN ... [--out FILE.png]",
        "List the runs in FOLDER and below it, the one that changed last first: what became\n"
        "of each, how far it came, and the best value of the metric that chooses its checkpoint\n"
        "best. With the word compare: print the settings in which runs differ and their\n"
        "validation metrics, and draw their curves.",
        "  facezoo runs\n"
        "  facezoo runs runs/quickstart --json runs.json\n"
        "  facezoo runs compare runs/quickstart/first runs/quickstart/second --out curves.png",
    )
    parser.add_argument(
        "words",
        nargs="*",
        metavar="FOLDER | compare RUN RUN ...",
        help="a folder that runs are in (default: runs), or compare and at least two run folders",
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the list to a file")
    parser.add_argument(
        "--out",
        type=Path,
        metavar="FILE.png",
        help="picture of the compared curves (default: runs_compare.png)",
    )
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Lists or compares, as the first word says."""
    words = arguments.words
    if words and words[0] == COMPARE:
        if arguments.json is not None:
            arguments.parser.error("--json belongs to the list of runs, not to compare")
        return run_compare([Path(word) for word in words[1:]], arguments.out)
    if arguments.out is not None:
        arguments.parser.error("--out belongs to compare, not to the list of runs")
    if len(words) > 1:
        arguments.parser.error(f"{words[1]!r} is one word too many: the list takes one folder")
    return run_list(Path(words[0]) if words else Path("runs"), arguments.json)


def run_list(folder: Path, json_file: Path | None) -> int:
    """Prints a table of the runs below a folder."""
    from facezoo.runs.listing import find_runs

    runs = find_runs(folder)
    if runs:
        stdout().print(_list_table(runs))
    else:
        stdout().print(f"There is no run in {folder}.")
    if json_file is not None:
        write_json(json_file, [_as_json(one) for one in runs])
    return 0


def run_compare(folders: Sequence[Path], out: Path | None) -> int:
    """Prints what differs between runs, and draws their curves."""
    from facezoo.runs.listing import open_runs, settings_that_differ, validation_metrics
    from facezoo.runs.runs_plot import plot_runs

    runs = open_runs(folders)
    console = stdout()
    differing = settings_that_differ(runs)
    if differing:
        console.print(_settings_table(runs, differing))
    else:
        console.print("The runs have the same config.")
    metrics = validation_metrics(runs)
    if metrics:
        console.print(_metrics_table(runs, metrics))
    picture = out or Path("runs_compare.png")
    if plot_runs(runs, picture):
        console.print(f"The curves are in {picture}.")
    else:
        console.print("The runs have no curve to draw.")
    return 0


def _list_table(runs: Sequence[Run]) -> Table:
    table = Table()
    remarks = any(one.remark for one in runs)
    for heading in ("run", "state", "step", "best", "last change", *(["remark"] * remarks)):
        justify = "right" if heading == "step" else "left"
        table.add_column(heading, justify=justify, no_wrap=heading not in WRAPPED)  # type: ignore[arg-type]
    for one in runs:
        total = "" if one.total_steps is None else f"/{one.total_steps}"
        cells = [one.name, one.state, f"{one.step}{total}", _best(one)]
        cells.append(f"{one.changed.astimezone():%Y-%m-%d %H:%M}")
        table.add_row(*map(Text, cells), *([Text(one.remark)] * remarks))
    return table


def _best(one: Run) -> str:
    if one.metric is None or one.best_value is None:
        return ABSENT
    return f"{one.metric} {show_number(one.metric, one.best_value)} at {one.best_step}"


def _as_json(one: Run) -> dict[str, Any]:
    return {
        "name": one.name,
        "folder": str(one.folder),
        "state": one.state,
        "step": one.step,
        "total_steps": one.total_steps,
        "metric": one.metric,
        "best_value": one.best_value,
        "best_step": one.best_step,
        "changed": one.changed.isoformat(timespec="seconds"),
        "remark": one.remark,
    }


def _settings_table(runs: Sequence[Run], differing: dict[str, list[str]]) -> Table:
    table = Table(title="Settings that differ")
    table.add_column("setting", no_wrap=True)
    for one in runs:
        table.add_column(Text(one.name), overflow="fold")
    for path, texts in differing.items():
        table.add_row(Text(path), *map(Text, texts))
    return table


def _metrics_table(runs: Sequence[Run], metrics: Sequence[str]) -> Table:
    """Returns the last values; in brackets those of the best checkpoint, if it is another."""
    table = Table(title="Validation: the last value (and that at the best step, if it is another)")
    table.add_column("metric", no_wrap=True)
    for one in runs:
        best = f" (best: {one.best_step})" if _ended_behind_its_best(one) else ""
        table.add_column(Text(one.name + best), justify="right", overflow="fold")
    for name in metrics:
        table.add_row(Text(name), *(_last_and_best(one, name) for one in runs))
    return table


def _last_and_best(one: Run, name: str) -> str:
    last, best = one.last_value(name), one.value_after(name, one.best_step)
    shown = ABSENT if last is None else show_number(name, last)
    if best is None or not _ended_behind_its_best(one):
        return shown
    return f"{shown} ({show_number(name, best)})"


def _ended_behind_its_best(one: Run) -> bool:
    return one.metric is not None and one.best_step != max(
        (step for step, _ in one.points(one.metric)), default=one.best_step
    )

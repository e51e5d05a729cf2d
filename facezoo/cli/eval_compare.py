"""``facezoo eval-compare``: which of two detectors is better, and whether that is noise."""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.table import Table
from rich.text import Text

from facezoo.cli.eval_predictions import add_set_options, read_set
from facezoo.cli.options import add_verb
from facezoo.writing import print_whole, stdout, write_json

if TYPE_CHECKING:
    from facezoo.metrics.bootstrap import Difference
    from facezoo.metrics.compare import Mistakes

NAME = "eval-compare"
EVENTS = "slices/event/"
SHOWN_IMAGES = 10


def add_parser(verbs: Any) -> None:
    """Adds the verb."""
    parser = add_verb(
        verbs,
        NAME,
        "compare two sets of predictions, with confidence intervals",
        "Compare two folders of predictions <event>/<image>.txt, or two that `facezoo eval --out` "
        "wrote.\nA difference is beyond noise where the 95 % interval of 1,000 resamples of the "
        "images leaves 0 out.",
        "  facezoo eval-compare retinaface_r50/ yolo5face/ --data data/widerface\n"
        "  facezoo eval-compare results/first results/second --list mini_val.txt --json diff.json",
    )
    for name, which in (("a", "first"), ("b", "second")):
        parser.add_argument(name, type=Path, metavar=name.upper(), help=f"{which} predictions")
    add_set_options(parser, "compare by height, blur, occlusion ... too")
    parser.add_argument(
        "--out", type=Path, metavar="DIR", help="write tables of all metrics and images, and a plot"
    )
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Compares and prints; imports no torch."""
    from facezoo.metrics.compare import compare_predictions, write_comparison

    comparison = compare_predictions(arguments.a, arguments.b, **read_set(arguments))
    console = stdout()
    console.print(f"A is {arguments.a}\nB is {arguments.b}")
    _print_differences(comparison.differences)
    _print_mistakes(comparison.mistakes)
    console.print(f"images: {len(comparison.mistakes)}\ntruth: {comparison.truth}")
    if arguments.json is not None:
        write_json(arguments.json, comparison.flat())
    if arguments.out is not None:
        write_comparison(arguments.out, comparison)
        console.print(f"tables and plot: {arguments.out}")
    return 0


def _print_differences(differences: Mapping[str, Difference]) -> None:
    """Prints all numbers, of events only those that differ beyond noise."""
    table = Table()
    table.add_column("metric", no_wrap=True)
    for heading in ("A", "B", "B - A", "95 % interval"):
        table.add_column(heading, justify="right", no_wrap=True)
    table.add_column("verdict", no_wrap=True)
    alike = 0
    for name, one in differences.items():
        if name.startswith(EVENTS) and not one.is_beyond_noise:
            alike += 1
            continue
        interval = f"{one.low:+.4f} to {one.high:+.4f}"
        numbers = (f"{one.a:.4f}", f"{one.b:.4f}", f"{one.estimate:+.4f}", interval)
        table.add_row(Text(name), *numbers, one.verdict)
    print_whole(table)
    console = stdout()
    if alike:
        console.print(f"{alike} events, not shown, differ within noise.")
    console.print(
        "Of numbers that do not differ, one in twenty is expected to look beyond noise by chance."
    )


def _print_mistakes(mistakes: Sequence[Mistakes]) -> None:
    table = Table(title="where they differ most: faces missed + false alarms", title_justify="left")
    table.add_column("image", no_wrap=True)
    table.add_column("A", justify="right")
    table.add_column("B", justify="right")
    for one in mistakes[:SHOWN_IMAGES]:
        if one.a != one.b:
            table.add_row(Text(one.image_id), str(one.a), str(one.b))
    print_whole(table)

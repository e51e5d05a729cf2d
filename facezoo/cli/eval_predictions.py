"""``facezoo eval-predictions``: score predictions that are files already."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from facezoo.cli.output import print_metrics, write_json
from facezoo.cli.parsing import add_verb, read_names

NAME = "eval-predictions"


def add_parser(verbs: Any) -> None:
    """Adds the verb."""
    parser = add_verb(
        verbs,
        NAME,
        "score predictions in WIDER FACE's text format",
        "DIR [--truth DIR] [--list FILE] [--json FILE]",
        "Score a folder <event>/<image>.txt of predictions by the official rule of WIDER FACE.",
        "  facezoo eval-predictions predictions/ --truth data/widerface/eval_tools/ground_truth\n"
        "  facezoo eval-predictions predictions/ --list mini_val.txt --json metrics.json",
    )
    parser.add_argument("directory", type=Path, metavar="DIR", help="folder of the predictions")
    parser.add_argument(
        "--truth", type=Path, metavar="DIR", help="folder of the official .mat files"
    )
    parser.add_argument(
        "--list",
        type=Path,
        metavar="FILE",
        help="evaluate these images as a set of its own, one <event>/<image>.jpg a line",
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the numbers to a file")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Reads, scores and prints; imports no torch."""
    from facezoo.evaluation.report import evaluate_predictions

    names = None if arguments.list is None else read_names(arguments.list)
    metrics = evaluate_predictions(arguments.directory, truth=arguments.truth, names=names)
    print_metrics(f"predictions in {arguments.directory}", metrics)
    if arguments.json is not None:
        write_json(arguments.json, metrics)
    return 0

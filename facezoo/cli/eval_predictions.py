"""``facezoo eval-predictions``: score predictions that are files already."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from facezoo.cli.output import print_metrics, write_json
from facezoo.cli.parsing import add_verb
from facezoo.cli.predicted import add_set_options, read_set
from facezoo.errors import ConfigError

NAME = "eval-predictions"


def add_parser(verbs: Any) -> None:
    """Adds the verb."""
    parser = add_verb(
        verbs,
        NAME,
        "score predictions in WIDER FACE's text format",
        "DIR [--truth DIR] [--list FILE] [--slices --data ROOT] [--json FILE]",
        "Score a folder <event>/<image>.txt of predictions by the official rule of WIDER FACE.",
        "  facezoo eval-predictions predictions/ --truth data/widerface/eval_tools/ground_truth\n"
        "  facezoo eval-predictions predictions/ --list mini_val.txt --json metrics.json\n"
        "  facezoo eval-predictions predictions/ --slices --data data/widerface",
    )
    parser.add_argument("directory", type=Path, metavar="DIR", help="folder of the predictions")
    add_set_options(parser, "the attributes that --slices needs")
    parser.add_argument(
        "--slices",
        action="store_true",
        help="add recall by height, blur, occlusion ..., calibration and duplicates",
    )
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Reads, scores and prints; imports no torch."""
    if arguments.slices != (arguments.data is not None):
        raise ConfigError(
            "--slices and --data go together: the annotation in --data says how blurred, occluded "
            "... each face is; give both or neither."
        )
    from facezoo.metrics.evaluate_predictions import evaluate_predictions

    metrics = evaluate_predictions(arguments.directory, **read_set(arguments))
    print_metrics(f"predictions in {arguments.directory}", metrics)
    if arguments.json is not None:
        write_json(arguments.json, metrics)
    return 0

"""``facezoo eval``: measure a model on a data set."""

import argparse
from pathlib import Path
from typing import Any

from facezoo.cli.options import (
    add_model,
    add_options,
    add_verb,
    chosen,
    read_names,
    split_overrides,
)
from facezoo.errors import ConfigError
from facezoo.writing import print_metrics, stdout, write_json

NAME = "eval"
EVALUATE = "facezoo.evaluation.evaluate:evaluate"
REPORT = "facezoo.evaluation.evaluate:Report"


def add_parser(verbs: Any) -> None:
    """Adds the verb."""
    parser = add_verb(
        verbs,
        NAME,
        "measure a model on a data set",
        "Measure a model: a name in the zoo, a YAML file, a run folder or a checkpoint.",
        "  facezoo eval retinaface_mnet025 --data data/widerface --protocol original\n"
        "  facezoo eval runs/first --data data/widerface --list mini_val.txt --json metrics.json\n"
        "  facezoo eval retinaface_r50 --weights r50.safetensors --out results/r50 --slices\n"
        "  facezoo eval runs/first --protocol multiscale --cache kept  (again: goes on)",
    )
    words = "the model; or key=value to change its config"
    add_model(parser, "words", nargs="+", metavar="MODEL", help=words)
    names = ("weights", "data", "protocol", "device", "batch_size", "cache", "allow_imports")
    add_options(parser, EVALUATE, *names)
    parser.add_argument(
        "--list",
        type=Path,
        metavar="FILE",
        help="evaluate these images as a set of its own, one <event>/<image>.jpg a line",
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the numbers to a file")
    add_options(parser, REPORT, "truth", "slices", "out")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Evaluates and prints."""
    models, overrides = split_overrides(arguments.words)
    if len(models) != 1:
        raise ConfigError(f"Name one model to evaluate; the words name {len(models)}.")
    names = None if arguments.list is None else read_names(arguments.list)
    from facezoo.evaluation.evaluate import Report, evaluate

    options = chosen(arguments)
    report = Report(names, *(options.pop(name) for name in ("truth", "slices", "out")))
    results = evaluate(models[0], overrides=overrides, report=report, **options)
    print_metrics(f"{models[0]}, protocol {results['protocol']}", results)
    if arguments.out is not None:
        stdout().print(f"predictions, curves and pictures: {arguments.out}")
    if arguments.json is not None:
        write_json(arguments.json, results)
    return 0

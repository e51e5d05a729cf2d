"""``facezoo eval``: measure a model on a data set."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from facezoo.cli.output import print_metrics, stdout, write_json
from facezoo.cli.parsing import (
    Parser,
    add_allow_imports,
    add_running_options,
    add_verb,
    names_a_model,
    read_names,
    split_overrides,
)
from facezoo.errors import ConfigError

NAME = "eval"


def add_parser(verbs: Any) -> None:
    """Adds the verb."""
    parser = add_verb(
        verbs,
        NAME,
        "measure a model on a data set",
        "MODEL [--weights W] [--data ROOT] [--truth DIR] [--list FILE] [--protocol P]\n"
        "                    [--out DIR] [--json FILE] [--device D] [--batch-size N]\n"
        "                    [--slices] [--cache DIR] [--allow-imports] [key=value ...]",
        "Measure a model: a name in the zoo, a YAML file, a run folder or a checkpoint.",
        "  facezoo eval retinaface_mnet025 --data data/widerface --protocol original\n"
        "  facezoo eval runs/first --data data/widerface --list mini_val.txt --json metrics.json\n"
        "  facezoo eval retinaface_r50 --weights r50.safetensors --out results/r50 --slices\n"
        "  facezoo eval runs/first --protocol multiscale --cache kept  (again: goes on)",
    )
    names_a_model(
        parser.add_argument(
            "words", nargs="+", metavar="MODEL", help="the model; or key=value to change its config"
        )
    )
    _add_options(parser)
    add_running_options(parser)
    add_allow_imports(parser)
    parser.set_defaults(run=run)


def _add_options(parser: Parser) -> None:
    parser.add_argument(
        "--weights",
        metavar="W",
        help="file, run folder or checkpoint (default: the model's own)",
    )
    parser.add_argument(
        "--data",
        type=Path,
        metavar="ROOT",
        help="folder in the layout of WIDER FACE, or a COCO json beside its images "
        "(default: the config's)",
    )
    parser.add_argument(
        "--truth",
        type=Path,
        metavar="DIR",
        help="folder of the official .mat files "
        "(default: eval_tools/ground_truth in or beside the data root)",
    )
    parser.add_argument(
        "--list",
        type=Path,
        metavar="FILE",
        help="evaluate these images as a set of its own, one <event>/<image>.jpg a line",
    )
    parser.add_argument(
        "--protocol",
        metavar="P",
        help="the scale: original, vga, short1600, multiscale, long:N, short:N, fixed:N, or a name "
        "under evaluation.protocols (default: the config's)",
    )
    parser.add_argument(
        "--out", type=Path, metavar="DIR", help="write numbers, predictions, curves and pictures"
    )
    parser.add_argument(
        "--cache",
        type=Path,
        metavar="DIR",
        help="keep the faces found, and take from it those that are known: for a second look, "
        "or to go on after a stop",
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the numbers to a file")
    parser.add_argument(
        "--slices",
        action="store_true",
        help="add recall by height, blur, occlusion ..., landmark error, calibration, duplicates",
    )


def run(arguments: argparse.Namespace) -> int:
    """Evaluates and prints."""
    models, overrides = split_overrides(arguments.words)
    if len(models) != 1:
        raise ConfigError(f"Name one model to evaluate; the words name {len(models)}.")
    names = None if arguments.list is None else read_names(arguments.list)
    from facezoo.evaluation.evaluate import Report, evaluate

    results = evaluate(
        models[0],
        data=arguments.data,
        weights=arguments.weights,
        protocol=arguments.protocol,
        overrides=overrides,
        device=arguments.device,
        batch_size=arguments.batch_size,
        allow_imports=arguments.allow_imports,
        cache=arguments.cache,
        report=Report(names, arguments.truth, arguments.slices, arguments.out),
    )
    print_metrics(f"{models[0]}, protocol {results['protocol']}", results)
    if arguments.out is not None:
        stdout().print(f"predictions, curves and pictures: {arguments.out}")
    if arguments.json is not None:
        write_json(arguments.json, results)
    return 0

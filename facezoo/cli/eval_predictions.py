"""``facezoo eval-predictions``: score predictions that are files already."""

import argparse
from pathlib import Path
from typing import Any

from facezoo.cli.options import Parser, add_verb, read_names
from facezoo.errors import ConfigError
from facezoo.writing import print_metrics, write_json

NAME = "eval-predictions"


def add_parser(verbs: Any) -> None:
    """Adds the verb."""
    parser = add_verb(
        verbs,
        NAME,
        "score predictions in WIDER FACE's text format",
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


def add_set_options(parser: Parser, data_is_for: str) -> None:
    """Adds the options that say which images to judge and by what, also of ``eval-compare``."""
    listed = "evaluate these images as a set of its own, one <event>/<image>.jpg a line"
    layout = "folder in the layout of WIDER FACE, or its wider_face_val_bbx_gt.txt"
    for name, metavar, text in (
        ("truth", "DIR", "folder of the official .mat files"),
        ("list", "FILE", listed),
        ("data", "ROOT", f"{layout}: {data_is_for}; its images are the set"),
        ("json", "FILE", "write the numbers to a file"),
    ):
        parser.add_argument(f"--{name}", type=Path, metavar=metavar, help=text)


def read_set(arguments: argparse.Namespace) -> dict[str, Any]:
    """Returns ``truth``, ``names`` and ``annotated``, as the public functions take them.

    Without ``--truth`` the official files in or beside the data root are taken, where they are
    there.

    Raises:
        DataError: the list or the annotation is missing or malformed.
    """
    truth, data, annotated = arguments.truth, arguments.data, None
    names = None if arguments.list is None else read_names(arguments.list)
    if data is not None:
        from facezoo.data.datasets.wider_face import read_widerface_truth
        from facezoo.metrics.official_truth import find_official_truth

        annotated = read_widerface_truth(data)
        truth = truth or find_official_truth(data, *data.absolute().parents[:2])
    return {"truth": truth, "names": names, "annotated": annotated}

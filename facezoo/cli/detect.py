"""``facezoo detect``: find faces in photographs."""

from __future__ import annotations

import argparse
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from facezoo.cli.options import add_model, add_options, add_verb, chosen
from facezoo.errors import DataError
from facezoo.writing import stdout, terminal, tracked, write_json
from facezoo.zoo.catalogue import DEFAULT_MODEL

if TYPE_CHECKING:
    from facezoo.structures import Faces

NAME = "detect"
DETECTOR = "facezoo.inference.detector:Detector"
SCORE_THRESH = 0.5
"""A picture with every face from the score of an evaluation on would be full of boxes."""


def add_parser(verbs: Any) -> None:
    """Adds the verb."""
    parser = add_verb(
        verbs,
        NAME,
        "find faces in photographs",
        "Find faces in photographs and in folders of them, with their subfolders. Without --model\n"
        f"the model that comes along is used ({DEFAULT_MODEL}); nothing is downloaded.",
        "  facezoo detect photo.jpg --draw\n"
        "  facezoo detect holiday/ --json faces.json --score-thresh 0.3\n"
        "  facezoo detect photo.jpg --model runs/retinaface_r50/2025-01-31_12-00-00 --draw",
    )
    parser.add_argument("words", nargs="+", metavar="PATH", help="a photograph or a folder")
    model = "name, YAML file, run folder or checkpoint (default: %(default)s)"
    add_model(parser, "--model", default=DEFAULT_MODEL, metavar="M", help=model)
    parser.add_argument(
        "--out",
        type=Path,
        default=Path("detections"),
        metavar="DIR",
        help="folder of the drawn pictures (default: %(default)s)",
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all faces to a file")
    parser.add_argument("--draw", action="store_true", help="write pictures with the faces drawn")
    names = ("weights", "protocol", "score_thresh", "nms_thresh", "device", "batch_size")
    defaults = {"score_thresh": SCORE_THRESH, "device": "auto"}
    add_options(parser, DETECTOR, *names, "allow_imports", defaults=defaults)
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Finds, prints, draws; an unreadable photograph is counted and the others go on."""
    from facezoo.data.images import read_image, write_image
    from facezoo.inference import photographs as pictures
    from facezoo.inference.drawing import draw_faces

    out = arguments.out if arguments.draw else None
    photographs, skipped = pictures.find_photographs(arguments.words, out)
    if skipped:
        terminal().print(f"{skipped} pictures in {out} are passed over.")
    pictures.check_overwrites(photographs, out, arguments.json)
    from facezoo.inference.detector import Detector

    detector = Detector(arguments.model, **chosen(arguments))
    described = detector.describe()
    settings = "; ".join(f"{name} {value}" for name, value in described.items())
    terminal().print(settings, soft_wrap=True)
    failures: list[dict[str, str]] = []

    def fail(path: Path, error: DataError) -> None:
        failures.append({"path": str(path), "error": str(error)})
        terminal().print(f"{path}: {error}")

    results: list[dict[str, Any]] = []
    batches = pictures.in_batches(list(photographs), detector.batch_size)
    watch = partial(tracked, doing="detecting")
    for batch in pictures.detect_batches(detector, batches, read_image, watch, fail):
        for one in batch:
            results.append(one.record())
            stdout().print(f"{one.source}: {_summary(one.faces)}")
            if out is not None:
                write_image(out / photographs[one.source], draw_faces(one.image, one.faces))
    found = sum(len(one["faces"]) for one in results)
    stdout().print(f"{_counted(found, 'face')} in {_counted(len(results), 'photograph')}")
    if out is not None and results:
        stdout().print(f"drawn into {out}")
    if arguments.json is not None:
        write_json(arguments.json, {**described, "images": results, "failures": failures})
        stdout().print(f"written to {arguments.json}")
    if failures:
        terminal().print(f"{len(failures)} of {len(photographs)} photographs could not be read.")
    return 1 if failures else 0


def _summary(faces: Faces) -> str:
    if not len(faces):
        return "no faces"
    best, worst = faces.scores.max(), faces.scores.min()
    return f"{_counted(len(faces), 'face')}, scores {best:.2f} to {worst:.2f}"


def _counted(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"

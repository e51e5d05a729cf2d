"""``facezoo data convert``: annotation from one format into another."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from facezoo.cli.options import add_options, chosen
from facezoo.cli.output import stdout
from facezoo.cli.parsing import add_verb

CONVERT = "facezoo.datatools.convert:convert"


def add_parser(actions: Any) -> None:
    """Adds the action to those of ``facezoo data``."""
    parser = add_verb(
        actions,
        "convert",
        "turn annotation of one format into another",
        "Read the annotation of a data set in one format and write it in another, in the layout\n"
        "that its data set class reads, and say what the new format has no place for.\n"
        "Formats: widerface, retinaface, coco, yolo, yolo-landmarks.\n"
        "SOURCE and PLACE are a file; for yolo and yolo-landmarks they are the folder of labels.",
        "  facezoo data convert data/widerface/wider_face_split/wider_face_val_bbx_gt.txt \\\n"
        "      --from widerface --to coco --out val.json\n"
        "  facezoo data convert data/retinaface/val/label.txt --from retinaface \\\n"
        "      --images data/widerface/WIDER_val/images --to yolo-landmarks \\\n"
        "      --out data/yolo/labels/val",
    )
    parser.add_argument("source", type=Path, metavar="SOURCE", help="the annotation to read")
    add_options(parser, CONVERT, "out", "images", from_format="from", to_format="to")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Converts, and prints what is there now and what is lost."""
    from facezoo.datatools.convert import convert

    done = convert(arguments.source, **chosen(arguments))
    console = stdout()
    console.print(f"{arguments.out}: {done.images:,} images, {done.faces:,} faces")
    for sentence in done.lost:
        console.print(sentence)
    return 0

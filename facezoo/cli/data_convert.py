"""``facezoo data convert``: annotation from one format into another."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from facezoo.cli.output import stdout
from facezoo.cli.parsing import add_verb


def add_parser(actions: Any) -> None:
    """Adds the action to those of ``facezoo data``."""
    parser = add_verb(
        actions,
        "convert",
        "turn annotation of one format into another",
        "SOURCE --from FORMAT --to FORMAT --out PLACE [--images DIR]",
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
    for option, what in (("from", "SOURCE"), ("to", "PLACE")):
        parser.add_argument(
            f"--{option}",
            dest=f"{option}_format",
            required=True,
            metavar="FORMAT",
            help=f"the format of {what}",
        )
    parser.add_argument(
        "--out", type=Path, required=True, metavar="PLACE", help="where to write; it must be new"
    )
    parser.add_argument(
        "--images",
        type=Path,
        metavar="DIR",
        help="folder of the images (default: where the layout of SOURCE has them, for widerface "
        "and yolo)",
    )
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Converts, and prints what is there now and what is lost."""
    from facezoo.datatools.formats.conversion import convert

    done = convert(
        arguments.source,
        arguments.from_format,
        arguments.to_format,
        arguments.out,
        images=arguments.images,
    )
    console = stdout()
    console.print(f"{arguments.out}: {done.images:,} images, {done.faces:,} faces")
    for sentence in done.lost:
        console.print(sentence)
    return 0

"""``facezoo data check``: find what is wrong with a data set, and write a cleaned annotation."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.table import Table
from rich.text import Text

from facezoo.cli.options import add_verb
from facezoo.writing import stdout, write_json

if TYPE_CHECKING:
    from facezoo.datatools.inspection import Inspection

SHOWN = 5
"""The findings of a kind that are printed; the json has all."""


def add_parser(actions: Any) -> None:
    """Adds the action."""
    parser = add_verb(
        actions,
        "check",
        "find what is wrong with images and annotation",
        "Read every annotated image and every line of the annotation, and report what is wrong:\n"
        "images that are missing, broken, there twice or in both splits; boxes without area,\n"
        "outside their image or there twice; landmarks far from their face. The exit code is 1\n"
        "where anything was found. ROOT is a folder in the layout of WIDER FACE or of YOLO, a\n"
        "COCO json beside its images, an annotation file or a folder of labels; images are read\n"
        "where they are there.",
        "  facezoo data check data/widerface\n"
        "  facezoo data check data/widerface --split train --json findings.json\n"
        "  facezoo data check faces.json --fix cleaned",
    )
    parser.add_argument("root", type=Path, metavar="ROOT", help="folder, json or annotation file")
    parser.add_argument("--split", choices=["train", "val"], help="only one split of a folder")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all findings to a file")
    parser.add_argument(
        "--fix",
        type=Path,
        metavar="DIR",
        help="write a cleaned copy of the annotation and changes.txt, which says what and why",
    )
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Checks, prints, and writes what was asked for."""
    from facezoo.data.annotations import open_annotation_files
    from facezoo.datatools.inspection import inspect, write_repaired
    from facezoo.datatools.inspection.repair import copies_of

    files = open_annotation_files(arguments.root, arguments.split)
    if arguments.fix is not None:
        copies_of(files, arguments.root, arguments.fix)  # refuse before the images are read
    inspections = inspect(files)
    _print(inspections)
    if arguments.json is not None:
        write_json(arguments.json, [one.as_json() for one in inspections])
    if arguments.fix is not None:
        for path in write_repaired(inspections, arguments.root, arguments.fix):
            stdout().print(f"written: {path}")
    return int(any(one.findings for one in inspections))


def _print(inspections: Sequence[Inspection]) -> None:
    from facezoo.datatools.inspection import KINDS

    console = stdout()
    for one in inspections:
        read = f"{one.images_read:,} images read" if one.images_read else "no images there to read"
        console.print(
            f"{one.file.title}: {one.file.path}: {len(one.file.names):,} images, "
            f"{len(one.file.boxes):,} faces; {read}"
        )
    if not any(one.findings for one in inspections):
        console.print("Nothing is wrong.")
        return
    console.print(_table(inspections), soft_wrap=False)
    for kind, known in KINDS.items():
        findings = [one for each in inspections for one in each.findings if one.kind == kind]
        if findings:
            console.print(f"\n{known.meaning} ({len(findings)}):")
            for finding in findings[:SHOWN]:
                image = f"{finding.image}: " if finding.image else ""
                console.print(f"  {finding.where}: {image}{finding.message}")
            if len(findings) > SHOWN:
                console.print(f"  and {len(findings) - SHOWN} more; --json FILE has all")


def _table(inspections: Sequence[Inspection]) -> Table:
    from facezoo.datatools.inspection import KINDS

    table = Table()
    table.add_column("found", no_wrap=True)
    for one in inspections:
        table.add_column(Text(one.file.title), justify="right", overflow="fold")
    counts = [one.counts() for one in inspections]
    for kind, known in KINDS.items():
        if any(of_file[kind] for of_file in counts):
            table.add_row(Text(known.meaning), *(f"{of_file[kind]:,}" for of_file in counts))
    return table

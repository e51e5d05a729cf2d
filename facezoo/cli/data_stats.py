"""``facezoo data stats``: count what is annotated."""

import argparse
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rich.table import Table
from rich.text import Text

from facezoo.cli.options import add_verb
from facezoo.writing import stdout, write_json

ROWS = {
    "images": "images",
    "faces": "faces",
    "images_without_faces": "images without faces",
    "dropped": "dropped (boxes without area)",
    "ignored": "ignored",
    "with_landmarks": "with landmarks",
}
GROUPS = {
    "faces_per_image": "faces per image",
    "images_by_faces": "images by faces",
    "face_heights": "face heights, pixels",
}


def add_parser(actions: Any) -> None:
    """Adds the action."""
    parser = add_verb(
        actions,
        "stats",
        "count images, faces, their heights and attributes",
        "Count what is annotated; no image is decoded. ROOT is a folder in the layout of WIDER\n"
        "FACE or of YOLO, a COCO json, or an annotation file or folder of labels alone.",
        "  facezoo data stats data/widerface\n"
        "  facezoo data stats data/widerface --split val --picture stats.png\n"
        "  facezoo data stats faces.json --json stats.json",
    )
    parser.add_argument("root", type=Path, metavar="ROOT", help="folder, json or annotation file")
    parser.add_argument("--split", choices=["train", "val"], help="only one split of a folder")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the counts to a file")
    parser.add_argument("--picture", type=Path, metavar="FILE.png", help="draw the counts")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Counts, prints, and writes what was asked for."""
    from facezoo.data.annotations import open_annotation_files
    from facezoo.datatools.statistics import OFFICIAL_COUNTS, plot_statistics, statistics

    files = open_annotation_files(arguments.root, arguments.split)
    counted = {file.title: statistics(file) for file in files}
    console = stdout()
    console.print(_table(str(arguments.root), counted), soft_wrap=False)
    for file in files:
        official = counted[file.title]["official"]
        if official is not None:
            images, faces = OFFICIAL_COUNTS[file.split]
            are = "are" if official else "are not"
            console.print(
                f"{file.title}: these {are} the counts of WIDER FACE's {file.split} split, "
                f"{images:,} images and {faces:,} faces."
            )
    if arguments.json is not None:
        write_json(arguments.json, counted)
    if arguments.picture is not None:
        plot_statistics(counted, arguments.picture)
        console.print(f"The picture is {arguments.picture}.")
    return 0


def _table(title: str, counted: Mapping[str, Mapping[str, Any]]) -> Table:
    table = Table(title=Text(title), title_justify="left")
    table.add_column("")
    for name in counted:
        table.add_column(Text(name), justify="right")
    columns = [_by_heading(one) for one in counted.values()]
    for heading in dict.fromkeys(heading for column in columns for heading in column):
        groups = [column.get(heading, {}) for column in columns]
        if heading:
            table.add_section()
            table.add_row(Text(heading, style="bold"))
        for name in dict.fromkeys(name for group in groups for name in group):
            indent = "  " if heading else ""
            table.add_row(indent + name, *(_shown(group.get(name)) for group in groups))
    return table


def _by_heading(counted: Mapping[str, Any]) -> dict[str, dict[str, float]]:
    return {
        "": {name: counted[key] for key, name in ROWS.items()},
        **{heading: counted[key] for key, heading in GROUPS.items()},
        **(counted["attributes"] or {}),
    }


def _shown(value: float | None) -> str:
    if value is None:
        return "-"
    return f"{value:,}" if isinstance(value, int) else f"{value:,.1f}"

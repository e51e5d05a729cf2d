"""``facezoo data``: get data sets."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from facezoo.cli.output import stdout
from facezoo.cli.parsing import add_verb

NAME = "data"


def add_parser(verbs: Any) -> None:
    """Adds the verb."""
    parser = add_verb(
        verbs,
        NAME,
        "get data sets",
        "download widerface [--root DIR]",
        "Get data sets in the layout that the configs read.",
        "  facezoo data download widerface --root data/widerface",
    )
    actions = parser.add_subparsers(
        prog="facezoo data", dest="action", metavar="ACTION", required=True
    )
    download = add_verb(
        actions,
        "download",
        "fetch and check a data set",
        "widerface [--root DIR]",
        "Fetch the official archives, check their sums, and unpack them. Photographs of WIDER FACE "
        "are for research only.",
        "  facezoo data download widerface --root data/widerface",
    )
    download.add_argument("dataset", choices=["widerface"], help="the data set")
    download.add_argument(
        "--root",
        type=Path,
        default=Path("data/widerface"),
        metavar="DIR",
        help="folder that it goes into (default: %(default)s)",
    )
    download.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Downloads the data set."""
    from facezoo.data.download import download_widerface

    download_widerface(arguments.root)
    stdout().print(f"WIDER FACE is in {arguments.root}; train with data.root={arguments.root}")
    return 0

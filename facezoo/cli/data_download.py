"""``facezoo data download``: fetch a data set."""

from __future__ import annotations

import argparse
from typing import Any

from facezoo.cli.options import add_options
from facezoo.cli.output import stdout
from facezoo.cli.parsing import add_verb


def add_parser(actions: Any) -> None:
    """Adds the action."""
    parser = add_verb(
        actions,
        "download",
        "fetch and check a data set",
        "widerface [--root DIR]",
        "Fetch the official archives, check their sums, and unpack them. Photographs of WIDER\n"
        "FACE are for research only.",
        "  facezoo data download widerface --root data/widerface",
    )
    parser.add_argument("dataset", choices=["widerface"], help="the data set")
    add_options(parser, "facezoo.datatools.download:download_widerface", "root")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Downloads the data set."""
    from facezoo.datatools.download import download_widerface

    download_widerface(arguments.root)
    stdout().print(f"WIDER FACE is in {arguments.root}; train with data.root={arguments.root}")
    return 0

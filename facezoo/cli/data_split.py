"""``facezoo data split``: reproducible parts of a data set as lists of image names."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from facezoo.cli.options import add_options, chosen
from facezoo.cli.output import stdout
from facezoo.cli.parsing import add_verb


def add_parser(actions: Any) -> None:
    """Adds the action to those of ``facezoo data``."""
    parser = add_verb(
        actions,
        "split",
        "divide images into parts, as lists of names",
        "ROOT --parts NAME=SHARE,... --out DIR [--by event|image] [--number N] [--seed N]",
        "Divide the images of a folder at random into parts, and write for each part a list of\n"
        "names, one <event>/<image>.jpg a line: what --list of `facezoo eval` and the data set\n"
        "Subset take. The same names and seed give the same parts on every machine.",
        "  facezoo data split data/widerface/WIDER_train/images --parts train=0.8,val=0.2 \\\n"
        "      --by event --out data/lists",
    )
    parser.add_argument("root", type=Path, metavar="ROOT", help="folder of the images")
    parser.add_argument(
        "--parts",
        required=True,
        metavar="NAME=SHARE,...",
        help="name and share of each part; what shares short of 1 leave over is in no part",
    )
    add_options(parser, "facezoo.datatools.split:split_images", "by", "number", "seed", "out")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Divides the images and writes the lists."""
    from facezoo.datatools.split import parse_parts, split_images

    lists = split_images(arguments.root, parse_parts(arguments.parts), **chosen(arguments))
    for path, names in lists.items():
        events = len({name.rpartition("/")[0] for name in names})
        stdout().print(f"{path}: {len(names):,} images of {events:,} events")
    return 0

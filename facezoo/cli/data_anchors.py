"""``facezoo data anchors``: anchors that fit the faces of a data set."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any

from rich.table import Table

from facezoo.cli.options import add_options, chosen
from facezoo.cli.output import stdout
from facezoo.cli.parsing import add_verb, names_a_model, split_overrides
from facezoo.errors import ConfigError

if TYPE_CHECKING:
    from facezoo.datatools.anchors import FittedAnchors

FIND = "facezoo.datatools.anchors:find_anchors"


def add_parser(actions: Any) -> None:
    """Adds the action."""
    parser = add_verb(
        actions,
        "anchors",
        "find anchors that fit the faces of a data set",
        "Find anchors by k-means, and print how well they fit beside those of the config, and the\n"
        "lines to put into a YAML; no config is changed. ROOT is a folder in the layout of WIDER\n"
        "FACE or a COCO json beside its images, whose photographs are scaled to --image-size on\n"
        "their longer side. With --config the faces are those of the first images of its training\n"
        "with this seed, as its transforms show them.",
        "  facezoo data anchors data/widerface --image-size 640\n"
        "  facezoo data anchors --config yoloface_n05 data.root=data/widerface\n"
        "  facezoo data anchors --config mine.yaml --num 6 --strides 8 16 --images 5000",
    )
    parser.add_argument("words", nargs="*", metavar="ROOT", help="the data; or key=value")
    names_a_model(
        parser.add_argument(
            "--config", metavar="CONFIG", help="name or YAML file whose training data is taken"
        )
    )
    add_options(parser, FIND, "num", "strides", "image_size", "images", "seed")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Finds anchors, and prints them."""
    from facezoo.datatools.anchors import find_anchors

    roots, overrides = split_overrides(arguments.words)
    if len(roots) > 1:
        raise ConfigError(f"Name one data root; the words name {len(roots)}.")
    found = find_anchors(*roots, config=arguments.config, overrides=overrides, **chosen(arguments))
    console = stdout()
    console.print(_table(found), soft_wrap=False)
    console.print("To take them, put these lines into a config:\n\nmodel:\n  head:\n    anchors:")
    for stride, anchors in found.anchors.items():
        console.print(f"      {stride}: {anchors}")
    return 0


def _table(found: FittedAnchors) -> Table:
    table = Table(title=f"Fit to {found.faces:,} faces", title_justify="left")
    table.add_column("anchors")
    recall = f"best possible recall (ratio < {found.max_ratio:g})"
    for heading in (recall, "anchors per face", "mean best ratio"):
        table.add_column(heading, justify="right")
    for name, one in (("the config's", found.own_fitness), ("found", found.fitness)):
        if one is not None:
            recall, ratio = f"{one.best_possible_recall:.4f}", f"{one.mean_best_ratio:.4f}"
            table.add_row(name, recall, f"{one.anchors_per_face:.2f}", ratio)
    return table

"""``facezoo data anchors``: anchors that fit the faces of a data set."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any

from rich.table import Table
from rich.text import Text

from facezoo.cli.output import stdout
from facezoo.cli.parsing import add_verb, names_a_model, split_overrides
from facezoo.errors import ConfigError

if TYPE_CHECKING:
    from facezoo.datatools.anchors import FittedAnchors


def add_parser(actions: Any) -> None:
    """Adds the action."""
    parser = add_verb(
        actions,
        "anchors",
        "find anchors that fit the faces of a data set",
        "ROOT | --config CONFIG [key=value ...] [--num N]\n"
        "                            [--strides S [S ...]] [--image-size PX]\n"
        "                            [--images N] [--seed N]",
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
    parser.add_argument(
        "--num", type=int, metavar="N", help="of anchors (default: the config's, else 9)"
    )
    parser.add_argument(
        "--strides",
        type=int,
        nargs="+",
        metavar="S",
        help="of the features (default: the config's, else 8 16 32)",
    )
    parser.add_argument(
        "--image-size",
        type=int,
        metavar="PX",
        help="of the network's input (default: the config's, else 640)",
    )
    parser.add_argument(
        "--images", type=int, default=2000, metavar="N", help="to look at (default: %(default)s)"
    )
    parser.add_argument(
        "--seed",
        type=int,
        default=0,
        metavar="N",
        help="of order, augmentation and k-means (default: 0)",
    )
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Finds anchors, and prints them."""
    from facezoo.datatools.anchors import find_anchors

    roots, overrides = split_overrides(arguments.words)
    if len(roots) > 1:
        raise ConfigError(f"Name one data root; the words name {len(roots)}.")
    found = find_anchors(
        roots[0] if roots else None,
        config=arguments.config,
        overrides=overrides,
        num=arguments.num,
        strides=arguments.strides,
        image_size=arguments.image_size,
        images=arguments.images,
        seed=arguments.seed,
    )
    console = stdout()
    console.print(_table(found), soft_wrap=False)
    console.print("To take them, put these lines into a config:\n\nmodel:\n  head:\n    anchors:")
    for stride, anchors in found.anchors.items():
        console.print(f"      {stride}: {anchors}")
    return 0


def _table(found: FittedAnchors) -> Table:
    table = Table(title=Text(f"Fit to {found.faces:,} faces"), title_justify="left")
    table.add_column("anchors")
    for heading in (
        f"best possible recall (ratio < {found.max_ratio:g})",
        "anchors per face",
        "mean best ratio",
    ):
        table.add_column(heading, justify="right")
    rows = {"found": found.fitness}
    if found.own_fitness is not None:
        rows = {"the config's": found.own_fitness, **rows}
    for name, one in rows.items():
        table.add_row(
            name,
            f"{one.best_possible_recall:.4f}",
            f"{one.anchors_per_face:.2f}",
            f"{one.mean_best_ratio:.4f}",
        )
    return table

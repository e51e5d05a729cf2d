"""``facezoo data``: get data sets, look at them, and change their form.

Actions that print a report have files of their own.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from facezoo.cli import data_anchors, data_check, data_convert, data_stats
from facezoo.cli.options import add_options, chosen
from facezoo.cli.output import stdout
from facezoo.cli.parsing import add_verb, names_a_model, split_overrides
from facezoo.errors import ConfigError

NAME = "data"
PICTURES = "facezoo.datatools.sample_pictures"


def add_parser(verbs: Any) -> None:
    """Adds the verb with its actions."""
    parser = add_verb(
        verbs,
        NAME,
        "get data sets, look at them, and change their form",
        "Get data sets in the layout that the configs read, count what is annotated, find what is\n"
        "wrong with them, see samples as training does, convert and divide them, and find anchors.",
        "  facezoo data download widerface --root data/widerface\n"
        "  facezoo data stats data/widerface --picture stats.png\n"
        "  facezoo data check data/widerface --fix data/cleaned\n"
        "  facezoo data show retinaface_mnet025 data.root=data/widerface --out samples\n\n"
        "`facezoo data ACTION --help` says more.",
    )
    actions = parser.add_subparsers(
        prog="facezoo data", dest="action", metavar="ACTION", required=True
    )
    for add in (
        _add_download,
        data_stats.add_parser,
        data_check.add_parser,
        _add_show,
        data_convert.add_parser,
        _add_split,
        data_anchors.add_parser,
    ):
        add(actions)


def _add_download(actions: Any) -> None:
    parser = add_verb(
        actions,
        "download",
        "fetch and check a data set",
        "Fetch the official archives, check their sums, and unpack them. Photographs of WIDER\n"
        "FACE are for research only.",
        "  facezoo data download widerface --root data/widerface",
    )
    parser.add_argument("dataset", choices=["widerface"], help="the data set")
    add_options(parser, "facezoo.datatools.download:download_widerface", "root")
    parser.set_defaults(run=_download)


def _download(arguments: argparse.Namespace) -> int:
    from facezoo.datatools.download import download_widerface

    download_widerface(arguments.root)
    stdout().print(f"WIDER FACE is in {arguments.root}; train with data.root={arguments.root}")
    return 0


def _add_show(actions: Any) -> None:
    parser = add_verb(
        actions,
        "show",
        "draw samples before and after augmentation",
        "Write pictures of samples with their boxes and landmarks. ROOT is a folder in the layout\n"
        "of WIDER FACE or a COCO json beside its images. For a CONFIG, a name in the zoo or a\n"
        "YAML file, a picture has the sample before and after its transforms: the first samples\n"
        "that training takes with this seed.",
        "  facezoo data show data/widerface --out samples\n"
        "  facezoo data show retinaface_mnet025 data.root=data/widerface --out samples --seed 1\n"
        "  facezoo data show quickstart --out samples --number 4",
    )
    names_a_model(
        parser.add_argument(
            "words", nargs="+", metavar="ROOT|CONFIG", help="what to show; or key=value"
        )
    )
    add_options(parser, f"{PICTURES}:write_samples", "out", "number", "seed")
    add_options(parser, f"{PICTURES}:open_samples", "split")
    parser.set_defaults(run=_show)


def _show(arguments: argparse.Namespace) -> int:
    sources, overrides = split_overrides(arguments.words)
    if len(sources) != 1:
        raise ConfigError(f"Name one data root or config to show; the words name {len(sources)}.")
    from facezoo.datatools.sample_pictures import open_samples, write_samples

    options = chosen(arguments)
    dataset, transforms = open_samples(sources[0], options.pop("split"), overrides)
    overview, *pictures = write_samples(dataset, transforms, **options)
    stdout().print(f"{len(pictures)} samples are drawn in {arguments.out}, all small in {overview}")
    return 0


def _add_split(actions: Any) -> None:
    parser = add_verb(
        actions,
        "split",
        "divide images into parts, as lists of names",
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
    parser.set_defaults(run=_split)


def _split(arguments: argparse.Namespace) -> int:
    from facezoo.datatools.split import parse_parts, split_images

    lists = split_images(arguments.root, parse_parts(arguments.parts), **chosen(arguments))
    for path, names in lists.items():
        events = len({name.rpartition("/")[0] for name in names})
        stdout().print(f"{path}: {len(names):,} images of {events:,} events")
    return 0

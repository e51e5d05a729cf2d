"""``facezoo data``: get data sets, look at them, and change their form.

``stats`` and ``check``, which print reports, have files of their own.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.table import Table

from facezoo.cli import data_check, data_stats
from facezoo.cli.options import add_model, add_options, add_verb, chosen, split_overrides
from facezoo.errors import ConfigError
from facezoo.writing import stdout

if TYPE_CHECKING:
    from facezoo.datatools.anchors import FittedAnchors

NAME = "data"
ANCHORS = "facezoo.datatools.anchors:find_anchors"
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
        _add_convert,
        _add_split,
        _add_anchors,
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
    words = "what to show; or key=value"
    add_model(parser, "words", nargs="+", metavar="ROOT|CONFIG", help=words)
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


def _add_convert(actions: Any) -> None:
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
    add_options(
        parser,
        "facezoo.datatools.convert:convert",
        "out",
        "images",
        from_format="from",
        to_format="to",
    )
    parser.set_defaults(run=_convert)


def _convert(arguments: argparse.Namespace) -> int:
    from facezoo.datatools.convert import convert

    done = convert(arguments.source, **chosen(arguments))
    console = stdout()
    console.print(f"{arguments.out}: {done.images:,} images, {done.faces:,} faces")
    for sentence in done.lost:
        console.print(sentence)
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


def _add_anchors(actions: Any) -> None:
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
    config = "name or YAML file whose training data is taken"
    add_model(parser, "--config", metavar="CONFIG", help=config)
    add_options(parser, ANCHORS, "num", "strides", "image_size", "images", "seed")
    parser.set_defaults(run=_anchors)


def _anchors(arguments: argparse.Namespace) -> int:
    from facezoo.datatools.anchors import find_anchors

    roots, overrides = split_overrides(arguments.words)
    if len(roots) > 1:
        raise ConfigError(f"Name one data root; the words name {len(roots)}.")
    found = find_anchors(*roots, config=arguments.config, overrides=overrides, **chosen(arguments))
    console = stdout()
    console.print(_fits(found), soft_wrap=False)
    console.print("To take them, put these lines into a config:\n\nmodel:\n  head:\n    anchors:")
    for stride, anchors in found.anchors.items():
        console.print(f"      {stride}: {anchors}")
    return 0


def _fits(found: FittedAnchors) -> Table:
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

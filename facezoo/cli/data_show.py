"""``facezoo data show``: samples as pictures."""

from __future__ import annotations

import argparse
from typing import Any

from facezoo.cli.options import add_options, chosen
from facezoo.cli.output import stdout
from facezoo.cli.parsing import add_verb, names_a_model, split_overrides
from facezoo.errors import ConfigError

PICTURES = "facezoo.datatools.sample_pictures"


def add_parser(actions: Any) -> None:
    """Adds the action."""
    parser = add_verb(
        actions,
        "show",
        "draw samples before and after augmentation",
        "ROOT|CONFIG [key=value ...] --out DIR [--number N]\n"
        "                         [--split train|val] [--seed N]",
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
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Draws."""
    sources, overrides = split_overrides(arguments.words)
    if len(sources) != 1:
        raise ConfigError(f"Name one data root or config to show; the words name {len(sources)}.")
    from facezoo.datatools.sample_pictures import open_samples, write_samples

    options = chosen(arguments)
    dataset, transforms = open_samples(sources[0], options.pop("split"), overrides)
    overview, *pictures = write_samples(dataset, transforms, **options)
    stdout().print(f"{len(pictures)} samples are drawn in {arguments.out}, all small in {overview}")
    return 0

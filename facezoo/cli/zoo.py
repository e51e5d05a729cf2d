"""``facezoo zoo``: the models that come along, and how to read public checkpoints."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.table import Table
from rich.text import Text

from facezoo.cli.options import add_model, add_options, add_verb
from facezoo.writing import stdout, write_json

if TYPE_CHECKING:
    from facezoo.zoo.catalogue import ZooEntry

NAME = "zoo"


def add_parser(verbs: Any) -> None:
    """Adds the verb."""
    parser = add_verb(
        verbs,
        NAME,
        "list the models, show one, convert a public checkpoint",
        "The models that come with facezoo.",
        "  facezoo zoo list\n"
        "  facezoo zoo show retinaface_mnet025\n"
        "  facezoo zoo convert mobilenet0.25_Final.pth --from biubug6 --out mnet025.safetensors",
    )
    actions = parser.add_subparsers(
        prog="facezoo zoo", dest="action", metavar="ACTION", required=True
    )
    parser = add_verb(
        actions,
        "list",
        "list the models with their size",
        "List every model with its parameters and what one image costs, by both conventions: MACs "
        "(multiplications with addition) at 640 x 480, and FLOPs (two for each MAC) at 640 x 640.",
        "  facezoo zoo list --json zoo.json",
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the list to a file")
    parser.set_defaults(run=run_list)
    parser = add_verb(
        actions,
        "show",
        "show one model",
        "Show a model's size, its weights with their card, and its config.",
        "  facezoo zoo show retinaface_mnet025",
    )
    add_model(parser, "name", metavar="NAME", help="as `facezoo zoo list` prints it")
    parser.set_defaults(run=run_show)
    parser = add_verb(
        actions,
        "convert",
        "convert a public checkpoint",
        "Convert a public checkpoint to safetensors with the names that facezoo's models use. "
        "Nothing in the file is executed.",
        "  facezoo zoo convert mobilenet0.25_Final.pth --from biubug6 --out mnet025.safetensors",
    )
    parser.add_argument("file", type=Path, metavar="FILE", help="the public checkpoint")
    add_options(parser, "facezoo.zoo.converters:convert_file", family="from")
    parser.add_argument(
        "--out",
        type=Path,
        metavar="F.safetensors",
        help="file to write (default: FILE's name with .safetensors, in this folder)",
    )
    parser.set_defaults(run=run_convert)


def run_list(arguments: argparse.Namespace) -> int:
    """Prints a table of the zoo."""
    from facezoo.zoo.catalogue import entries

    listed = entries()
    table = Table(title="a MAC is a multiplication with its addition, two FLOPs")
    numbers = ("parameters", "GMACs\n640x480", "GFLOPs\n640x640")
    for heading in ("name", *numbers, "weights", "what it is"):
        justify = "right" if heading in numbers else "left"
        table.add_column(heading, justify=justify, no_wrap=heading in ("name", *numbers))  # type: ignore[arg-type]
    for one in listed:
        table.add_row(
            one.name,
            f"{one.size.parameters:,}",
            f"{one.size.macs_vga / 1e9:.3f}",
            f"{one.size.flops / 1e9:.2f}",
            "included" if one.weights else "-",
            Text(one.description),
        )
    stdout().print(table, soft_wrap=False)
    if arguments.json is not None:
        write_json(arguments.json, [_as_json(one) for one in listed])
    return 0


def _as_json(one: ZooEntry) -> dict[str, Any]:
    return {
        "name": one.name,
        "description": one.description,
        "parameters": one.size.parameters,
        "macs_640x480": one.size.macs_vga,
        "flops_640x640": one.size.flops,
        "weights": one.weights and str(one.weights),
    }


def run_show(arguments: argparse.Namespace) -> int:
    """Prints one model's size, the card of its weights, and its config."""
    from facezoo.config.config import load_config
    from facezoo.zoo.catalogue import entry

    one = entry(arguments.name)
    console = stdout()
    console.print(f"{one.name}: {one.description}")
    console.print(f"parameters: {one.size.parameters:,}")
    console.print(f"GMACs at 640 x 480: {one.size.macs_vga / 1e9:.3f}")
    console.print(f"GFLOPs at 640 x 640, two for each MAC: {one.size.flops / 1e9:.2f}")
    console.print(f"weights: {one.weights or 'none come along'}")
    card = one.weights and one.weights.with_suffix(".md")
    if card is not None and card.is_file():
        console.print("\n" + card.read_text(encoding="utf-8").strip())
    console.print("\n" + load_config(one.name).to_yaml().strip())
    return 0


def run_convert(arguments: argparse.Namespace) -> int:
    """Converts a checkpoint and prints what became of it."""
    from facezoo.zoo.converters import convert_file

    out = arguments.out or Path(arguments.file.with_suffix(".safetensors").name)
    report = convert_file(arguments.file, arguments.family, out)
    stdout().print("\n".join(report))
    return 0

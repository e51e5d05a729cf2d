"""``facezoo zoo``: the models that come along, and how to read public checkpoints."""

from __future__ import annotations

import argparse
from dataclasses import asdict
from pathlib import Path
from typing import Any

from rich.table import Table
from rich.text import Text

from facezoo.cli.output import stdout, write_json
from facezoo.cli.parsing import add_verb, names_a_model

NAME = "zoo"


def add_parser(verbs: Any) -> None:
    """Adds the verb."""
    parser = add_verb(
        verbs,
        NAME,
        "list the models, show one, convert a public checkpoint",
        "list [--json FILE] | show NAME | convert FILE --from FAMILY [--out F.safetensors]",
        "The models that come with facezoo.",
        "  facezoo zoo list\n"
        "  facezoo zoo show retinaface_mnet025\n"
        "  facezoo zoo convert mobilenet0.25_Final.pth --from biubug6 --out mnet025.safetensors",
    )
    actions = parser.add_subparsers(
        prog="facezoo zoo", dest="action", metavar="ACTION", required=True
    )
    _add_list(actions)
    _add_show(actions)
    _add_convert(actions)


def _add_list(actions: Any) -> None:
    parser = add_verb(
        actions,
        "list",
        "list the models with their size",
        "[--json FILE]",
        "List every model with its parameters and its MACs (multiplications with addition) for one "
        "image of 640 x 640 pixels.",
        "  facezoo zoo list --json zoo.json",
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the list to a file")
    parser.set_defaults(run=run_list)


def _add_show(actions: Any) -> None:
    parser = add_verb(
        actions,
        "show",
        "show one model",
        "NAME",
        "Show a model's size, its weights with their card, and its config.",
        "  facezoo zoo show retinaface_mnet025",
    )
    names_a_model(
        parser.add_argument("name", metavar="NAME", help="as `facezoo zoo list` prints it")
    )
    parser.set_defaults(run=run_show)


def _add_convert(actions: Any) -> None:
    parser = add_verb(
        actions,
        "convert",
        "convert a public checkpoint",
        "FILE --from FAMILY [--out F.safetensors]",
        "Convert a public checkpoint to safetensors with the names that facezoo's models use. "
        "Nothing in the file is executed.",
        "  facezoo zoo convert mobilenet0.25_Final.pth --from biubug6 --out mnet025.safetensors",
    )
    parser.add_argument("file", type=Path, metavar="FILE", help="the public checkpoint")
    parser.add_argument(
        "--from",
        dest="family",
        metavar="FAMILY",
        required=True,
        help="where it is from: biubug6 (Pytorch_Retinaface) or yolo5face",
    )
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
    table = Table(title="MACs: multiplications with addition, one image of 640 x 640 px")
    for heading in ("name", "parameters", "MACs", "weights", "what it is"):
        justify = "right" if heading in ("parameters", "MACs") else "left"
        table.add_column(heading, justify=justify, no_wrap=heading == "name")  # type: ignore[arg-type]
    for one in listed:
        table.add_row(
            one.name,
            f"{one.parameters:,}",
            f"{one.macs / 1e9:.2f} G",
            "included" if one.weights else "-",
            Text(one.description),
        )
    stdout().print(table, soft_wrap=False)
    if arguments.json is not None:
        write_json(
            arguments.json,
            [{**asdict(one), "weights": one.weights and str(one.weights)} for one in listed],
        )
    return 0


def run_show(arguments: argparse.Namespace) -> int:
    """Prints one model's size, the card of its weights, and its config."""
    from facezoo.config import load_config
    from facezoo.zoo.catalogue import entry

    one = entry(arguments.name)
    console = stdout()
    console.print(f"{one.name}: {one.description}")
    console.print(f"parameters: {one.parameters:,}")
    console.print(f"MACs: {one.macs / 1e9:.2f} G (one image of 640 x 640 px)")
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
    stdout().print(report if isinstance(report, str) else "\n".join(report))
    return 0

"""``facezoo env``: versions and devices, for a bug report."""

import argparse
from typing import Any

from facezoo.cli.options import add_verb
from facezoo.writing import stdout

NAME = "env"


def add_parser(verbs: Any) -> None:
    """Adds the verb."""
    add_verb(
        verbs,
        NAME,
        "print versions and devices for a bug report",
        "Print the versions of facezoo and of what it stands on, and the devices torch can see.",
        "  facezoo env",
    ).set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Prints one line per version or device."""
    from facezoo.environment import environment

    found = environment()
    width = max(map(len, found))
    for name, value in found.items():
        stdout().print(f"{name:{width}}  {value}")
    return 0

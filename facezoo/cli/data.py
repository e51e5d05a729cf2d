"""``facezoo data``: get data sets, look at them, and change their form."""

from __future__ import annotations

from typing import Any

from facezoo.cli import (
    data_anchors,
    data_check,
    data_convert,
    data_download,
    data_show,
    data_split,
    data_stats,
)
from facezoo.cli.parsing import add_verb

NAME = "data"
ACTIONS = (data_download, data_stats, data_check, data_show, data_convert, data_split, data_anchors)


def add_parser(verbs: Any) -> None:
    """Adds the verb with its actions, one file each."""
    parser = add_verb(
        verbs,
        NAME,
        "get data sets, look at them, and change their form",
        "download | stats | check | show | convert | split | anchors",
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
    for action in ACTIONS:
        action.add_parser(actions)

"""What the verbs on predictions that are files share: the images, and what is known of them."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from facezoo.cli.parsing import Parser, read_names


def add_set_options(parser: Parser, data_is_for: str) -> None:
    """Adds the options that say which images to judge and by what.

    Args:
        parser: of the verb.
        data_is_for: what ``--data`` brings, for the help.
    """
    parser.add_argument(
        "--truth", type=Path, metavar="DIR", help="folder of the official .mat files"
    )
    parser.add_argument(
        "--list",
        type=Path,
        metavar="FILE",
        help="evaluate these images as a set of its own, one <event>/<image>.jpg a line",
    )
    parser.add_argument(
        "--data",
        type=Path,
        metavar="ROOT",
        help="folder in the layout of WIDER FACE, or its wider_face_val_bbx_gt.txt: "
        f"{data_is_for}; its images are the set",
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the numbers to a file")


def read_set(arguments: argparse.Namespace) -> dict[str, Any]:
    """Returns ``truth``, ``names`` and ``annotated``, as the public functions take them.

    Without ``--truth`` the official files in or beside the data root are taken, where they are
    there.

    Raises:
        DataError: the list or the annotation is missing or malformed.
    """
    truth, data, annotated = arguments.truth, arguments.data, None
    names = None if arguments.list is None else read_names(arguments.list)
    if data is not None:
        from facezoo.data.datasets.wider_face import read_widerface_truth
        from facezoo.metrics.official_truth import find_official_truth

        annotated = read_widerface_truth(data)
        if truth is None:
            truth = find_official_truth(data, *data.absolute().parents[:2])
    return {"truth": truth, "names": names, "annotated": annotated}

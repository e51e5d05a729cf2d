"""The official truth of WIDER FACE: where it lies, and the evaluators that want it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from facezoo.errors import DataError
from facezoo.evaluation import WiderFaceAP
from facezoo.evaluation.base import Evaluator

OFFICIAL_TRUTH = Path("eval_tools", "ground_truth")


def find_truth(root: Path) -> Path | None:
    """Returns the folder of the official ``.mat`` files in or beside a data root, if any."""
    for place in (root / OFFICIAL_TRUTH, root.parent / OFFICIAL_TRUTH):
        if place.is_dir():
            return place
    return None


def with_truth(
    evaluators: Sequence[Evaluator], truth: str | Path | None, root: Path | None
) -> list[Evaluator]:
    """Returns the evaluators, with the official truth for those that have none of their own.

    Args:
        evaluators: as they are built from a config.
        truth: folder of the official ``.mat`` files; by default that in or beside the data root.
        root: the data root, or None where there is none.

    Raises:
        DataError: ``truth`` is no folder.
    """
    if truth is not None and not Path(truth).is_dir():
        raise DataError(f"There is no folder {truth} of the official .mat files.")
    found = Path(truth) if truth is not None else root and find_truth(root)
    if not found:
        return list(evaluators)
    return [
        WiderFaceAP(found) if isinstance(one, WiderFaceAP) and one.truth is None else one
        for one in evaluators
    ]

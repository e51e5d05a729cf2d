"""The official truth of WIDER FACE for the evaluators that want it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from facezoo.errors import DataError
from facezoo.evaluation import WiderFaceAP
from facezoo.evaluation.base import Evaluator
from facezoo.evaluation.official_truth import find_official_truth


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
    found = Path(truth) if truth is not None else root and find_official_truth(root, root.parent)
    if not found:
        return list(evaluators)
    return [
        WiderFaceAP(found) if isinstance(one, WiderFaceAP) and one.truth is None else one
        for one in evaluators
    ]

"""The official truth of WIDER FACE for the evaluators that want it."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path

from facezoo.data.datasets.face_dataset import FaceDataset
from facezoo.errors import DataError
from facezoo.metrics.evaluator import Evaluator
from facezoo.metrics.evaluators import WiderFaceAP
from facezoo.metrics.official_truth import find_official_truth

logger = logging.getLogger(__name__)


def with_truth(
    evaluators: Sequence[Evaluator],
    truth: str | Path | None,
    root: Path | None,
    dataset: FaceDataset,
) -> list[Evaluator]:
    """Returns the evaluators, with the official truth for those that have none of their own.

    Truth that was found and not asked for is left out where it does not know the images.

    Args:
        evaluators: as they are built from a config.
        truth: folder of the official ``.mat`` files; by default that in or beside the data root.
        root: the data root, or None where there is none.
        dataset: what will be evaluated.

    Raises:
        DataError: ``truth`` is no folder, or the official files in it are damaged.
    """
    if truth is not None and not Path(truth).is_dir():
        raise DataError(f"There is no folder {truth} of the official .mat files.")
    found = Path(truth) if truth is not None else root and find_official_truth(root, root.parent)
    waiting = [one for one in evaluators if isinstance(one, WiderFaceAP) and one.truth is None]
    if not found or not waiting:
        return list(evaluators)
    official = WiderFaceAP(found)
    if truth is None:
        ids = [dataset.image_id(i) for i in range(len(dataset))]
        unknown = [one for one in ids if one not in official.official.boxes]
        if unknown:
            logger.info(
                "%s does not know %d of the %d images, such as %s: easy, medium and hard are "
                "approximated by size.",
                *(found, len(unknown), len(ids), unknown[0]),
            )
            return list(evaluators)
    return [official if one in waiting else one for one in evaluators]

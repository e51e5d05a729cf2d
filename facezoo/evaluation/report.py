"""Scores predictions that are files already; quick to import."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from facezoo.errors import DataError
from facezoo.evaluation.official_truth import LAYOUT, find_official_truth
from facezoo.evaluation.predictions import read_widerface_predictions
from facezoo.evaluation.widerface import WiderFaceAP
from facezoo.structures import Truth


def evaluate_predictions(
    directory: Path, *, truth: Path | None = None, names: Sequence[str] | None = None
) -> dict[str, Any]:
    """Scores a folder of predictions by the official rule of WIDER FACE.

    Args:
        directory: holds ``<event>/<image>.txt``; an image without a file has no predictions.
        truth: folder of the official ``.mat`` files; by default ``eval_tools/ground_truth`` in or
            beside ``directory``, in the working directory, or in ``data/widerface`` there.
        names: ids of the images to evaluate as a set of its own; by default all of the truth.

    Returns:
        ``widerface/easy``, ``widerface/medium`` and ``widerface/hard``, and with them ``images``,
        ``missing_predictions`` (images without a file) and ``truth`` (the folder taken).

    Raises:
        DataError: the predictions, the truth or a name is missing or malformed, or no image of
            the set has predictions.
    """
    directory = Path(directory)
    if not directory.is_dir():
        raise DataError(f"There is no folder of predictions {directory}; give an existing one.")
    folder = _find_truth(directory) if truth is None else Path(truth)
    evaluator = WiderFaceAP(truth=folder)
    annotated = evaluator.official.boxes
    image_ids = list(annotated) if names is None else list(dict.fromkeys(names))
    unknown = [image_id for image_id in image_ids if image_id not in annotated]
    if unknown:
        raise DataError(
            f"The list names {unknown[0]!r}, which {folder} does not have ({len(unknown)} of "
            f"{len(image_ids)} names are unknown); names are like <event>/<image>.jpg."
        )
    predictions = read_widerface_predictions(directory, image_ids)
    if image_ids and not predictions:
        raise DataError(
            f"{directory} has a file <event>/<image>.txt for none of {len(image_ids)} images, such "
            f"as {Path(image_ids[0]).with_suffix('.txt')}; give the folder that holds the events."
        )
    whole = {
        image_id: Truth(annotated[image_id], np.zeros(len(annotated[image_id]), dtype=np.bool_))
        for image_id in image_ids
    }
    return {
        **evaluator(predictions, whole).metrics,
        "images": len(image_ids),
        "missing_predictions": len(image_ids) - len(predictions),
        "truth": str(folder),
    }


def _find_truth(directory: Path) -> Path:
    found = find_official_truth(
        directory, directory.absolute().parent, Path(), Path("data", "widerface")
    )
    if found is None:
        raise DataError(
            f"The official .mat files are neither in nor beside {directory} as {LAYOUT}; give "
            "their folder with --truth."
        )
    return found

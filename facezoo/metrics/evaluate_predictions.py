"""Scores predictions that are files already; quick to import."""

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from facezoo.errors import DataError
from facezoo.metrics.evaluator import Evaluator
from facezoo.metrics.evaluators.landmark_error import LandmarkError
from facezoo.metrics.evaluators.rates import Calibration, Duplicates
from facezoo.metrics.evaluators.slices import Slices
from facezoo.metrics.evaluators.wider_face_ap import WiderFaceAP
from facezoo.metrics.official_truth import LAYOUT, find_official_truth
from facezoo.metrics.predictions import check_folder, read_widerface_predictions
from facezoo.structures import Faces, Truth

ANNOTATION = "the annotation with the attributes"
"""What messages call it; it is read elsewhere."""


def evaluate_predictions(
    directory: Path,
    *,
    truth: Path | None = None,
    names: Sequence[str] | None = None,
    annotated: Mapping[str, Truth] | None = None,
) -> dict[str, Any]:
    """Scores a folder of predictions by the official rule of WIDER FACE.

    Args:
        directory: holds ``<event>/<image>.txt``; an image without a file has no predictions.
        truth: folder of the official ``.mat`` files; by default ``eval_tools/ground_truth`` in or
            beside ``directory``, in the working directory, or in ``data/widerface`` there.
        names: ids of the images to evaluate as a set of its own; by default all of ``annotated``,
            else of the truth.
        annotated: the faces with their attributes by image id, such as
            ``facezoo.data.datasets.wider_face.read_widerface_truth`` gives; with them the numbers
            of ``slice_evaluators`` are added.

    Returns:
        ``widerface/easy``, ``widerface/medium`` and ``widerface/hard``, and with them ``images``,
        ``missing_predictions`` (images without a file) and ``truth`` (the folder taken).

    Raises:
        DataError: the predictions, the truth or a name is missing or malformed, or no image of
            the set has predictions.
    """
    directory = Path(directory)
    check_folder(directory)
    folder = find_truth(directory) if truth is None else Path(truth)
    evaluator = WiderFaceAP(truth=folder)
    boxes = evaluator.official.boxes
    image_ids = list(dict.fromkeys(names or annotated or boxes))
    check_known(image_ids, boxes, folder, is_listed=bool(names))
    predictions = read_predictions(directory, image_ids)
    whole = {
        image_id: Truth(boxes[image_id], np.zeros(len(boxes[image_id]), dtype=np.bool_))
        for image_id in image_ids
    }
    metrics = evaluator(predictions, whole).metrics
    if annotated is not None:
        check_known(image_ids, annotated, ANNOTATION, is_listed=bool(names))
        part = {image_id: annotated[image_id] for image_id in image_ids}
        for one in slice_evaluators():
            metrics |= one(predictions, part).metrics
    return {
        **metrics,
        "images": len(image_ids),
        "missing_predictions": len(image_ids) - len(predictions),
        "truth": str(folder),
    }


def slice_evaluators() -> list[Evaluator]:
    """Returns what ``--slices`` adds to an evaluation."""
    return [Slices(), LandmarkError(), Calibration(), Duplicates()]


def check_known(
    image_ids: Sequence[str], known: Collection[str], source: Path | str, *, is_listed: bool
) -> None:
    """Raises DataError unless a truth, read from ``source``, has all images of the set.

    Either the user listed them, as ``is_listed`` says, or they are all images of another truth.
    """
    unknown = [image_id for image_id in image_ids if image_id not in known]
    if unknown:
        advice = (
            "names are like <event>/<image>.jpg"
            if is_listed
            else "list the images that both have with --list"
        )
        raise DataError(
            f"{'The list' if is_listed else 'The truth'} names {unknown[0]!r}, which {source} does "
            f"not have ({len(unknown)} of {len(image_ids)} names are unknown); {advice}."
        )


def read_predictions(directory: Path, image_ids: Sequence[str]) -> dict[str, Faces]:
    """Reads the predictions for some images; see ``read_widerface_predictions``.

    Raises:
        DataError: a file is malformed, or none of the images has one.
    """
    predictions = read_widerface_predictions(directory, image_ids)
    if image_ids and not predictions:
        raise DataError(
            f"{directory} has a file <event>/<image>.txt for none of {len(image_ids)} images, such "
            f"as {Path(image_ids[0]).with_suffix('.txt')}; give the folder that holds the events."
        )
    return predictions


def find_truth(directory: Path) -> Path:
    """Returns the folder of the official files near a folder of predictions.

    Raises:
        DataError: there is none.
    """
    found = find_official_truth(
        directory, directory.absolute().parent, Path(), Path("data", "widerface")
    )
    if found is None:
        raise DataError(
            f"The official .mat files are neither in nor beside {directory} as {LAYOUT}; give "
            "their folder with --truth."
        )
    return found

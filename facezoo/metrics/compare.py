"""Two folders of predictions for the same images: what differs, and whether that is noise."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from facezoo.metrics.bootstrap import Difference, difference_of_ap
from facezoo.metrics.evaluate_predictions import (
    ANNOTATION,
    check_known,
    find_truth,
    read_predictions,
)
from facezoo.metrics.evaluator import new_figure, write_table
from facezoo.metrics.evaluators.rates import best_threshold
from facezoo.metrics.evaluators.slices import Slices
from facezoo.metrics.evaluators.wider_face_ap import WiderFaceAP
from facezoo.metrics.matching import match_set
from facezoo.metrics.predictions import check_folder
from facezoo.structures import Faces, Truth

IOU = 0.5
INCHES_PER_ROW = 0.22
NUMBERS = ("a", "b", "difference", "low", "high", "share_b_better")


class Mistakes(NamedTuple):
    """What two detectors did wrong in an image: faces missed plus false alarms.

    Each is judged at the threshold of its own best F1 over the set.
    """

    image_id: str
    a: int
    b: int


@dataclass(frozen=True)
class Comparison:
    """What ``compare_predictions`` found out."""

    differences: dict[str, Difference]  # by metric
    mistakes: list[Mistakes]  # of all images, those first in which the two differ most
    truth: Path | None  # folder of the official ``.mat`` files, where they played a part

    def flat(self) -> dict[str, Any]:
        """Returns the numbers as one flat object, such as ``widerface/hard/difference``."""
        numbers = {
            f"{name}/{which}": value
            for name, one in self.differences.items()
            for which, value in zip(NUMBERS, _numbers(one), strict=True)
        }
        truth = None if self.truth is None else str(self.truth)
        return {**numbers, "images": len(self.mistakes), "truth": truth}


def compare_predictions(
    a: Path,
    b: Path,
    *,
    truth: Path | None = None,
    names: Sequence[str] | None = None,
    annotated: Mapping[str, Truth] | None = None,
    resamples: int = 1000,
    seed: int = 0,
) -> Comparison:
    """Compares two folders of predictions; see ``facezoo.metrics.bootstrap``.

    Args:
        a: holds ``<event>/<image>.txt``, or is a folder that ``facezoo eval --out`` wrote.
        b: likewise.
        truth: folder of the official ``.mat`` files; without it or ``annotated`` it is looked for
            as ``evaluate_predictions`` does.
        names: ids of the images to compare on; by default all of ``annotated``, else of the truth.
        annotated: the faces with their attributes by image id; with them recall and average
            precision are compared by slice too. Without, mistakes count the faces of the official
            list ``hard`` and ignore the others.
        resamples: how many sets of images the intervals rest on.
        seed: of their draws.

    Raises:
        DataError: predictions, truth or a name are missing or malformed.
        ConfigError: ``resamples`` is not positive.
    """
    folders = [predictions_folder(Path(folder)) for folder in (a, b)]
    if truth is None and annotated is None:
        truth = find_truth(folders[0])
    official = WiderFaceAP(truth=truth)
    judged = _hard_faces(official) if annotated is None else annotated
    image_ids = list(dict.fromkeys(names or judged))
    source = str(truth) if annotated is None else ANNOTATION
    check_known(image_ids, judged, source, is_listed=bool(names))
    part = {image_id: judged[image_id] for image_id in image_ids}
    of_a, of_b = (read_predictions(folder, image_ids) for folder in folders)
    differences = difference_of_ap(of_a, of_b, part, official, resamples, seed)
    if annotated is not None:
        differences |= difference_of_ap(of_a, of_b, part, Slices(iou=IOU), resamples, seed)
    return Comparison(differences, _mistakes(of_a, of_b, part), truth)


def predictions_folder(directory: Path) -> Path:
    """Returns the predictions in a folder that ``facezoo eval --out`` wrote, else the folder.

    Raises:
        DataError: there is no such folder.
    """
    check_folder(directory)
    inside = directory / "predictions"
    return inside if inside.is_dir() and (directory / "metrics.json").is_file() else directory


def _hard_faces(official: WiderFaceAP) -> dict[str, Truth]:
    hard = official.official.counted["hard"]
    return {
        image_id: Truth(boxes, ~hard[image_id])
        for image_id, boxes in official.official.boxes.items()
    }


def _mistakes(
    a: Mapping[str, Faces], b: Mapping[str, Faces], truth: Mapping[str, Truth]
) -> list[Mistakes]:
    of_a, of_b = _mistakes_by_image(a, truth), _mistakes_by_image(b, truth)
    order = np.argsort(-np.abs(of_a - of_b), kind="stable").tolist()
    image_ids = list(truth)
    return [Mistakes(image_ids[i], int(of_a[i]), int(of_b[i])) for i in order]


def _mistakes_by_image(
    predictions: Mapping[str, Faces], truth: Mapping[str, Truth]
) -> NDArray[np.intp]:
    """Returns misses and false alarms of each image at the threshold of the set's best F1."""
    matches = match_set(predictions, truth, IOU)
    threshold, _ = best_threshold(matches)
    lowest = np.inf if threshold is None else threshold
    alarms = matches.false_alarm & (matches.scores >= lowest)
    missed = matches.found_at < lowest
    return np.bincount(matches.image_of_prediction[alarms], minlength=matches.images) + np.bincount(
        matches.image_of_face[missed], minlength=matches.images
    )


def write_comparison(out: Path, comparison: Comparison) -> None:
    """Writes tables and a plot.

        differences.csv   metric, a, b, difference, low and high end of the 95 % interval, share of
                          the resamples in which b is better, verdict
        images.csv        image, mistakes of a, of b; those first that differ most
        differences.png   the differences with their intervals

    Args:
        out: a folder, made where it is missing.
        comparison: what ``compare_predictions`` gave.
    """
    differences = (
        (name, *(f"{value:.6g}" for value in _numbers(one)), one.verdict)
        for name, one in comparison.differences.items()
    )
    write_table(out / "differences.csv", ("metric", *NUMBERS, "verdict"), differences)
    write_table(out / "images.csv", ("image", "a", "b"), comparison.mistakes)
    _plot(comparison.differences, out / "differences.png")


def _numbers(one: Difference) -> tuple[float, ...]:
    return one.a, one.b, one.estimate, one.low, one.high, one.share_b_better


def _plot(differences: Mapping[str, Difference], png: Path) -> None:
    figure = new_figure(8, 1.2 + INCHES_PER_ROW * len(differences))
    axes = figure.add_subplot()
    for row, one in enumerate(differences.values()):
        colour = "tab:blue" if one.is_beyond_noise else "tab:gray"
        axes.plot([one.low, one.high], [row, row], color=colour)
        axes.plot(one.estimate, row, "o", color=colour, markersize=4)
    axes.axvline(0, color="black", linewidth=0.8)
    axes.set_yticks(range(len(differences)), list(differences), fontsize=7)
    axes.margins(y=0.01)
    axes.invert_yaxis()
    axes.set_xlabel("B - A, with 95 % interval (gray: within noise)")
    axes.grid(axis="x", alpha=0.3)
    figure.savefig(png, dpi=100, format="png")

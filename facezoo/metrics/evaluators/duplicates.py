"""Faces that are found more than once: what non-maximum suppression left standing."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from facezoo.metrics.evaluator import Evaluator, Result
from facezoo.metrics.matching import Matches, check_share, match_set
from facezoo.metrics.overlaps import iou_blocks
from facezoo.registry import EVALUATORS
from facezoo.structures import Faces, Truth


@EVALUATORS.register
class Duplicates(Evaluator):
    """Predictions on a face that another prediction has found already.

        duplicates/per_image        duplicates over images
        duplicates/per_found_face   duplicates over the faces that were found
        duplicates/doubled_faces    how many faces have one or more
        duplicates/share_of_false_alarms   how much of all false alarms is duplicates

    A duplicate is a false alarm (it found no face of its own and lies on no ignored one) whose IoU
    with a face is ``iou`` or more. That face was found by a prediction of a better or equal score,
    or the duplicate would have found it. It belongs to the face that it overlaps most, the first
    of equal ones. A ratio of nothing to nothing is 0.

    Args:
        iou: least intersection over union with a face, 0 to 1, for hits and for duplicates.
        score_thresh: lowest score that counts; by default every prediction given.

    Raises:
        ConfigError: an argument is not from 0 to 1.
    """

    def __init__(self, iou: float = 0.5, score_thresh: float = 0.0) -> None:
        check_share("Duplicates", "iou", iou)
        check_share("Duplicates", "score_thresh", score_thresh)
        self.iou = iou
        self.score_thresh = score_thresh

    def __call__(self, predictions: Mapping[str, Faces], truth: Mapping[str, Truth]) -> Result:
        """Returns the numbers of a set; see ``Evaluator``."""
        matches = match_set(predictions, truth, self.iou)
        shown = matches.scores >= self.score_thresh
        alarms = np.flatnonzero(matches.false_alarm & shown)
        doubled = _face_below(matches, alarms, self.iou)
        doubled = doubled[doubled >= 0]
        metrics = {
            "per_image": len(doubled) / max(1, matches.images),
            "per_found_face": len(doubled) / max(1, int((matches.hit & shown).sum())),
            "doubled_faces": float(len(np.unique(doubled))),
            "share_of_false_alarms": len(doubled) / max(1, len(alarms)),
        }
        return Result({f"duplicates/{name}": value for name, value in metrics.items()})


def _face_below(matches: Matches, alarms: NDArray[np.intp], iou: float) -> NDArray[np.intp]:
    """Returns the face that each of some predictions lies on, -1 for none."""
    below = np.full(len(alarms), -1, dtype=np.intp)
    images = np.arange(matches.images + 1)
    first_alarms = np.searchsorted(matches.image_of_prediction[alarms], images)
    first_faces = np.searchsorted(matches.image_of_face, images)
    for image in range(matches.images):
        mine = alarms[first_alarms[image] : first_alarms[image + 1]]
        faces = matches.face_boxes[first_faces[image] : first_faces[image + 1]]
        if not len(mine) or not len(faces):
            continue
        for start, ious in iou_blocks(matches.boxes[mine], faces):
            best = ious.argmax(axis=1)
            largest = ious[np.arange(len(ious)), best]
            on_face = (largest >= iou) & (largest > 0)
            place = first_alarms[image] + start
            below[place : place + len(ious)] = np.where(on_face, best + first_faces[image], -1)
    return below

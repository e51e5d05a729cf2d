"""Which prediction found which face: the one rule of the threshold-based evaluators.

Predictions take their turn from the best score to the worst (equal scores in the order given).
Each takes the face it overlaps most among those that nobody has taken yet, if the IoU suffices.
One that finds no face of its own but lies on an ignored face is absorbed: neither hit nor false
alarm; an ignored face absorbs any number. Because a lower score never changes what a higher one
took, one matching serves every score threshold.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from facezoo.errors import ConfigError
from facezoo.evaluation.base import NO_FACES
from facezoo.evaluation.overlaps import iou_blocks
from facezoo.structures import Faces, Truth

MISSED = -np.inf


@dataclass(frozen=True)
class Matches:
    """The outcome for a whole set of P predictions and F faces that are not ignored.

    Attributes:
        images: images in the set.
        scores: P, float32, as predicted.
        hit: P, bool; the prediction found a face.
        absorbed: P, bool; it lies on an ignored face and counts for nothing.
        heights: F, float64, pixels, of the annotated faces.
        found_at: F, float32, score of the prediction that found the face, ``MISSED`` where none.
    """

    images: int
    scores: NDArray[np.float32]
    hit: NDArray[np.bool_]
    absorbed: NDArray[np.bool_]
    heights: NDArray[np.float64]
    found_at: NDArray[np.float32]


def match_set(predictions: Mapping[str, Faces], truth: Mapping[str, Truth], iou: float) -> Matches:
    """Matches the images of ``truth``, each on its own.

    A face whose box has no area can be found by nothing; it is taken for ignored.

    Args:
        predictions: by image id.
        truth: by image id.
        iou: least intersection over union of a hit, half-open boxes.
    """
    scores, hits, absorbed, heights, found_at = [], [], [], [], []
    for image_id, annotated in truth.items():
        faces = predictions.get(image_id, NO_FACES)
        ignore = annotated.ignore | ~has_area(annotated.boxes)
        taken, excused = match_image(faces, annotated.boxes, ignore, iou)
        found = np.full(len(ignore), MISSED, dtype=np.float32)
        found[taken[taken >= 0]] = faces.scores[taken >= 0]
        scores.append(faces.scores)
        hits.append(taken >= 0)
        absorbed.append(excused)
        heights.append((annotated.boxes[:, 3] - annotated.boxes[:, 1])[~ignore])
        found_at.append(found[~ignore])
    return Matches(
        images=len(truth),
        scores=_joined(scores, np.float32),
        hit=_joined(hits, np.bool_),
        absorbed=_joined(absorbed, np.bool_),
        heights=_joined(heights, np.float64),
        found_at=_joined(found_at, np.float32),
    )


def match_image(
    faces: Faces, boxes: NDArray[np.float64], ignore: NDArray[np.bool_], iou: float
) -> tuple[NDArray[np.intp], NDArray[np.bool_]]:
    """Matches one image by the rule of this module.

    Args:
        faces: P predictions.
        boxes: G x 4, x1 y1 x2 y2 in pixels, of the annotated faces.
        ignore: G, bool.
        iou: least intersection over union of a hit.

    Returns:
        The face that each prediction took (P, -1 where none), and whether it was absorbed (P).
    """
    taken = np.full(len(faces), -1, dtype=np.intp)
    on_ignored = np.zeros(len(faces), dtype=np.bool_)
    if not len(faces) or not len(boxes):
        return taken, on_ignored
    order = np.argsort(-faces.scores, kind="stable")
    turns, places, ious = _candidates(faces.boxes[order], boxes, iou)
    lies_on_ignored = ignore[places]
    on_ignored[order[turns[lies_on_ignored]]] = True

    wanted = ~lies_on_ignored
    turns, places, ious = turns[wanted], places[wanted], ious[wanted]
    ranked = np.lexsort((places, -ious, turns))
    free = set(places.tolist())
    done: set[int] = set()
    for turn, place in zip(turns[ranked].tolist(), places[ranked].tolist(), strict=True):
        if place in free and turn not in done:
            free.remove(place)
            done.add(turn)
            taken[order[turn]] = place
    return taken, on_ignored & (taken < 0)


def has_area(boxes: NDArray[np.floating]) -> NDArray[np.bool_]:
    """Returns which of n x 4 boxes are wider and higher than nothing."""
    return (boxes[:, 2] > boxes[:, 0]) & (boxes[:, 3] > boxes[:, 1])


def check_share(owner: str, name: str, value: float) -> None:
    """Raises ConfigError unless an argument of an evaluator lies between 0 and 1."""
    if not 0 <= value <= 1:
        raise ConfigError(f"{owner} takes {name} from 0 to 1, not {value}.")


def _candidates(
    found: NDArray[np.floating], boxes: NDArray[np.float64], iou: float
) -> tuple[NDArray[np.intp], NDArray[np.intp], NDArray[np.float64]]:
    """Returns the pairs that overlap enough: row of ``found``, row of ``boxes``, IoU."""
    turns, places, ious = [], [], []
    for start, block in iou_blocks(found, boxes):
        # An IoU of 0 is no overlap, even where 0 is the threshold.
        rows, columns = np.nonzero((block >= iou) & (block > 0))
        turns.append(rows + start)
        places.append(columns)
        ious.append(block[rows, columns])
    return np.concatenate(turns), np.concatenate(places), np.concatenate(ious)


def _joined(parts: list[NDArray], dtype: type) -> NDArray:
    return np.concatenate([np.zeros(0, dtype), *parts]).astype(dtype, copy=False)

"""Which prediction found which face: the one rule of the threshold-based evaluators.

Predictions take their turn from the best score to the worst (equal scores in the order given).
Each takes the face it overlaps most among those that nobody has taken yet, if the IoU suffices.
One that finds no face of its own but lies on an ignored face is absorbed: neither hit nor false
alarm; an ignored face absorbs any number. Because a lower score never changes what a higher one
took, one matching serves every score threshold.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from facezoo.metrics.evaluator import NO_FACES
from facezoo.structures import Faces, Truth

MISSED = -np.inf


@dataclass(frozen=True)
class Matches:
    """The outcome for a whole set of P predictions and F faces that are not ignored."""

    images: int  # in the set
    scores: NDArray[np.float32]  # P, as predicted
    boxes: NDArray[np.float32]  # P x 4, as predicted
    taken: NDArray[np.intp]  # P, the face that the prediction found, -1 for none
    absorbed: NDArray[np.bool_]  # P; it lies on an ignored face and counts for nothing
    image_of_prediction: NDArray[np.intp]  # P, counted through the set
    face_boxes: NDArray[np.float64]  # F x 4, as annotated
    found_at: NDArray[np.float32]  # F, score of the prediction that found it, ``MISSED`` for none
    image_of_face: NDArray[np.intp]  # F, counted through the set

    @property
    def hit(self) -> NDArray[np.bool_]:
        """P; the prediction found a face."""
        return self.taken >= 0

    @property
    def false_alarm(self) -> NDArray[np.bool_]:
        """P; the prediction found no face and is not absorbed."""
        return ~self.hit & ~self.absorbed

    @property
    def heights(self) -> NDArray[np.float64]:
        """F, pixels, of the annotated faces."""
        return self.face_boxes[:, 3] - self.face_boxes[:, 1]


def match_set(predictions: Mapping[str, Faces], truth: Mapping[str, Truth], iou: float) -> Matches:
    """Matches the images of ``truth``, each on its own.

    A face whose box has no area can be found by nothing; it is taken for ignored. Boxes are
    half-open, and a hit has an IoU of at least ``iou``.
    """
    found = [predictions.get(image_id, NO_FACES) for image_id in truth]
    taken, absorbed, face_boxes = [], [], []
    first_face = 0
    for faces, annotated in zip(found, truth.values(), strict=True):
        counted = is_counted(annotated)
        rows, excused = match_image(faces, annotated.boxes, ~counted, iou)
        in_set = np.append(first_face + np.cumsum(counted) - 1, -1)  # row -1 stays -1
        taken.append(in_set[rows])
        absorbed.append(excused)
        face_boxes.append(annotated.boxes[counted])
        first_face += len(face_boxes[-1])
    scores = joined([faces.scores for faces in found], np.float32)
    took = joined(taken, np.intp)
    found_at = np.full(first_face, MISSED, dtype=np.float32)
    found_at[took[took >= 0]] = scores[took >= 0]
    numbers = np.arange(len(truth))
    return Matches(
        images=len(truth),
        scores=scores,
        boxes=joined([np.zeros((0, 4)), *(faces.boxes for faces in found)], np.float32),
        taken=took,
        absorbed=joined(absorbed, np.bool_),
        image_of_prediction=np.repeat(numbers, _lengths(taken)),
        face_boxes=joined([np.zeros((0, 4)), *face_boxes], np.float64),
        found_at=found_at,
        image_of_face=np.repeat(numbers, _lengths(face_boxes)),
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


def is_counted(annotated: Truth) -> NDArray[np.bool_]:
    """Returns which faces of an image can be hits and misses: those not ignored and with area."""
    return ~annotated.ignore & has_area(annotated.boxes)


def has_area(boxes: NDArray[np.floating]) -> NDArray[np.bool_]:
    """Returns which of n x 4 boxes are wider and higher than nothing."""
    return (boxes[:, 2] > boxes[:, 0]) & (boxes[:, 3] > boxes[:, 1])


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


def _lengths(parts: list[NDArray]) -> NDArray[np.intp]:
    return np.array([len(part) for part in parts], dtype=np.intp)


def joined(parts: Sequence[NDArray], dtype: type) -> NDArray:
    """Returns the parts one after another, of which there may be none."""
    return np.concatenate([*parts] or [np.zeros(0)]).astype(dtype, copy=False)


PAIRS_AT_ONCE = 1 << 20


def pairwise_iou(
    first: NDArray[np.floating], second: NDArray[np.floating], extra: float = 0.0
) -> NDArray[np.float64]:
    """Returns the intersection over union of every pair; 0 where neither box has an area.

    Args:
        first: P x 4, x1 y1 x2 y2 in pixels.
        second: G x 4, likewise.
        extra: added to each width and height: 0 for half-open boxes, 1 for boxes whose last
            column and row of pixels belong to them, as in WIDER FACE's tool.

    Returns:
        P x G, float64.
    """
    a, b = first.astype(np.float64), second.astype(np.float64)
    overlap = _shared_side(a, b, 0, extra)
    overlap *= _shared_side(a, b, 1, extra)
    union = _area(a, extra)[:, None] + _area(b, extra) - overlap
    return np.divide(overlap, union, out=np.zeros_like(overlap), where=union > 0)


def iou_blocks(
    first: NDArray[np.floating], second: NDArray[np.floating], extra: float = 0.0
) -> Iterator[tuple[int, NDArray[np.float64]]]:
    """Gives ``pairwise_iou`` in blocks of rows, so that a crowd does not fill the memory.

    Yields:
        The index of the block's first row, and the rows.
    """
    rows = max(1, PAIRS_AT_ONCE // max(1, len(second)))
    for start in range(0, len(first), rows):
        yield start, pairwise_iou(first[start : start + rows], second, extra)


def most_overlapped(
    first: NDArray[np.floating], second: NDArray[np.floating], extra: float = 0.0
) -> tuple[NDArray[np.intp], NDArray[np.float64]]:
    """Returns per box of ``first`` the row of ``second`` it overlaps most, and the IoU, or 0, 0."""
    best, ious = np.zeros(len(first), np.intp), np.zeros(len(first))
    for start, block in iou_blocks(first, second, extra) if len(second) else ():
        rows = slice(start, start + len(block))
        best[rows], ious[rows] = block.argmax(axis=1), block.max(axis=1)
    return best, ious


def _shared_side(
    a: NDArray[np.float64], b: NDArray[np.float64], axis: int, extra: float
) -> NDArray[np.float64]:
    side = np.minimum(a[:, None, axis + 2], b[:, axis + 2])
    side -= np.maximum(a[:, None, axis], b[:, axis])
    side += extra
    return np.maximum(side, 0, out=side)


def _area(boxes: NDArray[np.float64], extra: float) -> NDArray[np.float64]:
    return (boxes[:, 2] - boxes[:, 0] + extra) * (boxes[:, 3] - boxes[:, 1] + extra)

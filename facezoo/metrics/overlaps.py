"""Intersection over union of many boxes, in float64 and in bounded memory."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

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


def _shared_side(
    a: NDArray[np.float64], b: NDArray[np.float64], axis: int, extra: float
) -> NDArray[np.float64]:
    side = np.minimum(a[:, None, axis + 2], b[:, axis + 2])
    side -= np.maximum(a[:, None, axis], b[:, axis])
    side += extra
    return np.maximum(side, 0, out=side)


def _area(boxes: NDArray[np.float64], extra: float) -> NDArray[np.float64]:
    return (boxes[:, 2] - boxes[:, 0] + extra) * (boxes[:, 3] - boxes[:, 1] + extra)

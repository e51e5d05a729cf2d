"""Numbers that can be computed again for any mixture of the images of a set.

Matching is what costs time, and it happens within an image. A tally keeps its outcome apart by
image, so that a set in which some images occur twice and others not at all (a resample of the
bootstrap) is a weighted count. With R such sets of I images, weights are R x I.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from facezoo.metrics.evaluator import Curve

Weights = NDArray[np.float64]
"""R x I: how often each set has each image."""


class Tally(ABC):
    """One number of a set, kept apart by image.

    Args:
        faces: I, the faces of each image that the number is about.
    """

    def __init__(self, faces: NDArray[np.floating] | NDArray[np.integer]) -> None:
        self.faces = faces.astype(np.float64)

    @abstractmethod
    def values(self, weights: Weights) -> NDArray[np.float64]:
        """Returns R numbers, NaN for a set without faces."""

    def value(self) -> float:
        """Returns the number of the set as it is."""
        return float(self.values(np.ones((1, len(self.faces))))[0])


class RecallTally(Tally):
    """The share of faces that were found.

    Args:
        found: I, how many of the faces of each image.
        faces: see ``Tally``.
    """

    def __init__(self, found: NDArray[np.integer], faces: NDArray[np.integer]) -> None:
        super().__init__(faces)
        self.found = found.astype(np.float64)

    def values(self, weights: Weights) -> NDArray[np.float64]:
        """Returns the recalls; see ``Tally``."""
        return _ratio(weights @ self.found, weights @ self.faces)


class RankingTally(Tally):
    """Average precision over every threshold: the area of PASCAL VOC 2010, see ``Curve``.

    Equal scores are one threshold, so that the order of predictions plays no part. Precision only
    falls between two hits, so that it is computed at hits alone.

    Args:
        scores: P, of the predictions that are judged (hits and false alarms).
        hit: P, bool.
        images: P, the image of each.
        faces: see ``Tally``.
    """

    def __init__(
        self,
        scores: NDArray[np.float32],
        hit: NDArray[np.bool_],
        images: NDArray[np.intp],
        faces: NDArray[np.integer],
    ) -> None:
        super().__init__(faces)
        order = np.argsort(-scores, kind="stable")
        falling = -scores[order]
        hits = np.flatnonzero(hit[order])
        of_hits = falling[hits]
        self._images = images[order]
        self._image_of_hit = self._images[hits]
        self._last_judged = np.searchsorted(falling, of_hits, side="right") - 1
        self._last_hit = np.searchsorted(of_hits, of_hits, side="right") - 1

    def values(self, weights: Weights) -> NDArray[np.float64]:
        """Returns the average precisions; see ``Tally``."""
        areas = np.array([self._area(row) for row in weights])
        return _ratio(areas, weights @ self.faces)

    def _area(self, weight: NDArray[np.float64]) -> float:
        """Returns the area under precision over the number of hits."""
        judged = np.cumsum(weight[self._images])[self._last_judged]
        of_hits = weight[self._image_of_hit]
        found = np.cumsum(of_hits)[self._last_hit]
        precision = np.divide(found, judged, out=np.zeros_like(found), where=judged > 0)
        return float(of_hits @ np.maximum.accumulate(precision[::-1])[::-1])


class ThresholdTally(Tally):
    """Average precision over given thresholds, as WIDER FACE's tool has them.

    Args:
        thresholds: T, how many there are; 0 is the strictest.
        proposed: image and strictest threshold of each proposal that counts.
        found: the same of the first proposal on each face.
        faces: see ``Tally``.
    """

    def __init__(
        self,
        thresholds: int,
        proposed: tuple[NDArray[np.intp], NDArray[np.intp]],
        found: tuple[NDArray[np.intp], NDArray[np.intp]],
        faces: NDArray[np.integer],
    ) -> None:
        super().__init__(faces)
        shape = (len(faces), thresholds)
        self._proposed, self._found = _table(proposed, shape), _table(found, shape)

    def values(self, weights: Weights) -> NDArray[np.float64]:
        """Returns the average precisions; see ``Tally``."""
        proposed = np.cumsum(weights @ self._proposed, axis=1)
        found = np.cumsum(weights @ self._found, axis=1)
        faces = weights @ self.faces
        areas = [
            Curve(hits / np.maximum(1, judged), hits / max(1, count)).average_precision()
            for judged, hits, count in zip(proposed, found, faces, strict=True)
        ]
        return np.where(faces > 0, np.array(areas), np.nan)


def _table(places: tuple[NDArray[np.intp], NDArray[np.intp]], shape: tuple[int, int]) -> Any:
    """Returns how often each place occurs, as a sparse matrix."""
    # SciPy is slow to import, and most evaluations resample nothing.
    from scipy.sparse import coo_array

    return coo_array((np.ones(len(places[0])), places), shape).tocsr()


def _ratio(part: NDArray[np.float64], whole: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.divide(part, whole, out=np.full_like(part, np.nan), where=whole > 0)

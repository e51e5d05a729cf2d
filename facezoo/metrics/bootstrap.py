"""Is B better than A, or does it only look so on these images? The paired bootstrap answers.

Efron and Tibshirani, An Introduction to the Bootstrap (1993), chapters 13 and 16: images are drawn
from the set with replacement, as many as it has, and both are measured on what was drawn.

Matching is what costs time, and it happens within an image. A tally keeps its outcome apart by
image, so that a set in which some images occur twice and others not at all is a weighted count.
With R such sets of I images, weights are R x I.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from facezoo.errors import ConfigError, DataError
from facezoo.metrics.evaluator import Curve
from facezoo.structures import Faces, Truth

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


INTERVAL = (2.5, 97.5)
"""Percentiles that 95 % of the resamples lie between."""
SETS_AT_ONCE = 100


class Resampler(Protocol):
    """An evaluator whose numbers can be computed again for resampled images."""

    def tallies(
        self, predictions: Mapping[str, Faces], truth: Mapping[str, Truth]
    ) -> dict[str, Tally]:
        """Returns its numbers, kept apart by image in the order of ``truth``; see ``Evaluator``."""


@dataclass(frozen=True)
class Difference:
    """One number of two sets of predictions, a and b, for the same images."""

    a: float  # on all images
    b: float
    low: float  # end of the 95 % interval of b - a, a percentile of the resamples
    high: float
    share_b_better: float  # of the resamples

    @property
    def estimate(self) -> float:
        """How much b is above a, on all images."""
        return self.b - self.a

    @property
    def is_beyond_noise(self) -> bool:
        """Whether the interval leaves 0 out."""
        return self.low > 0 or self.high < 0

    @property
    def verdict(self) -> str:
        """In words."""
        if not self.is_beyond_noise:
            return "within noise"
        return f"{'B' if self.low > 0 else 'A'} is better, beyond noise"


def difference_of_ap(
    predictions_a: Mapping[str, Faces],
    predictions_b: Mapping[str, Faces],
    truth: Mapping[str, Truth],
    evaluator: Resampler,
    resamples: int = 1000,
    seed: int = 0,
) -> dict[str, Difference]:
    """Compares two sets of predictions by the numbers of an evaluator, on resampled images.

    Each image is matched once; a resample weighs what was found in it. Equal ``seed`` and number
    of images draw equal resamples, also for another evaluator.

    Args:
        predictions_a: by image id.
        predictions_b: by image id.
        truth: by image id; its images are the set.
        evaluator: ``WiderFaceAP`` (easy, medium, hard) or ``Slices`` (recall and average precision
            at IoU 0.5, whole and by slice).
        resamples: how many sets are drawn.
        seed: of the draws.

    Returns:
        A difference for each number, by the evaluator's own names. A resample without any of the
        faces that a number is about does not count for it, and a number without any is left out.

    Raises:
        ConfigError: ``resamples`` is not positive.
        DataError: the set has no image.
    """
    if resamples < 1:
        raise ConfigError(f"difference_of_ap takes resamples from 1 on, not {resamples}.")
    if not truth:
        raise DataError("There is no image to compare predictions on; give truth for some.")
    tallies_a = evaluator.tallies(predictions_a, truth)
    tallies_b = evaluator.tallies(predictions_b, truth)
    names = [name for name, tally in tallies_a.items() if tally.faces.any()]
    drawn: dict[str, list[np.ndarray]] = {name: [] for name in names}
    for weights in _draw(len(truth), resamples, seed):
        for name in names:
            gain = tallies_b[name].values(weights) - tallies_a[name].values(weights)
            drawn[name].append(gain[~np.isnan(gain)])
    differences = {}
    for name, parts in drawn.items():
        gains = np.concatenate(parts)
        if len(gains):
            low, high = np.percentile(gains, INTERVAL).tolist()
            a, b = tallies_a[name].value(), tallies_b[name].value()
            differences[name] = Difference(a, b, low, high, float(np.mean(gains > 0)))
    return differences


def _draw(images: int, resamples: int, seed: int) -> Iterator[Weights]:
    """Gives how often each of the images was drawn, for some resamples at a time."""
    generator = np.random.default_rng(seed)
    for start in range(0, resamples, SETS_AT_ONCE):
        sets = min(SETS_AT_ONCE, resamples - start)
        places = generator.integers(0, images, (sets, images)) + images * np.arange(sets)[:, None]
        counts = np.bincount(places.ravel(), minlength=sets * images)
        yield counts.reshape(sets, images).astype(np.float64)

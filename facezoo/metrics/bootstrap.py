"""Is B better than A, or does it only look so on these images? The paired bootstrap answers.

Efron and Tibshirani, An Introduction to the Bootstrap (1993), chapters 13 and 16: images are drawn
from the set with replacement, as many as it has, and both are measured on what was drawn.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from facezoo.errors import ConfigError, DataError
from facezoo.metrics.tallies import Tally, Weights
from facezoo.structures import Faces, Truth

INTERVAL = (2.5, 97.5)
"""Percentiles that 95 % of the resamples lie between."""
SETS_AT_ONCE = 100


class Resampler(Protocol):
    """An evaluator whose numbers can be computed again for resampled images."""

    def tallies(
        self, predictions: Mapping[str, Faces], truth: Mapping[str, Truth]
    ) -> dict[str, Tally]:
        """Returns its numbers, kept apart by image in the order of ``truth``.

        Args:
            predictions: by image id.
            truth: by image id.
        """


@dataclass(frozen=True)
class Difference:
    """One number of two sets of predictions for the same images.

    Attributes:
        a: the number of the first set, on all images.
        b: of the second.
        low: lower end of the 95 % interval of b - a, a percentile of the resamples.
        high: upper end.
        share_b_better: share of the resamples in which b is above a.
    """

    a: float
    b: float
    low: float
    high: float
    share_b_better: float

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

"""Anchors that fit the faces of a data set, and how well given anchors do."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.cluster.vq import ClusterError, kmeans2, vq

from facezoo.errors import ConfigError, DataError
from facezoo.structures import Batch

MAX_RATIO = 4.0
"""Of a face's side and its anchor's, from which on YOLOv5's rule does not assign one."""
STARTS = 10
"""Times that k-means begins anew; the closest clusters are kept."""
ITERATIONS = 50
"""Of each start; after k-means++ the centres of ten thousand faces have settled in fewer."""
LEAST_SIDE = 0.1
"""Pixels of an anchor's side, which is rounded to so much."""

Sides = NDArray[np.float64]
"""Width and height in pixels, n x 2."""


@dataclass(frozen=True)
class Fitness:
    """How well anchors fit faces, by the measures of YOLOv5's automatic anchors.

    The ratio of a face and an anchor is the largest of w / W, W / w, h / H and H / h.

    Attributes:
        best_possible_recall: share of the faces with an anchor whose ratio is below the limit; no
            more of them can be learned.
        anchors_per_face: anchors whose ratio is below the limit, on the mean over faces.
        mean_best_ratio: mean over faces of 1 / ratio of the best anchor; 1 is a perfect fit.
    """

    best_possible_recall: float
    anchors_per_face: float
    mean_best_ratio: float


def face_sides(batches: Iterable[Batch]) -> Sides:
    """Returns width and height of the faces that batches teach, without those of no area.

    Args:
        batches: of training, such as the first of ``facezoo.data.loading.loader.train_stream``.

    Raises:
        DataError: an image cannot be read, or there is no face in any of them.
    """
    found = []
    for batch in batches:
        boxes = batch.targets.boxes[batch.targets.valid & ~batch.targets.ignore]
        found.append((boxes[:, 2:] - boxes[:, :2]).double().numpy())
    sides = np.concatenate(found)
    sides = sides[(sides > 0).all(axis=1)]
    if not len(sides):
        raise DataError(
            "There is no face to fit anchors to; look at more images, or name another data set."
        )
    return sides


def fit_anchors(sides: Sides, num: int, seed: int = 0) -> Sides:
    """Returns anchors that lie close to faces, smallest area first.

    k-means on the logarithms of width and height: an assignment by ratios asks how many times one
    side is another, and in logarithms that is a distance. In pixels the few large faces would take
    most of the anchors.

    Args:
        sides: of the faces, n x 2, all above 0.
        num: of anchors.
        seed: of the starts.

    Returns:
        num x 2, rounded to a tenth of a pixel, and no less than that.

    Raises:
        DataError: the faces have fewer different sizes than that, or k-means finds fewer clusters.
    """
    if len(np.unique(sides.round(1), axis=0)) < num:
        raise DataError(
            f"The faces have fewer than {num} different sizes; look at more images, or ask for "
            "fewer anchors."
        )
    centres = _closest_centres(np.log(sides), num, np.random.default_rng(seed))
    anchors = np.exp(centres).round(1).clip(min=LEAST_SIDE)
    return anchors[np.argsort(anchors.prod(axis=1), kind="stable")]


def _closest_centres(points: Sides, num: int, generator: np.random.Generator) -> Sides:
    """Returns the centres of the start of k-means whose points are closest to theirs."""
    closest, least = None, np.inf
    for _ in range(STARTS):
        # A start that loses a cluster on the way is no answer: as many are wanted as are asked for.
        try:
            centres, _ = kmeans2(
                points, num, iter=ITERATIONS, minit="++", missing="raise", seed=generator
            )
        except ClusterError:
            continue
        distance = float(vq(points, centres)[1].mean())
        if distance < least:
            closest, least = centres, distance
    if closest is None:
        raise DataError(
            f"k-means finds fewer than {num} clusters of these faces; ask for fewer anchors, or "
            "take another seed."
        )
    return closest


def fitness(sides: Sides, anchors: Sides, max_ratio: float = MAX_RATIO) -> Fitness:
    """Returns how well anchors fit faces.

    Args:
        sides: of the faces, n x 2.
        anchors: A x 2.
        max_ratio: limit of the ratio, ``max_ratio`` of the assigner ``RatioRule``.
    """
    widths, heights = (sides[:, axis, None] / anchors[:, axis] for axis in (0, 1))
    shares = np.minimum(np.minimum(widths, 1 / widths), np.minimum(heights, 1 / heights))
    fits = shares > 1 / max_ratio
    return Fitness(
        float(fits.any(axis=1).mean()),
        float(fits.sum(axis=1).mean()),
        float(shares.max(axis=1).mean()),
    )


def check_shared(num: int, strides: Sequence[int]) -> None:
    """Checks that strides can share anchors equally.

    Raises:
        ConfigError: they cannot.
    """
    wrong = len(set(strides)) < len(strides) or min(strides) < 1
    if num < 1 or wrong or num % len(strides):
        raise ConfigError(
            f"{num} anchors cannot be shared equally by the strides {list(strides)}; give "
            "different strides, and a multiple of their number of anchors."
        )


def by_stride(anchors: Sides, strides: Sequence[int]) -> dict[int, list[list[float]]]:
    """Returns anchors per stride, as a head takes them: the smallest for the finest.

    Args:
        anchors: A x 2, smallest area first.
        strides: of the features.

    Raises:
        ConfigError: the strides cannot share the anchors equally.
    """
    check_shared(len(anchors), strides)
    levels = np.split(anchors, len(strides))
    return {stride: level.tolist() for stride, level in zip(sorted(strides), levels, strict=True)}

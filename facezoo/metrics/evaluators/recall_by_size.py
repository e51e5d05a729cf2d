"""Which share of the faces is found, by their height."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise

import numpy as np

from facezoo.errors import ConfigError
from facezoo.metrics.evaluator import Evaluator, Result
from facezoo.metrics.matching import check_share, match_set
from facezoo.registry import EVALUATORS
from facezoo.structures import Faces, Truth


@EVALUATORS.register
class RecallBySize(Evaluator):
    """Recall in buckets of face height, so that "misses small faces" is a number.

        recall_by_size/8-16          share found of the faces from 8 to below 16 px high
        recall_by_size/8-16_faces    how many such faces there are
        recall_by_size/128+          the last bucket has no upper end

    The recalls weighted by the numbers of faces add up to the recall of the whole set. A
    bucket without faces has no recall. Faces that are ignored or have no area are in no bucket.

    Args:
        edges: lower ends of the buckets in pixels of the original photograph, rising from 0.
        iou: least intersection over union with a face, 0 to 1.
        score_thresh: lowest score that counts; by default every prediction given.

    Raises:
        ConfigError: the edges do not rise from 0, or another argument is not from 0 to 1.
    """

    def __init__(
        self,
        edges: Sequence[int] = (0, 8, 16, 32, 64, 128),
        iou: float = 0.5,
        score_thresh: float = 0.0,
    ) -> None:
        check_edges("RecallBySize", edges)
        check_share("RecallBySize", "iou", iou)
        check_share("RecallBySize", "score_thresh", score_thresh)
        self.edges = tuple(edges)
        self.iou = iou
        self.score_thresh = score_thresh

    def __call__(self, predictions: Mapping[str, Faces], truth: Mapping[str, Truth]) -> Result:
        """Returns the numbers of a set; see ``Evaluator``."""
        matches = match_set(predictions, truth, self.iou)
        found = matches.found_at >= self.score_thresh
        buckets = np.searchsorted(self.edges, matches.heights, side="right") - 1
        faces = np.bincount(buckets, minlength=len(self.edges))
        hits = np.bincount(buckets[found], minlength=len(self.edges))
        metrics: dict[str, float] = {}
        for name, count, hit in zip(
            bucket_names(self.edges), faces.tolist(), hits.tolist(), strict=True
        ):
            if count:
                metrics[f"recall_by_size/{name}"] = hit / count
            metrics[f"recall_by_size/{name}_faces"] = float(count)
        return Result(metrics)


def bucket_names(edges: Sequence[int]) -> list[str]:
    """Returns ``0-8``, ``8-16`` ... ``128+`` for the lower ends of some buckets."""
    return [f"{low}-{high}" for low, high in pairwise(edges)] + [f"{edges[-1]}+"]


def check_edges(owner: str, edges: Sequence[int]) -> None:
    """Raises ConfigError unless the lower ends of some buckets rise from 0."""
    rising = all(low < high for low, high in pairwise(edges))
    if not edges or edges[0] != 0 or not rising:
        raise ConfigError(f"{owner} takes edges that rise from 0, such as [0, 8, 16], not {edges}.")

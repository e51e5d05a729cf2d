"""Whether a score of 0.8 means that eight of ten such predictions are faces."""

from __future__ import annotations

import logging
from collections.abc import Mapping

import numpy as np

from facezoo.errors import ConfigError
from facezoo.metrics.evaluator import Evaluator, Result
from facezoo.metrics.matching import check_share, match_set
from facezoo.registry import EVALUATORS
from facezoo.structures import Faces, Truth

logger = logging.getLogger(__name__)


@EVALUATORS.register
class Calibration(Evaluator):
    """The reliability curve of the scores, and how far it lies from the diagonal.

        calibration/0.7-0.8/precision     share of the predictions in the bin that found a face
        calibration/0.7-0.8/score         their mean score; equal to precision where calibrated
        calibration/0.7-0.8_predictions   how many there are
        calibration/ece                   expected calibration error: mean of |precision - score|
                                          over the bins, weighted by their predictions
        calibration/predictions           how many there are in all

    Bins are of equal width and have their lower end; the last has both (Guo et al., On Calibration
    of Modern Neural Networks, ICML 2017). A prediction found a face where the matching of
    ``facezoo.metrics.matching`` says so; one on an ignored face is in no bin. A bin without
    predictions has only its count. Scores that are not from 0 to 1 cannot be calibrated: they are
    logged, and only the number of predictions is given.

    Args:
        bins: how many, between 0 and 1.
        iou: least intersection over union with a face, 0 to 1.

    Raises:
        ConfigError: ``bins`` is not positive, or ``iou`` not from 0 to 1.
    """

    def __init__(self, bins: int = 10, iou: float = 0.5) -> None:
        if bins < 1:
            raise ConfigError(f"Calibration takes bins from 1 on, not {bins}.")
        check_share("Calibration", "iou", iou)
        self.bins = bins
        self.iou = iou

    def __call__(self, predictions: Mapping[str, Faces], truth: Mapping[str, Truth]) -> Result:
        """Returns the numbers of a set; see ``Evaluator``."""
        matches = match_set(predictions, truth, self.iou)
        scores = matches.scores[~matches.absorbed].astype(np.float64)
        metrics = {"calibration/predictions": float(len(scores))}
        outside = int(((scores < 0) | (scores > 1)).sum())
        if outside:
            logger.warning(
                "Calibration takes scores from 0 to 1, and %d of %d are not: there is no curve.",
                outside,
                len(scores),
            )
        if outside or not len(scores):
            return Result(metrics)
        edges = np.arange(self.bins + 1) / self.bins
        bins = np.minimum(np.searchsorted(edges, scores, side="right") - 1, self.bins - 1)
        counts = np.bincount(bins, minlength=self.bins)
        hits = np.bincount(bins, matches.hit[~matches.absorbed], self.bins)
        totals = np.bincount(bins, scores, self.bins)
        metrics["calibration/ece"] = float(np.abs(hits - totals).sum() / len(scores))
        for i, count in enumerate(counts.tolist()):
            name = f"calibration/{edges[i]:.3g}-{edges[i + 1]:.3g}"
            if count:
                metrics[f"{name}/precision"] = float(hits[i] / count)
                metrics[f"{name}/score"] = float(totals[i] / count)
            metrics[f"{name}_predictions"] = float(count)
        return Result(metrics)

"""How a detector does at one score threshold, and which threshold would be best."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from facezoo.metrics.evaluator import Evaluator, Result
from facezoo.metrics.matching import Matches, check_share, match_set
from facezoo.registry import EVALUATORS
from facezoo.structures import Faces, Truth


@EVALUATORS.register
class OperatingPoint(Evaluator):
    """Precision, recall and F1 at a threshold, and the threshold of the best F1.

        operating_point/precision, /recall, /f1    at ``score_thresh``
        operating_point/faces_per_image            predictions from ``score_thresh`` on, per image
        operating_point/best_threshold, /best_f1   over all scores that occur

    A prediction on an ignored face is neither right nor wrong, but is one of the faces per image.
    A ratio of nothing to nothing is 0. Where several thresholds share the best F1 the highest is
    given, where no face is found at all ``score_thresh``.

    Args:
        score_thresh: lowest score that counts, 0 to 1.
        iou: least intersection over union with a face, 0 to 1.

    Raises:
        ConfigError: an argument is not from 0 to 1.
    """

    def __init__(self, score_thresh: float = 0.5, iou: float = 0.5) -> None:
        check_share("OperatingPoint", "score_thresh", score_thresh)
        check_share("OperatingPoint", "iou", iou)
        self.score_thresh = score_thresh
        self.iou = iou

    def __call__(self, predictions: Mapping[str, Faces], truth: Mapping[str, Truth]) -> Result:
        """Returns the numbers of a set; see ``Evaluator``."""
        matches = match_set(predictions, truth, self.iou)
        shown = matches.scores >= self.score_thresh
        hits = int((matches.hit & shown).sum())
        judged = int((~matches.absorbed & shown).sum())
        faces = len(matches.heights)
        threshold, best_f1 = best_threshold(matches)
        metrics = {
            "precision": hits / max(1, judged),
            "recall": hits / max(1, faces),
            "f1": 2 * hits / max(1, judged + faces),
            "best_threshold": self.score_thresh if threshold is None else threshold,
            "best_f1": best_f1,
            "faces_per_image": int(shown.sum()) / max(1, matches.images),
        }
        return Result({f"operating_point/{name}": value for name, value in metrics.items()})


def best_threshold(matches: Matches) -> tuple[float | None, float]:
    """Returns the score from which on F1 is best, and that F1; None where no face is found."""
    if not matches.hit.any():
        return None, 0.0
    order = np.argsort(-matches.scores, kind="stable")
    scores = matches.scores[order]
    hits = np.cumsum(matches.hit[order])
    judged = np.cumsum(~matches.absorbed[order])
    f1: NDArray[np.float64] = 2 * hits / np.maximum(1, judged + len(matches.heights))
    # A threshold takes all predictions of a score or none, so only the last of each may be chosen.
    last_of_score = np.append(scores[1:] != scores[:-1], True)
    best = int(np.where(last_of_score, f1, -1).argmax())
    return float(scores[best]), float(f1[best])

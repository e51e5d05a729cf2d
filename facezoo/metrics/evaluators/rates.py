"""What one matching of a set tells: operating point, recall by size, calibration, duplicates."""

import logging
from collections.abc import Mapping, Sequence
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from facezoo.errors import ConfigError
from facezoo.metrics.evaluator import Evaluator, Result
from facezoo.metrics.matching import Matches, match_set, most_overlapped
from facezoo.registry import EVALUATORS
from facezoo.structures import Faces, Truth

logger = logging.getLogger(__name__)


class MatchingEvaluator(Evaluator):
    """An evaluator whose numbers follow from one matching of the whole set.

    Args:
        iou: least intersection over union with a face, 0 to 1.
        score_thresh: lowest score that counts, 0 to 1; by default every prediction given.

    Raises:
        ConfigError: an argument is not from 0 to 1.
    """

    def __init__(self, iou: float = 0.5, score_thresh: float = 0.0) -> None:
        self.iou = iou
        self.score_thresh = score_thresh
        for name in ("iou", "score_thresh"):
            value = getattr(self, name)
            if not 0 <= value <= 1:
                owner = type(self).__name__
                raise ConfigError(f"{owner} takes {name} from 0 to 1, not {value}.")

    def __call__(self, predictions: Mapping[str, Faces], truth: Mapping[str, Truth]) -> Result:
        """Returns the numbers of a set; see ``Evaluator``."""
        return Result(self._numbers(match_set(predictions, truth, self.iou)))

    def _numbers(self, matches: Matches) -> dict[str, float]:
        raise NotImplementedError


@EVALUATORS.register
class OperatingPoint(MatchingEvaluator):
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
        super().__init__(iou, score_thresh)

    def _numbers(self, matches: Matches) -> dict[str, float]:
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
        return {f"operating_point/{name}": value for name, value in metrics.items()}


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


@EVALUATORS.register
class RecallBySize(MatchingEvaluator):
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
        self.edges = tuple(edges)
        super().__init__(iou, score_thresh)

    def _numbers(self, matches: Matches) -> dict[str, float]:
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
        return metrics


def bucket_names(edges: Sequence[int]) -> list[str]:
    """Returns ``0-8``, ``8-16`` ... ``128+`` for the lower ends of some buckets."""
    return [f"{low}-{high}" for low, high in pairwise(edges)] + [f"{edges[-1]}+"]


def check_edges(owner: str, edges: Sequence[int]) -> None:
    """Raises ConfigError unless the lower ends of some buckets rise from 0."""
    rising = all(low < high for low, high in pairwise(edges))
    if not edges or edges[0] != 0 or not rising:
        raise ConfigError(f"{owner} takes edges that rise from 0, such as [0, 8, 16], not {edges}.")


@EVALUATORS.register
class Calibration(MatchingEvaluator):
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
        self.bins = bins
        super().__init__(iou)

    def _numbers(self, matches: Matches) -> dict[str, float]:
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
            return metrics
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
        return metrics


@EVALUATORS.register
class Duplicates(MatchingEvaluator):
    """Predictions on a face that another prediction has found already.

        duplicates/per_image        duplicates over images
        duplicates/per_found_face   duplicates over the faces that were found
        duplicates/doubled_faces    how many faces have one or more
        duplicates/share_of_false_alarms   how much of all false alarms is duplicates

    A duplicate is a false alarm (it found no face of its own and lies on no ignored one) whose IoU
    with a face is ``iou`` or more. That face was found by a prediction of a better or equal score,
    or the duplicate would have found it. It belongs to the face that it overlaps most, the first
    of equal ones. A ratio of nothing to nothing is 0.

    Args:
        iou: least intersection over union with a face, 0 to 1, for hits and for duplicates.
        score_thresh: lowest score that counts; by default every prediction given.

    Raises:
        ConfigError: an argument is not from 0 to 1.
    """

    def _numbers(self, matches: Matches) -> dict[str, float]:
        shown = matches.scores >= self.score_thresh
        alarms = np.flatnonzero(matches.false_alarm & shown)
        doubled = _face_below(matches, alarms, self.iou)
        doubled = doubled[doubled >= 0]
        metrics = {
            "per_image": len(doubled) / max(1, matches.images),
            "per_found_face": len(doubled) / max(1, int((matches.hit & shown).sum())),
            "doubled_faces": float(len(np.unique(doubled))),
            "share_of_false_alarms": len(doubled) / max(1, len(alarms)),
        }
        return {f"duplicates/{name}": value for name, value in metrics.items()}


def _face_below(matches: Matches, alarms: NDArray[np.intp], iou: float) -> NDArray[np.intp]:
    """Returns the face that each of some predictions lies on, -1 for none."""
    below = np.zeros(len(alarms), np.intp)
    images = np.arange(matches.images + 1)
    first_alarms = np.searchsorted(matches.image_of_prediction[alarms], images)
    first_faces = np.searchsorted(matches.image_of_face, images)
    for image in range(matches.images):
        mine = slice(first_alarms[image], first_alarms[image + 1])
        faces = matches.face_boxes[first_faces[image] : first_faces[image + 1]]
        best, ious = most_overlapped(matches.boxes[alarms[mine]], faces)
        on_face = (ious >= iou) & (ious > 0)
        below[mine] = np.where(on_face, best + first_faces[image], -1)
    return below

"""How far predicted landmarks lie from annotated ones."""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from facezoo.errors import ConfigError
from facezoo.metrics.evaluator import NO_FACES, Result
from facezoo.metrics.evaluators.rates import MatchingEvaluator
from facezoo.metrics.matching import is_counted, match_set
from facezoo.registry import EVALUATORS
from facezoo.structures import NUM_LANDMARKS, Faces, Truth

EYES = (0, 1)
POINTS = 5
"""Points of the cumulative curve that are given as numbers, evenly spaced up to the limit."""


@EVALUATORS.register
class LandmarkError(MatchingEvaluator):
    """Normalised mean error of the landmarks of the faces that were found.

        landmark_error/box              mean over faces, by the root of the box's area
        landmark_error/box_failures     share of those faces whose error is above ``limit``
        landmark_error/box_auc          area under their cumulative curve up to ``limit``, 0 to 1
        landmark_error/box_within_0.02  share of them with an error of at most 0.02; a point of
                                        the cumulative curve, five of them up to ``limit``
        landmark_error/box_faces        how many faces these rest on
        landmark_error/eyes ...         the same by the distance between the annotated eyes

    The error of a face is the mean distance of its landmarks that are known on both sides (some
    may be unknown) over a length of the annotated face: the root of width times height, which
    profile faces leave as it is, or the distance between the eyes, where both are known and apart
    (Sagonas et al., 300 Faces in-the-Wild Challenge, ICCVW 2013). A face that was not found, is
    ignored, or has no landmark known on both sides does not count: read the error together with a
    recall. Where no face counts there is only the number of faces, 0.

    Args:
        limit: error from which a face is a failure.
        iou: least intersection over union of a found face, 0 to 1.
        score_thresh: lowest score that counts; by default every prediction given.

    Raises:
        ConfigError: ``limit`` is not above 0, or another argument is not from 0 to 1.
    """

    def __init__(self, limit: float = 0.1, iou: float = 0.5, score_thresh: float = 0.0) -> None:
        if not limit > 0:
            raise ConfigError(f"LandmarkError takes a limit above 0, not {limit}.")
        self.limit = limit
        super().__init__(iou, score_thresh)

    def __call__(self, predictions: Mapping[str, Faces], truth: Mapping[str, Truth]) -> Result:
        """Returns the numbers of a set; see ``Evaluator``."""
        errors = self.errors(predictions, truth)
        metrics: dict[str, float] = {}
        for name, of_faces in zip(("box", "eyes"), errors.T, strict=True):
            known = of_faces[~np.isnan(of_faces)]
            summary = self._summary(known) if len(known) else {}
            metrics |= {f"landmark_error/{name}{end}": x for end, x in summary.items()}
            metrics[f"landmark_error/{name}_faces"] = float(len(known))
        return Result(metrics)

    def errors(
        self, predictions: Mapping[str, Faces], truth: Mapping[str, Truth]
    ) -> NDArray[np.float64]:
        """Returns the errors of the faces that were found.

        They are found faces x 2: by the box's size and the distance of the eyes, NaN where unknown.
        """
        matches = match_set(predictions, truth, self.iou)
        found = matches.hit & (matches.scores >= self.score_thresh)
        faces = matches.taken[found]
        given = [predictions.get(image_id, NO_FACES) for image_id in truth]
        predicted = _joined([_or_unknown(one.landmarks, len(one)) for one in given])
        annotated = _joined(
            [_or_unknown(one.landmarks, len(one.boxes))[is_counted(one)] for one in truth.values()]
        )
        sides = matches.face_boxes[:, 2:] - matches.face_boxes[:, :2]
        return _normalised_errors(predicted[found], annotated[faces], np.sqrt(sides.prod(1))[faces])

    def _summary(self, errors: NDArray[np.float64]) -> dict[str, float]:
        # The area under a step function of the errors, from 0 to the limit, is this mean.
        area = np.mean(np.maximum(0, 1 - errors / self.limit))
        points = self.limit * np.arange(1, POINTS + 1) / POINTS
        return {
            "": float(errors.mean()),
            "_failures": float(np.mean(errors > self.limit)),
            "_auc": float(area),
            **{f"_within_{point:.3g}": float(np.mean(errors <= point)) for point in points},
        }


def _normalised_errors(
    predicted: NDArray[np.float64], annotated: NDArray[np.float64], sizes: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Returns n x 2 errors; see ``LandmarkError.errors``."""
    distances = np.linalg.norm(predicted - annotated, axis=-1)
    known = ~np.isnan(distances)
    total = np.where(known, distances, 0).sum(axis=1)
    count = known.sum(axis=1)
    left, right = (annotated[:, eye] for eye in EYES)
    lengths = np.stack([sizes, np.linalg.norm(right - left, axis=-1)], axis=1)
    valid = (count > 0)[:, None] & (lengths > 0)
    errors = np.full(lengths.shape, np.nan)
    return np.divide((total / np.maximum(1, count))[:, None], lengths, out=errors, where=valid)


def _or_unknown(landmarks: NDArray[np.float32] | None, faces: int) -> NDArray[np.float32]:
    if landmarks is None:
        return np.full((faces, NUM_LANDMARKS, 2), np.nan, np.float32)
    return landmarks


def _joined(parts: list[NDArray[np.float32]]) -> NDArray[np.float64]:
    return np.concatenate([np.zeros((0, NUM_LANDMARKS, 2)), *parts])

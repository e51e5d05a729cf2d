"""Average precision by the rule of WIDER FACE (Yang et al., CVPR 2016) and its evaluation tool.

The tool looks up, at each of 1,000 thresholds and in each image, how many proposals stand above
the threshold and how many faces they found. Over a set these are plain counts of scores, so that
one sort and two searches give all thresholds at once.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from facezoo.errors import DataError
from facezoo.metrics.bootstrap import Tally, ThresholdTally
from facezoo.metrics.evaluator import NO_FACES, Curve, Evaluator, Result
from facezoo.metrics.matching import joined, most_overlapped
from facezoo.metrics.official_truth import OfficialTruth, check_official_truth, read_official_truth
from facezoo.registry import EVALUATORS
from facezoo.structures import Faces, Truth

MIN_IOU = 0.5
THRESHOLDS = 1000
LEAST_HEIGHT = {"easy": 50.0, "medium": 30.0, "hard": 10.0}
"""Pixels. They part the faces of the official val set as its own lists do, but for 0.3 % (easy),
0.7 % (medium) and 2.1 % (hard) of them; the lists also leave out faces marked invalid."""


@EVALUATORS.register
class WiderFaceAP(Evaluator):
    """Average precision on WIDER FACE's easy, medium and hard faces.

    With ``truth`` the numbers are those of the official tool, named ``widerface/easy``,
    ``widerface/medium`` and ``widerface/hard``, with a curve of the same name each:

    * a face is found from an IoU of 0.5 on, with the last column and row of pixels belonging to a
      box (width = x2 - x1 + 1);
    * a proposal belongs to the face it overlaps most; on a face that the subset ignores it is not
      counted, on a face that is found already it is a false alarm;
    * scores are normalised so that they span 0 to 1 over the set evaluated (all 1 where they are
      equal), and the curve has 1,000 thresholds;
    * an image without annotated faces takes no part, but for the normalisation.

    The boxes and the lists are then those of the ``.mat`` files; the mapping given with the
    predictions only says which of their images make up the set.

    Without ``truth`` the same rule is applied to the faces given, and a subset counts those from
    50, 30 and 10 pixels of height on that are not ignored. That comes near the official subsets
    but is not the official number; it is named ``widerface_by_size/easy`` and so on.

    The average precision of a subset without faces is 0.

    Args:
        truth: folder of ``wider_face_val.mat`` and ``wider_{easy,medium,hard}_val.mat``.

    Raises:
        DataError: the folder lacks one of the files; when checked or called, it has no such image.
    """

    def __init__(self, truth: Path | None = None) -> None:
        if truth is not None:
            check_official_truth(truth)
        self.truth = truth

    def __call__(self, predictions: Mapping[str, Faces], truth: Mapping[str, Truth]) -> Result:
        """Returns the numbers of a set; see ``Evaluator``."""
        boxes, counted = self._subsets(truth)
        proposals = _propose(predictions, boxes)
        curves = {
            name: _curve(proposals, joined(flags, np.bool_)) for name, flags in counted.items()
        }
        metrics = {name: curve.average_precision() for name, curve in curves.items()}
        return Result(metrics, curves)

    def tallies(
        self, predictions: Mapping[str, Faces], truth: Mapping[str, Truth]
    ) -> dict[str, Tally]:
        """Returns the average precisions, kept apart by image.

        Whatever is made of the images, scores stay normalised over the whole set.
        """
        boxes, counted = self._subsets(truth)
        proposals = _propose(predictions, boxes)
        image_of_face = np.repeat(np.arange(len(boxes)), [len(one) for one in boxes.values()])
        return {
            name: _tally(proposals, joined(flags, np.bool_), image_of_face, len(boxes))
            for name, flags in counted.items()
        }

    def _subsets(
        self, truth: Mapping[str, Truth]
    ) -> tuple[dict[str, NDArray[np.float64]], dict[str, list[NDArray[np.bool_]]]]:
        """Returns the boxes by image, and by metric which of each image it counts."""
        if self.truth is None:
            boxes = {image_id: annotated.boxes for image_id, annotated in truth.items()}
            return boxes, {
                f"widerface_by_size/{subset}": [
                    ~one.ignore & (one.boxes[:, 3] - one.boxes[:, 1] >= height)
                    for one in truth.values()
                ]
                for subset, height in LEAST_HEIGHT.items()
            }
        self.check(truth)
        return {image_id: self.official.boxes[image_id] for image_id in truth}, {
            f"widerface/{subset}": [of_image[image_id] for image_id in truth]
            for subset, of_image in self.official.counted.items()
        }

    @cached_property
    def official(self) -> OfficialTruth:
        """The annotation in the folder ``truth``, read once."""
        if self.truth is None:
            raise DataError("WiderFaceAP was made without truth, the folder of the .mat files.")
        return read_official_truth(self.truth)

    def check(self, image_ids: Collection[str]) -> None:
        """Refuses images that the official truth does not have; see ``Evaluator``."""
        if self.truth is None:
            return
        unknown = [image_id for image_id in image_ids if image_id not in self.official.boxes]
        if unknown:
            raise DataError(
                f"{self.truth} has no image {unknown[0]!r} ({len(unknown)} of {len(image_ids)} are "
                "not there); evaluate images of WIDER FACE's val set only, or leave truth out."
            )


@dataclass(frozen=True)
class _Proposals:
    """The P proposals of a set, best first; faces and images are counted through the set."""

    scores: NDArray[np.float64]  # normalised
    face: NDArray[np.intp]  # that each lies on, -1 for none
    images: NDArray[np.intp]


def _propose(
    predictions: Mapping[str, Faces], boxes: Mapping[str, NDArray[np.float64]]
) -> _Proposals:
    """Assigns every proposal to the face it overlaps most."""
    scores, faces, images, is_judged = [], [], [], []
    first_face = 0
    for number, (image_id, annotated) in enumerate(boxes.items()):
        found = predictions.get(image_id, NO_FACES)
        scores.append(found.scores.astype(np.float64))
        best, ious = most_overlapped(found.boxes, annotated, extra=1.0)
        faces.append(np.where(ious >= MIN_IOU, best + first_face, -1))
        images.append(np.full(len(found), number))
        is_judged.append(np.full(len(found), len(annotated) > 0))
        first_face += len(annotated)
    normalised = _normalised(joined(scores, np.float64))
    order = np.argsort(-normalised, kind="stable")
    order = order[joined(is_judged, np.bool_)[order]]
    return _Proposals(
        normalised[order], joined(faces, np.intp)[order], joined(images, np.intp)[order]
    )


def _normalised(scores: NDArray[np.float64]) -> NDArray[np.float64]:
    if not len(scores):
        return scores
    lowest, highest = scores.min(), scores.max()
    if lowest == highest:
        return np.ones_like(scores)
    return (scores - lowest) / (highest - lowest)


def _curve(proposals: _Proposals, is_counted: NDArray[np.bool_]) -> Curve:
    """Returns the curve of the subset of the faces that ``is_counted`` says."""
    is_proposed, is_first_hit = _outcome(proposals, is_counted)
    above = np.searchsorted(-proposals.scores, -_thresholds(), side="right")
    proposed = np.concatenate([[0], np.cumsum(is_proposed)])[above]
    found = np.concatenate([[0], np.cumsum(is_first_hit)])[above]
    return Curve(
        precision=found / np.maximum(1, proposed), recall=found / max(1, int(is_counted.sum()))
    )


def _tally(
    proposals: _Proposals,
    is_counted: NDArray[np.bool_],
    image_of_face: NDArray[np.intp],
    images: int,
) -> ThresholdTally:
    """Returns what ``_curve`` counts, kept apart by image."""
    is_proposed, is_first_hit = _outcome(proposals, is_counted)
    strictest = np.searchsorted(-_thresholds(), -proposals.scores, side="left")
    return ThresholdTally(
        THRESHOLDS,
        (proposals.images[is_proposed], strictest[is_proposed]),
        (proposals.images[is_first_hit], strictest[is_first_hit]),
        np.bincount(image_of_face[is_counted], minlength=images),
    )


def _outcome(
    proposals: _Proposals, is_counted: NDArray[np.bool_]
) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Returns which proposals count, and which of them are the first on a face that counts."""
    on_face = np.flatnonzero(proposals.face >= 0)
    counts = is_counted[proposals.face[on_face]]
    is_proposed = np.ones(len(proposals.face), dtype=np.bool_)
    is_proposed[on_face[~counts]] = False

    hits = on_face[counts]
    is_first_hit = np.zeros(len(proposals.face), dtype=np.bool_)
    is_first_hit[hits[np.unique(proposals.face[hits], return_index=True)[1]]] = True
    return is_proposed, is_first_hit


def _thresholds() -> NDArray[np.float64]:
    """Returns the scores from which proposals count, the strictest first."""
    return 1 - np.arange(1, THRESHOLDS + 1) / THRESHOLDS

"""Recall and average precision by what makes a face hard: height, blur, pose, occlusion ..."""

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from facezoo.metrics.bootstrap import RankingTally, RecallTally, Tally
from facezoo.metrics.evaluator import Result
from facezoo.metrics.evaluators.rates import MatchingEvaluator, bucket_names, check_edges
from facezoo.metrics.matching import Matches, is_counted, match_set
from facezoo.registry import EVALUATORS
from facezoo.structures import Faces, Truth

ATTRIBUTES = {
    "blur": (0, ("clear", "normal", "heavy")),
    "expression": (1, ("typical", "exaggerate")),
    "illumination": (2, ("normal", "extreme")),
    "occlusion": (4, ("none", "partial", "heavy")),
    "pose": (5, ("typical", "atypical")),
}
"""Column in WIDER FACE's attributes and the names of its values from 0 on, as its readme has them.
Column 3, invalid, says which faces are ignored."""
COLUMNS = 6
UNKNOWN = "unknown"


Division = tuple[Sequence[str], NDArray[np.intp]]
"""Names of slices, and which of them each of the F counted faces is in."""


@EVALUATORS.register
class Slices(MatchingEvaluator):
    """Recall by what makes a face hard, and average precision by height.

        slices/all/recall, /ap            of all faces
        slices/height/8-16/recall, /ap    of the faces from 8 to below 16 px high
        slices/blur/heavy/recall          by an attribute of WIDER FACE, where one is known
        slices/event/0--Parade/recall     by the first folder of the image id
        slices/blur/heavy_faces           how many faces a slice has

    One matching of the whole set serves all slices (see ``facezoo.metrics.matching``), so the
    recalls of one attribute, weighted by their faces, add up to the recall of the whole. Faces
    that are ignored or have no area are in no slice. A face without a value is in the slice
    ``unknown``. A slice without faces has a count and nothing else.

    Average precision is the area under the curve of ``Curve`` over every score. In a slice of
    height, a prediction that found a face of another slice is neither a hit nor a false alarm;
    one that found none is a false alarm of the slice that its own height falls in. False alarms
    have no blur or pose, so there is no average precision by attribute.

    Args:
        edges: lower ends of the slices of height, in pixels of the original photograph, from 0.
        iou: least intersection over union with a face, 0 to 1.
        score_thresh: lowest score that counts for recall; by default every prediction given.

    Raises:
        ConfigError: the edges do not rise from 0, or another argument is not from 0 to 1.
    """

    def __init__(
        self,
        edges: Sequence[int] = (0, 8, 16, 32, 64, 128),
        iou: float = 0.5,
        score_thresh: float = 0.0,
    ) -> None:
        check_edges("Slices", edges)
        self.edges = tuple(edges)
        super().__init__(iou, score_thresh)

    def __call__(self, predictions: Mapping[str, Faces], truth: Mapping[str, Truth]) -> Result:
        """Returns the numbers of a set; see ``Evaluator``."""
        metrics: dict[str, float] = {}
        for name, tally in self.tallies(predictions, truth).items():
            faces = float(tally.faces.sum())
            if faces:
                metrics[name] = tally.value()
            if name.endswith("/recall"):
                metrics[f"{name.removesuffix('/recall')}_faces"] = faces
        return Result(metrics)

    def tallies(
        self, predictions: Mapping[str, Faces], truth: Mapping[str, Truth]
    ) -> dict[str, Tally]:
        """Returns the recalls and average precisions, kept apart by image."""
        matches = match_set(predictions, truth, self.iou)
        everything = np.ones(len(matches.heights), np.bool_)
        tallies: dict[str, Tally] = {
            "slices/all/recall": self._recall(matches, everything),
            "slices/all/ap": _ranking(matches, everything, matches.false_alarm),
        }
        own_heights = matches.boxes[:, 3] - matches.boxes[:, 1]
        own_slice = np.where(matches.false_alarm, self._bucket(own_heights), -1)
        slice_of_face = self._bucket(matches.heights)
        for i, name in enumerate(bucket_names(self.edges)):
            inside = slice_of_face == i
            tallies[f"slices/height/{name}/recall"] = self._recall(matches, inside)
            tallies[f"slices/height/{name}/ap"] = _ranking(matches, inside, own_slice == i)
        for attribute, (names, slice_of_face) in _divisions(truth, matches).items():
            for i, name in enumerate(names):
                recall = self._recall(matches, slice_of_face == i)
                tallies[f"slices/{attribute}/{name}/recall"] = recall
        return tallies

    def _bucket(self, heights: NDArray[np.floating]) -> NDArray[np.intp]:
        return np.searchsorted(self.edges, heights, side="right") - 1

    def _recall(self, matches: Matches, inside: NDArray[np.bool_]) -> RecallTally:
        found = inside & (matches.found_at >= self.score_thresh)
        return RecallTally(_by_image(matches, found), _by_image(matches, inside))


def _ranking(
    matches: Matches, inside: NDArray[np.bool_], false_alarm: NDArray[np.bool_]
) -> RankingTally:
    """Returns the average precision of some faces (F) with some false alarms (P)."""
    hit = matches.hit.copy()
    hit[hit] = inside[matches.taken[hit]]
    judged = hit | false_alarm
    return RankingTally(
        matches.scores[judged],
        hit[judged],
        matches.image_of_prediction[judged],
        _by_image(matches, inside),
    )


def _by_image(matches: Matches, faces: NDArray[np.bool_]) -> NDArray[np.intp]:
    return np.bincount(matches.image_of_face[faces], minlength=matches.images)


def _divisions(truth: Mapping[str, Truth], matches: Matches) -> dict[str, Division]:
    """Returns what divides the faces, but for their height."""
    divisions: dict[str, Division] = {}
    rows = [_attribute_rows(one) for one in truth.values()]
    table = np.concatenate([np.zeros((0, COLUMNS), np.int8), *rows])
    for attribute, (column, names) in ATTRIBUTES.items():
        values = table[:, column].astype(np.intp)
        known = (values >= 0) & (values < len(names))
        if known.any():
            slices = names if known.all() else (*names, UNKNOWN)
            divisions[attribute] = slices, np.where(known, values, len(names))
    folders = [image_id.split("/")[0] if "/" in image_id else UNKNOWN for image_id in truth]
    events = list(dict.fromkeys(folders))
    if events != [UNKNOWN]:
        numbers = np.array([events.index(folder) for folder in folders], np.intp)
        divisions["event"] = events, numbers[matches.image_of_face]
    return divisions


def _attribute_rows(annotated: Truth) -> NDArray[np.int8]:
    """Returns the attributes of the counted faces of an image, -1 where unknown."""
    counted = is_counted(annotated)
    if annotated.attributes is None:
        return np.full((int(counted.sum()), COLUMNS), -1, np.int8)
    return annotated.attributes[counted]

"""pycocotools' evaluation without its loops over predictions that cannot match.

Most predictions of a detector at a low score threshold overlap no face by half. pycocotools goes
through all faces for each of them, at ten thresholds and four ranges of area, in Python; here it is
given the others, and its result is filled up with what it would have said of the rest.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from pycocotools.cocoeval import COCOeval


class QuickEvaluation(COCOeval):
    """``pycocotools.cocoeval.COCOeval``, with the same numbers."""

    def evaluateImg(  # noqa: N802 - the name of pycocotools
        self,
        imgId: int,  # noqa: N803
        catId: int,  # noqa: N803
        aRng: list[float],  # noqa: N803
        maxDet: int,  # noqa: N803
    ) -> dict[str, Any] | None:
        """Returns which predictions of an image match which faces; see pycocotools."""
        key = imgId, catId
        ious, detections = self.ious[key], self._dts[key]
        if not len(ious):  # no faces or no predictions, and so no loops
            return super().evaluateImg(imgId, catId, aRng, maxDet)
        scores = np.array([one["score"] for one in detections])
        # The rows of the IoUs have this order too.
        ranked = [detections[i] for i in np.argsort(-scores, kind="mergesort")[:maxDet]]
        near = (ious >= self.params.iouThrs.min()).any(axis=1)
        self._dts[key] = [one for one, is_near in zip(ranked, near, strict=True) if is_near]
        self.ious[key] = ious[near]
        try:
            result = super().evaluateImg(imgId, catId, aRng, maxDet)
        finally:
            self._dts[key], self.ious[key] = detections, ious
        areas = np.array([one["area"] for one in ranked])
        outside = (areas < aRng[0]) | (areas > aRng[1])
        matches = np.zeros((len(self.params.iouThrs), len(ranked)))
        ignored = np.repeat(outside[None], len(matches), axis=0)
        matches[:, near], ignored[:, near] = result["dtMatches"], result["dtIgnore"]
        return {
            **result,
            "dtIds": [one["id"] for one in ranked],
            "dtScores": [one["score"] for one in ranked],
            "dtMatches": matches,
            "dtIgnore": ignored,
        }

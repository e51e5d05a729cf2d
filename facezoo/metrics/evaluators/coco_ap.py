"""Average precision by the rule of COCO (Lin et al., ECCV 2014), as pycocotools computes it."""

import contextlib
import io
import logging
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from facezoo.errors import ConfigError
from facezoo.metrics.evaluator import NO_FACES, Evaluator, Result
from facezoo.metrics.matching import has_area
from facezoo.registry import EVALUATORS
from facezoo.structures import Faces, Truth

logger = logging.getLogger(__name__)

CATEGORY = 1
SIZES = ("all", "small", "medium", "large")


@EVALUATORS.register
class CocoAP(Evaluator):
    """Average precision and recall by COCO's rule, through pycocotools.

        coco/ap                               mean over IoU 0.50, 0.55 ... 0.95
        coco/ap50, /ap75                      at one IoU
        coco/ap_small, /ap_medium, /ap_large  faces below 32², below 96², from 96² px of area on
        coco/ar                               recall, mean over the same IoUs
        coco/max_dets                         the limit below

    Ignored faces are COCO's crowds: they excuse any number of predictions. Faces without an area
    are ignored. Where there is no face to find, as in a set without large ones, a number is -1, as
    pycocotools has it. faster-coco-eval, where it is installed, gives the same numbers sooner.

    Args:
        max_dets: predictions per image that count, the best ones. COCO's own 100 would cut
            photographs of crowds; a set in which even this limit cuts is logged.

    Raises:
        ConfigError: ``max_dets`` is not positive.
    """

    def __init__(self, max_dets: int = 2000) -> None:
        if max_dets < 1:
            raise ConfigError(f"CocoAP takes max_dets from 1 on, not {max_dets}.")
        self.max_dets = max_dets

    def __call__(self, predictions: Mapping[str, Faces], truth: Mapping[str, Truth]) -> Result:
        """Returns the numbers of a set; see ``Evaluator``."""
        found = [predictions.get(image_id, NO_FACES) for image_id in truth]
        cut = sum(len(faces) > self.max_dets for faces in found)
        if cut:
            logger.warning(
                "CocoAP counts the best %d predictions of an image; %d of %d images have more.",
                self.max_dets,
                cut,
                len(found),
            )
        precision, recall = self._evaluate(
            [
                {**box, "score": score}
                for i, faces in enumerate(found)
                for box, score in zip(_boxes(i, faces.boxes), faces.scores.tolist(), strict=True)
            ],
            [row for i, faces in enumerate(truth.values()) for row in _annotations(i, faces)],
            len(found),
        )
        metrics = {
            "ap": _mean(precision[..., 0]),
            "ap50": _mean(precision[0, ..., 0]),
            "ap75": _mean(precision[5, ..., 0]),
            **{f"ap_{size}": _mean(precision[..., i]) for i, size in enumerate(SIZES) if i},
            "ar": _mean(recall[..., 0]),
            "max_dets": self.max_dets,
        }
        return Result({f"coco/{name}": value for name, value in metrics.items()})

    def _evaluate(
        self, detections: list[dict[str, Any]], annotations: list[dict[str, Any]], images: int
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Returns precision (IoUs x recalls x sizes) and recall (IoUs x sizes), -1 for none."""
        coco, evaluation = _library()
        with contextlib.redirect_stdout(io.StringIO()):  # pycocotools prints its progress
            tables = []
            for rows in (annotations, detections):
                table = coco()
                table.dataset = {
                    "info": {},
                    "images": [{"id": i} for i in range(images)],
                    "categories": [{"id": CATEGORY, "name": "face"}],
                    "annotations": [{"id": i, **row} for i, row in enumerate(rows, 1)],
                }
                table.createIndex()
                tables.append(table)
            run = evaluation(*tables, iouType="bbox")
            run.params.maxDets = [self.max_dets]
            run.params.areaRngLbl = list(SIZES)
            run.evaluate()
            run.accumulate()
        # Not summarize(): it looks up the limit of 100 and gives -1 where there is none.
        return run.eval["precision"][:, :, 0, :, 0], run.eval["recall"][:, 0, :, 0]


def _library() -> tuple[Any, Any]:
    """Returns COCO and COCOeval of the faster library, if it is there, else of pycocotools."""
    try:
        import faster_coco_eval
    except ImportError:
        from pycocotools.coco import COCO

        return COCO, _quick_evaluation
    return faster_coco_eval.COCO, faster_coco_eval.COCOeval_faster


def _quick_evaluation(*tables: Any, iouType: str) -> Any:  # noqa: N803 - the name of pycocotools
    """Returns pycocotools' evaluation, with its numbers, without loops over what cannot match.

    Most predictions of a detector at a low score threshold overlap no face by half. pycocotools
    goes through all faces for each of them, at ten thresholds and four ranges of area, in Python;
    here it is given the others, and its result is filled up with what it would have said of the
    rest.
    """
    from pycocotools.cocoeval import COCOeval

    run = COCOeval(*tables, iouType=iouType)
    run.evaluateImg = partial(_evaluate_image, run, run.evaluateImg)
    return run


def _evaluate_image(
    run: Any, evaluate: Callable[..., Any], image: int, category: int, areas: Any, limit: int
) -> dict[str, Any] | None:
    """Returns which predictions of an image match which faces; see pycocotools."""
    key = image, category
    ious, detections = run.ious[key], run._dts[key]
    if not len(ious):  # no faces or no predictions, and so no loops
        return evaluate(*key, areas, limit)
    scores = np.array([one["score"] for one in detections])
    # The rows of the IoUs have this order too.
    ranked = [detections[i] for i in np.argsort(-scores, kind="mergesort")[:limit]]
    near = (ious >= run.params.iouThrs.min()).any(axis=1)
    run._dts[key] = [one for one, is_near in zip(ranked, near, strict=True) if is_near]
    run.ious[key] = ious[near]
    try:
        result = evaluate(*key, areas, limit)
    finally:
        run._dts[key], run.ious[key] = detections, ious
    sizes = np.array([one["area"] for one in ranked])
    outside = (sizes < areas[0]) | (sizes > areas[1])
    matches = np.zeros((len(run.params.iouThrs), len(ranked)))
    ignored = np.repeat(outside[None], len(matches), axis=0)
    matches[:, near], ignored[:, near] = result["dtMatches"], result["dtIgnore"]
    return {
        **result,
        "dtIds": [one["id"] for one in ranked],
        "dtScores": [one["score"] for one in ranked],
        "dtMatches": matches,
        "dtIgnore": ignored,
    }


def _annotations(image: int, annotated: Truth) -> list[dict[str, Any]]:
    crowd = annotated.ignore | ~has_area(annotated.boxes)
    return [
        {**box, "iscrowd": int(is_crowd)}
        for box, is_crowd in zip(_boxes(image, annotated.boxes), crowd.tolist(), strict=True)
    ]


def _boxes(image: int, boxes: NDArray[np.floating]) -> list[dict[str, Any]]:
    xywh = boxes.astype(np.float64)
    xywh[:, 2:] -= xywh[:, :2]
    return [
        {"image_id": image, "category_id": CATEGORY, "bbox": box, "area": box[2] * box[3]}
        for box in xywh.tolist()
    ]


def _mean(values: NDArray[np.float64]) -> float:
    valid = values[values > -1]
    # pycocotools adds 2e-16 to the denominator of precision; all found has to be 1 all the same.
    return round(float(valid.mean()), 12) if valid.size else -1.0

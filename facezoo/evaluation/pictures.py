"""Pictures that show what a number means: predictions, and the worst mistakes.

A mistake is judged at one score threshold by the matching of ``facezoo.metrics`` at IoU 0.5.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from facezoo.data.datasets.face_dataset import FaceDataset
from facezoo.evaluation.judge import EvaluationResults
from facezoo.inference.drawing import contact_sheet, draw_faces, fit_square
from facezoo.metrics.matching import is_counted, match_image
from facezoo.structures import Faces, Truth

TILE = 192
COLUMNS = 6
ROWS = 5
CONTEXT = 2.5
MATCH_IOU = 0.5
RED = (240, 50, 40)
SHOWN_IMAGES = 12
SHOWN_SIDE = 384
SHOWN_SCORE = 0.5
BEST_THRESHOLD = "operating_point/best_threshold"


@dataclass(frozen=True)
class Mistake:
    """A face that was missed, or a detection where no face is annotated.

    Attributes:
        image_id: the photograph.
        box: 4, x1 y1 x2 y2 in its pixels.
        severity: height in pixels of a missed face, score of a false alarm.
        is_miss: which of the two it is.
    """

    image_id: str
    box: NDArray[np.float64]
    severity: float
    is_miss: bool


def shown_threshold(results: EvaluationResults) -> float:
    """Returns the score from which pictures show faces: that of the best F1 where it is known."""
    return results.metrics.get(BEST_THRESHOLD, SHOWN_SCORE)


def predictions_page(dataset: FaceDataset, results: EvaluationResults) -> NDArray[np.uint8]:
    """Returns a page of the first photographs with the faces found."""
    score_thresh = shown_threshold(results)
    tiles = []
    for i in range(min(SHOWN_IMAGES, len(dataset))):
        faces = results.predictions.faces[dataset.image_id(i)]
        drawn = draw_faces(dataset[i].image, faces[faces.scores >= score_thresh])
        tiles.append(fit_square(drawn, SHOWN_SIDE))
    return contact_sheet(tiles, columns=4)


def find_mistakes(
    predictions: Mapping[str, Faces], truth: Mapping[str, Truth], score_thresh: float
) -> tuple[list[Mistake], list[Mistake]]:
    """Returns the missed faces (largest first) and the false alarms (best score first).

    Ignored faces are not missed, and a detection on one is no false alarm.
    """
    misses: list[Mistake] = []
    alarms: list[Mistake] = []
    for image_id, annotated in truth.items():
        faces = predictions[image_id]
        faces = faces[faces.scores >= score_thresh]
        missed = is_counted(annotated)
        taken, absorbed = match_image(faces, annotated.boxes, ~missed, MATCH_IOU)
        missed[taken[taken >= 0]] = False
        for box in annotated.boxes[missed]:
            misses.append(Mistake(image_id, box, float(box[3] - box[1]), is_miss=True))
        for i in np.flatnonzero((taken < 0) & ~absorbed):
            box = faces.boxes[i].astype(np.float64)
            alarms.append(Mistake(image_id, box, float(faces.scores[i]), is_miss=False))
    return (
        sorted(misses, key=lambda one: -one.severity),
        sorted(alarms, key=lambda one: -one.severity),
    )


def mistakes_page(mistakes: Sequence[Mistake], dataset: FaceDataset) -> NDArray[np.uint8]:
    """Returns a page of crops around the first mistakes, as many as it has room for."""
    places = {dataset.image_id(i): i for i in range(len(dataset))}
    shown = mistakes[: ROWS * COLUMNS]
    tiles = [mistake_tile(one, dataset[places[one.image_id]].image) for one in shown]
    return contact_sheet(tiles, COLUMNS)


def mistake_tile(mistake: Mistake, image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Returns the square around a mistake, with its box and its severity.

    Args:
        mistake: to be shown.
        image: its photograph, H x W x 3, RGB.
    """
    box = mistake.box
    centre = (box[:2] + box[2:]) / 2
    scale = TILE / max(CONTEXT * float((box[2:] - box[:2]).max()), 32.0)
    corner = TILE / 2 - scale * centre
    to_tile = np.array([[scale, 0, corner[0]], [0, scale, corner[1]]])
    tile = cv2.warpAffine(image, to_tile, (TILE, TILE), borderValue=(127, 127, 127))
    ends = (box.reshape(2, 2) * scale + corner).round().astype(int).tolist()
    cv2.rectangle(tile, ends[0], ends[1], RED, 1)
    caption = f"{mistake.severity:.3g}{' px' if mistake.is_miss else ''}"
    for colour, width in (((255,) * 3, 3), ((0,) * 3, 1)):
        cv2.putText(tile, caption, (6, TILE - 8), cv2.FONT_HERSHEY_SIMPLEX, 0.5, colour, width)
    return tile  # type: ignore[return-value]  # the stubs of OpenCV know no 8 bits

"""Pictures that show what a number means: predictions, and the worst mistakes.

A mistake is judged at one score threshold by the matching of ``facezoo.metrics`` at IoU 0.5.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from facezoo.metrics.matching import has_area, match_image
from facezoo.structures import Faces, Truth

TILE = 192
COLUMNS = 6
CONTEXT = 2.5
MATCH_IOU = 0.5
GREEN, RED = (40, 220, 60), (240, 50, 40)


@dataclass(frozen=True)
class Mistake:
    """A face that was missed, or a detection where no face is annotated.

    Attributes:
        image_id: the photograph.
        box: 4, x1 y1 x2 y2 in its pixels.
        severity: height in pixels of a missed face, score of a false alarm.
    """

    image_id: str
    box: NDArray[np.float64]
    severity: float


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
        ignore = annotated.ignore | ~has_area(annotated.boxes)
        taken, absorbed = match_image(faces, annotated.boxes, ignore, MATCH_IOU)
        missed = ~ignore
        missed[taken[taken >= 0]] = False
        for box in annotated.boxes[missed]:
            misses.append(Mistake(image_id, box, float(box[3] - box[1])))
        for place in np.flatnonzero((taken < 0) & ~absorbed):
            box = faces.boxes[place].astype(np.float64)
            alarms.append(Mistake(image_id, box, float(faces.scores[place])))
    return (
        sorted(misses, key=lambda one: -one.severity),
        sorted(alarms, key=lambda one: -one.severity),
    )


def mistakes_page(
    mistakes: Sequence[Mistake],
    read: Callable[[str], NDArray[np.uint8]],
    unit: str,
    rows: int = 5,
) -> NDArray[np.uint8]:
    """Returns a page of crops around mistakes, each with its box and its severity.

    Args:
        mistakes: worst first; the page takes as many as it has room for.
        read: gives the photograph (H x W x 3, RGB) of an image id.
        unit: stands behind the severity, such as "px".
        rows: rows of tiles.
    """
    tiles = []
    for mistake in mistakes[: rows * COLUMNS]:
        tile = _crop(read(mistake.image_id), mistake.box)
        caption = f"{mistake.severity:.3g} {unit}".strip()
        cv2.putText(tile, caption, (6, TILE - 8), cv2.FONT_HERSHEY_SIMPLEX, 0.5, (255,) * 3, 3)
        cv2.putText(tile, caption, (6, TILE - 8), cv2.FONT_HERSHEY_SIMPLEX, 0.5, (0,) * 3, 1)
        tiles.append(tile)
    return page(tiles, COLUMNS)


def page(tiles: Sequence[NDArray[np.uint8]], columns: int) -> NDArray[np.uint8]:
    """Returns tiles of one size side by side in rows, white where there is none."""
    if not tiles:
        return np.full((TILE, TILE, 3), 255, dtype=np.uint8)
    height, width = tiles[0].shape[:2]
    columns = min(columns, len(tiles))
    rows = -(-len(tiles) // columns)
    sheet = np.full((rows * height, columns * width, 3), 255, dtype=np.uint8)
    for place, tile in enumerate(tiles):
        top, left = place // columns * height, place % columns * width
        sheet[top : top + height, left : left + width] = tile
    return sheet


def fit(image: NDArray[np.uint8], side: int) -> NDArray[np.uint8]:
    """Returns the image scaled into a square of ``side`` pixels, centred on white."""
    height, width = image.shape[:2]
    scale = side / max(height, width)
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    scaled = cv2.resize(image, size, interpolation=cv2.INTER_AREA)
    tile = np.full((side, side, 3), 255, dtype=np.uint8)
    top, left = (side - size[1]) // 2, (side - size[0]) // 2
    tile[top : top + size[1], left : left + size[0]] = scaled
    return tile


def _crop(image: NDArray[np.uint8], box: NDArray[np.float64]) -> NDArray[np.uint8]:
    """Returns the square around a box, scaled to a tile, with the box drawn."""
    centre = (box[:2] + box[2:]) / 2
    side = max(CONTEXT * float((box[2:] - box[:2]).max()), 32.0)
    scale = TILE / side
    to_tile = np.array(
        [
            [scale, 0, TILE / 2 - scale * centre[0]],
            [0, scale, TILE / 2 - scale * centre[1]],
        ]
    )
    tile = cv2.warpAffine(image, to_tile, (TILE, TILE), borderValue=(127, 127, 127))
    corners = (box.reshape(2, 2) * scale + to_tile[:, 2]).round().astype(int)
    cv2.rectangle(tile, corners[0].tolist(), corners[1].tolist(), RED, 1)
    return tile  # type: ignore[return-value]  # the stubs of OpenCV know no 8 bits

"""Draws faces into a picture, and lays pictures out on a page."""

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from facezoo.structures import Faces

BOX_COLOUR = (64, 224, 128)
TEXT_COLOUR = (16, 32, 24)
LANDMARK_COLOURS = ((255, 84, 84), (84, 160, 255), (255, 212, 64), (255, 120, 220), (120, 240, 255))
FONT = cv2.FONT_HERSHEY_SIMPLEX
BLANK = 192
SMALLEST_LABELLED = 28  # width in pixels of a face below which its score would hide it


def draw_faces(image: NDArray[np.uint8], faces: Faces) -> NDArray[np.uint8]:
    """Returns a copy of an image with a box, the score and the landmarks of every face.

    Lines are as wide as the picture and the face allow. Faces narrower than 28 pixels get no
    score, since the label would cover their neighbours.

    Args:
        image: H x W x 3, RGB.
        faces: in the image's pixels; the best is drawn last, on top of the others.
    """
    drawn = np.ascontiguousarray(image).copy()
    for i in reversed(range(len(faces))):
        line = _line_width(drawn.shape[0], drawn.shape[1], faces.boxes[i])
        x1, y1, x2, y2 = (round(float(side)) for side in faces.boxes[i])
        # The last pixel inside a half-open box is one before its edge.
        cv2.rectangle(drawn, (x1, y1), (x2 - 1, y2 - 1), BOX_COLOUR, line, cv2.LINE_AA)
        if faces.landmarks is not None:
            draw_landmarks(drawn, faces.landmarks[i], faces.boxes[i])
        if faces.boxes[i, 2] - faces.boxes[i, 0] >= SMALLEST_LABELLED:
            _draw_score(drawn, faces.boxes[i], float(faces.scores[i]), line)
    return drawn


def _line_width(height: int, width: int, box: NDArray[np.float32]) -> int:
    by_image = max(height, width) / 700
    by_face = float(min(box[2] - box[0], box[3] - box[1])) / 20
    return max(1, round(min(by_image, by_face)))


def draw_landmarks(
    image: NDArray[np.uint8], landmarks: NDArray[np.float32], box: NDArray[np.float32]
) -> None:
    """Draws the known landmarks of a face into an image, each in the colour of its place."""
    radius = max(1, round(float(box[2] - box[0]) / 28))
    for place, (x, y) in enumerate(landmarks):
        if np.isfinite((x, y)).all():
            colour = LANDMARK_COLOURS[place % len(LANDMARK_COLOURS)]
            centre = (round(float(x)), round(float(y)))
            cv2.circle(image, centre, radius, colour, cv2.FILLED, cv2.LINE_AA)


def _draw_score(
    image: NDArray[np.uint8], box: NDArray[np.float32], score: float, line: int
) -> None:
    """Draws the score on a plate along the box's upper edge, inside it where there is no room."""
    x1, y1, x2, _ = (round(float(side)) for side in box)
    text = f"{score:.2f}"
    scale = float(np.clip((x2 - x1) / 105, 0.36, max(0.4, max(image.shape[:2]) / 1600)))
    stroke = max(1, round(scale * 1.5))
    (width, height), _ = cv2.getTextSize(text, FONT, scale, stroke)
    margin = max(2, height // 4)
    top = y1 - height - 2 * margin
    if top < 0:
        top = max(y1, 0)
    left = min(max(x1 - line // 2, 0), max(image.shape[1] - width - 2 * margin, 0))
    corner = (left + width + 2 * margin, top + height + 2 * margin)
    cv2.rectangle(image, (left, top), corner, BOX_COLOUR, cv2.FILLED)
    origin = (left + margin, top + height + margin)
    cv2.putText(image, text, origin, FONT, scale, TEXT_COLOUR, stroke, cv2.LINE_AA)


def contact_sheet(tiles: Sequence[NDArray[np.uint8]], columns: int) -> NDArray[np.uint8]:
    """Returns tiles of one size side by side in rows, white where there is none.

    Args:
        tiles: H x W x 3; without any the page is blank.
        columns: the most in a row.
    """
    if not tiles:
        return np.full((BLANK, BLANK, 3), 255, dtype=np.uint8)
    height, width = tiles[0].shape[:2]
    columns = min(columns, len(tiles))
    rows = -(-len(tiles) // columns)
    sheet = np.full((rows * height, columns * width, 3), 255, dtype=np.uint8)
    for i, tile in enumerate(tiles):
        top, left = i // columns * height, i % columns * width
        sheet[top : top + height, left : left + width] = tile
    return sheet


def fit_square(image: NDArray[np.uint8], side: int) -> NDArray[np.uint8]:
    """Returns the image scaled into a square of ``side`` pixels, centred on white."""
    height, width = image.shape[:2]
    scale = side / max(height, width)
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    scaled = cv2.resize(image, size, interpolation=cv2.INTER_AREA)
    tile = np.full((side, side, 3), 255, dtype=np.uint8)
    top, left = (side - size[1]) // 2, (side - size[0]) // 2
    tile[top : top + size[1], left : left + size[0]] = scaled
    return tile

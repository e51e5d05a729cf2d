"""Drawing shows each face and leaves the rest of the picture alone."""

import numpy as np
import pytest

from facezoo.inference.drawing import draw_faces
from facezoo.structures import Faces


def faces_at(*boxes: tuple[float, float, float, float], landmarks: bool = True) -> Faces:
    corners = np.array(boxes, dtype=np.float32).reshape(-1, 4)
    centres = (corners[:, :2] + corners[:, 2:]) / 2
    points = np.repeat(centres[:, None], 5, axis=1) if landmarks else None
    return Faces(corners, np.linspace(0.9, 0.5, len(corners), dtype=np.float32), points)


def test_touches_only_the_neighbourhood_of_boxes() -> None:
    image = np.full((300, 400, 3), 90, dtype=np.uint8)
    drawn = draw_faces(image, faces_at((50, 60, 110, 140), (300, 200, 312, 214)))
    changed = (drawn != image).any(axis=2)
    near = np.zeros_like(changed)
    near[60 - 25 : 140 + 4, 50 - 4 : 110 + 4] = True
    near[200 - 4 : 214 + 4, 300 - 4 : 312 + 4] = True
    assert changed.any()
    assert not (changed & ~near).any()
    assert (image == 90).all(), "the picture that was given must stay as it is"


def test_every_side_and_landmark_is_there() -> None:
    image = np.zeros((200, 200, 3), dtype=np.uint8)
    drawn = draw_faces(image, faces_at((60, 60, 140, 140))).any(axis=2)
    for y, x in ((60, 100), (139, 100), (100, 60), (100, 139), (100, 100)):
        assert drawn[y - 1 : y + 2, x - 1 : x + 2].any(), (y, x)
    assert not drawn[80:95, 80:95].any(), "the inside of the face stays visible"


@pytest.mark.parametrize("side", [100, 1000, 4000])
def test_lines_grow_with_the_picture(side: int) -> None:
    image = np.zeros((side, side, 3), dtype=np.uint8)
    corner, far = side // 4, side * 3 // 4
    drawn = draw_faces(image, faces_at((corner, corner, far, far), landmarks=False))
    column = drawn[side // 2, : side // 2].any(axis=1)
    assert max(1, side // 1000) <= column.sum() <= side // 100 + 3


def test_unknown_landmarks_no_faces_and_boxes_over_the_edge() -> None:
    image = np.zeros((64, 64, 3), dtype=np.uint8)
    assert (draw_faces(image, faces_at()) == image).all()
    over = faces_at((-20, -20, 40, 40), (50, 50, 90, 90))
    over.landmarks[0] = np.nan
    assert draw_faces(image, over).any()

import numpy as np
import pytest

from facezoo.evaluation.report import COLUMNS, TILE, find_mistakes, mistake_tile
from facezoo.inference.drawing import contact_sheet, fit_square
from facezoo.structures import Faces, Truth


def faces(boxes: list[list[float]], scores: list[float]) -> Faces:
    return Faces(np.array(boxes, np.float32).reshape(-1, 4), np.array(scores, np.float32))


def truth(boxes: list[list[float]], ignore: list[bool]) -> Truth:
    return Truth(np.array(boxes, np.float64).reshape(-1, 4), np.array(ignore, bool))


def test_mistakes_are_what_a_reader_would_call_them() -> None:
    predictions = {
        "a": faces(
            [[0, 0, 10, 10], [1, 1, 11, 11], [50, 50, 60, 60], [80, 80, 90, 90]],
            [0.9, 0.8, 0.7, 0.1],
        ),
        "b": faces([], []),
    }
    annotated = {
        "a": truth([[0, 0, 10, 10], [50, 50, 60, 60], [80, 80, 90, 90]], [False, True, False]),
        "b": truth([[5, 5, 45, 45], [0, 0, 4, 4]], [False, True]),
    }
    misses, alarms = find_mistakes(predictions, annotated, score_thresh=0.5)
    assert [(one.image_id, one.severity) for one in misses] == [("b", 40), ("a", 10)]
    assert misses[1].box.tolist() == [80, 80, 90, 90]  # its score is below the threshold
    assert [(one.image_id, pytest.approx(one.severity)) for one in alarms] == [("a", 0.8)]


def test_an_ignored_face_excuses_any_number_of_detections() -> None:
    predictions = {"a": faces([[0, 0, 10, 10], [0, 0, 10, 9]], [0.9, 0.8])}
    misses, alarms = find_mistakes(predictions, {"a": truth([[0, 0, 10, 10]], [True])}, 0.5)
    assert misses == alarms == []


def test_a_detection_takes_a_face_of_its_own_before_an_ignored_one() -> None:
    """As the evaluators match, though it overlaps the ignored one more."""
    predictions = {"a": faces([[0, 0, 10, 10]], [0.9])}
    annotated = {"a": truth([[0, 0, 10, 10], [0, 0, 10, 8]], [True, False])}
    misses, alarms = find_mistakes(predictions, annotated, 0.5)
    assert misses == alarms == []


def test_a_mistake_is_shown_with_what_is_around_it() -> None:
    image = np.zeros((100, 100, 3), np.uint8)
    image[40:60, 40:60] = (0, 0, 255)
    predictions = {"a": faces([], [])}
    misses, _ = find_mistakes(predictions, {"a": truth([[40, 40, 60, 60]], [False])}, 0.5)
    sheet = mistake_tile(misses[0], image)
    assert sheet.shape == (TILE, TILE, 3)
    assert sheet[TILE // 2, TILE // 2].tolist() == [0, 0, 255]
    side = TILE / 2.5  # the box and what is around it
    assert sheet[TILE // 2, round(TILE / 2 - side / 2)].tolist() == [240, 50, 40]


def test_page_fills_rows() -> None:
    tiles = [np.full((4, 6, 3), value, np.uint8) for value in range(COLUMNS + 1)]
    sheet = contact_sheet(tiles, COLUMNS)
    assert sheet.shape == (8, 6 * COLUMNS, 3)
    assert sheet[0, ::6, 0].tolist() == list(range(COLUMNS))
    assert sheet[4, ::6, 0].tolist() == [COLUMNS] + [255] * (COLUMNS - 1)
    assert contact_sheet([], COLUMNS).shape == (TILE, TILE, 3)


@pytest.mark.parametrize("size", [(100, 50), (50, 100), (7, 3), (1000, 1)])
def test_fit_keeps_the_whole_image(size: tuple[int, int]) -> None:
    tile = fit_square(np.zeros((*size, 3), np.uint8), 64)
    dark = np.argwhere(tile[..., 0] < 128)
    assert tile.shape == (64, 64, 3)
    assert (np.ptp(dark, axis=0) + 1).max() == 64

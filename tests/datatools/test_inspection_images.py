"""What is said of an image file."""

import cv2
import numpy as np
import pytest

from facezoo.data import images
from facezoo.datatools.inspection.image_checks import look_at


@pytest.mark.parametrize(
    ("suffix", "cut", "fault"),
    [
        (".png", lambda data: data, ""),
        (".png", lambda data: data[: len(data) // 2], "truncated_image"),
        (".jpg", lambda data: data[: len(data) // 2], "truncated_image"),
        (".jpg", lambda data: data[:-2] + bytes(64), "truncated_image"),
        (".jpg", lambda data: b"", "unreadable_image"),
        (".jpg", lambda data: b"<html>Not found</html>", "unreadable_image"),
        (".jpg", lambda data: None, "missing_image"),
    ],
)
def test_what_an_image_file_can_be(tmp_path, suffix, cut, fault):
    image = np.random.default_rng(0).integers(0, 255, (40, 50, 3), np.uint8)
    data = cut(cv2.imencode(suffix, image)[1].tobytes())
    if data is not None:
        (tmp_path / "a").write_bytes(data)
    (found,) = look_at([tmp_path / "a"])
    assert found.fault == fault and bool(found.message) == bool(fault)
    assert found.size_hw == ((0, 0) if fault else (40, 50))


def test_a_folder_is_no_image(tmp_path):
    (found,) = look_at([tmp_path])
    assert found.fault == "unreadable_image"


def test_a_name_that_no_file_can_have_is_missing(tmp_path):
    (found,) = look_at([tmp_path / ("a" * 300)])
    assert found.fault == "missing_image"


def test_a_picture_with_too_many_pixels_is_not_damaged(tmp_path, monkeypatch):
    monkeypatch.setattr(images, "MAX_PIXELS", 1999)
    (tmp_path / "a.png").write_bytes(cv2.imencode(".png", np.zeros((40, 50, 3), np.uint8))[1])
    (found,) = look_at([tmp_path / "a.png"])
    assert found.fault == "too_large_image"
    assert "has 50 x 40 pixels, more than the" in found.message

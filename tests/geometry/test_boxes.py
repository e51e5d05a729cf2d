import torch
from hypothesis import given
from hypothesis import strategies as st

from facezoo.geometry.boxes import box_area, cxcywh_to_xyxy, xyxy_to_cxcywh

coordinate = st.floats(-2000, 2000, width=32)
side = st.floats(0, 2000, width=32)
box = st.builds(lambda x, y, w, h: [x, y, x + w, y + h], coordinate, coordinate, side, side)


@given(st.lists(box, min_size=1, max_size=8))
def test_a_box_survives_centre_and_size(rows: list[list[float]]) -> None:
    boxes = torch.tensor(rows)
    torch.testing.assert_close(cxcywh_to_xyxy(xyxy_to_cxcywh(boxes)), boxes, rtol=1e-6, atol=1e-3)


def test_half_open_box_has_the_width_between_its_edges() -> None:
    boxes = torch.tensor([[10, 20, 13, 24]])
    assert xyxy_to_cxcywh(boxes).tolist() == [[11.5, 22.0, 3.0, 4.0]]
    assert box_area(boxes).tolist() == [12.0]


def test_inverted_box_has_no_area() -> None:
    assert box_area(torch.tensor([[5.0, 5.0, 3.0, 3.0]])).item() == 0


def test_half_precision_is_computed_in_float32() -> None:
    boxes = torch.tensor([[1001.0, 1003.0, 1004.0, 1008.0]]).half()
    assert xyxy_to_cxcywh(boxes).dtype == torch.float32
    assert xyxy_to_cxcywh(boxes).tolist() == [[1002.5, 1005.5, 3.0, 5.0]]

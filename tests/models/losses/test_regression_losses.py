import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from facezoo.errors import ConfigError
from facezoo.models.losses import (
    CIoULoss,
    DIoULoss,
    GIoULoss,
    IoULoss,
    RegressionLoss,
    SmoothL1,
    Wing,
)
from facezoo.registry import LOSSES

OVERLAPS = [IoULoss(), GIoULoss(), DIoULoss(), CIoULoss()]
ENCODED = [SmoothL1(), SmoothL1(beta=0.1), Wing(), Wing(width=0.5, curvature=0.1)]


def selection(loss: RegressionLoss, chosen: torch.Tensor, size: int) -> torch.Tensor:
    """The mask that the loss takes, from one value per prior."""
    if loss.space == "boxes":
        return chosen
    return chosen.unsqueeze(-1).expand(*chosen.shape, size)


def batch(seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    corner = torch.rand(2, 3, 7, 2, generator=generator) * 20
    size = torch.rand(2, 3, 7, 2, generator=generator) * 20 + 1
    prediction, target = torch.cat([corner, corner + size], dim=-1)
    return prediction, target


@settings(max_examples=50, deadline=None)
@given(
    st.lists(st.floats(-30, 30, width=32), min_size=4, max_size=4),
    st.lists(st.booleans(), min_size=4, max_size=4),
    st.floats(0.25, 10),
    st.floats(0.25, 5),
)
def test_wing_equals_the_paper(
    errors: list[float], chosen: list[bool], width: float, curvature: float
) -> None:
    mask = torch.tensor(chosen).view(1, 1, 4)
    prediction = torch.tensor(errors).view(1, 1, 4)
    loss = Wing(width=width, curvature=curvature)(prediction, torch.zeros(1, 1, 4), mask)
    expected = 0.0
    for error, kept in zip(errors, chosen, strict=True):
        small = width * math.log(1 + abs(error) / curvature)
        large = abs(error) - (width - width * math.log(1 + width / curvature))
        expected += kept * (small if abs(error) < width else large)
    assert float(loss) == pytest.approx(expected, rel=1e-4, abs=1e-5)


@settings(max_examples=50, deadline=None)
@given(
    st.lists(st.floats(-5, 5, width=32), min_size=4, max_size=4),
    st.lists(st.booleans(), min_size=4, max_size=4),
    st.sampled_from([0.0, 0.1, 1.0, 2.0]),
)
def test_smooth_l1_equals_the_paper(errors: list[float], chosen: list[bool], beta: float) -> None:
    prediction, mask = torch.tensor(errors).view(1, 1, 4), torch.tensor(chosen).view(1, 1, 4)
    loss = SmoothL1(beta=beta)(prediction, torch.zeros(1, 1, 4), mask)
    expected = sum(
        (0.5 * e * e / beta if abs(e) < beta else abs(e) - beta / 2)
        for e, kept in zip(errors, chosen, strict=True)
        if kept
    )
    assert float(loss) == pytest.approx(expected, rel=1e-4, abs=1e-5)


@pytest.mark.parametrize("loss", OVERLAPS, ids=lambda loss: type(loss).__name__)
def test_overlap_loss_falls_from_disjoint_to_equal(loss: RegressionLoss) -> None:
    target = torch.tensor([[[0.0, 0, 10, 10]] * 4])
    prediction = torch.tensor([[[30.0, 0, 40, 10], [5, 0, 15, 10], [1, 0, 11, 10], [0, 0, 10, 10]]])
    far, near, nearer, equal = loss(prediction, target, torch.ones(1, 4))[0].tolist()
    assert far > near > nearer > equal
    assert equal == pytest.approx(0, abs=1e-6)
    assert near == pytest.approx(
        {"IoULoss": 2 / 3, "GIoULoss": 2 / 3}.get(type(loss).__name__, 2 / 3 + 25 / 325), rel=1e-5
    )


@pytest.mark.parametrize("loss", OVERLAPS + ENCODED, ids=str)
def test_what_is_not_selected_does_not_matter(loss: RegressionLoss) -> None:
    prediction, target = batch()
    chosen = torch.rand(3, 7, generator=torch.Generator().manual_seed(1)) > 0.5
    mask = selection(loss, chosen, 4)
    clean = loss(prediction, target, mask)
    target = torch.where(chosen.unsqueeze(-1), target, torch.nan)
    prediction.requires_grad_()
    values = loss(prediction, target, mask)
    values.sum().backward()
    assert torch.equal(values, clean)
    assert (values[~chosen] == 0).all()
    assert (prediction.grad[~chosen] == 0).all()
    assert prediction.grad.isfinite().all()
    assert (values[chosen] > 0).all()


@pytest.mark.parametrize("loss", OVERLAPS + ENCODED, ids=str)
def test_no_face_at_all_gives_zero_gradients(loss: RegressionLoss) -> None:
    prediction = torch.zeros(2, 5, 4, requires_grad=True)
    mask = selection(loss, torch.zeros(2, 5, dtype=torch.bool), 4)
    values = loss(prediction, torch.zeros(2, 5, 4), mask)
    values.sum().backward()
    assert (values == 0).all()
    assert (prediction.grad == 0).all()


@pytest.mark.parametrize("loss", OVERLAPS + ENCODED, ids=str)
def test_mask_and_weight_are_factors(loss: RegressionLoss) -> None:
    prediction, target = batch()
    ones = loss(prediction, target, selection(loss, torch.ones(3, 7), 4))
    factor = torch.rand(3, 7, generator=torch.Generator().manual_seed(1))
    torch.testing.assert_close(loss(prediction, target, selection(loss, factor, 4)), ones * factor)
    loss.weight = 3.0
    torch.testing.assert_close(
        loss(prediction, target, selection(loss, torch.ones(3, 7), 4)), ones * 3
    )
    loss.weight = 1.0


def test_unknown_landmarks_of_a_face_are_left_out() -> None:
    loss = SmoothL1()
    mask = torch.tensor([[[True, True, False, False]]])
    value = loss(torch.full((1, 1, 4), 3.0), torch.zeros(1, 1, 4), mask)
    assert value.item() == 5.0  # two numbers of 3 - 0.5


@pytest.mark.parametrize("loss", OVERLAPS + ENCODED, ids=str)
def test_half_precision_is_computed_in_float32(loss: RegressionLoss) -> None:
    prediction, target = batch()
    half, mask = prediction.bfloat16(), selection(loss, torch.ones(3, 7), 4)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        values = loss(half, target, mask)
    assert values.dtype == torch.float32
    torch.testing.assert_close(values, loss(half.float(), target, mask))


@pytest.mark.parametrize("name", ["IoU", "GIoU", "DIoU", "CIoU", "SmoothL1", "Wing"])
def test_losses_go_by_the_names_of_their_papers(name: str) -> None:
    loss = LOSSES.get(name)(weight=2.0)
    assert loss.space == ("boxes" if name.endswith("IoU") else "encoded")
    assert "weight=2.0" in repr(loss)


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: SmoothL1(beta=-1), "beta of SmoothL1 is -1"),
        (lambda: Wing(width=0), "width of Wing is 0"),
        (lambda: Wing(curvature=0), "curvature 0"),
        (lambda: GIoULoss(weight=-2), "weight of GIoULoss is -2"),
    ],
)
def test_wrong_numbers_are_told(make, words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        make()

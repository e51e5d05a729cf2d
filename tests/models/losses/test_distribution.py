import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from facezoo.errors import ConfigError
from facezoo.models.losses import DistributionFocal


def batch(seed: int, bins: int, count: int = 6) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    prediction = torch.randn(2, count, 4 * bins, generator=generator) * 3
    target = torch.rand(2, count, 4, generator=generator) * (bins + 1) - 1  # some out of reach
    return prediction, target


@settings(max_examples=50, deadline=None)
@given(st.integers(0, 2**31), st.integers(2, 17), st.booleans())
def test_distribution_focal_equals_a_loop(seed: int, bins: int, whole: bool) -> None:
    prediction, target = batch(seed, bins)
    if whole:
        target = target.round()
    loss = DistributionFocal()(prediction, target, torch.ones(2, 6, dtype=torch.bool))
    for b in range(2):
        for n in range(6):
            total = 0.0
            for side in range(4):
                row = prediction[b, n, side * bins : (side + 1) * bins].double().tolist()
                norm = math.log(sum(math.exp(value) for value in row))
                y = min(max(float(target[b, n, side]), 0.0), bins - 1 - 0.01)
                i = int(y)
                total -= (i + 1 - y) * (row[i] - norm) + (y - i) * (row[i + 1] - norm)
            assert float(loss[b, n]) == pytest.approx(total / 4, rel=1e-4, abs=1e-5)


def test_the_least_loss_has_its_mean_at_the_target() -> None:
    """Equation 6: the optimum puts each neighbour's share on it."""
    target = torch.tensor([[[0.25, 1.5, 2.0, 3.75]]])
    prediction = torch.zeros(1, 1, 20, requires_grad=True)
    optimizer = torch.optim.LBFGS([prediction], max_iter=200, tolerance_grad=1e-9)

    def closure() -> torch.Tensor:
        optimizer.zero_grad()
        loss = DistributionFocal()(prediction, target, torch.ones(1, 1)).sum()
        loss.backward()
        return loss

    for _ in range(5):
        optimizer.step(closure)
    shares = prediction.detach().unflatten(-1, (4, 5)).softmax(dim=-1)
    torch.testing.assert_close(shares @ torch.arange(5.0), target, atol=0.01, rtol=0)


def test_what_is_not_selected_does_not_matter() -> None:
    prediction, target = batch(0, bins=8)
    mask = torch.rand(2, 6, generator=torch.Generator().manual_seed(1)) > 0.5
    clean = DistributionFocal()(prediction, target, mask)
    target = torch.where(mask.unsqueeze(-1), target, torch.nan)
    prediction = torch.where(mask.unsqueeze(-1), prediction, torch.nan).requires_grad_()
    values = DistributionFocal()(prediction, target, mask)
    values.sum().backward()
    assert torch.equal(values, clean)
    assert (values[~mask] == 0).all()
    assert (values[mask] > 0).all()
    assert prediction.grad.isfinite().all()
    assert (prediction.grad[~mask] == 0).all()


def test_mask_and_weight_are_factors() -> None:
    prediction, target = batch(2, bins=4)
    ones = DistributionFocal()(prediction, target, torch.ones(2, 6))
    factor = torch.rand(2, 6, generator=torch.Generator().manual_seed(1))
    torch.testing.assert_close(DistributionFocal()(prediction, target, factor), ones * factor)
    heavy = DistributionFocal(weight=1.5)
    torch.testing.assert_close(heavy(prediction, target, factor), 1.5 * ones * factor)


def test_extreme_logits_are_finite_with_finite_gradients() -> None:
    prediction = torch.tensor([1e4, -1e4] * 8).view(1, 1, 16).requires_grad_()
    target = torch.tensor([[[-5.0, 0.0, 2.5, 1e6]]])
    values = DistributionFocal()(prediction, target, torch.ones(1, 1))
    values.sum().backward()
    assert values.isfinite().all()
    assert prediction.grad.isfinite().all()


def test_half_precision_is_computed_in_float32() -> None:
    prediction, target = batch(3, bins=16)
    half, mask = prediction.bfloat16(), torch.ones(2, 6)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        values = DistributionFocal()(half, target, mask)
    assert values.dtype == torch.float32
    torch.testing.assert_close(values, DistributionFocal()(half.float(), target, mask))


@pytest.mark.slow
def test_compiled_equals_eager() -> None:
    prediction, target = batch(4, bins=16)
    mask = torch.rand(2, 6, generator=torch.Generator().manual_seed(1)).round()
    compiled = torch.compile(DistributionFocal(), fullgraph=True, backend="aot_eager")
    expected = DistributionFocal()(prediction, target, mask)
    torch.testing.assert_close(compiled(prediction, target, mask), expected)


@pytest.mark.parametrize("numbers", [4, 6])
def test_a_prediction_of_another_width_is_refused(numbers: int) -> None:
    with pytest.raises(ValueError, match="at least two bins for each of four sides"):
        DistributionFocal()(torch.zeros(1, 2, numbers), torch.zeros(1, 2, 4), torch.ones(1, 2))


def test_a_wrong_number_is_told() -> None:
    with pytest.raises(ConfigError, match="weight of DistributionFocal is -1"):
        DistributionFocal(weight=-1)

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from facezoo.models.assigners import best_priors as search
from facezoo.models.assigners.best_priors import best_priors, gather_class, gather_priors, is_inside


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 2**31),
    priors=st.sampled_from([1, 7, 63, 64, 65, 300, 1000]),
    count=st.integers(1, 13),
    values=st.sampled_from([2, 5, 10**6]),
)
def test_best_priors_equal_a_sort_of_all(seed: int, priors: int, count: int, values: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    table = torch.randint(values, (2, 5, priors), generator=generator).float()
    table = torch.where(torch.rand(table.shape, generator=generator) < 0.3, -torch.inf, table)

    def measure(part: slice, prior: torch.Tensor) -> torch.Tensor:
        rows = table[:, part]
        return rows.gather(-1, prior.expand(-1, rows.shape[1], -1))

    value, prior = best_priors(measure, torch.zeros(2, 5, 4), priors, count)
    for b in range(2):
        for g in range(5):
            row = table[b, g].tolist()
            expected = sorted(range(priors), key=lambda n: (-row[n], n))[:count]
            found = [n for n, v in zip(prior[b, g].tolist(), value[b, g].tolist(), strict=True)]
            finite = [n for n in expected if row[n] > -torch.inf]
            assert found[: len(finite)] == finite
            assert value[b, g, : len(finite)].tolist() == [row[n] for n in finite]
            assert (value[b, g, len(finite) :] == -torch.inf).all()
            assert max(found) < priors


def test_no_table_of_all_pairs_is_held(monkeypatch: pytest.MonkeyPatch) -> None:
    largest = 0

    def measure(part: slice, prior: torch.Tensor) -> torch.Tensor:
        nonlocal largest
        pairs = torch.zeros(2, len(range(200)[part]), prior.shape[-1])
        largest = max(largest, pairs.numel())
        return pairs

    monkeypatch.setattr(search, "_CHUNK", 4000)
    value, _ = best_priors(measure, torch.zeros(2, 200, 4), priors=1000, count=3)
    assert value.shape == (2, 200, 3)
    assert 0 < largest <= 4000


def test_take_priors_and_take_class_gather_what_is_asked_for() -> None:
    values = torch.arange(2 * 4 * 3.0).view(2, 4, 3)
    prior = torch.tensor([[[3, 0]], [[1, 1]]])
    taken = gather_priors(values, prior)
    assert taken.tolist() == [[[[9, 10, 11], [0, 1, 2]]], [[[15, 16, 17], [15, 16, 17]]]]
    label = torch.tensor([[[2], [0]], [[1], [1]]])  # two faces beside two priors
    assert gather_class(taken, label).tolist() == [[[11, 2], [9, 0]], [[16, 16], [16, 16]]]


def test_an_edge_is_not_inside() -> None:
    box = torch.tensor([0.0, 0, 4, 4])
    points = torch.tensor([[2.0, 2], [0, 2], [2, 4], [5, 2]])
    assert is_inside(points, box).tolist() == [True, False, False, False]

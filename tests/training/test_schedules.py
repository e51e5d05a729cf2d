import math
from collections.abc import Callable

import pytest

from facezoo.errors import ConfigError
from facezoo.training.optim import Cosine, Linear, Schedule, Step


@pytest.mark.parametrize("progress", [0.0, 0.1, 0.25, 0.5, 0.99, 1.0])
def test_cosine_is_half_a_cosine(progress: float) -> None:
    expected = math.cos(math.pi * progress / 2) ** 2
    assert Cosine().factor(progress) == pytest.approx(expected, abs=1e-12)


def test_cosine_ends_at_final() -> None:
    assert Cosine(warmup=0.1, final=0.05).factor(1.0) == pytest.approx(0.05)


@pytest.mark.parametrize("progress", [0.0, 0.3, 1.0])
def test_linear_is_a_line(progress: float) -> None:
    assert Linear(final=0.2).factor(progress) == pytest.approx(1 - 0.8 * progress)


@pytest.mark.parametrize("schedule", [Cosine(0.2), Linear(0.2), Step([0.7], warmup=0.2)])
def test_warmup_rises_linearly_then_starts_at_one(schedule: Cosine) -> None:
    assert [schedule.factor(x) for x in (0.0, 0.05, 0.1)] == pytest.approx([0, 0.25, 0.5])
    assert schedule.factor(0.2) == pytest.approx(1)


def test_step_counts_milestones_of_the_whole_run() -> None:
    schedule = Step([0.55, 0.68], gamma=0.1, warmup=0.05)
    values = [schedule.factor(x) for x in (0.5, 0.55, 0.6, 0.68, 1.0)]
    assert values == pytest.approx([1, 0.1, 0.1, 0.01, 0.01])


@pytest.mark.parametrize("warmup", [-0.1, 1.0, 500])
def test_warmup_is_a_share(warmup: float) -> None:
    with pytest.raises(ConfigError, match="share of the run"):
        Cosine(warmup=warmup)


@pytest.mark.parametrize("milestones", [[0.7, 0.5], [0.5, 1.0], [100, 200]])
def test_milestones_are_rising_shares(milestones: list[float]) -> None:
    with pytest.raises(ConfigError, match="milestones"):
        Step(milestones)


def test_a_setting_moves_linearly_in_the_warm_up_and_stays_exact_behind_it() -> None:
    schedule = Cosine(0.2)
    values = [schedule.warmed_up(0.8, 0.937, x) for x in (0.0, 0.05, 0.1, 0.2, 0.9)]
    assert values[:3] == pytest.approx([0.8, 0.83425, 0.8685])
    assert values[3:] == [0.937, 0.937]
    assert schedule.warmed_up(None, 0.937, 0.0) == 0.937


@pytest.mark.parametrize("kind", [Cosine, Linear, lambda **a: Step([0.5], **a)])
def test_every_schedule_takes_the_warm_ups(kind: Callable[..., Schedule]) -> None:
    schedule = kind(warmup=0.1, warmup_momentum=0.8, warmup_bias_lr=0.1)
    assert (schedule.warmup_momentum, schedule.warmup_bias_lr) == (0.8, 0.1)
    assert kind().warmup_momentum is None and kind().warmup_bias_lr is None


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ({"warmup_momentum": 0.8}, "warmup_momentum is 0.8, but warmup is 0"),
        ({"warmup_bias_lr": 0.1}, "warmup_bias_lr is 0.1, but warmup is 0"),
        ({"warmup": 0.1, "warmup_momentum": 1.0}, "warmup_momentum is 1.0; give 0 or more, under"),
        ({"warmup": 0.1, "warmup_bias_lr": -0.1}, "warmup_bias_lr is -0.1; give 0 or more"),
    ],
)
def test_warm_ups_that_make_no_sense(arguments: dict[str, float], sentence: str) -> None:
    with pytest.raises(ConfigError, match=sentence):
        Cosine(**arguments)

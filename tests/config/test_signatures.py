"""What the signature of a class lets a config say."""

from __future__ import annotations

import enum
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Optional

import pytest

from facezoo.config.signatures import buildable, check_value, hint_text, holds_parts, signature_of
from facezoo.errors import ConfigError

if TYPE_CHECKING:
    from torch import Tensor


class Colour(enum.Enum):
    RED = "red"


class Part:
    """Something a mapping can describe."""


ACCEPTED = [
    (3, int, 3),
    (3, float, 3.0),
    (None, int | None, None),
    ([1, 2], tuple[int, int], (1, 2)),
    ([[1, 2]], list[tuple[int, ...]], [(1, 2)]),
    ([1, 2.5], Sequence[float], [1.0, 2.5]),
    ("a/b", Path, Path("a/b")),
    ("a/b", bool | Path, Path("a/b")),
    (True, bool | Path, True),
    ([3, 4], int | tuple[int, int], (3, 4)),
    ({8: [16, 32]}, dict[int, list[float]], {8: [16.0, 32.0]}),
    ("red", Colour, Colour.RED),
    ("bgr", Literal["bgr", "rgb"], "bgr"),
    ({"a": object}, Any, {"a": object}),
]
REFUSED = [
    ("128", int, "takes int, not '128'"),
    (True, int, "takes int, not true"),
    (True, float, "takes float, not true"),
    (1.0, int, "takes int, not 1.0"),
    (None, int, "takes int, not null"),
    (1, bool, "takes bool, not 1"),
    (3, str, "takes str, not 3"),
    ([1, "2"], tuple[int, int], "takes tuple[int, int], not [1, '2']: at 1, '2' should be a valid"),
    ([1], tuple[int, int], "takes tuple[int, int], not [1]"),
    ({"8": [1]}, dict[int, list[float]], "takes dict[int, list[float]], not {'8': [1]}"),
    ("gray", Literal["bgr", "rgb"], "takes 'bgr' | 'rgb', not 'gray'"),
    ("x", Optional[int], "takes int | null, not 'x'"),  # noqa: UP045 - both ways of writing it
    (3, Path, "takes Path, not 3"),
    ("x", Part, "takes Part, not 'x'"),
    ("abc", Sequence[str], "takes Sequence[str], not 'abc'"),
]


@pytest.mark.parametrize(("value", "hint", "expected"), ACCEPTED)
def test_accepted(value: Any, hint: Any, expected: Any) -> None:
    checked, complaint = check_value(value, hint)
    assert complaint == ""
    assert checked == expected
    assert type(checked) is type(expected)


@pytest.mark.parametrize(("value", "hint", "sentence"), REFUSED)
def test_refused(value: Any, hint: Any, sentence: str) -> None:
    assert check_value(value, hint)[1].startswith(sentence)


def test_signature_lists_arguments_as_written() -> None:
    class Convolution:
        def __init__(self, channels: int, act: str | None = None, sizes: Sequence[int] = (3,)):
            """Nothing."""

    signature = signature_of(Convolution)
    assert str(signature) == "channels: int, act: str | null = null, sizes: Sequence[int] = (3,)"
    assert [argument.required for argument in signature.arguments.values()] == [True, False, False]
    assert not signature.is_open


def test_signature_of_dataclass_of_plain_class_and_of_new() -> None:
    @dataclass(frozen=True)
    class Point:
        x: int
        y: int = 0

    class Made:
        def __new__(cls, name: str, **arguments: float) -> Part:
            return Part()

    assert list(signature_of(Point).arguments) == ["x", "y"]
    assert str(signature_of(Part)) == "none"
    made = signature_of(Made)
    assert list(made.arguments) == ["name"]
    assert made.is_open
    assert made.rest is float


def test_hint_that_exists_for_type_checkers_only_is_named() -> None:
    class Blind:
        def __init__(self, image: Tensor) -> None:
            """Nothing."""

    with pytest.raises(ConfigError, match=r"Blind's type hints cannot be read.*'Tensor'"):
        signature_of(Blind)


def test_what_a_mapping_can_describe() -> None:
    assert buildable(Part)
    assert not any(
        buildable(one) for one in (int, str, Path, Colour, list, dict, object, list[Part], Any)
    )
    assert holds_parts(dict[str, list[Part | None]])
    assert holds_parts(list) is False
    assert not holds_parts(dict[str, Literal["a"]])


def test_hint_text_is_short() -> None:
    assert hint_text(dict[str, Path] | None) == "dict[str, Path] | null"
    assert hint_text(Part) == "Part"

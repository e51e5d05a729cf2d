"""Sizes worked out by hand, and every way to write a protocol."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from facezoo.errors import ConfigError
from facezoo.inference.protocols import Protocol, parse_protocol

SIZES = st.tuples(st.integers(1, 5000), st.integers(1, 5000))


@pytest.mark.parametrize(
    ("protocol", "size_hw", "expected_hw"),
    [
        ("original", (683, 1024), (683, 1024)),
        ("vga", (683, 1024), (427, 640)),
        ("vga", (1024, 683), (640, 427)),
        ("vga", (100, 320), (200, 640)),
        ("vga", (1, 4000), (1, 640)),
        ("short1600", (800, 1000), (1600, 2000)),
        ("short1600", (768, 1024), (1600, 2133)),
        ("short1600", (683, 1024), (1434, 2150)),
        ("short1600", (3200, 3200), (1600, 1600)),
        ("long:960", (480, 320), (960, 640)),
        ({"short": 300}, (600, 1200), (300, 600)),
        ("fixed:320", (600, 1200), (320, 320)),
        ("fixed:640x480", (600, 1200), (480, 640)),
        ({"fixed": [640, 480]}, (600, 1200), (480, 640)),
    ],
)
def test_target_size(
    protocol: str | dict, size_hw: tuple[int, int], expected_hw: tuple[int, int]
) -> None:
    assert parse_protocol(protocol).target_size_hw(size_hw) == expected_hw


@given(SIZES)
def test_short1600_keeps_both_bounds(size_hw: tuple[int, int]) -> None:
    height, width = parse_protocol("short1600").target_size_hw(size_hw)
    assert max(height, width) <= 2150 and min(height, width) <= 1600
    assert max(height, width) == 2150 or min(height, width) == 1600


@pytest.mark.parametrize(
    "name", ["original", "vga", "short1600", "long:960", "short:800", "fixed:320", "fixed:640x480"]
)
def test_name_reads_back(name: str) -> None:
    protocol = parse_protocol(name)
    assert protocol.name() == name
    assert parse_protocol(protocol.name()) == protocol == parse_protocol(protocol)


def test_a_mapping_is_the_named_protocol_it_equals() -> None:
    assert parse_protocol({"long": 640}).name() == "vga"
    assert parse_protocol({"long": 640}) == Protocol("long", (640, 640))


@pytest.mark.parametrize(
    ("value", "sentence"),
    [
        ("vag", "'vag' is unknown. Did you mean 'vga'?"),
        ("orignal", "Did you mean 'original'?"),
        ("medium", "There are original, vga, short1600, multiscale, long:N"),
        ("lnog:640", "Did you mean 'long'?"),
        ("long", "'long' is unknown"),
        ("long:wide", "has the size 'wide'"),
        ("long:0", "has the size '0'"),
        ("long:-3", "has the size '-3'"),
        ("long:640x480", "has the size '640x480'"),
        ("fixed:640x", "give it pixels such as 640 or 640x480"),
        ({"long": True}, "has the size True"),
        ({"long": 640.5}, "has the size 640.5"),
        ({"fixed": []}, "has the size []"),
        ({}, "unknown"),
        ({"long": 1, "short": 2}, "unknown"),
    ],
)
def test_bad_protocols(value: str | dict, sentence: str) -> None:
    with pytest.raises(ConfigError) as error:
        parse_protocol(value)
    assert sentence in str(error.value)


def test_multiscale_is_ten_views() -> None:
    protocol = parse_protocol("multiscale")
    assert protocol.name() == "multiscale"
    sides = [
        (scale.target_size_hw((683, 1024))[0], mirrored) for scale, mirrored in protocol.views()
    ]
    assert sides == [(s, m) for s in (500, 800, 1100, 1400, 1700) for m in (False, True)]
    assert parse_protocol("vga").views() == [(parse_protocol("vga"), False)]


@pytest.mark.parametrize(
    "value",
    [
        {"views": []},
        {"views": "long:640"},
        {"views": ["long:640"], "mirror": 1},
        {"views": ["long:640"], "flip": True},
        {"views": ["multiscale"]},
        {"views": ["long:x"]},
    ],
)
def test_views_that_are_none(value: dict) -> None:
    with pytest.raises(ConfigError) as caught:
        parse_protocol(value)
    assert "\n" not in str(caught.value)

"""Sizes worked out by hand, and every way to write a protocol."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from facezoo.builder import build_model
from facezoo.config.config import load_config
from facezoo.errors import ConfigError
from facezoo.inference.detector import Detector
from facezoo.inference.protocols import Protocol, configured_protocol, parse_protocol

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
        ("vag", "'vag' is unknown (did you mean 'vga'"),
        ("orignal", "did you mean 'original'"),
        ("medium", "There are original, vga, short1600, multiscale, long:N"),
        ("lnog:640", "did you mean 'long'"),
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


OWN = """
_BASE_: tiny_test
evaluation:
  protocols:
    crowd: {views: [long:1280, long:1920], mirror: true}
    small: long:320
  protocol: crowd
"""


def test_a_config_names_protocols_of_its_own() -> None:
    config = load_config(OWN)
    crowd = configured_protocol(config)
    assert crowd == parse_protocol({"views": ["long:1280", "long:1920"], "mirror": True})
    assert crowd.name() == "crowd"
    assert crowd.definition() == "views long:1280, long:1920, each also mirrored"
    assert configured_protocol(config, "small") == parse_protocol("long:320")
    for asked in ("vga", {"short": 300}, Protocol("original")):
        built_in = configured_protocol(config, asked)
        assert built_in == parse_protocol(asked) and built_in.name() == built_in.definition()


def test_an_override_adds_a_protocol_and_takes_one_away() -> None:
    overrides = ["evaluation.protocols.near={views: [long:640, vga]}", "evaluation.protocol=near"]
    near = configured_protocol(load_config("tiny_test", overrides))
    assert (near.name(), near.definition()) == ("near", "views vga, vga")
    less = load_config(OWN, ["evaluation.protocols.small=null"])
    with pytest.raises(ConfigError, match="'small' is unknown"):
        configured_protocol(less, "small")


def test_names_of_ones_own_stand_wherever_built_in_ones_do() -> None:
    # Each is used before the file comes to it.
    mapping = "{both: {views: [near, vga, tiny]}, near: other, other: long:960, tiny: short:100}"
    config = load_config("tiny_test", [f"evaluation.protocols={mapping}"])
    both = configured_protocol(config, "both")
    assert both == parse_protocol({"views": ["long:960", "long:640", "short:100"]})
    assert (both.name(), both.definition()) == ("both", "views long:960, vga, short:100")
    assert configured_protocol(config, "near").name() == "near"
    assert configured_protocol(config, {"views": ["tiny"]}).definition() == "views short:100"


def test_the_detector_says_the_name_and_what_it_stands_for() -> None:
    detector = Detector(build_model("tiny_test"), protocol=configured_protocol(load_config(OWN)))
    described = detector.describe()
    assert described["protocol"] == "crowd"
    assert described["protocol_definition"] == "views long:1280, long:1920, each also mirrored"
    plain = Detector(build_model("tiny_test"), protocol="vga").describe()
    assert plain["protocol"] == "vga" and "protocol_definition" not in plain


@pytest.mark.parametrize(
    ("override", "asked", "sentence"),
    [
        ("evaluation.protocol=crwod", None, "evaluation.protocol: The protocol 'crwod' is unknown"),
        ("evaluation.protocol=crwod", None, "did you mean 'crowd'?). There are original, vga"),
        ("evaluation.protocol=x", None, "multiscale, crowd, small, long:N"),
        ("evaluation.protocol=crowd", "smal", "The protocol 'smal' is unknown (did you mean"),
        ("evaluation.protocols.vga=long:9", None, "evaluation.protocols.vga: 'vga' is a protocol"),
        ("evaluation.protocols.long=long:9", "vga", "evaluation.protocols.long: 'long' is a"),
        ("evaluation.protocols.a=long:x", "vga", "evaluation.protocols.a: The protocol 'long' has"),
        ("evaluation.protocols.a=7", None, "evaluation.protocols.a: The protocol '7' is a size al"),
        ("evaluation.protocols.a=320", None, "say of what: long:640 or short:640 for a side"),
        (
            "evaluation.protocols.a=[long:320]",
            None,
            "a: The protocol ['long:320'] is a list; write",
        ),
        ("evaluation.protocols.a={views: [320]}", None, "a: The protocol '320' is a size alone"),
        ("evaluation.protocol={a: 320}", None, "of one's own is given under evaluation.protocols"),
        ("evaluation.protocols.a={views: [crowd]}", None, "a: The protocol {'views': ['crowd']} h"),
        (
            "evaluation.protocols.small=small",
            None,
            "small: it is defined by itself (small -> small)",
        ),
        ("evaluation.protocols.small={views: [small]}", "vga", "by itself (small -> small); give"),
        ("evaluation.protocols={a: b, b: {views: [c]}, c: a}", "vga", "it is defined by itself (a"),
        ("evaluation.protocols={a: {views: [b]}, b: long:x, crowd: vga}", None, "protocols.b: The"),
        ("evaluation.protocols.a:b=vga", None, "'a:b' is no name of a protocol"),
    ],
)
def test_a_wrong_protocol_of_a_config_is_one_sentence(
    override: str, asked: str | None, sentence: str
) -> None:
    with pytest.raises(ConfigError) as caught:
        configured_protocol(load_config(OWN, [override]), asked)
    assert len(caught.value.problems) == 1 and sentence in str(caught.value)
    assert "\n" not in str(caught.value)
    assert (asked == "smal") or str(caught.value).endswith("(command line)")


def test_all_wrong_protocols_are_said_at_once() -> None:
    config = load_config(OWN, ["evaluation.protocols.a=b", "evaluation.protocols.c=long"])
    with pytest.raises(ConfigError) as caught:
        configured_protocol(config)
    assert [one.partition(":")[0] for one in caught.value.problems] == [
        "evaluation.protocols.a",
        "evaluation.protocols.c",
    ]

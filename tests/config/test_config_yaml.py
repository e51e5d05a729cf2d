"""YAML 1.2 scalars with their lines, refusals, and the way back to text."""

import math
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from facezoo.config.yaml_tree import (
    Origin,
    flat,
    from_plain,
    parse_yaml,
    read_yaml,
    scalar,
    to_plain,
    to_text,
)
from facezoo.errors import ConfigError

SCALARS = [
    ("1e-3", 0.001),
    ("1E5", 1e5),
    ("-.5", -0.5),
    ("+12", 12),
    ("010", 10),
    ("0o10", 8),
    ("0x1F", 31),
    (".inf", math.inf),
    ("-.INF", -math.inf),
    ("no", "no"),
    ("on", "on"),
    ("y", "y"),
    ("true", True),
    ("FALSE", False),
    ("null", None),
    ("~", None),
    ("", None),
    ("1:30", "1:30"),
    ("1_000", "1_000"),
    ("2024-01-02", "2024-01-02"),
    ("'1'", "1"),
    ("!!str 5", "5"),
]


@pytest.mark.parametrize(("text", "expected"), SCALARS)
def test_scalars_are_those_of_yaml_1_2(text: str, expected: Any) -> None:
    value = to_plain(parse_yaml(f"key: {text}", "x"))["key"]
    assert value == expected
    assert type(value) is type(expected)
    if "'" not in text and "!" not in text:
        assert scalar(text) == expected


def test_not_a_number() -> None:
    assert math.isnan(to_plain(parse_yaml(".nan", "x")))


def test_every_value_knows_its_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("a.yaml").write_text("# comment\na: 1\nb:\n  - 2\n  -\n    c: 3\n  - {d: 4,\n     e: 5}\n")
    root = read_yaml(tmp_path / "a.yaml")
    items = root.value["b"].value
    lines = [
        root.value["a"],
        root.value["b"],
        items[0],
        items[1].value["c"],
        items[2].value["d"],
        items[2].value["e"],
    ]
    assert [str(node.origin) for node in lines] == [f"a.yaml:{line}" for line in (2, 3, 4, 6, 7, 8)]


REFUSED = [
    ("a: 1\nb: 2\na: 3\n", r"x:3: the key 'a' was given before, at x:1"),
    ("a: !!python/object/apply:os.getcwd []", r"x:1: the YAML tag .*os\.getcwd' is refused"),
    ("a: !secret 3", "tag '!secret' is refused"),
    ("a: [1, 2", "x:1: this is not valid YAML"),
    ("a: 1\n\tb: 2", "x:2: this is not valid YAML"),
    ("a: &x [*x]", "x:1: a YAML alias is inside of what it stands for"),
    ("1.5: 2", "x:1: the key 1.5 is no name or whole number"),
    ("true: 2", "x:1: the key True is no name or whole number"),
    ("a: &b {c: 1}\nd:\n  <<: *b\n", "x:3: '<<' is not read here"),
    ("a: !!int word", "x:1: 'word' is no int"),
    ("a: 1\n---\nb: 2\n", "this is not valid YAML"),
]


@pytest.mark.parametrize(("text", "sentence"), REFUSED)
def test_refused(text: str, sentence: str) -> None:
    with pytest.raises(ConfigError, match=sentence):
        parse_yaml(text, "x")


def test_alias_is_a_copy() -> None:
    data = to_plain(parse_yaml("a: &x {b: [1]}\nc: *x", "x"))
    data["a"]["b"].append(2)
    assert data["c"] == {"b": [1]}


def test_file_that_is_no_text(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ConfigError, match=r"a\.yaml cannot be read as a config"):
        read_yaml(tmp_path / "a.yaml")


def test_only_plain_values_make_a_config() -> None:
    assert to_plain(from_plain({"a": (1, Path("b"))}, Origin())) == {"a": [1, "b"]}
    with pytest.raises(ConfigError, match=r"a\.0: a config holds plain values, and this is a set"):
        from_plain({"a": [{1}]}, Origin())


texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
words = st.sampled_from(["no", "on", "1e-3", "null", "~", "", "1:30", "0x1", "- a", "a: b", "#"])
leaves = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | texts | words
trees = st.recursive(
    leaves,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(texts.filter(lambda key: key != "<<") | st.integers(), inner, max_size=3)
    ),
)


@given(st.dictionaries(texts.filter(lambda key: key != "<<"), trees, max_size=4), st.booleans())
def test_text_reads_back_as_what_it_was_made_of(data: dict, origins: bool) -> None:
    text = to_text(from_plain(data, Origin("here")), origins)
    assert to_plain(parse_yaml(text, "x")) == (data or None)


@given(words | texts)
def test_strings_stay_strings_for_other_readers_too(text: str) -> None:
    written = to_text(from_plain({"key": text}, Origin()), origins=False)
    assert yaml.safe_load(written) == {"key": text}


def test_a_config_becomes_flat() -> None:
    config = {
        "model": {"anchors": {8: [16, 32]}, "extra": {}},
        "transforms": [{"type": "Flip", "p": 0.5}, {"type": "Crop"}],
        "imports": [],
        "seed": None,
    }
    assert flat(config) == {
        "model.anchors.8": [16, 32],
        "model.extra": {},
        "transforms.0.type": "Flip",
        "transforms.0.p": 0.5,
        "transforms.1.type": "Crop",
        "imports": [],
        "seed": None,
    }

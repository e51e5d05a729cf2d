"""Parts of a data set are the same everywhere, and what was asked for."""

from __future__ import annotations

import random
from fractions import Fraction
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from facezoo.datatools.split import divide, parse_parts, split_images
from facezoo.errors import ConfigError, DataError, FacezooError

NAMES = [f"{event}--E/{event}_{i}.jpg" for event in range(20) for i in range(1 + 7 * event % 13)]
PARTS = parse_parts("train=0.8,val=0.2")


def events(names: list[str]) -> set[str]:
    return {name.split("/")[0] for name in names}


@given(order=st.randoms(use_true_random=False), seed=st.integers(0, 99))
def test_order_changes_nothing(order: random.Random, seed: int) -> None:
    shuffled = NAMES.copy()
    order.shuffle(shuffled)
    for by in ("event", "image"):
        assert divide(shuffled, PARTS, by=by, seed=seed) == divide(NAMES, PARTS, by=by, seed=seed)


def test_known_answer() -> None:
    """The same on every machine, so it may be written down here."""
    names = [f"{letter}/{number}.jpg" for letter in "ab" for number in range(3)]
    assert divide(names, parse_parts("x=0.5,y=1/3"), seed=3) == {
        "x": ["a/2.jpg", "b/1.jpg", "b/2.jpg"],
        "y": ["a/0.jpg", "b/0.jpg"],
    }


@given(
    seed=st.integers(0, 10**6),
    shares=st.lists(st.integers(1, 9), min_size=1, max_size=4),
    number=st.integers(30, len(NAMES)),
)
def test_by_image_meets_the_shares(seed: int, shares: list[int], number: int) -> None:
    parts = {f"p{i}": Fraction(share, sum(shares)) for i, share in enumerate(shares)}
    divided = divide(NAMES, parts, number=number, seed=seed)
    together = [name for names in divided.values() for name in names]
    assert len(together) == len(set(together)) == number and set(together) <= set(NAMES)
    for name, share in parts.items():
        assert abs(len(divided[name]) - share * number) <= 1
        assert divided[name] == sorted(divided[name])


@given(seed=st.integers(0, 10**6))
def test_by_event_keeps_events_together(seed: int) -> None:
    divided = divide(NAMES, PARTS, by="event", seed=seed)
    assert not events(divided["train"]) & events(divided["val"])
    assert sorted(divided["train"] + divided["val"]) == sorted(NAMES)
    largest = max(sum(name.startswith(f"{event}/") for name in NAMES) for event in events(NAMES))
    assert abs(len(divided["val"]) - 0.2 * len(NAMES)) <= largest


def test_events_are_those_of_folders_within_folders() -> None:
    names = ["a/x.jpg", "a/b/y.jpg", "a/z.jpg", "top.jpg", "a/b/w.jpg", "c/v.jpg"]
    divided = divide(names, parse_parts("one=0.5,two=0.5"), by="event")
    for together in (["a/x.jpg", "a/z.jpg"], ["a/b/y.jpg", "a/b/w.jpg"]):
        assert sum(set(together) <= set(names) for names in divided.values()) == 1


def test_the_rest_and_other_seeds() -> None:
    for by in ("event", "image"):
        divided = divide(NAMES, parse_parts("a=0.3,b=0.2"), by=by)
        assert abs(sum(map(len, divided.values())) - 0.5 * len(NAMES)) <= 13
        assert divide(NAMES, PARTS, by=by, seed=1) != divide(NAMES, PARTS, by=by, seed=2)


def test_lists_are_written(tmp_path: Path) -> None:
    for name in ("e/1.jpg", "e/2.PNG", "f/3.jpg", "4.jpg", "notes.txt"):
        (tmp_path / "images" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "images" / name).touch()
    lists = split_images(tmp_path / "images", parse_parts("a=1/2,b=1/2"), tmp_path / "lists")
    lines = [line for path in lists for line in path.read_text().splitlines()]
    assert [path.name for path in lists] == ["a.txt", "b.txt"]
    assert sorted(lines) == ["4.jpg", "e/1.jpg", "e/2.PNG", "f/3.jpg"]
    with pytest.raises(DataError, match=r"a\.txt exists already"):
        split_images(tmp_path / "images", parse_parts("a=1"), tmp_path / "lists")


@pytest.mark.parametrize(
    "text, said",
    [
        ("train", "'train' is no name with a share"),
        ("a=0.5,a=0.5", "'a' is named twice"),
        ("a=x", "'a=x' is no name"),
        ("a=1/0", "'a=1/0' is no name"),
        ("a=0", "share of the part 'a' is 0"),
        ("a=0.7,b=0.4", "sum to 1.1"),
        ("../a=0.5", "cannot be the name of a list"),
        ("a=0.99,b=0.001", "The part 'b' of 128 images would be empty"),
    ],
)
def test_wrong_parts(text: str, said: str) -> None:
    with pytest.raises(FacezooError, match=said) as error:
        divide(NAMES, parse_parts(text))
    assert "\n" not in str(error.value)


def test_wrong_requests(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="is -1; give one above 0"):
        divide(NAMES, PARTS, number=-1)
    with pytest.raises(DataError, match="There are 128 images, fewer than the 129"):
        divide(NAMES, PARTS, number=129)
    with pytest.raises(DataError, match="too few events for its share; divide by image"):
        divide(["a/1.jpg", "a/2.jpg"], PARTS, by="event")
    with pytest.raises(ConfigError, match="not by 'face'"):
        divide(NAMES, PARTS, by="face")  # type: ignore[arg-type]
    with pytest.raises(DataError, match="does not exist"):
        split_images(tmp_path / "no", PARTS, tmp_path)
    with pytest.raises(DataError, match="holds no image"):
        split_images(tmp_path, PARTS, tmp_path)
    (tmp_path / "WIDER_val/images").mkdir(parents=True)
    with pytest.raises(DataError, match=r"name one of them, such as .*WIDER_val/images"):
        split_images(tmp_path, PARTS, tmp_path)

"""Options that come from the signatures of public functions."""

import argparse
import inspect
import typing
from pathlib import Path

import pytest

from facezoo.cli.options import REQUIRED, add_options, chosen, read_parameter
from facezoo.datatools.split import split_images
from facezoo.evaluation.evaluate import evaluate
from facezoo.inference.detector import Detector
from facezoo.runs.run import train

TRAIN = "facezoo.runs.run:train"
DETECTOR = "facezoo.inference.detector:Detector"
SPLIT = "facezoo.datatools.split:split_images"


@pytest.mark.parametrize(
    ("path", "function", "names"),
    [
        (TRAIN, train, ("config", "out", "init_from", "sample", "allow_imports")),
        (DETECTOR, Detector.__init__, ("protocol", "score_thresh", "device", "batch_size")),
        (SPLIT, split_images, ("root", "out", "by", "number", "seed")),
        ("facezoo.evaluation.evaluate:evaluate", evaluate, ("data", "weights", "batch_size")),
    ],
)
def test_a_parameter_is_that_of_the_function(path: str, function, names: tuple[str, ...]) -> None:
    signature, hints = inspect.signature(function), typing.get_type_hints(function)
    for name in names:
        read, real = read_parameter(path, name), signature.parameters[name]
        default = REQUIRED if real.default is inspect.Parameter.empty else real.default
        assert (eval(read.hint, function.__globals__), read.default) == (hints[name], default)
        assert read.help, name


def parser_of(function: str, *names: str, **options) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser()
    add_options(parser, function, *names, **options)
    return parser


def test_options_and_their_values() -> None:
    parser = parser_of(SPLIT, "out", "by", "number", seed="draw")
    add_options(parser, DETECTOR, "score_thresh", "batch_size", defaults={"score_thresh": 0.5})
    words = ["--out", "lists", "--by", "event", "--draw", "3"]
    assert chosen(parser.parse_args(words)) == {
        "out": Path("lists"),
        "by": "event",
        "number": None,
        "seed": 3,
        "score_thresh": 0.5,
        "batch_size": 8,
    }
    help_text = " ".join(parser.format_help().split())
    assert "--by {event,image}" in help_text
    assert "--score-thresh X lowest score of a face, by default the config's" in help_text
    assert "predicted together (default: 8)" in help_text
    assert "--draw N" in help_text and "(default: 0)" in help_text


def test_a_flag_takes_no_word() -> None:
    parser = parser_of(TRAIN, "sample")
    assert [chosen(parser.parse_args(words))["sample"] for words in ([], ["--sample"])] == [
        False,
        True,
    ]


@pytest.mark.parametrize("words", [[], ["--out", "lists", "--by", "year"], ["--out"]])
def test_wrong_words(words: list[str], capsys: pytest.CaptureFixture) -> None:
    with pytest.raises(SystemExit):
        parser_of(SPLIT, "out", "by").parse_args(words)
    assert "--out" in capsys.readouterr().err


@pytest.mark.parametrize("path", ["facezoo.runs.run:train", "facezoo.runs.run:trian"])
def test_no_such_parameter(path: str) -> None:
    with pytest.raises(LookupError, match=path.rpartition(":")[2]):
        read_parameter(path, "colour")

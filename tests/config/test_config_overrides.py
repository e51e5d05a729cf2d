"""Overrides of the command line: what they reach, and what they say where there is nothing."""

from typing import Any

import pytest

from facezoo.config.config import Config, load_config
from facezoo.errors import ConfigError

SOURCE = {
    "model": {
        "type": "A",
        "neck": {"type": "N", "channels": 8},
        "anchors": {8: [16, 32]},
        "pixels": {"order": "bgr"},
        "scales": {"backbone.stem": 1.0},
    },
    "data": {"train": {"dataset": {"type": "D"}, "transforms": [{"type": "T", "p": 0.5}]}},
    "hooks": {"ema": {"type": "EMA", "decay": 0.9}, "stop": None},
}


def load(*overrides: str) -> Config:
    return load_config(SOURCE, overrides)


@pytest.mark.parametrize(
    ("override", "path", "expected"),
    [
        ("model.neck.channels=128", "model.neck.channels", 128),
        ("model.neck.channels=1e-3", "model.neck.channels", 0.001),
        ("model.neck.type=no", "model.neck.type", "no"),
        ("model.neck=null", "model.neck", None),
        ("model.neck={channels: 3}", "model.neck", {"type": "N", "channels": 3}),
        ("model.neck={_delete_: true, type: N}", "model.neck", {"type": "N"}),
        ("model.neck={type: M}", "model.neck", {"type": "M"}),
        ("model.neck={type: M, width: 2}", "model.neck", {"type": "M", "width": 2}),
        ("model.neck.type=M", "model.neck", {"type": "M"}),
        ("model.anchors.8=[1]", "model.anchors", {8: [1]}),
        ("model.anchors.8.1=64", "model.anchors", {8: [16, 64]}),
        ("model.anchors.4=[8]", "model.anchors", {8: [16, 32], 4: [8]}),
        ("model.scales={backbone.stem: 2.0}", "model.scales", {"backbone.stem": 2.0}),
        ("data.train.transforms.0.p=0.3", "data.train.transforms.0.p", 0.3),
        ("data.root=/a b/c=d", "data.root", "/a b/c=d"),
        ("hooks.ema=null", "hooks.ema", None),
        ("hooks.stop={type: S}", "hooks.stop", {"type": "S"}),
        ("hooks.mine={type: M}", "hooks.mine", {"type": "M"}),
        ("schedule={type: Cosine}", "schedule", {"type": "Cosine"}),
        ("imports=[]", "imports", []),
        # not in the file, but checked by the signature of the part when it is built
        ("hooks.ema.warmup=3", "hooks.ema", {"type": "EMA", "decay": 0.9, "warmup": 3}),
        ("model.backbone.pretrained=false", "model.backbone", {"pretrained": False}),
        ("model.pixels.scale=255", "model.pixels", {"order": "bgr", "scale": 255}),
        # not in the file, but in the section
        ("train.max_steps=5", "train.max_steps", 5),
        ("evaluation.protocol={long: 800}", "evaluation.protocol", {"long": 800}),
    ],
)
def test_reaches(override: str, path: str, expected: Any) -> None:
    config = load(override)
    assert config[path] == expected
    if expected is not None and not isinstance(expected, dict):
        assert config.origin(path) == "command line"


@pytest.mark.parametrize(
    ("override", "sentence"),
    [
        ("modle.neck=3", "the config has no 'modle' (did you mean 'model'?); it has model, data"),
        ("train.sed=3", "'train' has no 'sed' (did you mean 'seed'?); it has epochs, max_steps"),
        ("hooks.emma=null", "'hooks' has no 'emma' (did you mean 'ema'?); it has ema, stop"),
        ("hooks.emma.decay=1", "'hooks' has no 'emma' (did you mean 'ema'?); it has ema, stop"),
        ("hooks.stop.patience=3", "'hooks.stop' is null and has no 'patience'; set 'hooks.stop'"),
        ("train.seed.x=3", "'train.seed' is 0 and has no 'x'"),
        ("data.train.transforms.3.p=1", "'data.train.transforms' has 1 entries, 0 to 0"),
        ("data.train.transform.0.p=1", "'data.train' has no 'transform' (did you mean"),
        ("optimiser={type: X}", "the config has no 'optimiser'"),
        ("_BASE_=x.yaml", "the config has no '_BASE_'"),
        ("train.seed", "'train.seed' is no override: write key=value"),
        ("=3", "'=3' is no override"),
        ("train.seed=", "'train.seed=' has no value: write train.seed=null"),
        ("train.seed=[1", "command line: this is not valid YAML"),
        ("train.seed=no", "train.seed: takes int, not 'no' (command line)"),
    ],
)
def test_says_that_the_command_line_is_wrong(override: str, sentence: str) -> None:
    with pytest.raises(ConfigError) as error:
        load(override)
    assert sentence in str(error.value)
    assert "command line" in str(error.value)
    assert len(error.value.problems) == 1


def test_type_first_then_arguments() -> None:
    config = load("model.neck.type=M", "model.neck.width=2", "model.neck={depth: 3}")
    assert config["model.neck"] == {"type": "M", "width": 2, "depth": 3}
    assert (
        "    type: M  # command line, in place of N, whose arguments are dropped"
        in config.to_yaml(origins=True).splitlines()
    )
    with pytest.raises(ConfigError) as error:
        load("model.neck.width=2", "model.neck.type=M")
    assert error.value.problems == [
        "command line: 'model.neck.width=2' is dropped by a later override that changes the "
        "type: give it after that one"
    ]
    assert load("model.neck.width=2", "model.neck=null")["model.neck"] is None


def test_the_last_of_two_wins_and_the_source_stays() -> None:
    assert load("train.seed=1", "train.seed=2")["train.seed"] == 2
    assert SOURCE["hooks"] == {"ema": {"type": "EMA", "decay": 0.9}, "stop": None}

"""References inside a config and into the environment."""

from typing import Any

import pytest

from facezoo.config.config import load_config
from facezoo.errors import ConfigError


def value(text: Any, *overrides: str, **model: Any) -> Any:
    config = load_config({"model": {"x": text, **model}, "data": {"image_size": 320}}, overrides)
    return config["model.x"]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("${data.image_size}", 320),
        ("${data.image_size} px", "320 px"),
        ("${train.compile}", False),
        ("${data.root}", None),
        ("${model.anchors.8}", [16, 32]),
        ("${model.anchors}", {8: [16, 32]}),
        ("${model.again}", 320),
        ("${.again}", 320),
        ("${.list.0}", [16, 32]),
        ("${.list.0.1} px", "32 px"),
        ("${.copied.8.0}", 16),
        ("${model.longer}", "320 by 320"),
        (["${data.image_size}", 2], [320, 2]),
    ],
)
def test_references_keep_types(text: Any, expected: Any) -> None:
    found = value(
        text,
        anchors={8: [16, 32]},
        again="${data.image_size}",
        longer="${model.again} by ${.again}",
        copied="${model.anchors}",
        list=["${..anchors.8}"],
    )
    assert found == expected
    assert type(found) is type(expected)


def test_overrides_come_first() -> None:
    assert value("${data.image_size}", "data.image_size=64") == 64
    assert value(1, "model.x=${data.image_size}") == 320


@pytest.mark.parametrize(
    ("text", "variable", "expected"),
    [
        ("${env:FACES,data/widerface}", None, "data/widerface"),
        ("${env:FACES,~/a b}", None, "~/a b"),
        ("${env:FACES,data/widerface}", "/else", "/else"),
        ("${env:FACES}", "/else", "/else"),
        ("${env:FACES, 4}", None, 4),
        ("${env:FACES,4}", "8", 8),
        ("${env:FACES,4}", "1e-3", 0.001),
        ("${env:FACES,null}", None, None),
        ("${env:FACES,data}/train", "007", "007/train"),
        ("${env:FACES,data}/${data.image_size}", None, "data/320"),
    ],
)
def test_environment(
    text: str, variable: str | None, expected: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("FACES", raising=False)
    if variable is not None:
        monkeypatch.setenv("FACES", variable)
    found = value(text)
    assert found == expected
    assert type(found) is type(expected)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        (
            "${data.imagesize}",
            r"model\.x: '\$\{data\.imagesize\}'.*did you mean 'data\.image_size'",
        ),
        ("${.imagesize}", r"there is no 'model\.imagesize'"),
        ("${model.y.z}", r"refers to itself: model\.x -> model\.y -> model\.x"),
        ("${model.y}", r"^model\.x: '\$\{model\.y\}' refers to itself"),
        ("${model}", r"refers to itself: model\.x -> model\.x"),
        ("${data.image_size", r"is not understood: write \$\{section\.key\} or"),
        ("${oc.env:HOME}", r"there is no 'oc\.env:HOME'"),
        ("${env:NOT_THERE}", "the environment variable NOT_THERE is not set"),
        ("${env:NOT_THERE,${data.root}}", "is not understood: write"),
    ],
)
def test_what_leads_nowhere(text: str, sentence: str) -> None:
    with pytest.raises(ConfigError, match=sentence):
        value(text, y="${model.x}")


def test_all_of_them_at_once() -> None:
    with pytest.raises(ConfigError) as error:
        value("${a.b}", "train.sed=1", y="${c}")
    assert len(error.value.problems) == 3

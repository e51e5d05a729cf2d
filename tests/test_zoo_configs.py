"""Every registered class keeps the rules, and every YAML of the zoo can be built."""

import importlib
import inspect
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from facezoo.config.config import load_config, zoo_folder
from facezoo.config.signatures import signature_of
from facezoo.registry import OPTIMIZERS, REGISTRIES, Registry
from facezoo.runs.run_check import check_config

CONFIGS = sorted(path.stem for path in zoo_folder().glob("*.yaml"))
FRAGMENTS = sorted((zoo_folder() / "_base_").glob("*.yaml"))


def parts() -> Iterator[tuple[Registry, str, type]]:
    for registry in REGISTRIES:
        for name, part in [*registry, *registry.adapters.items()]:
            yield registry, name, part


def own(function: Any) -> bool:
    return function.__module__.startswith("facezoo.")


def faults(registry: Registry, name: str, part: type) -> Iterator[str]:
    """Says what a registered class does that its rules do not allow."""
    adapter = name in registry.adapters
    signature = signature_of(part)
    if signature.is_open and not adapter:
        yield "takes **arguments"
    if adapter and "name" not in signature.arguments:
        yield "is an adapter and takes no name"
    maker = part.__new__ if part.__new__ is not object.__new__ else part.__init__  # type: ignore[misc]
    made_of_nothing = maker is object.__init__
    for parameter in (
        [] if made_of_nothing else list(inspect.signature(maker).parameters.values())[1:]
    ):
        if parameter.annotation is parameter.empty:
            yield f"has no type hint for {parameter.name}"
        if parameter.kind is parameter.VAR_POSITIONAL:
            yield f"takes *{parameter.name}"
    if not (part.__doc__ or "").strip():
        yield "has no docstring"
    module, _, base = registry.base.partition(":")
    if registry is not OPTIMIZERS and not issubclass(
        part, getattr(importlib.import_module(module), base)
    ):
        yield f"is no {base}"


def test_registered_classes_keep_the_rules() -> None:
    found = list(parts())
    assert {registry.name for registry, _, _ in found} == {one.name for one in REGISTRIES}
    assert [
        f"{registry.name} {name}: {fault}"
        for registry, name, part in found
        for fault in faults(registry, name, part)
    ] == []


@pytest.mark.parametrize("name", CONFIGS)
def test_every_config_of_the_zoo_builds(name: str) -> None:
    """Missing photographs and weights that would have to be fetched are no fault of a config."""
    problems = check_config(name, ["model.backbone.pretrained=false"] if _pretrained(name) else [])
    assert [
        one for one in problems if not one.startswith(("data.train.dataset: ", "data.val.d"))
    ] == []


@pytest.mark.parametrize("name", CONFIGS)
def test_a_first_config_on_photographs_of_ones_own(name: str, tmp_path: Path) -> None:
    """The data sets of the zoo leave no argument behind in those of another type."""
    dataset = {"type": "CocoFaces", "images": str(tmp_path), "json": "faces.json"}
    problems = check_config(
        {
            "_BASE_": name,
            "model": {"backbone": {"pretrained": False}} if _pretrained(name) else {},
            "data": {"root": "mydata", "train": {"dataset": dataset}, "val": {"dataset": dataset}},
        }
    )
    assert [one.split(": ")[0] for one in problems] == ["data.train.dataset", "data.val.dataset"]
    assert all("faces.json" in one for one in problems)


def _pretrained(name: str) -> bool:
    return bool(load_config(name).get("model.backbone.pretrained"))


def test_there_are_configs() -> None:
    assert {"retinaface_r50", "retinaface_mnet025", "tiny_test", "quickstart"} <= set(CONFIGS)


@pytest.mark.parametrize("path", FRAGMENTS, ids=lambda path: path.stem)
def test_every_fragment_is_sound(path: Path) -> None:
    """By itself, or on top of a model where it only says how its data set is varied."""
    on_top = path.stem == "yolo_augmentation"
    assert load_config({"_BASE_": ["yoloface_n05", str(path)]} if on_top else path).data


def test_the_order_of_loading_makes_no_difference() -> None:
    forwards = {name: load_config(name).data for name in CONFIGS}
    backwards = {name: load_config(name).data for name in reversed(CONFIGS)}
    assert forwards == backwards


@pytest.mark.parametrize("name", CONFIGS)
def test_a_written_config_is_the_same_config(name: str) -> None:
    config = load_config(name)
    assert load_config(config.to_yaml()).data == config.data
    assert load_config(config.to_yaml(origins=True)).data == config.data

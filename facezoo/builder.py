"""From a config, or a part of one, to objects: each part by the signature of its class.

Children are built first and handed over finished. What a part leaves out is filled from the
context, which is what is known from the parts already built: a neck's ``in_channels`` and
``in_strides`` are the backbone's ``out_channels`` and ``out_strides``. A config never has to say
so; where it does and disagrees, that is an error. Problems are collected, so that one run reports
all.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from facezoo.config.config import Config, load_config
from facezoo.config.sections import KEYS
from facezoo.config.signatures import (
    buildable,
    check_value,
    holds_parts,
    item_hint,
    members,
    missing,
    show,
    signature_of,
)
from facezoo.config.yaml_tree import join
from facezoo.errors import ConfigError, FacezooError, did_you_mean
from facezoo.registry import DETECTORS, EVALUATORS, OPTIMIZERS, Registry, registry_of

if TYPE_CHECKING:
    from torch import nn
    from torch.optim import Optimizer

    from facezoo.metrics.evaluator import Evaluator
    from facezoo.models.face_detector import FaceDetector

_CONTEXT_OF = {
    "out_channels": "in_channels",
    "out_strides": "in_strides",
    "num_landmarks": "num_landmarks",
}
"""Attributes of a part that was built, and the arguments that they fill in the parts after it."""


UNBUILT: Any = object()
"""Stands for a part with a problem, so that nothing that needs it is built or reported again."""


class Builder:
    """Builds parts of one config and collects what is wrong.

    Args:
        config: where the mappings come from; None for a mapping of Python.
        tolerant: go on after a part whose making failed for a reason outside of the config.

    Attributes:
        problems: one sentence each.
        defaults: arguments by name for parts that leave them out, after the context; a config may
            say otherwise.
    """

    def __init__(self, config: Config | None, tolerant: bool = False) -> None:
        self.config = config
        self.tolerant = tolerant
        self.problems: list[str] = []
        self.defaults: dict[str, Any] = {}
        if config is not None:
            config.import_plugins()

    def finish(self, result: Any) -> Any:
        """Returns the result, unless there were problems."""
        if self.problems:
            raise ConfigError(self.problems)
        return result

    def add_problem(self, path: str, sentence: str) -> Any:
        """Adds a problem at a dotted path, with file and line, and returns ``UNBUILT``.

        A sentence that begins with a path of its own, at or below ``path``, keeps it.
        """
        text = sentence.rstrip(".")
        named = text.split(" ", 1)[0].rstrip(":")
        if named == path or named.startswith(f"{path}."):
            path = named
        elif path:
            text = f"{path}: {text}"
        origin = self.config.origin(path) if self.config else ""
        self.problems.append(f"{text} ({origin})" if origin else text)
        return UNBUILT

    def section(self, name: str, registry: Registry, **context: Any) -> Any:
        """Builds a part that stands at the top of the config."""
        node = None if self.config is None else self.config.get(name)
        if node is None:
            return self.add_problem(name, f"this config has no {name!r}, a mapping with a 'type'")
        return self.part(node, registry, name, context)

    def parts(self, path: str, registry: Registry, **context: Any) -> list[Any]:
        """Builds the parts in a list of the config."""
        nodes = enumerate((self.config and self.config.get(path)) or [])
        return [self.part(node, registry, join(path, index), context) for index, node in nodes]

    def part(self, node: Any, registry: Registry, path: str, context: Mapping[str, Any]) -> Any:
        """Builds a part from a mapping with ``type``."""
        if not isinstance(node, Mapping) or not isinstance(node.get("type"), str):
            return self.add_problem(
                path, f"takes a mapping with a 'type' out of {registry.name}, not {show(node)}"
            )
        try:
            part, named = registry.find(node["type"])
        except ConfigError as error:
            return self.add_problem(join(path, "type"), str(error))
        given = {key: value for key, value in node.items() if key != "type"}
        return self._build_class(part, node["type"], given, named, registry, path, context)

    def _build_class(
        self,
        part: type,
        label: str,
        given: Mapping[str, Any],
        named: Mapping[str, Any],
        registry: Registry | None,
        path: str,
        context: Mapping[str, Any],
    ) -> Any:
        """Calls a class with what is given, what its name stands for, and what the context has."""
        try:
            signature = signature_of(part)
        except ConfigError as error:
            return self.add_problem(path, str(error))
        absent = missing(given, signature)
        local, values = dict(context), dict(named)
        for name, argument in signature.arguments.items():
            where = join(path, name)
            if name in named:
                continue
            if name in given:
                hint, value = argument.hint, given[name]
                values[name] = self._build_argument(value, hint, label, where, local, registry)
                self._check_against_context(value, context.get(name, value), where)
            elif name in local or name in self.defaults:
                known = {**self.defaults, **local}[name]
                values[name] = self._checked_value(known, argument.hint, label, where)
            elif argument.required:
                values[name] = UNBUILT
                if name in absent:
                    self.add_problem(path, f"{label} needs {name!r}; its arguments are {signature}")
        for key in [one for one in given if one not in signature.arguments or one in named]:
            where = join(path, key)
            if signature.is_open and key not in named:
                hint = signature.rest
                values[key] = self._build_argument(given[key], hint, label, where, local, registry)
            else:
                near = did_you_mean(key, signature.arguments)
                near = near or f"; its arguments are {signature}"
                values[key] = self.add_problem(where, f"{label} has no argument {key!r}{near}")
        if any(value is UNBUILT for value in values.values()):
            return UNBUILT
        return self._instantiate(part, label, values, signature.is_open, path)

    def _instantiate(
        self, part: type, label: str, values: dict[str, Any], is_open: bool, path: str
    ) -> Any:
        # An adapter's arguments meet their own check inside, as a TypeError where it is Python's.
        refusals = (ValueError, TypeError) if is_open else (ValueError,)
        try:
            return part(**values)
        except ConfigError as error:
            for sentence in error.problems:
                self.add_problem(_path_of_argument(sentence, values, label, path), sentence)
        except FacezooError as error:
            if not self.tolerant:
                raise
            self.add_problem(path, str(error))
        except refusals as error:
            sentence = f"{label} refuses its arguments: {error}"
            self.add_problem(_path_of_argument(str(error), values, label, path), sentence)
        return UNBUILT

    def _build_argument(
        self,
        value: Any,
        hint: Any,
        label: str,
        path: str,
        local: dict[str, Any],
        registry: Registry | None,
    ) -> Any:
        """Returns an argument as its hint wants it, with the parts inside of it built."""
        classes = [one for one in members(hint) if buildable(one)]
        anything = Any in members(hint)
        is_mapping, items = isinstance(value, Mapping), []
        inner = Any if anything else item_hint(hint, dict if is_mapping else list)

        def build_item(key: object, item: Any) -> Any:
            return self._build_argument(item, inner, label, join(path, key), local, registry)

        if is_mapping and classes:
            return self._build_for_hint(value, classes[0], label, path, local)
        if is_mapping and anything and registry and "type" in value:
            return self.part(value, registry, path, local)
        if is_mapping and holds_parts(inner):
            value = {key: build_item(key, item) for key, item in value.items()}
            items = list(value.values())
        elif isinstance(value, (list, tuple)) and holds_parts(inner):
            items = [build_item(index, item) for index, item in enumerate(value)]
            value = type(value)(items)
        elif classes and check_value(value, hint)[1] and (expected := registry_of(classes[0])):
            return self.part(value, expected, path, local)
        elif classes:
            add_to_context(value, local)
        if any(one is UNBUILT for one in items):
            return UNBUILT
        return self._checked_value(value, hint, label, path)

    def _build_for_hint(
        self, value: Mapping[str, Any], wanted: type, label: str, path: str, local: dict[str, Any]
    ) -> Any:
        """Builds what a class in a hint stands for: a registered part, or a plain class."""
        registry = registry_of(wanted)
        if registry is None:
            return self._build_class(wanted, wanted.__name__, value, {}, None, path, local)
        part = self.part(value, registry, path, local)
        add_to_context(part, local)
        if part is UNBUILT or isinstance(part, wanted):
            return part
        fitting = [name for name, one in registry if issubclass(one, wanted)]
        such = f": give one, such as {', '.join(sorted(fitting))}" if fitting else ""
        return self.add_problem(path, f"{label} takes {wanted.__name__}, not {value['type']}{such}")

    def _checked_value(self, value: Any, hint: Any, label: str, path: str) -> Any:
        if value is UNBUILT:
            return value
        checked, problem = check_value(value, hint)
        return self.add_problem(path, f"{label} {problem}") if problem else checked

    def _check_against_context(self, given: Any, known: Any, path: str) -> None:
        """Reports an argument that contradicts the parts that were built before."""
        if isinstance(known, tuple):
            known = list(known)
        if known is not UNBUILT and given != known:
            self.add_problem(
                path,
                f"the config says {show(given)}, but what was built before gives {show(known)}; "
                "leave it out",
            )


def _path_of_argument(sentence: str, values: Mapping[str, Any], label: str, path: str) -> str:
    """Returns the path of the argument that a class names in its own message, else ``path``."""
    words = [sentence.split(" ", 1)[0], *re.findall(r"'([\w.]+)'", sentence)]
    arguments = [word for word in words if word in values]
    if arguments:
        return join(path, arguments[0])
    return join(path, "type") if any(label.endswith(f".{word}") for word in words) else path


def add_to_context(part: Any, context: dict[str, Any]) -> None:
    """Adds what ``part`` gives to the context of the parts after it."""
    for attribute, argument in _CONTEXT_OF.items():
        value = getattr(part, attribute, None)
        if part is UNBUILT:
            context[argument] = UNBUILT
        elif isinstance(value, (list, tuple)):
            context[argument] = list(value)
        elif attribute == "num_landmarks" and isinstance(value, int):
            context[argument] = value


def build(
    node: Mapping[str, Any],
    registry: Registry,
    *,
    config: Config | None = None,
    path: str = "",
    **context: Any,
) -> Any:
    """Builds a part.

    Args:
        node: ``type`` and arguments; it is not changed.
        registry: where the class is looked up.
        config: the config that ``node`` came from, so that messages name file and line.
        path: the dotted path of ``node`` in it.
        context: arguments of the part or of parts in it, where ``node`` leaves them out.

    Raises:
        ConfigError: with one sentence for each thing that is wrong.
        FacezooError: a part could not be made, for example as its data is not there.
    """
    builder = Builder(config)
    return builder.finish(builder.part(node, registry, path, context))


def build_model(
    source: str | Path | Mapping[str, Any] | Config, *overrides: str, **context: Any
) -> FaceDetector:
    """Builds a detector: ``build_model("retinaface_r50", "model.backbone.pretrained=false")``.

    Args:
        source: name in the zoo, path of a YAML, mapping or Config; a mapping may change a named
            config too: ``{"_BASE_": "retinaface_r50", "model": {"neck": {"channels": 128}}}``.
        overrides: such as ``model.neck.channels=128``.
        context: see ``build``.

    Raises:
        FacezooError: see ``build``.
    """
    for name in context.keys() & set(KEYS):
        raise ConfigError(
            f"{name!r} is a section of the config and no context: give words such as "
            f"'{name}.key=value', or a mapping with _BASE_, {name} and what it changes"
        )
    if "overrides" in context:
        raise ConfigError("build_model takes overrides one by one, after the source.")
    config = load_config(source, overrides)
    builder = Builder(config)
    return builder.finish(builder.section("model", DETECTORS, **context))


def build_optimizer(config: Config, model: nn.Module) -> Optimizer:
    """Builds the optimizer of a model; see ``build`` for what is raised."""
    builder = Builder(config)
    return builder.finish(builder.section("optimizer", OPTIMIZERS, model=model))


def build_evaluators(config: Config) -> list[Evaluator]:
    """Builds the evaluators; see ``build`` for what is raised."""
    builder = Builder(config)
    return builder.finish(builder.parts("evaluation.evaluators", EVALUATORS))


def without_pretrained(config: Config) -> Config:
    """Returns the config for a model whose weights come from elsewhere, not from a hub."""
    if not config.get("model.backbone.pretrained"):
        return config
    return load_config(config, ["model.backbone.pretrained=false"])

"""The keys of a config that no registered part defines, checked as strictly as a part's arguments.

``model``, ``optimizer``, ``schedule`` and each of ``hooks`` are parts: their classes say what they
take. The other sections are dataclasses; what a file leaves out of them is filled in, so that a
config always says all of it.
"""

from __future__ import annotations

import dataclasses
from typing import Any

from facezoo.config.sections import (
    DataSettings,
    EvaluationSettings,
    Sections,
    TrainSettings,
    TrainSplitSettings,
)
from facezoo.config.signatures import buildable, check_value, members, missing, signature_of
from facezoo.config.yaml_tree import Node, Origin, from_plain, join, to_plain
from facezoo.errors import ConfigError, did_you_mean

KEYS = ("model", "data", "optimizer", "schedule", "train", "hooks", "evaluation", "imports")
"""The keys at the top of a config, in the order in which it is written."""
SECTIONS = {"data": DataSettings, "train": TrainSettings, "evaluation": EvaluationSettings}
DEFAULT = Origin("default")
REMOVED = {
    "data.reduced_decoding": "decoding at a reduced scale is gone, as it saved next to no time; "
    "leave the key out",
}
"""Keys of older versions and what to do instead; false, their default in the config of a run that
was saved then, is passed over."""


def fill_defaults(tree: Node) -> None:
    """Adds to a config what it leaves out of its sections, and puts the sections in one order.

    Parts keep their own defaults.
    """
    _pass_over_removed(tree)
    tree.value.setdefault("imports", Node([], DEFAULT))
    tree.value.setdefault("hooks", Node({}, DEFAULT))
    for name, settings in SECTIONS.items():
        _fill(tree.value.setdefault(name, Node({}, DEFAULT)), settings)
    train = tree.value["data"].child("train")
    if train is not None:
        _fill(train[1], TrainSplitSettings)
    order = dict.fromkeys([*KEYS, *tree.value])
    tree.value = {key: tree.value[key] for key in order if key in tree.value}


def _pass_over_removed(tree: Node) -> None:
    for path in REMOVED:
        section, _, key = path.partition(".")
        values = tree.value[section].value if section in tree.value else None
        if isinstance(values, dict) and key in values and values[key].value is False:
            del values[key]


def _fill(section: Node, settings: type) -> None:
    if not isinstance(section.value, dict):
        return
    for field in dataclasses.fields(settings):
        default: Any = field.default
        if field.default_factory is not dataclasses.MISSING:
            default = field.default_factory()
        if default is not dataclasses.MISSING:
            section.value.setdefault(field.name, from_plain(default, DEFAULT))


def build_sections(tree: Node) -> tuple[Sections, list[str]]:
    """Returns the sections that are no parts, and a sentence for each key or value that is wrong.

    In place of a section that is wrong stand its defaults.
    """
    problems = _wrong_keys(tree) + _wrong_imports(tree.value["imports"])
    built = {}
    for name, settings in SECTIONS.items():
        section, wrong = _build(tree.value[name], settings, name, tree)
        built[name] = settings() if wrong else section
        problems += wrong
    return Sections(**built), problems


def _wrong_keys(tree: Node) -> list[str]:
    problems = [
        f"{key}: there is no such section{did_you_mean(key, KEYS)}; "
        f"a config has {', '.join(KEYS)}{node.place}"
        for key, node in tree.value.items()
        if key not in KEYS
    ]
    for key in ("model", "optimizer", "schedule"):
        node = tree.value.get(key)
        if node is not None and node.value is not None and not isinstance(node.value, dict):
            problems.append(f"{key}: takes a mapping with a 'type'{node.place}")
    hooks = tree.value["hooks"]
    if not isinstance(hooks.value, dict):
        problems.append(f"hooks: takes a mapping from names to hooks{hooks.place}")
    return problems


def _wrong_imports(node: Node) -> list[str]:
    if not isinstance(node.value, list):
        return [f"imports: takes a list of modules{node.place}"]
    return [
        f"imports.{index}: takes the name of a module, such as my_package.my_module, "
        f"not {one.value!r}{one.place}"
        for index, one in node.children()
        if not isinstance(one.value, str)
        or not all(word.isidentifier() for word in one.value.split("."))
    ]


def _build(node: Node, settings: type, path: str, tree: Node) -> tuple[Any, list[str]]:
    """Returns a section, or None with what is wrong with it."""
    if not isinstance(node.value, dict):
        return None, [f"{path}: takes a mapping{node.place}"]
    signature = signature_of(settings)
    values: dict[str, Any] = {}
    problems = []
    for key, child in node.value.items():
        where = join(path, key)
        if where in REMOVED:
            problems.append(f"{where}: {REMOVED[where]}{child.place}")
        elif key not in signature.arguments:
            problems.append(
                f"{where}: '{path}' has no key {key!r}{did_you_mean(key, signature.arguments)}; "
                f"it has {', '.join(signature.arguments)}{child.place}"
            )
        else:
            hint = signature.arguments[key].hint
            values[key], wrong = _value(child, hint, where, tree)
            problems += wrong
    for name in missing(node.value, signature):
        problems.append(f"{path}: {name!r} is missing{node.place}")
    if problems:
        return None, problems
    try:
        return settings(**values), []
    except ConfigError as error:
        return None, [tree.located(sentence) for sentence in error.problems]


def _value(node: Node, hint: Any, path: str, tree: Node) -> tuple[Any, list[str]]:
    inner = next((one for one in members(hint) if buildable(one)), None)
    if inner is not None and node.value is not None:
        return _build(node, inner, path, tree)
    value, problem = check_value(to_plain(node), hint)
    return value, [f"{path}: {problem}{node.place}"] if problem else []

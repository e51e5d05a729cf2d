"""How a config is composed: a child is merged over its base, overrides over both, then references.

An override of the command line, ``model.neck.channels=128`` or ``hooks.ema=null``, is a child file
of one line: its value is read as YAML. A step of its path may be an index of a list.

A reference is ``${data.image_size}`` or ``${env:WIDER_ROOT,data/widerface}``. A value that is one
as a whole keeps the type of what it refers to; a variable of the environment is what YAML makes of
its text.
"""

import os
import re
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from facezoo.config.sections import KEYS
from facezoo.config.signatures import show
from facezoo.config.yaml_tree import (
    Key,
    Node,
    Origin,
    copy_tree,
    from_plain,
    join,
    parse_yaml,
    scalar,
    to_plain,
    walk,
)
from facezoo.errors import ConfigError, did_you_mean

COMMAND_LINE = Origin("command line")
_REFERENCE = re.compile(r"\$\{([^${}]*)\}")
_VARIABLE = re.compile(r"env:\s*(\w+)\s*(?:,(.*))?", re.DOTALL)
_Path = tuple[Key, ...]


def merge(base: Node, child: Node) -> Node:
    """Returns what a child makes of what it inherits.

    Mappings are merged key by key, and anything else of the child replaces what was there. A
    mapping of another ``type``, or one with ``_delete_: true``, inherits nothing.
    """
    if not isinstance(child.value, dict):
        return child
    own = dict(child.value)
    delete = own.pop("_delete_", None)
    if delete is not None and not isinstance(delete.value, bool):
        raise ConfigError(f"{delete.origin}: _delete_ is true or false, not {delete.value!r}")
    keeps = isinstance(base.value, dict) and not (delete is not None and delete.value)
    inherited = base.value if keeps else {}
    old, new = inherited.get("type"), own.get("type")
    if old is not None and new is not None and old.value != new.value:
        dropped = ", whose arguments are dropped" if len(inherited) > 1 else ""
        own["type"] = replace(new, note=f"in place of {old.value}{old.place}{dropped}")
        inherited = {}
    merged = dict(inherited)
    for key, node in own.items():
        merged[key] = merge(merged.get(key, Node(None, node.origin)), node)
    return Node(merged, child.origin)


def apply_overrides(tree: Node, overrides: Sequence[str]) -> list[str]:
    """Changes a tree in place, and returns a sentence for each override that cannot be.

    A key that is not there may be added where something will check it: among the arguments of a
    part, which the part's signature checks, as a hook or a protocol of a new name, or as a section.
    """
    problems, paths = [], {}
    for override in overrides:
        try:
            paths[override] = _apply(tree, override)
        except ConfigError as error:
            problems += error.problems
    for override, path in paths.items():
        node, is_there = tree.find(path)
        if not is_there and _is_part(node) and node.value["type"].note:
            problems.append(
                f"command line: {override!r} is dropped by a later override that changes the "
                "type: give it after that one"
            )
    return problems


def _apply(tree: Node, override: str) -> str:
    """Changes a tree in place, and returns the path of what was changed."""
    path, equals, text = override.partition("=")
    path = path.strip()
    if not equals or not path:
        raise ConfigError(f"command line: {override!r} is no override: write key=value")
    if not text.strip():
        raise ConfigError(f"command line: {override!r} has no value: write {path}=null for none")
    value = parse_yaml(text, COMMAND_LINE.label, lines=False)
    *steps, last = path.split(".")
    node, walked, in_part = tree, "", False
    for step in steps:
        in_part = in_part or _is_part(node)
        found = node.child(step)
        if found is None:
            if not in_part or not isinstance(node.value, dict):
                raise _nothing_there(override, walked, node, step)
            found = _key(node, step), Node({}, COMMAND_LINE)
            node.value[found[0]] = found[1]
        walked, node = join(walked, step), found[1]
    found = node.child(last)
    if found is not None:
        _set(node, found[0], value)
        return path
    new_hook = walked == "hooks" and isinstance(value.value, dict)
    new_protocol = walked == "evaluation.protocols"
    new_section = not walked and last in KEYS
    allowed = in_part or _is_part(node) or new_hook or new_protocol or new_section
    if not allowed or not isinstance(node.value, dict):
        raise _nothing_there(override, walked, node, last)
    _set(node, _key(node, last), value)
    return path


def _set(node: Node, key: Key, value: Node) -> None:
    """Changes one entry of a mapping or list, as a child file with this entry alone would."""
    if isinstance(node.value, dict):
        node.value = merge(node, Node({key: value}, node.origin)).value
    else:
        node.value[key] = merge(node.value[key], value)


def _is_part(node: Node) -> bool:
    return isinstance(node.value, dict) and "type" in node.value


def _key(node: Node, step: str) -> Key:
    """Returns a new key: a number among numbers (anchors by stride), else a name."""
    numbers = any(isinstance(key, int) for key in node.value)
    return int(step) if numbers and step.isdecimal() else step


def _nothing_there(override: str, walked: str, node: Node, step: str) -> ConfigError:
    place = repr(walked) if walked else "the config"
    if isinstance(node.value, list):
        count = len(node.value)
        reason = f"{place} has {count} entries" + (f", 0 to {count - 1}" if count else "")
    elif isinstance(node.value, dict):
        known = list(node.value)
        listed = ", ".join(str(key) for key in known) or "nothing"
        reason = f"{place} has no {step!r}{did_you_mean(step, known)}; it has {listed}"
    else:
        reason = f"{place} is {show(node.value)} and has no {step!r}; set {place} as a whole"
    return ConfigError(f"command line: {override!r} names nothing: {reason}")


def resolve(tree: Node) -> Node:
    """Returns a copy of a tree with every ``${...}`` computed; each keeps its text beside it.

    Raises:
        ConfigError: with a sentence for each reference that leads nowhere.
    """
    resolver = _Resolver(copy_tree(tree))
    problems = []
    for path, node in list(walk(resolver.tree)):
        try:
            resolver.resolve(node, path, ())
        except ConfigError as error:
            problems += error.problems
    if problems:
        raise ConfigError(list(dict.fromkeys(problems)))
    return resolver.tree


class _Resolver:
    """Computes the references of one tree in place.

    ``pending`` are the paths of the values that are being computed, each referring to the next.
    """

    def __init__(self, tree: Node) -> None:
        self.tree = tree

    def resolve(self, node: Node, path: _Path, pending: tuple[_Path, ...]) -> None:
        """Computes a value and all below it."""
        for key, child in node.children():
            self.resolve(child, (*path, key), pending)
        text, chain = node.value, (*pending, path)
        if not isinstance(text, str) or "${" not in text or node.reference is not None:
            return
        if path in pending:
            circle = " -> ".join(map(_dotted, chain[chain.index(path) :]))
            raise self._error(path, f"{text!r} refers to itself: {circle}")
        if "${" in _REFERENCE.sub("", text):
            usage = "write ${section.key} or ${env:NAME,default}"
            raise self._error(path, f"{text!r} is not understood: {usage}")
        whole = _REFERENCE.fullmatch(text)
        if whole is None:
            value = _REFERENCE.sub(lambda match: str(self._referred(match[1], chain)), text)
        else:
            value = self._referred(whole[1], chain)
            value = scalar(value) if _VARIABLE.fullmatch(whole[1]) else value
        node.value, node.reference = from_plain(value, node.origin).value, text

    def _referred(self, name: str, pending: tuple[_Path, ...]) -> Any:
        """Returns what the name within ``${}`` stands for in the last of the pending values."""
        path, variable = pending[-1], _VARIABLE.fullmatch(name)
        if variable:
            value = os.environ.get(variable[1], variable[2])
            if value is None:
                unset = f"the environment variable {variable[1]} is not set"
                raise self._error(path, f"{unset}, and ${{env:{variable[1]}}} has no default")
            return value.strip()
        absolute = name.lstrip(".")
        up = len(name) - len(absolute)  # one dot is a neighbour, two are one of the parent
        wanted = [*map(str, path[:-up] if up else ()), *absolute.split(".")]
        node = self.tree
        walked: _Path = ()
        for step in wanted:
            if isinstance(node.value, str):  # a reference on the way
                self.resolve(node, walked, pending)
            found = node.child(step)
            if found is None:
                goal = _dotted(wanted)
                hint = did_you_mean(goal, [_dotted(known) for known, _ in walk(self.tree)])
                nowhere = f"'${{{name}}}' leads nowhere: there is no {goal!r}{hint}"
                raise self._error(path, nowhere)
            walked, node = (*walked, found[0]), found[1]
        self.resolve(node, walked, pending)
        return to_plain(node)

    def _error(self, path: _Path, sentence: str) -> ConfigError:
        return ConfigError(self.tree.located(f"{_dotted(path)}: {sentence}"))


def _dotted(path: Sequence[Key]) -> str:
    return ".".join(map(str, path))

"""``${data.image_size}`` and ``${env:WIDER_ROOT,data/widerface}`` in the values of a config.

A value that is a reference as a whole keeps the type of what it refers to; a variable of the
environment is what YAML makes of its text.
"""

from __future__ import annotations

import os
import re
from typing import Any

from facezoo.config.yaml_tree import Key, Node, copy_tree, from_plain, scalar, to_plain, walk
from facezoo.errors import ConfigError, did_you_mean

_REFERENCE = re.compile(r"\$\{([^${}]*)\}")
_VARIABLE = re.compile(r"env:\s*(\w+)\s*(?:,(.*))?", re.DOTALL)
_Path = tuple[Key, ...]


def resolve(tree: Node) -> Node:
    """Returns a copy of a tree with every ``${...}`` computed; each keeps its text beside it.

    Raises:
        ConfigError: with a sentence for each reference that leads nowhere.
    """
    tree = copy_tree(tree)
    resolver = _Resolver(tree)
    problems = []
    for path, node in list(walk(tree)):
        try:
            resolver.resolve(node, path)
        except ConfigError as error:
            problems += error.problems
    if problems:
        raise ConfigError(list(dict.fromkeys(problems)))
    return tree


class _Resolver:
    """Computes the references of one tree in place.

    Attributes:
        pending: paths of the values that are being computed, each referring to the next.
    """

    def __init__(self, tree: Node) -> None:
        self.tree = tree
        self.pending: list[_Path] = []

    def resolve(self, node: Node, path: _Path) -> None:
        """Computes a value and all below it."""
        for key, child in node.children():
            self.resolve(child, (*path, key))
        if not isinstance(node.value, str) or "${" not in node.value or node.reference is not None:
            return
        pending, self.pending = self.pending, [*self.pending, path]
        try:
            if path in pending:
                circle = " -> ".join(map(_dotted, self.pending[pending.index(path) :]))
                raise _UnresolvedError(f"{node.value!r} refers to itself: {circle}")
            value = self._value(node.value, path)
        except _UnresolvedError as error:
            raise ConfigError(f"{_dotted(path)}: {error}{node.place}") from error
        finally:
            self.pending = pending
        node.value, node.reference = from_plain(value, node.origin).value, node.value

    def _value(self, text: str, path: _Path) -> Any:
        if "${" in _REFERENCE.sub("", text):
            raise _UnresolvedError(
                f"{text!r} is not understood: write ${{section.key}} or ${{env:NAME,default}}"
            )
        whole = _REFERENCE.fullmatch(text)
        if whole is None:
            return _REFERENCE.sub(lambda match: str(self._referred(match[1], path)), text)
        value = self._referred(whole[1], path)
        return scalar(value) if _VARIABLE.fullmatch(whole[1]) else value

    def _referred(self, name: str, path: _Path) -> Any:
        """Returns what the name within ``${}`` stands for."""
        variable = _VARIABLE.fullmatch(name)
        if variable:
            return _environment(*variable.groups())
        absolute = name.lstrip(".")
        up = len(name) - len(absolute)  # one dot is a neighbour, two are one of the parent
        start = path[:-up] if up else ()
        node: Node = self.tree
        walked: _Path = ()
        for step in (*map(str, start), *absolute.split(".")):
            if isinstance(node.value, str):  # a reference on the way
                self.resolve(node, walked)
            found = node.child(step)
            if found is None:
                wanted = _dotted((*start, absolute))
                hint = did_you_mean(wanted, [_dotted(known) for known, _ in walk(self.tree)])
                raise _UnresolvedError(f"'${{{name}}}' leads nowhere: there is no {wanted!r}{hint}")
            walked, node = (*walked, found[0]), found[1]
        self.resolve(node, walked)
        return to_plain(node)


class _UnresolvedError(Exception):
    """Why a reference cannot be computed."""


def _environment(name: str, default: str | None) -> str:
    value = os.environ.get(name, default)
    if value is None:
        raise _UnresolvedError(
            f"the environment variable {name} is not set, and ${{env:{name}}} has no default"
        )
    return value.strip()


def _dotted(path: _Path) -> str:
    return ".".join(map(str, path))

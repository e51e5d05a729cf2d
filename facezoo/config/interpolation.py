"""``${data.image_size}`` and ``${env:WIDER_ROOT,data/widerface}`` in the values of a config.

OmegaConf resolves the references; a value that is a reference as a whole keeps the type of what
it refers to. The environment is read first: a variable is what YAML makes of its text.
"""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from typing import Any

from facezoo.config.sections import place
from facezoo.config.yaml_tree import Key, Node, copy_tree, from_plain, scalar, to_plain, walk
from facezoo.errors import ConfigError, did_you_mean

_ENVIRONMENT = re.compile(r"\$\{env:\s*(\w+)\s*(?:,([^${}]*))?\}")
_REFERENCE = re.compile(r"\$\{([\w.]+)\}")


def resolve(tree: Node) -> Node:
    """Returns a copy of a tree with every ``${...}`` computed; each keeps its text beside it.

    Raises:
        ConfigError: with a sentence for each reference that leads nowhere.
    """
    tree = copy_tree(tree)
    texts = {
        path: node
        for path, node in walk(tree)
        if isinstance(node.value, str) and "${" in node.value
    }
    if not texts:
        return tree
    problems = []
    for path, node in texts.items():
        node.reference = node.value
        try:
            node.value = _with_environment(node.value)
        except ConfigError as error:
            problems.append(f"{_dotted(path)}: {error}{place(node)}")
    if problems:
        raise ConfigError(problems)
    resolved, problems = _with_references(tree, texts)
    if problems:
        raise ConfigError(problems)
    for path, value in resolved.items():
        texts[path].value = from_plain(value, texts[path].origin, _dotted(path)).value
    return tree


def _with_environment(text: str) -> Any:
    """Returns a text with its variables; a number or null where it is one variable as a whole."""
    whole = _ENVIRONMENT.fullmatch(text)
    if whole:
        return scalar(_variable(whole))
    text = _ENVIRONMENT.sub(_variable, text)
    if "${env:" in text:
        raise ConfigError(f"{text!r} is not understood: write ${{env:NAME,default}}, in plain text")
    return text


def _variable(match: re.Match[str]) -> str:
    name, default = match.groups()
    value = os.environ.get(name, default)
    if value is None:
        raise ConfigError(
            f"the environment variable {name} is not set, and ${{env:{name}}} has no default"
        )
    return value.strip()


def _with_references(
    tree: Node, texts: dict[tuple[Key, ...], Node]
) -> tuple[dict[tuple[Key, ...], Any], list[str]]:
    from omegaconf import OmegaConf
    from omegaconf.errors import OmegaConfBaseException

    resolved: dict[tuple[Key, ...], Any] = {}
    problems = []
    for path, node in texts.items():
        try:
            OmegaConf.create([node.value])
        except OmegaConfBaseException as error:
            problems.append(_unresolved(path, node, error))
    if problems:
        return resolved, problems
    names = [_dotted(path) for path, _ in walk(tree)]
    whole = OmegaConf.create(to_plain(tree))
    for path, node in texts.items():
        try:
            value: Any = whole
            for key in path:
                value = value[key]
            resolved[path] = (
                OmegaConf.to_container(value, resolve=True) if OmegaConf.is_config(value) else value
            )
        except OmegaConfBaseException as error:
            problems.append(_unresolved(path, node, error, names))
    return resolved, problems


def _unresolved(
    path: tuple[Key, ...], node: Node, error: Exception, names: Sequence[str] = ()
) -> str:
    unknown = [name for name in _REFERENCE.findall(node.value) if name not in names]
    hint = "".join(did_you_mean(name, names) for name in unknown)
    reason = str(error).splitlines()[0]
    return f"{_dotted(path)}: {node.reference!r} leads nowhere: {reason}{hint}{place(node)}"


def _dotted(path: tuple[Key, ...]) -> str:
    return ".".join(str(key) for key in path)

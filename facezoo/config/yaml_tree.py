"""YAML text to a tree whose every value knows the file and line it came from, and back.

Scalars are read as in YAML 1.2: ``1e-3`` is a number, ``no`` and ``on`` are strings. A key that is
written twice is an error, and so is any tag that stands for more than plain data.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePath
from typing import Any

import yaml

from facezoo.errors import ConfigError

Key = str | int
_TAG = "tag:yaml.org,2002:"
_SCALARS: dict[str, tuple[str, list[str], Callable[[str], Any]]] = {
    "null": (r"~|null|Null|NULL|", [*"~nN", ""], lambda text: None),
    "bool": (
        r"true|True|TRUE|false|False|FALSE",
        [*"tTfF"],
        lambda text: ("false", "true").index(text.lower()) == 1,
    ),
    "int": (
        r"[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+",
        [*"-+0123456789"],
        lambda text: int(text, 0 if text[:2] in ("0o", "0x") else 10),
    ),
    "float": (
        r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?"
        r"|[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)",
        [*"-+0123456789."],
        lambda text: float(text.lower().replace(".inf", "inf").replace(".nan", "nan")),
    ),
}
"""Of each kind of plain scalar its pattern, the characters that it can begin with, its value."""


@dataclass(frozen=True)
class Origin:
    """Where a value was written.

    Attributes:
        label: a file as messages show it, ``command line`` or ``default``; empty for a mapping
            that came from Python.
        line: in the file, from 1.
        folder: of the file.
    """

    label: str = ""
    line: int | None = None
    folder: Path | None = None

    def __str__(self) -> str:
        return self.label if self.line is None else f"{self.label}:{self.line}"


@dataclass
class Node:
    """A value of a config with its origin.

    Attributes:
        value: a scalar, a dict of nodes or a list of nodes.
        origin: where it was written.
        reference: the text with ``${...}`` that the value was computed from, if it was.
        note: what ``to_text`` says of it beside its origin.
    """

    value: Any
    origin: Origin
    reference: str | None = None
    note: str = ""

    @property
    def place(self) -> str:
        """Where it was written as the end of a message, `` (file:line)``; may be empty."""
        return f" ({self.origin})" if str(self.origin) else ""

    def children(self) -> list[tuple[Key, Node]]:
        """Returns the nodes inside with their keys or indices."""
        if isinstance(self.value, dict):
            return list(self.value.items())
        return list(enumerate(self.value)) if isinstance(self.value, list) else []

    def child(self, key: str) -> tuple[Key, Node] | None:
        """Returns the key and node that a step of a dotted path means, or None."""
        known = dict(self.children())
        keys: list[Key] = [key, int(key)] if key.isdecimal() else [key]
        return next(((one, known[one]) for one in keys if one in known), None)

    def find(self, path: str) -> tuple[Node, bool]:
        """Returns the node at a dotted path and True, or the last on the way and False."""
        node = self
        for step in path.split(".") if path else []:
            found = node.child(step)
            if found is None:
                return node, False
            node = found[1]
        return node, True

    def located(self, sentence: str) -> str:
        """Returns a sentence that begins with a dotted path, with the place of that value added."""
        node, _ = self.find(sentence.split(" ", 1)[0].rstrip(":"))
        return sentence.rstrip(".") + (node.place if node is not self else "")


class _Loader(yaml.SafeLoader):
    """PyYAML's safe loader with the scalars of YAML 1.2."""

    yaml_implicit_resolvers: dict = {}


class _Dumper(yaml.SafeDumper):
    """PyYAML's safe dumper; it quotes strings that YAML 1.1 or YAML 1.2 would read otherwise."""

    def ignore_aliases(self, data: Any) -> bool:
        return True

    def represent_str(self, data: str) -> yaml.ScalarNode:
        style = None if data.splitlines() in ([], [data]) else '"'  # one value is one line
        return self.represent_scalar(f"{_TAG}str", data, style=style)


_Dumper.add_representer(str, _Dumper.represent_str)


for _name, (_pattern, _first, _) in _SCALARS.items():
    for _class in (_Loader, _Dumper):
        _class.add_implicit_resolver(_TAG + _name, re.compile(rf"^(?:{_pattern})$"), _first)


def read_yaml(path: Path) -> Node:
    """Returns the tree of a file.

    Raises:
        ConfigError: the file cannot be read or is not plain YAML with unique keys.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path} cannot be read as a config: {error}") from error
    return parse_yaml(text, show_path(path), path.resolve().parent)


def parse_yaml(text: str, label: str, folder: Path | None = None, lines: bool = True) -> Node:
    """Returns the tree of a text; ``label`` is how its origin is called, with or without lines.

    Raises:
        ConfigError: it is not plain YAML with unique keys.
    """
    try:
        node = yaml.compose(text, Loader=_Loader)
        return _convert(node, Origin(label, 1 if lines else None, folder), ())
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        where = f"{label}:{mark.line + 1}" if lines and mark else label
        raise ConfigError(f"{where}: this is not valid YAML: {error.problem}") from error
    except yaml.YAMLError as error:
        raise ConfigError(f"{label}: this is not valid YAML: {error}") from error


def from_plain(value: Any, origin: Origin, path: str = "") -> Node:
    """Returns the tree of plain Python data, a copy of it.

    Raises:
        ConfigError: something in it is no plain value.
    """
    if isinstance(value, Mapping):
        for key in value:
            if isinstance(key, bool) or not isinstance(key, (str, int)):
                raise ConfigError(f"{path or 'config'}: the key {key!r} is no name or whole number")
        items = {key: from_plain(one, origin, join(path, key)) for key, one in value.items()}
        return Node(items, origin)
    if isinstance(value, (list, tuple)):
        return Node([from_plain(one, origin, join(path, i)) for i, one in enumerate(value)], origin)
    if isinstance(value, PurePath):
        return Node(str(value), origin)
    if value is not None and type(value) not in (bool, int, float, str):
        raise ConfigError(
            f"{path}: a config holds plain values, and this is a {type(value).__name__}"
        )
    return Node(value, origin)


def to_plain(node: Node) -> Any:
    """Returns the plain data of a tree, a copy of it."""
    return _mapped(node, to_plain)


def copy_tree(node: Node) -> Node:
    """Returns a copy as it was before ``${...}`` was computed."""
    if node.reference is not None:
        return Node(node.reference, node.origin, note=node.note)
    return Node(_mapped(node, copy_tree), node.origin, note=node.note)


def _mapped(node: Node, function: Callable[[Node], Any]) -> Any:
    if isinstance(node.value, dict):
        return {key: function(child) for key, child in node.value.items()}
    return [function(child) for child in node.value] if isinstance(node.value, list) else node.value


def walk(node: Node, path: tuple[Key, ...] = ()) -> Iterator[tuple[tuple[Key, ...], Node]]:
    """Gives every node below a node with its path, parents first."""
    for key, child in node.children():
        yield (*path, key), child
        yield from walk(child, (*path, key))


def join(path: str, key: object) -> str:
    """Returns the dotted path of a key below a dotted path."""
    return f"{path}.{key}" if path else str(key)


def flat(values: Any, path: str = "") -> dict[str, Any]:
    """Returns the scalars of a plain config, and its lists of scalars, by dotted path."""
    if isinstance(values, list) and any(isinstance(one, (dict, list)) for one in values):
        values = dict(enumerate(values))
    if not isinstance(values, dict) or not values:
        return {path: values} if path else {}
    return {
        name: leaf
        for key, value in values.items()
        for name, leaf in flat(value, join(path, key)).items()
    }


def show_path(path: Path) -> str:
    """Returns a path as messages show it: relative where it is below the current folder."""
    absolute = path.resolve()
    here = Path.cwd()
    return str(absolute.relative_to(here) if absolute.is_relative_to(here) else absolute)


def scalar(text: str) -> Any:
    """Returns what a plain scalar of YAML 1.2 stands for."""
    for pattern, _, value_of in _SCALARS.values():
        if re.fullmatch(pattern, text):
            return value_of(text)
    return text


def to_text(node: Node, origins: bool) -> str:
    """Returns a tree as YAML: with references, or with computed values and the origin of each."""
    return "\n".join(_lines(node, 0, origins)) + "\n"


def _convert(node: yaml.Node | None, origin: Origin, above: tuple[int, ...]) -> Node:
    if node is None:
        return Node(None, origin)
    if id(node) in above:
        raise ConfigError(f"{origin}: a YAML alias is inside of what it stands for")
    above = (*above, id(node))
    tag = node.tag.removeprefix(_TAG)
    if isinstance(node, yaml.MappingNode) and tag == "map":
        return Node(_mapping(node, origin, above), origin)
    if isinstance(node, yaml.SequenceNode) and tag == "seq":
        items = [_convert(one, _at(one, origin), above) for one in node.value]
        return Node(items, origin)
    if isinstance(node, yaml.ScalarNode) and tag == "str":
        return Node(node.value, origin)
    if isinstance(node, yaml.ScalarNode) and tag in _SCALARS:
        try:
            return Node(_SCALARS[tag][2](node.value), origin)
        except ValueError as error:
            raise ConfigError(f"{origin}: {node.value!r} is no {tag}") from error
    raise ConfigError(f"{origin}: the YAML tag {node.tag!r} is refused: a config is plain data")


def _mapping(node: yaml.MappingNode, origin: Origin, above: tuple[int, ...]) -> dict[Key, Node]:
    result: dict[Key, Node] = {}
    for key_node, value_node in node.value:
        here = _at(key_node, origin)
        key = _convert(key_node, here, above).value
        if isinstance(key, bool) or not isinstance(key, (str, int)):
            raise ConfigError(f"{here}: the key {key!r} is no name or whole number")
        if key == "<<":
            raise ConfigError(f"{here}: '<<' is not read here; inherit through _BASE_")
        if key in result:
            raise ConfigError(f"{here}: the key {key!r} was given before, at {result[key].origin}")
        result[key] = _convert(value_node, here, above)
    return result


def _at(node: yaml.Node, origin: Origin) -> Origin:
    line = None if origin.line is None else node.start_mark.line + 1
    return Origin(origin.label, line, origin.folder)


def _lines(node: Node, indent: int, origins: bool) -> list[str]:
    lines: list[str] = []
    space = " " * indent
    for key, child in node.children():
        start = f"{space}- " if isinstance(node.value, list) else f"{space}{_flow(key)}:"
        if not _is_block(child, origins):
            gap = "" if start.endswith("- ") else " "
            lines.append(f"{start}{gap}{_flow(_written(child, origins))}{_note(child, origins)}")
        elif isinstance(node.value, list):
            first, *rest = _lines(child, indent + 2, origins)
            lines += [start + first[indent + 2 :], *rest]
        else:
            lines += [start, *_lines(child, indent + 2, origins)]
    return lines


def _is_block(node: Node, origins: bool) -> bool:
    if node.reference is not None and not origins:
        return False
    if isinstance(node.value, list):
        return any(isinstance(one.value, (dict, list)) for one in node.value)
    return isinstance(node.value, dict) and bool(node.value)


def _written(node: Node, origins: bool) -> Any:
    # A value out of the environment is written as it was: the text goes to other machines.
    if origins or "${env:" in (node.reference or ""):
        return to_plain(node)
    if node.reference is not None:
        return node.reference
    return [_written(one, origins) for one in node.value] if node.children() else node.value


def _note(node: Node, origins: bool) -> str:
    if not origins:
        return ""
    places = [node, *(child for _, child in walk(node))]
    seen = dict.fromkeys(str(one.origin) for one in places if str(one.origin))
    note = ", ".join(seen) if isinstance(node.value, list) else str(node.origin)
    note += "" if node.reference is None else f", {node.reference}"
    note += f", {node.note}" if node.note else ""
    return f"  # {note}" if note else ""


def _flow(value: Any) -> str:
    text = yaml.dump(
        value,
        Dumper=_Dumper,
        default_flow_style=True,
        width=float("inf"),
        allow_unicode=True,
        sort_keys=False,
    )
    return text.removesuffix("\n...\n").removesuffix("\n")

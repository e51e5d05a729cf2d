"""What a child makes of a config that it inherits, be it a file or an override.

On the command line an override is ``model.neck.channels=128`` or ``hooks.ema=null``.

It is a child file of one line: its value is read as YAML, mappings are merged, lists are
replaced, and null takes a part away. A step of the path may be an index of a list.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from facezoo.config.sections import KEYS
from facezoo.config.signatures import show
from facezoo.config.yaml_tree import Key, Node, Origin, join, parse_yaml
from facezoo.errors import ConfigError, did_you_mean

COMMAND_LINE = Origin("command line")


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
        own["type"] = replace(new, note=_in_place_of(old, inherited))
        inherited = {}
    merged = dict(inherited)
    for key, node in own.items():
        merged[key] = merge(merged.get(key, Node(None, node.origin)), node)
    return Node(merged, child.origin)


def _in_place_of(old: Node, inherited: Mapping[Key, Node]) -> str:
    """Returns the note beside a ``type`` that differs from the inherited one."""
    dropped = ", whose arguments are dropped" if len(inherited) > 1 else ""
    return f"in place of {old.value}{old.place}{dropped}"


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

"""What the signature of a class lets a config say: names, type hints, defaults.

There is no second list of options anywhere: a config is checked against ``__init__`` itself. The
check is strict (``'128'`` and ``true`` are no integers), except that a list serves for a tuple and
a string for a path or a member of an enumeration, which YAML cannot write otherwise.
"""

from __future__ import annotations

import enum
import inspect
import re
import types
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePath
from typing import Annotated, Any, Literal, Union, get_args, get_origin, get_type_hints

from pydantic import ConfigDict, InstanceOf, Strict, TypeAdapter, ValidationError

from facezoo.errors import ConfigError, nearest

_STRICT = ConfigDict(strict=True, arbitrary_types_allowed=True)
_VALUES = (bool, int, float, str, bytes, list, tuple, dict, set, frozenset, PurePath, enum.Enum)


@dataclass(frozen=True)
class Argument:
    """One argument: its type hint, whether it has to be given, and both as an error shows them."""

    hint: Any
    required: bool
    text: str


@dataclass(frozen=True)
class Signature:
    """The arguments of a class, in order; if ``is_open`` also any others, of the hint ``rest``."""

    arguments: dict[str, Argument]
    rest: Any = None
    is_open: bool = False

    def __str__(self) -> str:
        return ", ".join(argument.text for argument in self.arguments.values()) or "none"


def signature_of(part: type) -> Signature:
    """Returns what ``part(...)`` takes.

    Raises:
        ConfigError: a type hint names something that does not exist at run time.
    """
    kind: Any = part
    made_by_new = kind.__init__ is object.__init__ and kind.__new__ is not object.__new__
    maker = kind.__new__ if made_by_new else kind.__init__
    try:
        hints = get_type_hints(maker, include_extras=True)
    except NameError as error:
        raise ConfigError(
            f"{part.__name__}'s type hints cannot be read ({error}): import what they name at run "
            "time too, not under TYPE_CHECKING alone"
        ) from error
    arguments: dict[str, Argument] = {}
    rest, is_open = None, False
    if maker is object.__init__:
        return Signature({})
    for parameter in list(inspect.signature(maker).parameters.values())[1:]:
        hint = hints.get(parameter.name, Any)
        if parameter.kind is parameter.VAR_KEYWORD:
            rest, is_open = hint, True
        elif parameter.kind is not parameter.VAR_POSITIONAL:
            required = parameter.default is parameter.empty
            text = f"{parameter.name}: {hint_text(hint)}"
            text += "" if required else f" = {show(parameter.default)}"
            arguments[parameter.name] = Argument(hint, required, text)
    return Signature(arguments, rest, is_open)


def check_value(value: Any, hint: Any) -> tuple[Any, str]:
    """Returns the value as its hint wants it, and what is wrong, which is empty where it fits."""
    try:
        return TypeAdapter(_strict(hint), config=_STRICT).validate_python(value), ""
    except ValidationError as error:
        problem = f"takes {hint_text(hint)}, not {show(value)}"
        first, *others = error.errors(include_url=False)
        if first["loc"] and not others:
            place = ".".join(str(step) for step in first["loc"])
            reason = first["msg"].replace("Input", show(first["input"]), 1)
            problem += f": at {place}, {reason}"
        return value, problem


def members(hint: Any) -> tuple[Any, ...]:
    """Returns the alternatives of a hint: ``Neck | None`` are two, most hints are one."""
    if get_origin(hint) is Annotated:
        return members(get_args(hint)[0])
    if get_origin(hint) in (Union, types.UnionType):
        return tuple(one for member in get_args(hint) for one in members(member))
    return (hint,)


def buildable(hint: Any) -> bool:
    """Whether a hint is a class that a mapping can describe, rather than a plain value."""
    return (
        isinstance(hint, type)
        and get_origin(hint) is None
        and not issubclass(hint, _VALUES)
        and hint.__module__ not in ("builtins", "collections.abc", "typing")
    )


def item_hint(hint: Any, container: type) -> Any:
    """Returns the hint of the items in a list (``container=list``) or the values in a mapping.

    None where the hint takes no such container or does not say what is in it.
    """
    kinds = (list, tuple, Sequence, Iterable) if container is list else (dict, Mapping)
    for member in members(hint):
        inner = get_args(member)
        if get_origin(member) in kinds and inner:
            return inner[-1] if container is dict else inner[0]
    return None


def holds_parts(hint: Any) -> bool:
    """Whether what a mapping describes may be found in values of a hint, at any depth."""
    return any(
        member is Any or buildable(member) or any(map(holds_parts, get_args(member)))
        for member in members(hint)
        if get_origin(member) is not Literal
    )


def hint_text(hint: Any) -> str:
    """Returns a type hint as an error message shows it: without modules, choices as choices."""
    alternatives = members(hint)
    if len(alternatives) > 1:
        return " | ".join(hint_text(one) for one in alternatives)
    if get_origin(alternatives[0]) is Literal:
        return " | ".join(show(choice) for choice in get_args(alternatives[0]))
    if alternatives[0] is type(None):
        return "null"
    return re.sub(r"\b(?:\w+\.)+(\w+)", r"\1", inspect.formatannotation(alternatives[0]))


def show(value: Any) -> str:
    """Returns a value as YAML would have it, shortened, for an error message."""
    text = {"None": "null", "True": "true", "False": "false"}.get(repr(value), repr(value))
    return text if len(text) <= 60 else f"{text[:57]}..."


def missing(given: Iterable[object], signature: Signature) -> list[str]:
    """Returns the required arguments that are not given, nor misspelt among those given."""
    given = list(given)
    unknown = [key for key in given if key not in signature.arguments]
    misspelt = {near for key in unknown for near in nearest(key, signature.arguments)}
    return [
        name
        for name, argument in signature.arguments.items()
        if argument.required and name not in given and name not in misspelt
    ]


def _strict(hint: Any) -> Any:
    """Returns a hint as pydantic is to check it: strictly, but for tuples, paths and enums."""
    origin, inner = get_origin(hint), get_args(hint)
    if origin is Annotated:
        return Annotated.__class_getitem__((_strict(inner[0]), *inner[1:]))  # type: ignore[attr-defined]
    if origin in (Union, types.UnionType):
        return Union[tuple(_strict(one) for one in inner)]  # noqa: UP007 - built at run time
    if origin is tuple:
        items: Any = tuple(one if one is Ellipsis else _strict(one) for one in inner)
        return Annotated[tuple.__class_getitem__(items), Strict(False)]
    if origin in (list, dict, set, frozenset, Sequence, Mapping, Iterable):
        return origin[tuple(_strict(one) for one in inner)]
    if hint is tuple or (isinstance(hint, type) and issubclass(hint, (PurePath, enum.Enum))):
        return Annotated[hint, Strict(False)]
    return Annotated[hint, InstanceOf()] if buildable(hint) else hint

"""At which scale a photograph is given to a model: the protocols that published numbers name.

A protocol fixes the scale and nothing else (OpenCV's bilinear resize does it); padding and
normalisation are the model's own. Its name belongs to every number that was measured with it.

    original      the photograph's own resolution
    vga           longer side scaled to 640, up or down
    short1600     shorter side scaled to 1600, unless the longer then exceeds 2150
    long:960      longer side scaled to 960
    short:800     shorter side scaled to 800
    fixed:640     scaled to 640 x 640, whatever the shape; fixed:640x480 is width x height
    multiscale    shorter side scaled to 500, 800, 1100, 1400 and 1700, each also mirrored, and the
                  faces of all ten joined by box voting

The first three and the last are those of the WIDER FACE literature; ``short1600`` is RetinaFace's
single-scale test (Deng et al., CVPR 2020), ``multiscale`` its other one. A mapping makes others:
``{views: [long:640, long:1280], mirror: true}``. A config may give such a one a name of its own
under ``evaluation.protocols``, which stands wherever a built-in one does: in ``views``, and as what
another name means.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from graphlib import CycleError, TopologicalSorter
from typing import Any, Literal

from facezoo.config.config import Config
from facezoo.errors import ConfigError, did_you_mean

Rule = Literal["original", "long", "short", "fixed", "views"]
RULES = ("long", "short", "fixed")
SECTION = "evaluation.protocols"
OWN_NAME = re.compile(r"[A-Za-z_][\w-]*")


@dataclass(frozen=True)
class Protocol:
    """A rule for the size of the image that a model sees.

    Attributes:
        rule: which side is fixed.
        size_wh: width and height for ``fixed``; else that side twice; zeros for ``original``.
        longest: bound of the longer side for ``short``, or None.
        scales: the protocols of ``views``, at each of which faces are looked for.
        mirror: whether ``views`` also looks at the mirror image at each scale.
        own_name: the name that a config gave it, else empty; two protocols of other names are equal
            where they do the same.
    """

    rule: Rule
    size_wh: tuple[int, int] = (0, 0)
    longest: int | None = None
    scales: tuple[Protocol, ...] = ()
    mirror: bool = False
    own_name: str = field(default="", compare=False)

    def views(self) -> list[tuple[Protocol, bool]]:
        """Returns each scale with whether it is that of the mirror image; one, but for views."""
        sides = (False, True) if self.mirror else (False,)
        return [(scale, side) for scale in self.scales or (self,) for side in sides]

    def name(self) -> str:
        """Returns the name that stands beside a number."""
        return self.own_name or self.definition()

    def definition(self) -> str:
        """Returns what the protocol is, whatever a config calls it: built-in name, or sizes."""
        for name, known in NAMED.items():
            if self == known:
                return name
        if self.rule == "views":
            mirrored = ", each also mirrored" if self.mirror else ""
            return f"views {', '.join(scale.definition() for scale in self.scales)}{mirrored}"
        width, height = self.size_wh
        return f"{self.rule}:{width}" if width == height else f"{self.rule}:{width}x{height}"

    def target_size_hw(self, size_hw: tuple[int, int]) -> tuple[int, int]:
        """Returns height and width in pixels, each at least 1, that an image is scaled to.

        Not for ``views``, which has several.

        Args:
            size_hw: height and width of the photograph.
        """
        height, width = size_hw
        if self.rule == "original":
            return height, width
        if self.rule == "fixed":
            return self.size_wh[1], self.size_wh[0]
        side = max(size_hw) if self.rule == "long" else min(size_hw)
        scale = self.size_wh[0] / side
        if self.longest is not None:
            scale = min(scale, self.longest / max(size_hw))
        return max(1, round(height * scale)), max(1, round(width * scale))


NAMED = {
    "original": Protocol("original"),
    "vga": Protocol("long", (640, 640)),
    "short1600": Protocol("short", (1600, 1600), longest=2150),
    "multiscale": Protocol(
        "views",
        scales=tuple(Protocol("short", (side, side)) for side in (500, 800, 1100, 1400, 1700)),
        mirror=True,
    ),
}


def configured_protocol(
    config: Config, asked: str | Mapping[str, Any] | Protocol | None = None
) -> Protocol:
    """Returns the protocol that is asked for, else that under ``evaluation.protocol``.

    Args:
        config: names under ``evaluation.protocols`` count beside the built-in ones.
        asked: see ``parse_protocol``.

    Raises:
        ConfigError: with one sentence for each protocol of the config that is wrong, also where
            another is asked for; or there is no such protocol.
    """
    own = _own_protocols(config)
    if asked is not None:
        return parse_protocol(asked, own)
    try:
        return parse_protocol(config["evaluation.protocol"], own)
    except ConfigError as error:
        raise ConfigError(config.located(f"evaluation.protocol: {error}")) from error


def parse_protocol(
    value: str | Mapping[str, Any] | Protocol, own: Mapping[str, Protocol] | None = None
) -> Protocol:
    """Returns the protocol that is meant.

    Args:
        value: a name, ``long:960``, ``{"long": 960}``, or ``{"views": ["long:640", "long:1280"],
            "mirror": True}``.
        own: those that a config names.

    Raises:
        ConfigError: the name is unknown, the size is not a positive whole number, or it is a size
            alone or a list.
    """
    known = {**NAMED, **(own or {})}
    if isinstance(value, Protocol):
        return value
    if isinstance(value, Mapping) and "views" in value:
        return _views(value, own)
    if isinstance(value, Mapping):
        if len(value) != 1:
            raise _unknown(str(dict(value)), known)
        ((rule, size),) = value.items()
    elif str(value) in known:
        return known[str(value)]
    else:
        _check_has_rule(value)
        rule, separator, size = str(value).partition(":")
        if not separator:
            raise _unknown(rule, known)
    if rule not in RULES:
        raise _unknown(str(rule), known)
    return Protocol(rule, _size_wh(rule, size))  # type: ignore[arg-type]


def _own_protocols(config: Config) -> dict[str, Protocol]:
    """Returns the protocols that a config names, each with its name."""
    definitions = {name: value for name, value in config[SECTION].items() if value is not None}
    uses = {name: _names_in(value) & definitions.keys() for name, value in definitions.items()}
    try:
        order = list(TopologicalSorter(uses).static_order())
    except CycleError as error:
        names = error.args[1]
        sentence = f"{SECTION}.{names[0]}: it is defined by itself ({' -> '.join(names)}); give "
        raise ConfigError(config.located(f"{sentence}one of these a size")) from error
    own: dict[str, Protocol] = {}
    problems: dict[str, str] = {}
    for name in order:
        try:
            _check_own_name(name)
            if uses[name] <= own.keys():  # else one of these is wrong, which is said there
                own[name] = replace(parse_protocol(definitions[name], own), own_name=name)
        except ConfigError as error:
            problems[name] = config.located(f"{SECTION}.{name}: {error}")
    if problems:
        raise ConfigError([problems[name] for name in definitions if name in problems])
    return own


def _names_in(definition: object) -> set[str]:
    """Returns the names that a definition may refer to: itself, or its views."""
    views = definition.get("views") if isinstance(definition, Mapping) else definition
    return {one for one in (views if isinstance(views, list) else [views]) if isinstance(one, str)}


def _check_own_name(name: str) -> None:
    if name in NAMED or name in (*RULES, "views"):
        raise ConfigError(f"{name!r} is a protocol that facezoo brings along; choose another name.")
    if not OWN_NAME.fullmatch(name):
        raise ConfigError(
            f"{name!r} is no name of a protocol; write a word of letters, digits, - and _."
        )


def _views(value: Mapping[str, Any], own: Mapping[str, Protocol] | None) -> Protocol:
    scales, mirror = value["views"], value.get("mirror", False)
    unknown = value.keys() - {"views", "mirror"}
    if unknown or not isinstance(scales, (list, tuple)) or not scales or type(mirror) is not bool:
        raise ConfigError(
            f"The protocol {dict(value)} is not understood; give views a list of scales such as "
            "[long:640, long:1280], and mirror true or false."
        )
    parsed = tuple(parse_protocol(scale, own) for scale in scales)
    if any(scale.rule == "views" for scale in parsed):
        raise ConfigError(f"The protocol {dict(value)} has views within views; name their scales.")
    return Protocol("views", scales=parsed, mirror=mirror)


def _check_has_rule(value: object) -> None:
    if isinstance(value, (list, tuple)):
        raise ConfigError(
            f"The protocol {list(value)} is a list; write {{views: [...]}} for several scales, or "
            "one of them alone."
        )
    if re.fullmatch(r"[0-9][0-9.x]*", str(value)):
        raise ConfigError(
            f"The protocol {str(value)!r} is a size alone; say of what: long:640 or short:640 for "
            "a side, fixed:640x480 for both."
        )


def _size_wh(rule: str, size: object) -> tuple[int, int]:
    sides: list[object] = [size]
    if isinstance(size, str):
        sides = [int(one) if re.fullmatch(r"[0-9]+", one) else one for one in size.split("x")]
    elif isinstance(size, Sequence):
        sides = list(size)
    whole = all(isinstance(side, int) and not isinstance(side, bool) for side in sides)
    if not whole or len(sides) > (2 if rule == "fixed" else 1) or min(sides, default=0) < 1:  # type: ignore[type-var, operator]
        wanted = "pixels such as 640 or 640x480" if rule == "fixed" else "pixels such as 640"
        raise ConfigError(f"The protocol {rule!r} has the size {size!r}; give it {wanted}.")
    width, height = sides[0], sides[-1]
    return width, height  # type: ignore[return-value]


def _unknown(name: str, known: Mapping[str, Protocol]) -> ConfigError:
    hint = did_you_mean(name, [one for one in (*known, *RULES) if one != name])
    return ConfigError(
        f"The protocol {name!r} is unknown{hint}. There are {', '.join(known)}, "
        "long:N, short:N, fixed:N with a size in pixels, and {views: [...], mirror: true}; a name "
        f"of one's own is given under {SECTION}."
    )

"""At which scale a photograph is given to a model: the protocols that published numbers name.

A protocol fixes the scale and nothing else (OpenCV's bilinear resize does it); padding and
normalisation are the model's own. Its name belongs to every number that was measured with it.

    original      the photograph's own resolution
    vga           longer side scaled to 640, up or down
    short1600     shorter side scaled to 1600, unless the longer then exceeds 2150
    long:960      longer side scaled to 960
    short:800     shorter side scaled to 800
    fixed:640     scaled to 640 x 640, whatever the shape; fixed:640x480 is width x height

The first three are those of the WIDER FACE literature; ``short1600`` is RetinaFace's single-scale
test (Deng et al., CVPR 2020).
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from facezoo.errors import ConfigError

Rule = Literal["original", "long", "short", "fixed"]
RULES = ("long", "short", "fixed")


@dataclass(frozen=True)
class Protocol:
    """A rule for the size of the image that a model sees.

    Attributes:
        rule: which side is fixed.
        size_wh: width and height for ``fixed``; else that side twice; zeros for ``original``.
        longest: bound of the longer side for ``short``, or None.
    """

    rule: Rule
    size_wh: tuple[int, int] = (0, 0)
    longest: int | None = None

    def name(self) -> str:
        """Returns the name that stands beside a number, which ``parse_protocol`` reads back."""
        for name, known in NAMED.items():
            if self == known:
                return name
        width, height = self.size_wh
        return f"{self.rule}:{width}" if width == height else f"{self.rule}:{width}x{height}"

    def target_size_hw(self, size_hw: tuple[int, int]) -> tuple[int, int]:
        """Returns height and width in pixels, each at least 1, that an image is scaled to.

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
}


def parse_protocol(value: str | Mapping[str, Any] | Protocol) -> Protocol:
    """Returns the protocol that a name, ``long:960`` or ``{"long": 960}`` means.

    Raises:
        ConfigError: the name is unknown, or the size is not a positive whole number.
    """
    if isinstance(value, Protocol):
        return value
    if isinstance(value, Mapping):
        if len(value) != 1:
            raise _unknown(str(dict(value)))
        ((rule, size),) = value.items()
    elif value in NAMED:
        return NAMED[value]
    else:
        rule, separator, size = str(value).partition(":")
        if not separator:
            raise _unknown(rule)
    if rule not in RULES:
        raise _unknown(str(rule))
    return Protocol(rule, _size_wh(rule, size))  # type: ignore[arg-type]


def _size_wh(rule: str, size: object) -> tuple[int, int]:
    if isinstance(size, str):
        sides: list[object] = [
            int(side) if re.fullmatch(r"[0-9]+", side) else side for side in size.split("x")
        ]
    else:
        sides = list(size) if isinstance(size, Sequence) else [size]
    whole = all(isinstance(side, int) and not isinstance(side, bool) for side in sides)
    if not whole or len(sides) > (2 if rule == "fixed" else 1) or min(sides, default=0) < 1:  # type: ignore[type-var, operator]
        wanted = "pixels such as 640 or 640x480" if rule == "fixed" else "pixels such as 640"
        raise ConfigError(f"The protocol {rule!r} has the size {size!r}; give it {wanted}.")
    width, height = sides[0], sides[-1]
    return width, height  # type: ignore[return-value]


def _unknown(name: str) -> ConfigError:
    choices = [*NAMED, *RULES]
    near = difflib.get_close_matches(name, choices, n=1)
    hint = f" Did you mean {near[0]!r}?" if near else ""
    return ConfigError(
        f"The protocol {name!r} is unknown.{hint} There are {', '.join(NAMED)}, "
        "and long:N, short:N, fixed:N with a size in pixels."
    )

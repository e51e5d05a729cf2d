"""Checks of the arguments that several transforms have."""

from __future__ import annotations

from facezoo.errors import ConfigError


def check_size(size: int, transform: str) -> None:
    """Raises a ConfigError unless ``size`` is a length in pixels."""
    if size < 1:
        raise ConfigError(f"size of {transform} is {size}; give at least 1 pixel.")


def check_probability(p: float, transform: str) -> None:
    """Raises a ConfigError unless ``p`` is a probability."""
    if not 0 <= p <= 1:
        raise ConfigError(f"p of {transform} is {p}; give a probability from 0 to 1.")


def check_colour(value: tuple[int, int, int], transform: str) -> None:
    """Raises a ConfigError unless ``value`` is a colour of 8 bits."""
    if not all(0 <= one <= 255 for one in value):
        raise ConfigError(
            f"value of {transform} is {list(value)}; give red, green and blue from 0 to 255."
        )

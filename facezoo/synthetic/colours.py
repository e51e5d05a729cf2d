"""Colours of skin, hair, cloth and things."""

from __future__ import annotations

from facezoo.synthetic.dice import Dice

Colour = tuple[int, ...]
"""Red, green and blue, 0 to 255."""

SKIN: tuple[Colour, ...] = (
    (255, 226, 208), (244, 203, 178), (231, 180, 140), (208, 150, 108),
    (172, 115, 78), (133, 84, 56), (98, 62, 44), (66, 43, 34),
)  # fmt: skip
"""From light to dark; a person's tone lies anywhere between two neighbours."""
HAIR: tuple[Colour, ...] = (
    (22, 18, 17), (38, 27, 22), (62, 40, 26), (95, 60, 34), (130, 85, 45), (180, 135, 80),
    (222, 190, 130), (160, 70, 35), (120, 118, 116), (190, 188, 184), (232, 230, 226),
)  # fmt: skip
DYED: tuple[Colour, ...] = ((205, 70, 130), (70, 110, 200), (60, 150, 110), (140, 70, 170))
CLOTH: tuple[Colour, ...] = (
    (192, 57, 43), (41, 98, 164), (39, 134, 92), (230, 160, 40), (120, 72, 150), (240, 240, 235),
    (45, 48, 56), (130, 135, 140), (220, 120, 90), (95, 150, 190), (70, 90, 60), (160, 110, 70),
    (235, 205, 120), (235, 170, 185), (30, 60, 90), (150, 40, 60),
)  # fmt: skip
INK: Colour = (32, 26, 26)
WHITE: Colour = (248, 246, 242)


def shade(colour: Colour, factor: float) -> Colour:
    """Returns the colour times ``factor``, darker below 1 and lighter above."""
    return tuple(min(255, int(channel * factor)) for channel in colour)


def mix(first: Colour, second: Colour, share: float) -> Colour:
    """Returns the first colour with ``share`` of the second mixed in."""
    return tuple(int(a + (b - a) * share) for a, b in zip(first, second, strict=True))


def jitter(dice: Dice, colour: Colour, amount: int = 12) -> Colour:
    """Returns the colour with each channel moved by at most ``amount``."""
    moved = (channel + dice.integer(-amount, amount) for channel in colour)
    return tuple(min(255, max(0, channel)) for channel in moved)


def any_colour(dice: Dice) -> Colour:
    """Returns any colour, seldom a loud one."""
    loud = dice.integer(0, 255), dice.integer(0, 255), dice.integer(0, 255)
    return mix(loud, (168, 156, 142), 0.8 * dice.unit())


def skin_tone(dice: Dice) -> Colour:
    """Returns a skin tone, evenly spread from light to dark."""
    place = dice.uniform(0, len(SKIN) - 1)
    step = int(place)
    return jitter(dice, mix(SKIN[step], SKIN[min(step + 1, len(SKIN) - 1)], place - step), 8)


def is_dark(skin: Colour) -> bool:
    """Returns whether small eyes show on this skin by their white rather than as dark spots."""
    return sum(skin) < 300


def hair_colour(dice: Dice, skin: Colour) -> Colour:
    """Returns a hair colour, now and then a dyed one, rarely a fair one on dark skin."""
    if dice.chance(0.04):
        return jitter(dice, dice.pick(DYED), 8)
    if is_dark(skin) and dice.chance(0.85):
        return jitter(dice, dice.pick(HAIR[:4] + HAIR[-3:-1]), 6)
    return jitter(dice, dice.pick(HAIR), 8)


def cloth_colour(dice: Dice) -> Colour:
    """Returns a colour of clothes."""
    return jitter(dice, dice.pick(CLOTH), 16)

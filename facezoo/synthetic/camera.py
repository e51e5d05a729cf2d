"""Effects of light and camera on a painted scene: exposure, cast, blur, noise, compression."""

from __future__ import annotations

import math

import cv2
import numpy as np

from facezoo.synthetic.dice import Dice
from facezoo.synthetic.figures import Image

SHARPEST_BLUR = 0.05
"""Largest standard deviation of blur, as a share of the smallest face's height."""


def sample_light(dice: Dice) -> Image:
    """Returns the light on the figures of a scene, 2 x 2 x 4: brightness at the corners."""
    darkest = dice.uniform(0.55, 0.95)
    side, top = dice.uniform(-1, 1), dice.uniform(0, 1)
    corners = np.array([[side + top, top - side], [side - top, -side - top]]) / 2
    level = 1 - (1 - darkest) * (1 - corners) / 2
    warmth = dice.bell(0.03)
    tint = np.array([1 + warmth, 1.0, 1 - warmth])
    light = np.full((2, 2, 4), 255, np.uint8)
    light[..., :3] = np.clip(level[..., None] * tint * 255, 0, 255)
    return light


def photograph(dice: Dice, image: Image, smallest: float) -> Image:
    """Returns the scene as a camera of any quality sees it.

    Args:
        dice: random choices.
        image: H x W x 3, RGB.
        smallest: height of the smallest face in pixels, which has to stay detectable.
    """
    if dice.chance(0.4):
        image = _uneven_light(dice, image)
    if dice.chance(0.3):
        image = _blur(dice, image, smallest)
    if dice.chance(0.6):
        image = _develop(dice, image)
    if dice.chance(0.06):
        image = cv2.cvtColor(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY), cv2.COLOR_GRAY2RGB)
    if dice.chance(0.5):
        image = _grain(dice, image, smallest)
    if dice.chance(0.12):
        quality = dice.integer(35, 85) if smallest > 12 else dice.integer(70, 90)
        _, data = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, quality])
        image = np.asarray(cv2.imdecode(data, cv2.IMREAD_COLOR), np.uint8)
    return image


def _uneven_light(dice: Dice, image: Image) -> Image:
    darkest = dice.integer(90, 220)
    field = dice.generator.integers(darkest, 256, (2, 3), np.uint8)
    field = cv2.resize(field, (image.shape[1], image.shape[0]), interpolation=cv2.INTER_LINEAR)
    return cv2.multiply(image, cv2.cvtColor(field, cv2.COLOR_GRAY2RGB), scale=1 / 255)


def _blur(dice: Dice, image: Image, smallest: float) -> Image:
    sigma = min(dice.uniform(0.5, 2.2), SHARPEST_BLUR * smallest)
    if sigma < 0.3:
        return image
    if dice.chance(0.6):
        return cv2.GaussianBlur(image, (0, 0), sigma)
    # A line of length l blurs along itself like a Gaussian of l / sqrt(12).
    length = max(2.0, sigma * math.sqrt(12))
    angle, middle = dice.uniform(0, math.pi), int(length) // 2 + 1
    kernel = np.zeros((2 * middle + 1, 2 * middle + 1), np.float32)
    across, down = math.cos(angle) * length / 2, math.sin(angle) * length / 2
    ends = [(round((middle + s * across) * 16), round((middle + s * down) * 16)) for s in (-1, 1)]
    cv2.line(kernel, ends[0], ends[1], 1.0, 1, cv2.LINE_8, 4)
    return cv2.filter2D(image, -1, kernel / kernel.sum())


def _develop(dice: Dice, image: Image) -> Image:
    """Exposure, contrast (sometimes very low) and a colour cast, as one table per channel."""
    contrast = dice.uniform(0.35, 0.6) if dice.chance(0.14) else dice.uniform(0.75, 1.2)
    middle, gamma = dice.uniform(90, 160), math.exp(dice.bell(0.22))
    levels = 255 * (np.arange(256) / 255) ** gamma
    levels = (levels - 128) * contrast + 128 + (middle - 128) * min(1.0, abs(1.3 - contrast))
    cast = np.array([1 + dice.bell(0.035), 1.0, 1 + dice.bell(0.035)])
    table = np.clip(levels[:, None] * cast, 0, 255).astype(np.uint8)
    return cv2.LUT(image, table[None])


def _grain(dice: Dice, image: Image, smallest: float) -> Image:
    strength = dice.uniform(0.02, 0.15 if smallest > 12 else 0.08)
    size = image.shape if dice.chance(0.5) else (*image.shape[:2], 1)
    values = dice.generator.integers(0, 256, size, np.uint8)
    if size[2] == 1:
        values = cv2.cvtColor(values, cv2.COLOR_GRAY2RGB)
    return cv2.addWeighted(image, 1.0, values, strength, -127.5 * strength)

"""``Flip``: the mirror image."""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np

from facezoo.data.transforms.transform import Transform, check_probability
from facezoo.data.transforms.view import compose
from facezoo.registry import TRANSFORMS
from facezoo.structures import MIRRORED_LANDMARKS, NUM_LANDMARKS, Sample


@TRANSFORMS.register
class Flip(Transform):
    """Mirrors left and right; the eyes change places, and so do the corners of the mouth.

    Args:
        p: probability.

    Raises:
        ConfigError: ``p`` is no probability.
    """

    def __init__(self, p: float = 0.5) -> None:
        check_probability(p, "Flip")
        self.p = p

    def __call__(self, sample: Sample, generator: np.random.Generator) -> Sample:
        """Returns the sample, mirrored with probability ``p``."""
        if generator.random() >= self.p:
            return sample
        width = sample.image.shape[1]
        boxes = sample.boxes.copy()
        boxes[:, [0, 2]] = width - sample.boxes[:, [2, 0]]
        landmarks = sample.landmarks.copy()
        landmarks[..., 0] = width - landmarks[..., 0]
        return replace(
            sample,
            image=np.asarray(cv2.flip(sample.image, 1), np.uint8),
            boxes=boxes,
            landmarks=mirrored_order(landmarks),
            to_original=compose(sample.to_original, np.array([[-1.0, 0, width], [0, 1, 0]])),
        )


def mirrored_order(landmarks: np.ndarray) -> np.ndarray:
    """Returns n x L x 2 landmarks in the order of a mirror image; only five have a known one."""
    if landmarks.shape[1] != NUM_LANDMARKS:
        return landmarks
    return landmarks[:, MIRRORED_LANDMARKS]

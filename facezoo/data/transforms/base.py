"""What every transform is."""

from __future__ import annotations

import numpy as np

from facezoo.structures import Sample


class Transform:
    """A change of a sample: of its image and, with it, of its boxes, landmarks and map.

    A transform keeps no state between samples and draws every random number from the generator it
    is given, so that a sample depends on nothing but its seed.
    """

    def __call__(self, sample: Sample, generator: np.random.Generator) -> Sample:
        """Returns the changed sample; the one that was given is left as it is."""
        raise NotImplementedError

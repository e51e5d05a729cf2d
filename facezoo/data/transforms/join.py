"""The faces of several samples in one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from facezoo.structures import Sample


def joined(image: NDArray[np.uint8], samples: Sequence[Sample]) -> Sample:
    """Returns a sample that shows ``image`` and has the faces of all samples, in their order.

    Name, path and map are those of the first. Attributes are kept where all samples have them.

    Args:
        image: H x W x 3.
        samples: one or more, with boxes and landmarks in the pixels of ``image``.
    """
    attributes = [one.attributes for one in samples if one.attributes is not None]
    return replace(
        samples[0],
        image=image,
        boxes=np.concatenate([one.boxes for one in samples]),
        landmarks=np.concatenate([one.landmarks for one in samples]),
        ignore=np.concatenate([one.ignore for one in samples]),
        labels=np.concatenate([one.labels for one in samples]),
        attributes=np.concatenate(attributes) if len(attributes) == len(samples) else None,
        dropped=sum(one.dropped for one in samples),
    )

"""What every data set is: photographs by index, each with its annotated faces."""

from collections.abc import Callable
from operator import index as as_index
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from facezoo.data.images import read_image
from facezoo.structures import Sample, Truth

ReadImage = Callable[[str | Path], NDArray[np.uint8]]
"""Gives the photograph in a file as H x W x 3, RGB, as ``facezoo.data.images.read_image`` does."""


class FaceDataset:
    """Photographs with their annotation, nothing else: no augmentation, no batching.

    Reading an image twice gives the same sample. A data set can be pickled, since worker processes
    that are spawned receive a copy.

    Attributes:
        num_landmarks: landmarks per face, whether or not a face's are known.
    """

    num_landmarks: int

    def __len__(self) -> int:
        """Returns the number of images."""
        raise NotImplementedError

    def __getitem__(self, index: int) -> Sample:
        """Returns image ``index`` with its faces.

        A data set has this or ``sample``; either one stands for the other.

        Raises:
            IndexError: there is no such image.
            DataError: the image cannot be read.
        """
        return self.sample(index, read_image)

    def sample(self, index: int, read: ReadImage) -> Sample:
        """Returns image ``index`` as ``self[index]`` does, its photograph read by ``read``.

        The loader reads through this, so that a cache can stand in between. What ``read`` gives is
        read-only: copy it to change it. A data set without files, or that reads them itself, leaves
        ``read`` alone.
        """
        return self[index]

    def checked(self, index: int) -> int:
        """Returns an index that is within the data set.

        Raises:
            IndexError: it is not.
        """
        number = as_index(index)
        if not 0 <= number < len(self):
            raise IndexError(f"image {number} of {len(self)}")
        return number

    def truth(self, index: int) -> Truth:
        """Returns the faces of image ``index`` as evaluators take them, without reading it."""
        raise NotImplementedError

    def image_id(self, index: int) -> str:
        """Returns the id of image ``index``, without reading it."""
        raise NotImplementedError

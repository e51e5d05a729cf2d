"""What every data set is: photographs by index, each with its annotated faces."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

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

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        if "sample" in vars(cls) and "gives_as_read" not in vars(cls):
            cls.gives_as_read = FaceDataset.gives_as_read  # type: ignore[method-assign]

    def __len__(self) -> int:
        """Returns the number of images."""
        raise NotImplementedError

    def __getitem__(self, index: int) -> Sample:
        """Returns image ``index`` with its faces.

        Raises:
            IndexError: there is no such image.
            DataError: the image cannot be read.
        """
        raise NotImplementedError

    def sample(self, index: int, read: ReadImage) -> Sample:
        """Returns image ``index`` with its faces, its photograph read by ``read``.

        The loader reads through this, so that a cache can stand in between. What ``read`` gives is
        read-only: copy it to change it. A data set without files, or that reads them itself, leaves
        ``read`` alone.

        Raises:
            IndexError: there is no such image.
            DataError: the image cannot be read.
        """
        return self[index]

    @property
    def gives_as_read(self) -> bool:
        """Whether a sample's image is the very array that ``read`` gave for its ``path``.

        It may then be neither changed nor looked at but for its shape, so that the loader can
        decode it later, at the scale that the transforms need (``data.reduced_decoding``). A class
        with a ``sample`` of its own has to say so itself, whatever its base says.
        """
        return False

    def truth(self, index: int) -> Truth:
        """Returns the faces of image ``index`` as evaluators take them, without reading it."""
        raise NotImplementedError

    def image_id(self, index: int) -> str:
        """Returns the id of image ``index``, without reading it."""
        raise NotImplementedError

"""What every data set is: photographs by index, each with its annotated faces."""

from __future__ import annotations

from facezoo.structures import Sample, Truth


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

        Raises:
            IndexError: there is no such image.
            DataError: the image cannot be read.
        """
        raise NotImplementedError

    def truth(self, index: int) -> Truth:
        """Returns the faces of image ``index`` as evaluators take them, without reading it."""
        raise NotImplementedError

    def image_id(self, index: int) -> str:
        """Returns the id of image ``index``, without reading it."""
        raise NotImplementedError

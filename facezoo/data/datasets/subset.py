"""``Subset``: some images of another data set."""

from __future__ import annotations

from operator import index as as_index

from facezoo.data.datasets.face_dataset import FaceDataset, ReadImage
from facezoo.data.images import read_image
from facezoo.errors import DataError
from facezoo.registry import DATASETS
from facezoo.structures import Sample, Truth

SHOWN = 3


@DATASETS.register
class Subset(FaceDataset):
    """Some images of a data set, a set of its own.

    Args:
        dataset: where they are taken from.
        names: their ids, in the order they are to have.

    Raises:
        DataError: a name is unknown or stands there twice, or there is none.
    """

    def __init__(self, dataset: FaceDataset, names: list[str]) -> None:
        places = {dataset.image_id(i): i for i in range(len(dataset))}
        unknown = [name for name in names if name not in places]
        if unknown:
            shown = ", ".join(map(repr, unknown[:SHOWN]))
            raise DataError(
                f"{len(unknown)} of {len(names)} names are no image of the data set, such as "
                f"{shown}; its ids look like {next(iter(places), '')!r}."
            )
        if not names:
            raise DataError("The list of images to take is empty; name at least one.")
        if len(set(names)) < len(names):
            twice = next(name for name in names if names.count(name) > 1)
            raise DataError(f"The image {twice!r} is named more than once; name it once.")
        self.dataset = dataset
        self.num_landmarks = dataset.num_landmarks
        self._places = [places[name] for name in names]

    def __len__(self) -> int:
        return len(self._places)

    def __getitem__(self, index: int) -> Sample:
        """Returns the image that the name ``index`` stands for."""
        return self.sample(index, read_image)

    def sample(self, index: int, read: ReadImage) -> Sample:
        """Returns the image that the name ``index`` stands for, read by ``read``."""
        return self.dataset.sample(self._place(index), read)

    def truth(self, index: int) -> Truth:
        """Returns its faces, without reading it."""
        return self.dataset.truth(self._place(index))

    def image_id(self, index: int) -> str:
        """Returns the name ``index``."""
        return self.dataset.image_id(self._place(index))

    def _place(self, index: int) -> int:
        number = as_index(index)
        if not 0 <= number < len(self._places):
            raise IndexError(f"image {number} of {len(self._places)}")
        return self._places[number]

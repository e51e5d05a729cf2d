"""``Concat``: several data sets as one. ``Subset``: some images of another data set."""

import math

import numpy as np

from facezoo.data.datasets.face_dataset import FaceDataset, ReadImage
from facezoo.errors import ConfigError, DataError
from facezoo.registry import DATASETS
from facezoo.structures import Sample, Truth

SHOWN = 3


class _ImagesOfOthers(FaceDataset):
    """A data set whose images are those of other data sets, under their ids."""

    def sample(self, index: int, read: ReadImage) -> Sample:
        dataset, number = self._find(index)
        return dataset.sample(number, read)

    def truth(self, index: int) -> Truth:
        dataset, number = self._find(index)
        return dataset.truth(number)

    def image_id(self, index: int) -> str:
        dataset, number = self._find(index)
        return dataset.image_id(number)

    def _find(self, index: int) -> tuple[FaceDataset, int]:
        """Returns the data set of an image, and its number in it."""
        raise NotImplementedError


@DATASETS.register
class Concat(_ImagesOfOthers):
    """Several data sets, one after another, each as often as its weight says.

    Without weights each image is there once. With weights w (of sum W) and n images per data set,
    the length is ``L = max(n W / w)`` and each data set has ``ceil(L w / W)`` places, so that every
    image of every data set comes at least once in an epoch. The images of a data set that has more
    places than images repeat evenly: image ``floor(i n / places)`` stands at its place i, and no
    image comes more than once more often than another of its data set.

    Ids are those of the data sets, as evaluators know them; two that share an id cannot be joined.
    An image that repeats has its one id at each of its places, so that weights are for training.

    Args:
        datasets: with equal numbers of landmarks per face.
        weights: one above 0 for each data set: their shares of an epoch, in any unit; None joins
            them as they are.

    Raises:
        ConfigError: there is no data set, or weights do not fit.
        DataError: numbers of landmarks differ, two data sets share an id, or a weighted one is
            empty.
    """

    def __init__(self, datasets: list[FaceDataset], weights: list[float] | None = None) -> None:
        if not datasets:
            raise ConfigError("datasets of Concat is empty; give at least one data set.")
        if weights is not None:
            _check_weights(weights, datasets)
        _check_landmarks(datasets)
        _check_ids(datasets)
        self.datasets = datasets
        self.num_landmarks = datasets[0].num_landmarks
        lengths = [len(one) for one in datasets]
        self._ends = np.cumsum(lengths if weights is None else _places_of(lengths, weights))

    def __len__(self) -> int:
        return int(self._ends[-1])

    def _find(self, index: int) -> tuple[FaceDataset, int]:
        place = self.checked(index)
        which = int(np.searchsorted(self._ends, place, side="right"))
        start = int(self._ends[which - 1]) if which else 0
        places, images = int(self._ends[which]) - start, len(self.datasets[which])
        return self.datasets[which], (place - start) * images // places


def _places_of(lengths: list[int], weights: list[float]) -> list[int]:
    """Returns how many places each data set has."""
    per_weight = max(length / weight for length, weight in zip(lengths, weights, strict=True))
    # Rounding must not give the data set that sets the length one place more than it has images.
    return [
        max(length, math.ceil(round(per_weight * weight, 6)))
        for length, weight in zip(lengths, weights, strict=True)
    ]


def _check_weights(weights: list[float], datasets: list[FaceDataset]) -> None:
    if len(weights) != len(datasets) or not all(0 < one < math.inf for one in weights):
        raise ConfigError(
            f"weights of Concat are {weights}; give {len(datasets)} numbers above 0, one for each "
            "data set, or null."
        )
    empty = next((number for number, one in enumerate(datasets) if not len(one)), None)
    if empty is not None:
        raise DataError(
            f"Data set {empty} of Concat has no images, so that no weight gives it a share; check "
            "its root and split, or leave it out."
        )


def _check_landmarks(datasets: list[FaceDataset]) -> None:
    numbers = [one.num_landmarks for one in datasets]
    if len(set(numbers)) > 1:
        raise DataError(
            f"The data sets of Concat have {numbers} landmarks per face; join only data sets that "
            "agree."
        )


def _check_ids(datasets: list[FaceDataset]) -> None:
    owners: dict[str, int] = {}
    for number, dataset in enumerate(datasets):
        ids = {dataset.image_id(index) for index in range(len(dataset))}
        shared = min(ids & owners.keys(), default=None)
        if shared is not None:
            raise DataError(
                f"Data sets {owners[shared]} and {number} of Concat both have an image {shared!r}; "
                "give one of them other names of images, or take one data set with a higher "
                "weight."
            )
        owners |= dict.fromkeys(ids, number)


@DATASETS.register
class Subset(_ImagesOfOthers):
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

    def _find(self, index: int) -> tuple[FaceDataset, int]:
        return self.dataset, self._places[self.checked(index)]

"""One sample at a position of a plan, read and transformed, and samples as a batch."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from facezoo.data.datasets.face_dataset import FaceDataset
from facezoo.data.images import read_only_image
from facezoo.data.loading.cache import ImageCache
from facezoo.data.loading.sampler import Plan
from facezoo.data.transforms.transform import PartnerTransform, Transform
from facezoo.errors import DataError
from facezoo.structures import Batch, Sample, Targets

MIN_FACES = 8
"""Least number of faces that targets are padded to: batches of few faces then have one shape, and
a compiled step is not compiled for 1, 2 and 4 apart."""


def padded_faces(most: int) -> int:
    """Returns G for images of up to ``most`` faces: a power of two, at least ``MIN_FACES``."""
    return max(MIN_FACES, 1 << max(0, most - 1).bit_length())


def check_sample(sample: Sample) -> Sample:
    """Returns a sample as it comes from a data set, where it can be used.

    Raises:
        DataError: the image is no 8-bit RGB, the faces' arrays differ in length, a box is not
            finite or ends before it starts, or a landmark is infinite.
    """
    name = f"Image {sample.image_id}"
    image = sample.image
    if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3 or not image.size:
        raise DataError(
            f"{name} is an array of {image.dtype} and shape {image.shape}; a data set gives "
            "H x W x 3, uint8."
        )
    faces = len(sample.boxes)
    lengths = {len(sample.landmarks), len(sample.ignore), len(sample.labels)}
    if lengths != {faces} or sample.boxes.shape != (faces, 4) or sample.landmarks.ndim != 3:
        raise DataError(
            f"{name} has boxes of shape {sample.boxes.shape}, landmarks of shape "
            f"{sample.landmarks.shape}, {len(sample.ignore)} ignore and {len(sample.labels)} "
            "labels; a data set gives n x 4, n x L x 2, n and n."
        )
    wrong = ~np.isfinite(sample.boxes).all(1) | (sample.boxes[:, 2:] < sample.boxes[:, :2]).any(1)
    wrong |= np.isinf(sample.landmarks).any((1, 2))
    if wrong.any():
        face = int(wrong.argmax())
        raise DataError(
            f"{name} has at face {face} the box {sample.boxes[face].tolist()} and the landmarks "
            f"{sample.landmarks[face].tolist()}; correct its annotation: boxes take finite "
            "x1 <= x2 and y1 <= y2, landmarks finite numbers or NaN."
        )
    return sample


def collate(
    samples: Sequence[Sample], memory: Callable[[Sequence[int]], Tensor] | None = None
) -> Batch:
    """Returns the samples as a batch.

    ``Batch.images`` lies in memory as B x H x W x 3, which is torch's channels_last.

    Args:
        samples: one or more, of one size and one number of landmarks.
        memory: gives the uint8 tensor of a shape that the images are copied to; None for a new one.

    Raises:
        DataError: the sizes or the numbers of landmarks differ, or a box is not finite.
    """
    _check_alike(samples)
    for sample in samples:
        if not np.isfinite(sample.boxes).all():
            raise DataError(
                f"A transform gave image {sample.image_id} a box that is not finite; correct it, "
                "or take it out of the transforms."
            )
    shape = (len(samples), *samples[0].image.shape)
    images = torch.empty(shape, dtype=torch.uint8) if memory is None else memory(shape)
    np.stack([sample.image for sample in samples], out=images.numpy())
    return Batch(
        images=images.permute(0, 3, 1, 2),
        targets=_targets(samples),
        ids=tuple(sample.image_id for sample in samples),
        maps=torch.from_numpy(np.stack([sample.to_original for sample in samples])),
        dropped=sum(sample.dropped for sample in samples),
    )


def _check_alike(samples: Sequence[Sample]) -> None:
    first = samples[0]
    for other in samples:
        if other.image.shape != first.image.shape:
            raise DataError(
                f"The images of a batch need one size, but {first.image_id} has "
                f"{_size(first)} pixels and {other.image_id} {_size(other)}: put SquareCrop or "
                "Letterbox into the transforms."
            )
        if other.landmarks.shape[1:] != first.landmarks.shape[1:]:
            raise DataError(
                f"The faces of a batch need one number of landmarks, but those of {first.image_id} "
                f"have {first.landmarks.shape[1]} and those of {other.image_id} "
                f"{other.landmarks.shape[1]}: join only data sets that agree."
            )


def _size(sample: Sample) -> str:
    return f"{sample.image.shape[1]} x {sample.image.shape[0]}"


def _targets(samples: Sequence[Sample]) -> Targets:
    landmarks = _padded([sample.landmarks for sample in samples], np.float32)
    finite = _padded([np.isfinite(sample.landmarks) for sample in samples], np.bool_)
    known = finite.all(-1, keepdim=True)
    return Targets(
        boxes=_padded([sample.boxes for sample in samples], np.float32),
        valid=_padded([np.ones(len(sample.boxes), np.bool_) for sample in samples], np.bool_),
        ignore=_padded([sample.ignore for sample in samples], np.bool_),
        labels=_padded([sample.labels for sample in samples], np.int64),
        landmarks=torch.where(known, landmarks, 0.0),
        landmarks_valid=known[..., 0],
    )


def _padded(arrays: Sequence[NDArray[Any]], dtype: type[np.generic]) -> Tensor:
    """Returns B x G x ..., zeros after each image's own rows."""
    most = padded_faces(max(len(array) for array in arrays))
    result = np.zeros((len(arrays), most, *arrays[0].shape[1:]), dtype)
    for row, array in zip(result, arrays, strict=True):
        row[: len(array)] = array
    return torch.from_numpy(result)


OnUnreadable = Literal["stop", "next"]


@dataclass(frozen=True)
class _Work:
    """What is needed to make a sample, or a partner of one."""

    position: int
    path: tuple[int, ...]  # of a partner, see ``Plan.partner_generator``; else empty
    generator: np.random.Generator
    unreadable: list[str]  # is given the error of each image that could not be read


@dataclass(frozen=True)
class SampleMaker:
    """Makes the sample at a position, which depends on nothing but the plan and the data.

    Args:
        dataset: where samples come from.
        transforms: applied to each sample in turn.
        plan: what is read at which position.
        on_unreadable: where an image cannot be read, ``stop`` with its error or take the ``next``
            that the plan names.
        cache: of decoded photographs; None decodes each time.
    """

    dataset: FaceDataset
    transforms: tuple[Transform, ...]
    plan: Plan
    on_unreadable: OnUnreadable = "stop"
    cache: ImageCache | None = None

    def __call__(self, position: int, unreadable: list[str]) -> Sample:
        """Returns the sample at a position, and adds errors of images to ``unreadable``.

        Raises:
            DataError: an image or its annotation is unusable; with ``next``, none can be read.
            ConfigError: a transform cannot be applied.
        """
        work = _Work(position, (), self.plan.generator(position), unreadable)
        return self._made(self.plan.indices(position), work, len(self.transforms))

    def _made(self, indices: Iterator[int], work: _Work, end: int) -> Sample:
        """Returns what the first ``end`` transforms make of the first index that can be read."""
        sample = self._read(indices, work)
        for number, transform in enumerate(self.transforms[:end]):
            if not isinstance(transform, PartnerTransform):
                sample = transform(sample, work.generator)
            elif transform.wants(self.plan.epoch(work.position), work.generator):
                partners = [self._partner(work, number, one) for one in range(transform.partners)]
                sample = transform.join(sample, partners, work.generator)
        return sample

    def _partner(self, work: _Work, number: int, one: int) -> Sample:
        """Returns a partner, changed by the transforms before the one that wants it."""
        path = (*work.path, number, one)
        generator = self.plan.partner_generator(work.position, path)
        first, length = int(generator.integers(len(self.dataset))), len(self.dataset)
        indices = ((first + ahead) % length for ahead in range(length))
        return self._made(indices, replace(work, path=path, generator=generator), number)

    def _read(self, indices: Iterator[int], work: _Work) -> Sample:
        """Returns the first sample of some indices of the data set that can be read."""
        read = read_only_image if self.cache is None else self.cache.read
        failure: DataError | None = None
        for index in indices:
            try:
                sample = self.dataset.sample(index, read)
            except DataError as error:
                if self.on_unreadable == "stop":
                    raise
                work.unreadable.append(str(error))
                failure = failure or error
            else:
                return check_sample(sample)
        raise DataError(
            f"None of the {len(self.dataset)} images can be read; the first says: {failure}"
        ) from failure

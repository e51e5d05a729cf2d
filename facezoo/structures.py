"""The types that flow from a photograph to a metric.

Vocabulary of the shapes: B images, H x W pixels, n faces of one image, G faces per image after
padding, L landmarks per face, N priors (anchors or points) over all levels, C classes.

Boxes are float32 ``x1, y1, x2, y2`` in pixels, half-open (width = x2 - x1), of the image they go
with. Landmarks are ``x, y`` in the order: the eye on the image's left, the eye on its right, nose
tip, mouth corner left, mouth corner right. What is read from files or given to users is NumPy;
what a network sees is torch. Importing this module imports no torch.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    import torch
    from torch import Tensor

NUM_LANDMARKS = 5
MIRRORED_LANDMARKS = (1, 0, 2, 4, 3)
"""Order of the five landmarks after a mirror image: the eyes and the mouth corners swap."""


@dataclass(frozen=True)
class Sample:
    """One photograph with its annotation, in the pixels of ``image``.

    Attributes:
        image: H x W x 3, uint8, RGB.
        boxes: n x 4, float32.
        landmarks: n x L x 2, float32, NaN where unknown.
        ignore: n, bool; an ignored face is neither trained on nor counted.
        labels: n, int64, class index without a background class.
        image_id: unique within its data set, such as ``0--Parade/0_Parade_Parade_0_164.jpg``.
        path: file the image was read from, empty where it was drawn.
        to_original: 2 x 3, float64, affine map from these pixels to the original photograph's.
        attributes: n x 6, int8, WIDER FACE's attributes in its order, or None.
        dropped: faces that transforms removed so far (out of view or too small).
    """

    image: NDArray[np.uint8]
    boxes: NDArray[np.float32]
    landmarks: NDArray[np.float32]
    ignore: NDArray[np.bool_]
    labels: NDArray[np.int64]
    image_id: str
    path: str = ""
    to_original: NDArray[np.float64] = field(default_factory=lambda: np.eye(2, 3))
    attributes: NDArray[np.int8] | None = None
    dropped: int = 0

    def select(self, keep: NDArray[np.bool_] | NDArray[np.intp]) -> Sample:
        """Returns the sample with only the faces of ``keep`` (mask or indices); image unchanged."""
        return replace(
            self,
            boxes=self.boxes[keep],
            landmarks=self.landmarks[keep],
            ignore=self.ignore[keep],
            labels=self.labels[keep],
            attributes=None if self.attributes is None else self.attributes[keep],
        )


@dataclass(frozen=True)
class Targets:
    """The faces of a batch, padded to G faces per image, a power of two.

    Attributes:
        boxes: B x G x 4, float32, zeros where not valid.
        valid: B x G, bool; False is padding.
        ignore: B x G, bool.
        labels: B x G, int64.
        landmarks: B x G x L x 2, float32, zeros where unknown.
        landmarks_valid: B x G x L, bool.
    """

    boxes: Tensor
    valid: Tensor
    ignore: Tensor
    labels: Tensor
    landmarks: Tensor
    landmarks_valid: Tensor

    def map(self, function: Callable[[Tensor], Tensor]) -> Targets:
        """Returns the targets with ``function`` applied to each tensor, in the order above."""
        return Targets(*map(function, vars(self).values()))

    def to(self, device: torch.device | str, non_blocking: bool = False) -> Targets:
        """Returns the targets on ``device``."""
        return self.map(lambda tensor: tensor.to(device, non_blocking=non_blocking))


@dataclass(frozen=True)
class Batch:
    """Images of one size with their targets.

    Attributes:
        images: B x 3 x H x W, uint8, RGB.
        targets: see ``Targets``.
        ids: the B image ids.
        maps: B x 2 x 3, float64, affine map of each image to its original photograph.
        dropped: faces that transforms removed from these images.
        unreadable: the error of each image that could not be read, and whose place another took.
    """

    images: Tensor
    targets: Targets
    ids: tuple[str, ...]
    maps: Tensor
    dropped: int = 0
    unreadable: tuple[str, ...] = ()

    def map(self, function: Callable[[Tensor], Tensor]) -> Batch:
        """Returns the batch with ``function`` applied to all tensors but ``maps``."""
        return replace(self, images=function(self.images), targets=self.targets.map(function))

    def to(self, device: torch.device | str, non_blocking: bool = False) -> Batch:
        """Returns the batch with images and targets on ``device``; ``maps`` stay on the CPU."""
        return self.map(lambda tensor: tensor.to(device, non_blocking=non_blocking))

    def pin_memory(self) -> Batch:
        """Returns the batch in page-locked memory (the data loader calls this)."""
        return self.map(lambda tensor: tensor.pin_memory())


class Grid(NamedTuple):
    """The priors a head predicts at.

    Attributes:
        priors: N x 4, float32: centre x, centre y, width, height in pixels (for points, width =
            height = stride).
        strides: N, float32, pixels.
        level_sizes: priors per level, fine to coarse; they sum to N.
        level_shapes: rows, columns and anchors per cell of each level, whose product is its size:
            what lets an assigner measure columns and rows apart instead of every prior. Empty
            where the priors of a level are no such lattice.
    """

    priors: Tensor
    strides: Tensor
    level_sizes: tuple[int, ...]
    level_shapes: tuple[tuple[int, int, int], ...] = ()


class RawOutputs(NamedTuple):
    """What a head predicts, before decoding.

    Attributes:
        logits: B x N x C, one per class, no background column.
        boxes: B x N x D, encoded; D = 4, or 4 x bins for a distribution.
        landmarks: B x N x 2L, encoded, or None.
        quality: B x N (objectness, IoU or centreness logit), or None.
        grid: the priors the rows belong to.
    """

    logits: Tensor
    boxes: Tensor
    landmarks: Tensor | None
    quality: Tensor | None
    grid: Grid


class LossTerm(NamedTuple):
    """A part of the loss before its division, so that processes add up before they divide.

    Attributes:
        total: scalar, the weighted sum.
        count: scalar, what the sum is divided by (positives, images), clamped to 1 from below.
    """

    total: Tensor
    count: Tensor  # type: ignore[assignment]  # hides tuple.count, which nobody needs here


@dataclass(frozen=True)
class Faces:
    """The faces found in one photograph, in its pixels; a detector gives the best score first.

    ``faces[0]``, ``faces[:10]``, ``faces[faces.scores > 0.5]`` and ``faces[[2, 0]]`` are ``Faces``.

    Attributes:
        boxes: n x 4, float32.
        scores: n, float32, 0 to 1.
        landmarks: n x L x 2, float32, or None where the model gives none.
    """

    boxes: NDArray[np.float32]
    scores: NDArray[np.float32]
    landmarks: NDArray[np.float32] | None = None

    def __len__(self) -> int:
        return len(self.boxes)

    def __repr__(self) -> str:
        if not len(self):
            return "Faces(none)"
        return f"Faces({len(self)}, scores {self.scores.max():.2f} to {self.scores.min():.2f})"

    def __getitem__(
        self, index: int | slice | Sequence[int] | NDArray[np.bool_] | NDArray[np.intp]
    ) -> Faces:
        """Returns the faces of a number, slice, boolean mask of all n, or array of numbers.

        Raises:
            IndexError: there is no such face, or a mask is not of n faces.
        """
        if isinstance(index, int | np.integer):
            index = [index]  # keeps the dimension: one face, not a row
        elif isinstance(index, list) and not index:
            index = slice(0)  # to NumPy an empty list is one of floats
        landmarks = None if self.landmarks is None else self.landmarks[index]
        return Faces(self.boxes[index], self.scores[index], landmarks)

    @classmethod
    def cat(cls, parts: Iterable[Faces]) -> Faces:
        """Returns the faces of all parts, one part after another.

        Raises:
            ValueError: there are faces with landmarks and faces without.
        """
        several = list(parts)
        several = [part for part in several if len(part)] or several[:1]
        if not several:
            return cls(np.zeros((0, 4), np.float32), np.zeros(0, np.float32))
        landmarks = [part.landmarks for part in several if part.landmarks is not None]
        if landmarks and len(landmarks) < len(several):
            raise ValueError(
                "Faces with landmarks cannot be joined with faces without: drop the landmarks "
                "first, Faces(faces.boxes, faces.scores)"
            )
        return cls(
            np.concatenate([part.boxes for part in several]),
            np.concatenate([part.scores for part in several]),
            np.concatenate(landmarks) if landmarks else None,
        )

    def suppressed(self, iou_thresh: float) -> Faces:
        """Returns the faces that greedy non-maximum suppression keeps, best score first.

        A face goes if its IoU with a better one that stays is above ``iou_thresh``; of equal scores
        the lower index is the better. Row by row, so that no table of all pairs fills the memory.
        """
        order = np.argsort(-self.scores, kind="stable")
        kept = []
        while len(order):
            best, order = order[0], order[1:]
            kept.append(best)
            order = order[~(_iou(self.boxes[best], self.boxes[order]) > iou_thresh)]
        return self[kept]


def _iou(box: NDArray[np.float32], boxes: NDArray[np.float32]) -> NDArray[np.float64]:
    """Returns the IoU of a box with each of n x 4; boxes without area overlap nothing."""
    sides = np.minimum(box[2:], boxes[:, 2:]) - np.maximum(box[:2], boxes[:, :2])
    intersection = sides.clip(min=0).prod(axis=1)
    areas = (boxes[:, 2:] - boxes[:, :2]).clip(min=0).prod(axis=1)
    union = (box[2:] - box[:2]).clip(min=0).prod() + areas - intersection
    # float64, so that the threshold is not rounded, as torchvision compares them
    iou = np.divide(intersection, union, out=np.zeros_like(union), where=union > 0)
    return iou.astype(np.float64)


@dataclass(frozen=True)
class Truth:
    """The annotated faces of one photograph, as the evaluators take them.

    Attributes:
        boxes: n x 4, float64.
        ignore: n, bool; an ignored face is neither a hit nor a miss.
        landmarks: n x L x 2, float32, NaN where unknown, or None where none is known.
        attributes: n x 6, int8, WIDER FACE's attributes in its order, or None.
    """

    boxes: NDArray[np.float64]
    ignore: NDArray[np.bool_]
    landmarks: NDArray[np.float32] | None = None
    attributes: NDArray[np.int8] | None = None

"""Faces of one photograph, found in several views of it, joined into one result."""

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from facezoo.geometry.boxes import aligned_iou
from facezoo.structures import MIRRORED_LANDMARKS, Faces


def vote(views: Sequence[Faces], iou_thresh: float) -> Faces:
    """Joins what several views found by box voting (Gidaris and Komodakis 2015, section 3.3).

    The best face takes all that overlap it by at least ``iou_thresh``, and so on with the rest. A
    joined face has the mean box and landmarks of its group, weighted by score, and its best score.
    A face that only one view saw stays as it is.

    Args:
        views: one or more, faces in pixels of the same photograph.
        iou_thresh: IoU from which two faces are one.

    Returns:
        The joined faces, best score first; with landmarks where every view has them.
    """
    seen = [view for view in views if len(view)]
    if not seen:
        return views[0]
    if any(view.landmarks is None for view in seen):
        seen = [Faces(view.boxes, view.scores) for view in seen]
    faces = Faces.cat(seen)
    faces = faces[np.argsort(-faces.scores, kind="stable")]
    groups = _groups(torch.from_numpy(faces.boxes), iou_thresh)

    def mean(values: NDArray[np.float32]) -> NDArray[np.float32]:
        weights = [faces.scores[group].astype(np.float64) for group in groups]
        pairs = zip(weights, groups, strict=True)
        means = [np.tensordot(one / one.sum(), values[group], axes=1) for one, group in pairs]
        return np.stack(means).astype(np.float32)

    landmarks = None if faces.landmarks is None else mean(faces.landmarks)
    return Faces(mean(faces.boxes), faces.scores[[group[0] for group in groups]], landmarks)


def unmirrored(faces: Faces, width: int) -> Faces:
    """Returns faces of a mirror image in pixels of its photograph, which is ``width`` wide."""
    x1, y1, x2, y2 = faces.boxes.T
    boxes = np.stack([width - x2, y1, width - x1, y2], axis=1)
    if faces.landmarks is None:
        return Faces(boxes, faces.scores)
    landmarks = faces.landmarks[:, list(MIRRORED_LANDMARKS)].copy()
    landmarks[..., 0] = width - landmarks[..., 0]
    return Faces(boxes, faces.scores, landmarks)


def _groups(boxes: Tensor, iou_thresh: float) -> list[NDArray[np.intp]]:
    """Returns the members of each group, the best first, of boxes with the best face first."""
    # Face by face, as a table of all pairs of a crowd seen ten times would fill the memory.
    free = np.ones(len(boxes), np.bool_)
    groups = []
    for best in range(len(boxes)):
        if free[best]:
            members = (aligned_iou(boxes[best], boxes).numpy() >= iou_thresh) & free
            members[best] = True  # also a box without area, which overlaps nothing
            groups.append(np.flatnonzero(members))
            free &= ~members
    return groups

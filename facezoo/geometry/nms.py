"""Greedy non-maximum suppression over the images of a batch."""

from __future__ import annotations

from torch import Tensor
from torchvision.ops import nms


def batched_nms(
    boxes: Tensor, scores: Tensor, score_thresh: float, nms_thresh: float
) -> list[Tensor]:
    """Returns the indices that stay, per image, best score first; equal scores by lower index.

    No number of boxes is capped. torchvision's own batched form is not used: depending on the
    number of boxes it moves images apart by adding offsets, whose rounding lets the neighbours
    in a batch change a result, and it orders equal scores as it happens.

    Args:
        boxes: B x N x 4, xyxy in pixels.
        scores: B x N, 0 to 1.
        score_thresh: a box stays only with a score above it.
        nms_thresh: IoU above which the box of the lower score goes.
    """
    boxes, scores = boxes.float(), scores.float()
    image, candidate = (scores > score_thresh).nonzero(as_tuple=True)
    counts = image.bincount(minlength=scores.shape[0]).tolist()
    return [
        indices[nms(image_boxes[indices], image_scores[indices], nms_thresh)]
        for image_boxes, image_scores, indices in zip(
            boxes, scores, candidate.split(counts), strict=True
        )
    ]

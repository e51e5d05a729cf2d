"""Conversions, areas, overlaps and suppression of boxes.

A box is ``x1, y1, x2, y2`` (xyxy) or ``centre x, centre y, width, height`` (cxcywh) in pixels,
half-open: width = x2 - x1. Every function takes tensors ``... x 4`` and computes in float32
(float64 stays float64), since half precision moves an edge at 1,000 pixels by half a pixel.

A box without area overlaps nothing. All overlaps and their gradients are finite for finite boxes,
degenerate and inverted ones included, which is why torchvision's losses are not used here: they
divide by a side of zero, and select by masks that a compiled graph cannot hold.
"""

import math

import torch
from torch import Tensor
from torchvision.ops import nms

_TINY = 1e-7
"""Smallest divisor, far below any area or length that means something in pixels."""


def at_least_float32(values: Tensor) -> Tensor:
    """Returns integers and half precision as float32; float32 and float64 as they are."""
    return values if values.dtype in (torch.float32, torch.float64) else values.float()


def xyxy_to_cxcywh(boxes_xyxy: Tensor) -> Tensor:
    """Returns the boxes ``... x 4`` as centre and size."""
    top_left, bottom_right = at_least_float32(boxes_xyxy).split(2, dim=-1)
    return torch.cat([(top_left + bottom_right) / 2, bottom_right - top_left], dim=-1)


def cxcywh_to_xyxy(boxes_cxcywh: Tensor) -> Tensor:
    """Returns the boxes ``... x 4`` as two corners."""
    centre, size = at_least_float32(boxes_cxcywh).split(2, dim=-1)
    return torch.cat([centre - size / 2, centre + size / 2], dim=-1)


def box_area(boxes_xyxy: Tensor) -> Tensor:
    """Returns the area in square pixels, shape ``...``; an inverted box has none."""
    x1, y1, x2, y2 = at_least_float32(boxes_xyxy).unbind(dim=-1)
    return (x2 - x1).clamp(min=0) * (y2 - y1).clamp(min=0)


def aligned_iou(first: Tensor, second: Tensor) -> Tensor:
    """Returns the IoU of the boxes ``... x 4`` of each row, shape ``...``, 0 to 1."""
    intersection, union = _intersection_and_union(first, second)
    return intersection / union


def aligned_giou(first: Tensor, second: Tensor) -> Tensor:
    """Returns the generalised IoU of each row, -1 to 1 (Rezatofighi et al. 2019, algorithm 1)."""
    intersection, union = _intersection_and_union(first, second)
    width, height = _hull_sides(first, second)
    hull = (width * height).clamp(min=_TINY)
    # The hull contains the union except by rounding, or where a box is inverted.
    return intersection / union - (1 - union / hull).clamp(min=0)


def aligned_diou(first: Tensor, second: Tensor) -> Tensor:
    """Returns the distance IoU of each row, -1 to 1 (Zheng et al. 2020, equation 7)."""
    return aligned_iou(first, second) - _centre_distance(first, second)


def aligned_ciou(first: Tensor, second: Tensor) -> Tensor:
    """Returns the complete IoU of each row (Zheng et al. 2020, equations 8 to 11).

    The trade-off factor alpha passes no gradient, as in the paper.
    """
    iou = aligned_iou(first, second)
    shape = (4 / math.pi**2) * (_aspect_angle(second) - _aspect_angle(first)) ** 2
    with torch.no_grad():
        alpha = shape / (1 - iou + shape).clamp(min=_TINY)
    return iou - _centre_distance(first, second) - alpha * shape


def _intersection_and_union(first: Tensor, second: Tensor) -> tuple[Tensor, Tensor]:
    ax1, ay1, ax2, ay2 = at_least_float32(first).unbind(dim=-1)
    bx1, by1, bx2, by2 = at_least_float32(second).unbind(dim=-1)
    width = (torch.minimum(ax2, bx2) - torch.maximum(ax1, bx1)).clamp(min=0)
    height = (torch.minimum(ay2, by2) - torch.maximum(ay1, by1)).clamp(min=0)
    intersection = width * height
    union = box_area(first) + box_area(second) - intersection
    return intersection, union.clamp(min=_TINY)


def _hull_sides(first: Tensor, second: Tensor) -> tuple[Tensor, Tensor]:
    """Returns width and height of the smallest box around both."""
    ax1, ay1, ax2, ay2 = at_least_float32(first).unbind(dim=-1)
    bx1, by1, bx2, by2 = at_least_float32(second).unbind(dim=-1)
    width = torch.maximum(ax2, bx2) - torch.minimum(ax1, bx1)
    height = torch.maximum(ay2, by2) - torch.minimum(ay1, by1)
    return width.clamp(min=0), height.clamp(min=0)


def _centre_distance(first: Tensor, second: Tensor) -> Tensor:
    """Returns the squared distance of the centres over the squared diagonal of the hull."""
    ax1, ay1, ax2, ay2 = at_least_float32(first).unbind(dim=-1)
    bx1, by1, bx2, by2 = at_least_float32(second).unbind(dim=-1)
    distance = ((ax1 + ax2 - bx1 - bx2) ** 2 + (ay1 + ay2 - by1 - by2) ** 2) / 4
    width, height = _hull_sides(first, second)
    return distance / (width**2 + height**2).clamp(min=_TINY)


def _aspect_angle(boxes: Tensor) -> Tensor:
    x1, y1, x2, y2 = at_least_float32(boxes).unbind(dim=-1)
    # Sides are clamped because the gradient of the angle grows as one over the side.
    return torch.atan2((x2 - x1).clamp(min=1e-3), (y2 - y1).clamp(min=1e-3))


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

"""Conversions and measures of boxes.

A box is ``x1, y1, x2, y2`` (xyxy) or ``centre x, centre y, width, height`` (cxcywh) in pixels,
half-open: width = x2 - x1. Every function takes tensors ``... x 4`` and computes in float32
(float64 stays float64), since half precision moves an edge at 1,000 pixels by half a pixel.
"""

from __future__ import annotations

import torch
from torch import Tensor


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

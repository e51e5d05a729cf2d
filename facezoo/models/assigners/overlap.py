"""How much the faces of a batch overlap the priors of a grid, without a table of all pairs.

Vocabulary: B images, G faces per image, N priors; a level is a lattice of H rows, W columns and A
anchors per cell. The intersection of a face and a prior is a width, which depends on column and
anchor, times a height, which depends on row and anchor. So all pairs of a level are the outer
product of two small tables, and a face's best prior follows from the tables alone.

IoU is compared in the form r = intersection / (area of one + area of the other), which grows with
it, IoU = r / (1 - r), and needs one pass less over all pairs.

Where counting costs nothing (eager, on a CPU), a face is looked at only with the anchors whose size
lets them overlap enough to matter, which leaves a third of the pairs of a crowd.

Memory: a chunk of faces holds one table of at most ``_CHUNK`` numbers (32 MiB) at a time, however
many faces there are; larger ones are slower too. A compiled graph takes all faces as one chunk and
holds no such table, since the product is fused into the search for its maximum.
"""

from typing import NamedTuple

import torch
from torch import Tensor

from facezoo.structures import Grid

_CHUNK = 2**23
_FEW_ANCHORS = 16
"""Anchors of a cell that are worth a look each; priors that are no lattice are one cell of all."""


class Level(NamedTuple):
    """The lattice of one level.

    Attributes:
        x1, x2: A x W, the left and right edges of the priors.
        y1, y2: A x H, their upper and lower edges.
        area: A, square pixels.
        first: index of the level's first prior in the grid.
    """

    x1: Tensor
    x2: Tensor
    y1: Tensor
    y2: Tensor
    area: Tensor
    first: int


class BestOverlaps(NamedTuple):
    """The best partner of each prior and of each face, as r (see the module).

    Attributes:
        prior_r: B x N, overlap of each prior with its best face; 0 where it meets none.
        prior_face: B x N, int64, that face, the lowest index among equals.
        face_r: B x G, overlap of each face with its best prior.
        face_prior: B x G, int64, that prior, the lowest index among equals.
    """

    prior_r: Tensor
    prior_face: Tensor
    face_r: Tensor
    face_prior: Tensor


def r_of_iou(iou: float) -> float:
    """Returns the r of an IoU."""
    return iou / (1 + iou)


def best_overlaps(grid: Grid, boxes: Tensor, counted: Tensor, least_r: float = 0.0) -> BestOverlaps:
    """Returns the best face of each prior and the best prior of each face.

    Args:
        grid: the priors.
        boxes: B x G x 4, xyxy, float32.
        counted: B x G, bool; the other faces are left out.
        least_r: the least overlap of a prior that matters; a smaller one may be given as 0.
    """
    levels = _levels(grid)
    found = [_best_faces(level, boxes, counted, least_r) for level in levels]
    prior_r, prior_face = (torch.cat(part, dim=1) for part in zip(*found, strict=True))
    face_r, face_prior = _best_priors(levels, boxes, counted)
    return BestOverlaps(prior_r, prior_face, face_r, face_prior)


def ignored_priors(grid: Grid, boxes: Tensor, counted: Tensor, share: float) -> Tensor:
    """Returns the priors that ignored faces keep out of the loss, B x N, bool.

    A prior is so if the counted faces cover at least ``share`` of its area (where faces overlap
    each other, each counts), or if it is of the size that fits one of them best (among equals that
    of the lower level, then anchor) and holds its centre: the smallest priors are larger than many
    a face that is too small to be trained on.

    Args:
        grid: the priors.
        boxes: B x G x 4, xyxy, float32.
        counted: B x G, bool, the ignored faces.
        share: of a prior's area.
    """
    levels = _levels(grid)
    first = _first(counted)
    boxes, counted = _take(boxes, first), counted.gather(1, first)
    total: Tensor | None = None
    for part in chunks_of_faces(boxes, max(grid.level_sizes), _CHUNK):
        tables = [_tables(level, boxes[:, part], counted[:, part]) for level in levels]
        best = [_best_per_anchor(level, *one) for level, one in zip(levels, tables, strict=True)]
        best_r, fitting = torch.cat(best, dim=-1).max(dim=-1, keepdim=True)
        area = torch.cat([level.area for level in levels])[fitting]
        shares = []
        for level, (width, height, _) in zip(levels, tables, strict=True):
            fits = (level.area == area) & (best_r > 0)
            covered = _summed_products(width, height) / level.area.view(-1, 1, 1)
            held = _summed_products(*_holds_centre(level, boxes[:, part], fits))
            shares.append(_in_grid_order(torch.where(held > 0, torch.inf, covered)))
        chunk = torch.cat(shares, dim=1)
        total = chunk if total is None else total + chunk
    assert total is not None
    return total >= share


def _best_per_anchor(level: Level, width: Tensor, height: Tensor, area: Tensor) -> Tensor:
    """Returns B x G x A, the largest overlap of each face with the priors of each size."""
    return height.amax(dim=-1) * width.amax(dim=-1) / (area[:, :, None] + level.area)


def _summed_products(width: Tensor, height: Tensor) -> Tensor:
    """Returns B x A x H x W, the sum over faces of height (B x G x A x H) times width."""
    return height.permute(0, 2, 3, 1) @ width.transpose(1, 2)


def _holds_centre(level: Level, boxes: Tensor, fits: Tensor) -> tuple[Tensor, Tensor]:
    """Returns, as 0 or 1, which columns B x G x A x W and rows B x G x A x H hold a centre."""
    # Sizes of priors that do not fit a face (B x G x A) hold nothing.
    x, y = ((boxes[..., :2] + boxes[..., 2:]) / 2)[..., None, None].unbind(dim=2)
    columns = (x > level.x1) & (x < level.x2) & fits[..., None]
    rows = (y > level.y1) & (y < level.y2)
    return columns.float(), rows.float()


def _levels(grid: Grid) -> list[Level]:
    # Priors that are no lattice are one cell with as many anchors.
    shapes = grid.level_shapes or tuple((1, 1, size) for size in grid.level_sizes)
    levels, first = [], 0
    for size, (rows, columns, anchors) in zip(grid.level_sizes, shapes, strict=True):
        priors = grid.priors[first : first + size].view(rows, columns, anchors, 4)
        x, _, width, _ = priors[0].transpose(0, 1).unbind(dim=-1)
        _, y, _, height = priors[:, 0].transpose(0, 1).unbind(dim=-1)
        area = priors[0, 0, :, 2] * priors[0, 0, :, 3]
        edges = (x - width / 2, x + width / 2, y - height / 2, y + height / 2)
        levels.append(Level(*edges, area, first))
        first += size
    return levels


def chunks_of_faces(boxes: Tensor, priors: int, numbers: int) -> list[slice]:
    """Returns the slices of the faces that are looked at together, at least one.

    Args:
        boxes: B x G x 4.
        priors: how many each face is compared with.
        numbers: the most that a table of all pairs of a chunk may hold.
    """
    if torch.compiler.is_compiling():
        return [slice(0, None)]  # counting chunks would compile anew for each number of faces
    batch, faces = boxes.shape[:2]
    size = max(1, numbers // (batch * priors))
    return [slice(start, start + size) for start in range(0, faces, size)]


def _may_count(tensor: Tensor) -> bool:
    """Returns whether looking at a number costs nothing: on a GPU everything would wait for it."""
    return tensor.device.type == "cpu" and not torch.compiler.is_compiling()


def _first(mask: Tensor) -> Tensor:
    """Returns B x K, the indices of each image's marked faces first, in their order.

    K is the largest number of marked faces in an image, at least 1; where counting would cost more
    than it saves, it is G.
    """
    order = mask.byte().argsort(dim=1, descending=True, stable=True)
    return order[:, : max(1, int(mask.sum(dim=1).max()))] if _may_count(mask) else order


def _take(boxes: Tensor, index: Tensor) -> Tensor:
    return boxes.gather(1, index[..., None].expand(-1, -1, 4))


def _tables(level: Level, boxes: Tensor, counted: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Returns widths B x G x A x W and heights B x G x A x H of intersections, areas B x G."""
    x1, y1, x2, y2 = boxes.unbind(dim=-1)
    area = (x2 - x1) * (y2 - y1)
    x1, y1, x2, y2 = (edge[:, :, None, None] for edge in (x1, y1, x2, y2))
    width = (torch.minimum(x2, level.x2) - torch.maximum(x1, level.x1)).clamp(min=0)
    height = (torch.minimum(y2, level.y2) - torch.maximum(y1, level.y1)).clamp(min=0)
    return width * counted[:, :, None, None], height, area


def _best_faces(
    level: Level, boxes: Tensor, counted: Tensor, least_r: float
) -> tuple[Tensor, Tensor]:
    """Returns r and index of the best face of each prior of a level, in the order of the grid."""
    anchors = len(level.area)
    if not _may_count(boxes) or anchors > _FEW_ANCHORS:
        r, face = _best_of_all(level, boxes, counted)
        return _in_grid_order(r), _in_grid_order(face)
    found = []
    for anchor in range(anchors):
        # A face that is much larger or smaller than an anchor overlaps none of its priors enough.
        x1, x2, y1, y2, area = (part[anchor : anchor + 1] for part in level[:5])
        lattice = Level(x1, x2, y1, y2, area, level.first)
        bound = _best_per_anchor(lattice, *_tables(lattice, boxes, counted)).squeeze(-1)
        relevant = counted & (bound >= least_r)
        first = _first(relevant)
        r, face = _best_of_all(lattice, _take(boxes, first), relevant.gather(1, first))
        found.append((r, first.gather(1, face.flatten(1)).view_as(face)))
    r, face = (torch.cat(part, dim=1) for part in zip(*found, strict=True))
    return _in_grid_order(r), _in_grid_order(face)


def _best_of_all(level: Level, boxes: Tensor, counted: Tensor) -> tuple[Tensor, Tensor]:
    """Returns r and index of the best face of each prior, each B x A x H x W."""
    best: tuple[Tensor, Tensor] | None = None
    priors = level.x1.numel() * level.y1.shape[1]
    for part in chunks_of_faces(boxes, priors, _CHUNK):
        width, height, area = _tables(level, boxes[:, part], counted[:, part])
        r = height.unsqueeze(-1) * width.unsqueeze(-2)  # B x G x A x H x W
        r /= (area[:, :, None] + level.area)[:, :, :, None, None]
        largest, face = r.max(dim=1)
        face = face + part.start
        if best is not None:
            better = largest > best[0]  # not >=: among equals the lower index stays
            largest = torch.where(better, largest, best[0])
            face = torch.where(better, face, best[1])
        best = largest, face
    assert best is not None
    return best


def _best_priors(levels: list[Level], boxes: Tensor, counted: Tensor) -> tuple[Tensor, Tensor]:
    """Returns r and index of the best prior of each face, each B x G, from the tables alone."""
    face_r, face_prior = [], []
    for level in levels:
        width, height, area = _tables(level, boxes, counted)
        column, row = width.argmax(dim=-1), height.argmax(dim=-1)
        anchors, columns = level.x1.shape
        anchor = torch.arange(anchors, device=boxes.device)
        face_r.append(_best_per_anchor(level, width, height, area))
        face_prior.append(level.first + (row * columns + column) * anchors + anchor)
    all_r = torch.cat(face_r, dim=-1)
    best_r = all_r.amax(dim=-1, keepdim=True)
    nowhere = torch.iinfo(torch.int64).max
    best_prior = torch.where(all_r == best_r, torch.cat(face_prior, dim=-1), nowhere).amin(dim=-1)
    return best_r.squeeze(-1), best_prior


def _in_grid_order(values: Tensor) -> Tensor:
    """Returns B x A x H x W as B x (H W A), the order of the grid."""
    return values.permute(0, 2, 3, 1).flatten(1)

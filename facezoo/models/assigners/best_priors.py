"""The priors of which each face has the largest measure, without a table of all pairs.

For rules whose measure looks at predictions, which form no lattice. The search goes twice over a
face's priors: first for the largest measure of each block of neighbouring priors, then for the
best priors of the best blocks. The k best priors lie in the k best blocks, so nothing is lost.

Vocabulary: B images, G faces per image, N priors, M priors that each face is compared with.

Memory: a chunk of faces holds a few tables of at most ``_CHUNK`` numbers (4 MiB each) at a time,
however many faces there are. A compiled graph takes all faces as one chunk: Inductor holds one
table of all pairs of face and prior for TaskAligned, for SimOTA two of float32 and two of bool.
"""

from collections.abc import Callable

import torch
from torch import Tensor

from facezoo.models.assigners.overlap import chunks_of_faces

Measure = Callable[[slice, Tensor], Tensor]
"""Measure of some faces, g of the G, and priors B x (1 or g) x M, as B x g x M; -inf for no pair.
"""

_CHUNK = 2**20
_BLOCK = 64


def best_priors(measure: Measure, boxes: Tensor, priors: int, count: int) -> tuple[Tensor, Tensor]:
    """Returns measure and index of the ``count`` best priors of each face, best first.

    Equals are settled by lower index.

    Args:
        measure: of pairs of face and prior.
        boxes: B x G x 4, of the faces.
        priors: their number N.
        count: how many are wanted.

    Returns:
        B x G x K each, K = ``count`` or fewer if there are fewer priors: float32, -inf where there
        is no further one, and int64 from 0 to N - 1.
    """
    # Whole blocks: what is beyond the priors stands for no pair.
    everywhere = torch.arange(priors + -priors % _BLOCK, device=boxes.device)
    everywhere = everywhere.expand(boxes.shape[0], 1, -1)

    def checked(part: slice, prior: Tensor) -> Tensor:
        value = measure(part, prior.clamp(max=priors - 1))
        return torch.where(prior < priors, value, -torch.inf)

    found = [
        _best_of_chunk(checked, part, everywhere, count)
        for part in chunks_of_faces(boxes, everywhere.shape[-1], _CHUNK)
    ]
    values, indices = zip(*found, strict=True)
    return torch.cat(values, dim=1), torch.cat(indices, dim=1).clamp(max=priors - 1)


def gather_priors(values: Tensor, prior: Tensor) -> Tensor:
    """Returns the rows of values B x N x ... that priors B x G x M have, B x G x M x ..."""
    trailing = values.shape[2:]
    index = prior.flatten(1)
    index = index.view(*index.shape, *(1 for _ in trailing)).expand(*index.shape, *trailing)
    return values.gather(1, index).view(*prior.shape, *trailing)


def gather_class(scores: Tensor, label: Tensor) -> Tensor:
    """Returns the score of one class each, of scores ... x C and labels ... that are broadcast."""
    shape = torch.broadcast_shapes(scores.shape[:-1], label.shape)
    label = label.expand(shape).unsqueeze(-1)
    return scores.expand(*shape, scores.shape[-1]).gather(-1, label).squeeze(-1)


def is_inside(points: Tensor, boxes: Tensor) -> Tensor:
    """Returns whether points ... x 2 lie inside boxes ... x 4, xyxy, and not on an edge."""
    x, y = points.unbind(dim=-1)
    x1, y1, x2, y2 = boxes.unbind(dim=-1)
    return (x > x1) & (x < x2) & (y > y1) & (y < y2)


def _best_of_chunk(
    measure: Measure, part: slice, everywhere: Tensor, count: int
) -> tuple[Tensor, Tensor]:
    blocks = measure(part, everywhere).unflatten(-1, (-1, _BLOCK)).amax(dim=-1)
    block = blocks.argsort(dim=-1, descending=True, stable=True)[..., :count]
    # In the order of the grid, so that a stable sort settles equals by lower index.
    first = block.sort(dim=-1).values.unsqueeze(-1) * _BLOCK
    prior = (first + torch.arange(_BLOCK, device=block.device)).flatten(-2)
    value, order = measure(part, prior).sort(dim=-1, descending=True, stable=True)
    return value[..., :count], prior.gather(-1, order[..., :count])

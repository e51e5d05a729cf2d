import pytest
import torch
from torch._dynamo.testing import CompileCounterWithBackend

from facezoo.geometry.boxes import cxcywh_to_xyxy
from facezoo.geometry.priors import AnchorGrid
from facezoo.models.assigners import ATSS, Assigner, MaxIoU, RatioRule, SimOTA, TaskAligned
from facezoo.structures import Targets

SHAPES = [
    # batch, height, width, faces: training sizes, the last small batch, crowds
    (2, 64, 64, 8),
    (2, 96, 64, 8),
    (3, 64, 128, 16),
    (1, 320, 320, 8),
    (4, 320, 320, 32),
    (2, 256, 416, 64),
    (5, 128, 96, 128),
    (2, 160, 320, 8),
    (7, 64, 64, 16),
    (2, 352, 320, 256),
    (3, 224, 224, 8),
    (1, 64, 96, 1024),
]


FEW_SHAPES = [SHAPES[place] for place in (0, 5, 6, 9)]
"""Another size in every dimension; compiling a rule takes long."""


@pytest.mark.slow
@pytest.mark.parametrize(
    ("rule", "shapes", "most"),
    [
        (MaxIoU(0.35, 0.35), SHAPES, 6),
        (ATSS(), SHAPES, 6),
        (RatioRule(), FEW_SHAPES, 3),
        (SimOTA(), FEW_SHAPES, 3),
        (TaskAligned(min_size=16), FEW_SHAPES, 3),
    ],
    ids=["MaxIoU", "ATSS", "RatioRule", "SimOTA", "TaskAligned"],
)
def test_compiles_whole_for_shapes_of_a_run(
    rule: Assigner, shapes: list, most: int, scenes
) -> None:
    grid_maker = AnchorGrid(scenes.ANCHORS, scenes.STRIDES)

    def assign(image: torch.Tensor, targets: Targets) -> list[torch.Tensor]:
        height, width = image.shape[2:]
        sizes = [((height + s - 1) // s, (width + s - 1) // s) for s in scenes.STRIDES]
        grid = grid_maker(sizes, image.device)
        decoded = None
        if rule.looks_at_predictions:
            # The numbers of the image stand for what a network would say of it.
            said = image.flatten(1)[:, : 5 * len(grid.priors)].view(len(image), -1, 5)
            boxes = cxcywh_to_xyxy(grid.priors) + 8 * said[..., :4] - 4
            decoded = boxes, said[..., 4:]
        return [values for values in rule(grid, targets, decoded) if values is not None]

    torch._dynamo.reset()
    # Rules that look at predictions are long graphs; whole losses go through the tracer elsewhere.
    counter = CompileCounterWithBackend("eager" if rule.looks_at_predictions else "aot_eager")
    compiled = torch.compile(assign, fullgraph=True, backend=counter)
    for seed, (batch, height, width, faces) in enumerate(shapes):
        generator = torch.Generator().manual_seed(seed)
        image = torch.rand(batch, 3, height, width, generator=generator)
        targets = scenes.random_targets(seed, batch, faces, size=64, whole=False)
        for tensor in vars(targets).values():
            torch._dynamo.mark_dynamic(tensor, 1)
        for ours, expected in zip(compiled(image, targets), assign(image, targets), strict=True):
            assert torch.equal(ours, expected)
    assert counter.frame_count <= most

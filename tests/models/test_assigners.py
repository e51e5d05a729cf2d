import subprocess
import sys
from collections.abc import Callable
from fractions import Fraction
from itertools import product

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch._dynamo.testing import CompileCounterWithBackend

from facezoo.errors import ConfigError
from facezoo.geometry.grid import AnchorGrid
from facezoo.models.assigners import ATSS, Assigner, MaxIoU, overlap, take_faces
from facezoo.structures import Grid, Targets

ANCHORS = {8: [8, 20], 16: [32, 40], 32: [64]}
STRIDES = [8, 16, 32]


def grid_of(height: int, width: int) -> Grid:
    sizes = [(-(-height // stride), -(-width // stride)) for stride in STRIDES]
    return AnchorGrid(ANCHORS, STRIDES)(sizes, "cpu")


def targets_of(boxes: torch.Tensor, valid=None, ignore=None) -> Targets:
    batch, faces = boxes.shape[:2]
    nothing = torch.zeros(batch, faces, dtype=torch.bool)
    valid = ~nothing if valid is None else valid
    return Targets(
        boxes=torch.where(valid.unsqueeze(-1), boxes, 0.0),
        valid=valid,
        ignore=nothing if ignore is None else ignore,
        labels=torch.zeros(batch, faces, dtype=torch.int64),
        landmarks=torch.zeros(batch, faces, 5, 2),
        landmarks_valid=torch.zeros(batch, faces, 5, dtype=torch.bool),
    )


def random_targets(seed: int, batch: int, faces: int, size: int, whole: bool) -> Targets:
    """Random faces, partly padding and ignored; whole coordinates make ties likely."""
    generator = torch.Generator().manual_seed(seed)
    corner = torch.rand(batch, faces, 2, generator=generator) * (size - 8)
    side = 4 + torch.rand(batch, faces, 2, generator=generator) ** 2 * size * 0.7
    if whole:
        corner, side = corner.round(), side.round()
    valid = torch.rand(batch, faces, generator=generator) > 0.2
    ignore = torch.rand(batch, faces, generator=generator) > 0.8
    return targets_of(torch.cat([corner, corner + side], dim=-1), valid, ignore)


def exact(row: torch.Tensor) -> list[Fraction]:
    return [Fraction(value) for value in row.tolist()]


def corners(prior: list[Fraction]) -> list[Fraction]:
    x, y, width, height = prior
    return [x - width / 2, y - height / 2, x + width / 2, y + height / 2]


def area(box: list[Fraction]) -> Fraction:
    return (box[2] - box[0]) * (box[3] - box[1])


def intersection(a: list[Fraction], b: list[Fraction]) -> Fraction:
    width = min(a[2], b[2]) - max(a[0], b[0])
    height = min(a[3], b[3]) - max(a[1], b[1])
    return max(width, Fraction(0)) * max(height, Fraction(0))


def iou(a: list[Fraction], b: list[Fraction]) -> Fraction:
    common = intersection(a, b)
    return common / (area(a) + area(b) - common)


def hide(index: list[int], priors: list, ignored: list) -> list[int]:
    """Background teaches nothing where ignored faces cover half of it, or it would fit one."""
    fitting = []
    for face in ignored:
        overlaps = [iou(face, prior) for prior in priors]
        best = max(overlaps)
        size = area(priors[overlaps.index(best)]) if best > 0 else None
        fitting.append((size, (face[0] + face[2]) / 2, (face[1] + face[3]) / 2))
    for p, prior in enumerate(priors):
        covered = sum(intersection(face, prior) for face in ignored)
        held = any(
            area(prior) == size and prior[0] < x < prior[2] and prior[1] < y < prior[3]
            for size, x, y in fitting
        )
        if index[p] == -1 and (covered >= area(prior) / 2 or held):
            index[p] = -2
    return index


def max_iou_by_loop(grid: Grid, targets: Targets, image: int, rule: MaxIoU) -> list[int]:
    priors = [corners(exact(row)) for row in grid.priors]
    faces = {g: exact(row) for g, row in enumerate(targets.boxes[image]) if targets.valid[image, g]}
    ignored = [box for g, box in faces.items() if targets.ignore[image, g]]
    taught = {g: box for g, box in faces.items() if not targets.ignore[image, g]}
    positive, negative = Fraction(str(rule.positive_iou)), Fraction(str(rule.negative_iou))
    index = []
    for prior in priors:
        best, best_face = Fraction(0), -1
        for g, box in taught.items():
            if iou(box, prior) > best:
                best, best_face = iou(box, prior), g
        index.append(best_face if best >= positive else (-2 if best >= negative else -1))
    claims: dict[int, tuple[Fraction, int]] = {}
    for g, box in taught.items():
        overlaps = [iou(box, prior) for prior in priors]
        best = max(overlaps)
        prior = overlaps.index(best)
        if best > 0 and best >= Fraction(str(rule.best_anchor_iou)):
            claims[prior] = max(claims.get(prior, (Fraction(-1), 0)), (best, -g))
    for prior, (_, face) in claims.items():
        index[prior] = -face
    return hide(index, priors, ignored)


def atss_by_loop(grid: Grid, targets: Targets, image: int, rule: ATSS) -> list[int]:
    priors = [exact(row) for row in grid.priors]
    owner: dict[int, tuple[float, int]] = {}
    ignored = []
    for g, row in enumerate(targets.boxes[image]):
        if not targets.valid[image, g]:
            continue
        box = exact(row)
        if targets.ignore[image, g]:
            ignored.append(box)
            continue
        centre = ((box[0] + box[2]) / 2, (box[1] + box[3]) / 2)
        candidates, first = [], 0
        for size, (_, _, anchors) in zip(grid.level_sizes, grid.level_shapes, strict=True):
            cells = range(first, first + size, anchors)
            near = sorted(
                cells,
                key=lambda p: (
                    (priors[p][0] - centre[0]) ** 2 + (priors[p][1] - centre[1]) ** 2,
                    p,
                ),
            )
            candidates += [p + a for p in near[: rule.top_k] for a in range(anchors)]
            first += size
        overlaps = [float(iou(box, corners(priors[p]))) for p in candidates]
        mean = sum(overlaps) / len(overlaps)
        spread = sum((value - mean) ** 2 for value in overlaps) / max(len(overlaps) - 1, 1)
        for p, value in zip(candidates, overlaps, strict=True):
            inside = box[0] < priors[p][0] < box[2] and box[1] < priors[p][1] < box[3]
            if inside and value >= mean + spread**0.5 - 1e-6:
                owner[p] = max(owner.get(p, (-1.0, 0)), (value, -g))
    index = [-owner[p][1] if p in owner else -1 for p in range(len(priors))]
    return hide(index, [corners(prior) for prior in priors], ignored)


@settings(max_examples=25, deadline=None)
@given(
    st.integers(0, 2**31),
    st.sampled_from([(0.5, 0.3, 0.2), (0.35, 0.35, 0.2), (0.6, 0.4, 0.5)]),
    st.sampled_from([(64, 64), (40, 96)]),
)
def test_max_iou_equals_a_loop(
    seed: int, thresholds: tuple[float, float, float], size: tuple[int, int]
) -> None:
    grid, rule = grid_of(*size), MaxIoU(*thresholds)
    targets = random_targets(seed, batch=2, faces=6, size=64, whole=True)
    index = rule(grid, targets).index
    assert index.tolist() == [max_iou_by_loop(grid, targets, image, rule) for image in range(2)]


@settings(max_examples=25, deadline=None)
@given(
    st.integers(0, 2**31),
    st.sampled_from([1, 4, 9, 13]),
    st.sampled_from([(64, 64), (40, 96), (8, 200)]),
)
def test_atss_equals_a_loop(seed: int, top_k: int, size: tuple[int, int]) -> None:
    grid, rule = grid_of(*size), ATSS(top_k=top_k)
    targets = random_targets(seed, batch=2, faces=6, size=64, whole=True)
    index = rule(grid, targets).index
    assert index.tolist() == [atss_by_loop(grid, targets, image, rule) for image in range(2)]


RULES = [MaxIoU(0.35, 0.35), MaxIoU(), ATSS()]
names = ["max_iou_one_threshold", "max_iou", "atss"]


@pytest.mark.parametrize("rule", RULES, ids=names)
def test_images_without_faces_are_background(rule: Assigner) -> None:
    grid = grid_of(64, 96)
    nothing = torch.zeros(3, 8, dtype=torch.bool)
    assignment = rule(grid, targets_of(torch.zeros(3, 8, 4), nothing))
    assert (assignment.index == -1).all()
    assert (assignment.weight == 1).all()


@pytest.mark.parametrize("rule", RULES, ids=names)
def test_order_and_padding_of_faces_change_nothing(rule: Assigner) -> None:
    grid = grid_of(128, 128)
    targets = random_targets(7, batch=3, faces=16, size=128, whole=False)
    index = rule(grid, targets).index
    order = torch.randperm(32, generator=torch.Generator().manual_seed(0))
    place = order.argsort()  # where each face went
    padding = 16
    mixed = targets_of(
        torch.cat([targets.boxes, torch.full((3, padding, 4), 9.0)], dim=1)[:, order],
        torch.cat([targets.valid, torch.zeros(3, padding, dtype=torch.bool)], dim=1)[:, order],
        torch.cat([targets.ignore, torch.ones(3, padding, dtype=torch.bool)], dim=1)[:, order],
    )
    expected = torch.where(index >= 0, place[index.clamp(min=0)], index)
    assert torch.equal(rule(grid, mixed).index, expected)


@pytest.mark.parametrize("rule", RULES, ids=names)
def test_equal_faces_go_to_the_lower_index(rule: Assigner) -> None:
    boxes = torch.tensor([[[20.0, 20, 60, 60]] * 8])
    index = rule(grid_of(96, 96), targets_of(boxes)).index
    assert (index == 0).any()
    assert (index <= 0).all()


@pytest.mark.parametrize("rule", RULES, ids=names)
def test_crowd_of_2000_gives_faces_what_a_face_alone_gets(rule: Assigner) -> None:
    # Equal faces far from one another, so that none disturbs its neighbour.
    row, column = torch.meshgrid(torch.arange(40.0), torch.arange(50.0), indexing="ij")
    corner = torch.stack([column, row], dim=-1).view(1, 2000, 2) * 64 + 14
    boxes = torch.cat([corner, corner + 30], dim=-1)
    grid = grid_of(40 * 64, 50 * 64)
    index = rule(grid, targets_of(boxes)).index
    alone = rule(grid, targets_of(boxes[:, 1010:1011])).index
    counts = torch.bincount(index[index >= 0], minlength=2000)
    # Cells of the coarsest level are as far apart as the faces, so all faces are alike.
    assert (counts[51:-51] == (alone == 0).sum()).all()
    assert torch.equal(index == 1010, alone == 0)


@pytest.mark.parametrize("rule", RULES, ids=names)
def test_chunks_of_faces_change_nothing(rule: Assigner, monkeypatch: pytest.MonkeyPatch) -> None:
    grid = grid_of(128, 96)
    targets = random_targets(3, batch=2, faces=64, size=96, whole=True)
    whole = rule(grid, targets)
    monkeypatch.setattr(overlap, "_CHUNK", 2 * max(grid.level_sizes) * 5)
    assert torch.equal(rule(grid, targets).index, whole.index)
    monkeypatch.setattr(overlap, "_CHUNK", 1)
    assert torch.equal(rule(grid, targets).index, whole.index)


def test_priors_that_are_no_lattice_are_measured_one_by_one() -> None:
    lattice = grid_of(96, 96)
    targets = random_targets(5, batch=2, faces=16, size=96, whole=True)
    plain = Grid(lattice.priors, lattice.strides, lattice.level_sizes)
    expected = MaxIoU()(lattice, targets).index
    assert torch.equal(MaxIoU()(plain, targets).index, expected)
    with pytest.raises(ValueError, match="level_shapes"):
        ATSS()(plain, targets)


def test_face_below_the_best_anchor_iou_gets_nothing() -> None:
    grid = grid_of(64, 64)
    boxes = torch.tensor([[[25.0, 25, 28, 28]]])  # 9 of the 64 square pixels of one anchor
    assert (MaxIoU(best_anchor_iou=0.2)(grid, targets_of(boxes)).index == -1).all()
    assert (MaxIoU(best_anchor_iou=0.1)(grid, targets_of(boxes)).index == 0).sum() == 1


def test_an_ignored_face_smaller_than_every_prior_is_not_taught_as_background() -> None:
    """A face of 5 px covers a tenth of the smallest prior, which would find it."""
    grid = AnchorGrid({8: [16, 32]}, [8])([(8, 8)], "cpu")
    boxes = torch.tensor([[[26.0, 26, 31, 31]]])  # its middle: 28.5, 28.5
    index = MaxIoU()(grid, targets_of(boxes, ignore=torch.ones(1, 1, dtype=torch.bool))).index[0]
    hidden = {tuple(prior.tolist()) for prior in grid.priors[index == -2]}
    assert hidden == {(x, y, 16, 16) for x in (28, 36) for y in (28, 36)}
    assert (index != 0).all()


def test_ignored_face_hides_background_but_takes_no_prior() -> None:
    boxes = torch.tensor([[[0.0, 0, 64, 64], [16, 16, 36, 36]]])
    ignore = torch.tensor([[True, False]])
    for rule in RULES:
        assignment = rule(grid_of(128, 128), targets_of(boxes, ignore=ignore))
        assert (assignment.index == 1).any()
        assert (assignment.index == -2).any()
        assert (assignment.index != 0).all()
        assert torch.equal(assignment.weight == 0, assignment.index == -2)


@pytest.mark.parametrize("rule", RULES, ids=names)
def test_autocast_and_gradients_do_not_reach_the_rule(rule: Assigner) -> None:
    grid = grid_of(128, 128)
    targets = random_targets(11, batch=2, faces=16, size=128, whole=False)
    expected = rule(grid, targets).index
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert torch.equal(rule(grid, targets).index, expected)
    targets.boxes.requires_grad_()
    assert not rule(grid, targets).weight.requires_grad


def test_take_faces_gathers_rows_of_any_shape() -> None:
    values = torch.arange(2 * 3 * 5 * 2).view(2, 3, 5, 2)
    index = torch.tensor([[2, -1, 0, -2], [1, 1, 2, 0]])
    taken = take_faces(values, index)
    for b, n in product(range(2), range(4)):
        assert torch.equal(taken[b, n], values[b, max(int(index[b, n]), 0)])
    assert take_faces(values[..., 0, 0], index).tolist() == [[20, 0, 0, 0], [40, 40, 50, 30]]


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


@pytest.mark.slow
@pytest.mark.parametrize("rule", [MaxIoU(0.35, 0.35), ATSS()], ids=["max_iou", "atss"])
def test_compiles_whole_for_twelve_shapes(rule: Assigner) -> None:
    grid_maker = AnchorGrid(ANCHORS, STRIDES)

    def assign(image: torch.Tensor, targets: Targets) -> tuple[torch.Tensor, torch.Tensor]:
        height, width = image.shape[2:]
        sizes = [((height + s - 1) // s, (width + s - 1) // s) for s in STRIDES]
        assignment = rule(grid_maker(sizes, image.device), targets)
        return assignment.index, assignment.weight

    torch._dynamo.reset()
    counter = CompileCounterWithBackend("aot_eager")
    compiled = torch.compile(assign, fullgraph=True, backend=counter)
    for seed, (batch, height, width, faces) in enumerate(SHAPES):
        image = torch.zeros(batch, 3, height, width)
        targets = random_targets(seed, batch, faces, size=64, whole=False)
        for name in Targets.__dataclass_fields__:
            torch._dynamo.mark_dynamic(getattr(targets, name), 1)
        for ours, expected in zip(compiled(image, targets), assign(image, targets), strict=True):
            assert torch.equal(ours, expected)
    assert counter.frame_count <= 6


MEMORY_SCRIPT = """
import resource, sys, torch
from facezoo.geometry.grid import AnchorGrid
from facezoo.models.assigners import ATSS, MaxIoU
from facezoo.structures import Targets

torch.set_num_threads(1)
rule = {"MaxIoU": MaxIoU, "ATSS": ATSS}[sys.argv[1]]()

def assign(size, faces):
    strides = [4, 8, 16, 32]
    grid = AnchorGrid({s: [2 * s, 4 * s] for s in strides}, strides)
    grid = grid([(size // s, size // s) for s in strides], "cpu")
    corner = torch.rand(4, faces, 2) * size
    boxes = torch.cat([corner, corner + 4 + torch.rand(4, faces, 2) * 30], dim=-1)
    yes = torch.ones(4, faces, dtype=torch.bool)
    targets = Targets(boxes, yes, torch.rand(4, faces) > 0.9, yes.long(), boxes, yes)
    rule(grid, targets)

assign(64, 8)
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
assign(640, 2048)
unit = 1 if sys.platform == "darwin" else 1024
print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * unit)
"""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no resource module")
@pytest.mark.parametrize("rule", ["MaxIoU", "ATSS"])
def test_memory_is_bounded_for_2000_faces(rule: str) -> None:
    # 4 images, 68,000 priors: one float32 table of all pairs would be 2.2 GB.
    run = subprocess.run(
        [sys.executable, "-c", MEMORY_SCRIPT, rule], capture_output=True, text=True, check=True
    )
    assert int(run.stdout) < 128 * 2**20


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: MaxIoU(positive_iou=0.3, negative_iou=0.5), "negative_iou of MaxIoU is 0.5"),
        (lambda: MaxIoU(positive_iou=1.5), "positive_iou 1.5"),
        (lambda: MaxIoU(negative_iou=0.0), "negative_iou of MaxIoU is 0.0"),
        (lambda: ATSS(top_k=0), "top_k of ATSS is 0"),
    ],
)
def test_wrong_numbers_are_told(make: Callable[[], Assigner], words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        make()

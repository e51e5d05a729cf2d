"""Scenes, and definitions in exact arithmetic, that the tests of assigners share."""

from fractions import Fraction

import pytest
import torch

from facezoo.geometry.boxes import cxcywh_to_xyxy
from facezoo.geometry.priors import AnchorGrid
from facezoo.models.assigners import Assigner, Assignment
from facezoo.structures import Grid, Targets

Decoded = tuple[torch.Tensor, torch.Tensor]


class Scenes:
    """Grids, faces and predictions."""

    STRIDES = (8, 16, 32)
    ANCHORS = {8: [8, 20], 16: [32, 40], 32: [64]}
    POINTS = {stride: [stride] for stride in STRIDES}

    def grid(self, height: int, width: int, anchors: dict | None = None) -> Grid:
        sizes = [(-(-height // stride), -(-width // stride)) for stride in self.STRIDES]
        return AnchorGrid(anchors or self.ANCHORS, self.STRIDES)(sizes, "cpu")

    def targets(
        self,
        boxes: torch.Tensor,
        valid: torch.Tensor | None = None,
        ignore: torch.Tensor | None = None,
        labels: torch.Tensor | None = None,
    ) -> Targets:
        batch, faces = boxes.shape[:2]
        nothing = torch.zeros(batch, faces, dtype=torch.bool)
        valid = ~nothing if valid is None else valid
        return Targets(
            boxes=torch.where(valid.unsqueeze(-1), boxes, 0.0),
            valid=valid,
            ignore=nothing if ignore is None else ignore,
            labels=nothing.long() if labels is None else labels,
            landmarks=torch.zeros(batch, faces, 5, 2),
            landmarks_valid=torch.zeros(batch, faces, 5, dtype=torch.bool),
        )

    def random_targets(
        self, seed: int, batch: int, faces: int, size: int, whole: bool, classes: int = 1
    ) -> Targets:
        """Random faces, partly padding and ignored; whole coordinates make ties likely."""
        generator = torch.Generator().manual_seed(seed)
        corner = torch.rand(batch, faces, 2, generator=generator) * (size - 8)
        side = 4 + torch.rand(batch, faces, 2, generator=generator) ** 2 * size * 0.7
        if whole:
            corner, side = corner.round(), side.round()
        valid = torch.rand(batch, faces, generator=generator) > 0.2
        ignore = torch.rand(batch, faces, generator=generator) > 0.8
        labels = torch.randint(classes, (batch, faces), generator=generator)
        return self.targets(torch.cat([corner, corner + side], dim=-1), valid, ignore, labels)

    def predictions(
        self, seed: int, grid: Grid, batch: int, whole: bool, classes: int = 1
    ) -> Decoded:
        """Boxes around the priors, and scores; whole ones make ties likely."""
        generator = torch.Generator().manual_seed(seed)
        count = len(grid.priors)
        boxes = cxcywh_to_xyxy(grid.priors).expand(batch, -1, -1)
        boxes = boxes + torch.randn(batch, count, 4, generator=generator) * 4
        scores = torch.rand(batch, count, classes, generator=generator)
        if whole:
            boxes = boxes.round()
            few = torch.cat([torch.rand(3, generator=generator), torch.tensor([0.0, 1.0])])
            scores = few[(scores * len(few)).long()]
        return boxes, scores

    def assign(self, rule: Assigner, grid: Grid, targets: Targets, seed: int = 0) -> Assignment:
        """Runs a rule, on predictions if it looks at them."""
        if not rule.looks_at_predictions:
            return rule(grid, targets)
        return rule(grid, targets, self.predictions(seed, grid, len(targets.boxes), whole=False))


class Exact:
    """Boxes as exact numbers, and what is done with them."""

    @staticmethod
    def numbers(row: torch.Tensor) -> list[Fraction]:
        return [Fraction(value) for value in row.tolist()]

    @staticmethod
    def corners(prior: list[Fraction]) -> list[Fraction]:
        x, y, width, height = prior
        return [x - width / 2, y - height / 2, x + width / 2, y + height / 2]

    @staticmethod
    def area(box: list[Fraction]) -> Fraction:
        return max(box[2] - box[0], Fraction(0)) * max(box[3] - box[1], Fraction(0))

    @staticmethod
    def intersection(a: list[Fraction], b: list[Fraction]) -> Fraction:
        width = min(a[2], b[2]) - max(a[0], b[0])
        height = min(a[3], b[3]) - max(a[1], b[1])
        return max(width, Fraction(0)) * max(height, Fraction(0))

    def iou(self, a: list[Fraction], b: list[Fraction]) -> Fraction:
        common = self.intersection(a, b)
        union = self.area(a) + self.area(b) - common
        return common / union if union else Fraction(0)

    def faces(self, targets: Targets, image: int, ignored: bool) -> dict[int, list[Fraction]]:
        """The faces of an image by their index: the ignored ones, or those that are taught."""
        return {
            g: self.numbers(row)
            for g, row in enumerate(targets.boxes[image])
            if targets.valid[image, g] and bool(targets.ignore[image, g]) == ignored
        }

    def hide(self, index: list[int], grid: Grid, targets: Targets, image: int) -> list[int]:
        """Background teaches nothing where ignored faces cover half of it, or it would fit one."""
        priors = [self.corners(self.numbers(row)) for row in grid.priors]
        areas = [self.area(prior) for prior in priors]
        ignored = self.faces(targets, image, ignored=True).values()
        fitting = []
        for face in ignored:
            overlaps = [self.iou(face, prior) for prior in priors]
            best = max(overlaps)
            # Among equals the size that comes first in the grid: of the lower level, then anchor.
            sizes = {areas[p] for p, overlap in enumerate(overlaps) if overlap == best}
            size = min(sizes, key=areas.index) if best > 0 else None
            fitting.append((size, (face[0] + face[2]) / 2, (face[1] + face[3]) / 2))
        for p, prior in enumerate(priors):
            covered = sum(self.intersection(face, prior) for face in ignored)
            held = any(
                self.area(prior) == size and prior[0] < x < prior[2] and prior[1] < y < prior[3]
                for size, x, y in fitting
            )
            if index[p] == -1 and (covered >= self.area(prior) / 2 or held):
                index[p] = -2
        return index


@pytest.fixture(scope="session")
def scenes() -> Scenes:
    return Scenes()


@pytest.fixture(scope="session")
def exact() -> Exact:
    return Exact()

import subprocess
import sys

import pytest

SCRIPT = """
import resource, sys, torch
from facezoo.geometry.boxes import cxcywh_to_xyxy
from facezoo.geometry.priors import AnchorGrid
from facezoo.registry import ASSIGNERS
from facezoo.structures import Targets

torch.set_num_threads(1)
rule = ASSIGNERS.get(sys.argv[1])()
finest, anchors = int(sys.argv[2]), int(sys.argv[3])
strides = [s for s in (4, 8, 16, 32) if s >= finest]

def assign(size, faces):
    grid = AnchorGrid({s: [s * (a + 1) for a in range(anchors)] for s in strides}, strides)
    grid = grid([(size // s, size // s) for s in strides], "cpu")
    corner = torch.rand(4, faces, 2) * size
    boxes = torch.cat([corner, corner + 4 + torch.rand(4, faces, 2) * 30], dim=-1)
    yes = torch.ones(4, faces, dtype=torch.bool)
    labels = torch.zeros(4, faces, dtype=torch.int64)
    targets = Targets(boxes, yes, torch.rand(4, faces) > 0.9, labels, boxes, yes)
    predicted = cxcywh_to_xyxy(grid.priors).expand(4, -1, -1)
    rule(grid, targets, (predicted, torch.full((*predicted.shape[:2], 1), 0.5)))

assign(64, 8)
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
assign(640, 2048)
unit = 1 if sys.platform == "darwin" else 1024
print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * unit)
"""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no resource module")
@pytest.mark.parametrize(
    ("rule", "finest", "anchors", "bound"),
    [
        # 4 images, 68,000 priors: one float32 table of all pairs would be 2.2 GB.
        ("MaxIoU", 4, 2, 128),
        ("ATSS", 4, 2, 128),
        # 25,200 priors as YOLOv5 has them: 788 MiB; 8,400 points: 263 MiB.
        ("RatioRule", 8, 3, 128),
        ("SimOTA", 8, 1, 96),
        ("TaskAligned", 8, 1, 96),
    ],
)
def test_memory_is_bounded_for_2000_faces(rule: str, finest: int, anchors: int, bound: int) -> None:
    run = subprocess.run(
        [sys.executable, "-c", SCRIPT, rule, str(finest), str(anchors)],
        capture_output=True,
        text=True,
        check=True,
    )
    assert int(run.stdout) < bound * 2**20

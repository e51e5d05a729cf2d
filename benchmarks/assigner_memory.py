"""How much memory the assigners take in a crowd, beside a table of all pairs of face and prior.

The peak is that of all tensors that live at one time beyond the arguments, results included. On a
CPU torch's profiler notes each block that is allocated and freed, those inside of an operation
too; on a GPU it is what torch counts itself. Each rule has the anchors of each model, and the
points of a head without anchors.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import torch
from common import (
    add_device,
    add_models,
    make_parser,
    open_config,
    open_device,
    random_batch,
    report,
    run,
)
from torch.profiler import ProfilerActivity, profile

from facezoo.builder import build_model
from facezoo.geometry.boxes import cxcywh_to_xyxy
from facezoo.geometry.priors import AnchorGrid
from facezoo.registry import ASSIGNERS

MIB = 2**20
FLOAT32_BYTES = 4
POINTS = {stride: [stride] for stride in (8, 16, 32)}
COLUMNS = {
    "grid": "",
    "assigner": "",
    "priors": ",",
    "peak / table": ".3f",
    "peak (MiB)": ".1f",
    "one float32 table (MiB)": ".0f",
}


def main() -> None:
    parser = make_parser(__doc__, repeats=0)
    add_models(parser)
    add_device(parser)
    parser.add_argument("--batch", type=int, default=4, help="images (4)")
    parser.add_argument("--faces", type=int, default=2000, help="per image (2000)")
    arguments = parser.parse_args()
    device = open_device(arguments.device)
    if device.type not in ("cpu", "cuda"):
        parser.error(f"there is no count of memory on {device}; give --device cpu or cuda")
    side = arguments.side
    targets = random_batch(arguments.batch, side, arguments.faces).to(device).targets
    rows = []
    makers = {
        model: build_model(open_config(model, side, arguments.batch)).head.grid
        for model in arguments.models
    }
    makers["points"] = AnchorGrid(POINTS, list(POINTS))
    for place, anchors in makers.items():
        grid = anchors([(side // stride, side // stride) for stride in anchors.strides], device)
        boxes = cxcywh_to_xyxy(grid.priors).expand(arguments.batch, -1, -1)
        # For rules that look at what the network says: it finds a face everywhere.
        decoded = boxes, torch.full((*boxes.shape[:2], 1), 0.5, device=device)
        table = targets.valid.numel() * len(grid.priors) * FLOAT32_BYTES
        for name, kind in ASSIGNERS:
            rule = kind()
            peak = peak_bytes(partial(rule, grid, targets, decoded), device)
            rows.append(
                {
                    "grid": place,
                    "assigner": name,
                    "priors": len(grid.priors),
                    "peak / table": peak / table,
                    "peak (MiB)": peak / MIB,
                    "one float32 table (MiB)": table / MIB,
                }
            )
    title = (
        f"Peak memory of an assignment: {arguments.batch} images of {side} px with "
        f"{arguments.faces:,} faces each, padded to {targets.valid.shape[1]:,}"
    )
    report(title, COLUMNS, rows, device, arguments.json)


def peak_bytes(call: Callable[[], Any], device: torch.device) -> int:
    """Returns the most bytes that a call holds at one time beyond those that were there before."""
    call()  # the first one may set up libraries that keep memory
    if device.type == "cuda":
        torch.cuda.synchronize(device)
        torch.cuda.reset_peak_memory_stats(device)
        before = torch.cuda.memory_allocated(device)
        call()
        return torch.cuda.max_memory_allocated(device) - before
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as profiler:
        call()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "trace.json")
        profiler.export_chrome_trace(str(path))
        events = json.loads(path.read_text(encoding="utf-8"))["traceEvents"]
    blocks = [event for event in events if event.get("name") == "[memory]"]
    live = peak = 0
    for block in sorted(blocks, key=lambda block: block["ts"]):
        live += block["args"]["Bytes"]  # below 0 where it is freed
        peak = max(peak, live)
    return peak


if __name__ == "__main__":
    run(main)

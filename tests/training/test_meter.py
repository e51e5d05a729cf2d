"""Losses between two published means."""

import torch

from facezoo.structures import Batch, Targets
from facezoo.training.meter import Meter

GOOD = torch.tensor(False)


def batch(image_id: str, dropped: int = 0) -> Batch:
    targets = Targets(*[torch.zeros(1, 1)] * 6)
    return Batch(torch.zeros(1, 3, 8, 8), targets, (image_id,), torch.zeros(1, 2, 3), dropped)


def test_losses_of_a_checkpoint_meet_those_of_another_device() -> None:
    """A checkpoint brings its rows to the CPU; the run's own may be on a GPU (here: meta)."""
    meter = Meter()
    meter.load_state_dict(
        {
            "names": ["box"],
            "rows": torch.ones(2, 1),
            "bad": torch.zeros(2, dtype=torch.bool),
            "skipped": 0,
            "steps": [1, 2],
            "ids": [("a",), ("b",)],
            "dropped": 0,
        }
    )
    meter.update(
        3,
        batch("c"),
        {"box": torch.zeros((), device="meta")},
        torch.zeros((), device="meta", dtype=torch.bool),
    )
    assert {row.device.type for row in meter.rows} == {"meta"} and len(meter.rows) == 3


def test_dropped_faces_are_counted_from_one_line_to_the_next() -> None:
    meter = Meter()
    for step, dropped in ((1, 3), (2, 4)):
        meter.update(step, batch("a", dropped), {"box": torch.zeros(())}, GOOD)
    resumed = Meter()
    resumed.load_state_dict(meter.state_dict())
    resumed.update(3, batch("a", 5), {"box": torch.zeros(())}, GOOD)
    assert resumed.reset(1)["data/dropped_faces"] == 12
    resumed.update(4, batch("a"), {"box": torch.zeros(())}, GOOD)
    assert resumed.reset(1)["data/dropped_faces"] == 0

"""Losses between two published means."""

import torch

from facezoo.training.meter import Window

GOOD = torch.tensor(False)


def test_losses_of_a_checkpoint_meet_those_of_another_device() -> None:
    """A checkpoint brings its rows to the CPU; the run's own may be on a GPU (here: meta)."""
    window = Window()
    window.load_state_dict(
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
    window.add(
        3,
        ("c",),
        {"box": torch.zeros((), device="meta")},
        torch.zeros((), device="meta", dtype=torch.bool),
    )
    assert {row.device.type for row in window.rows} == {"meta"} and len(window.rows) == 3


def test_dropped_faces_are_counted_from_one_line_to_the_next() -> None:
    window = Window()
    for step, dropped in ((1, 3), (2, 4)):
        window.add(step, ("a",), {"box": torch.zeros(())}, GOOD, dropped)
    resumed = Window()
    resumed.load_state_dict(window.state_dict())
    resumed.add(3, ("a",), {"box": torch.zeros(())}, GOOD, 5)
    assert resumed.close(1)["data/dropped_faces"] == 12
    resumed.add(4, ("a",), {"box": torch.zeros(())}, GOOD)
    assert resumed.close(1)["data/dropped_faces"] == 0

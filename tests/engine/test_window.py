"""Losses between two published means."""

import torch

from facezoo.engine.window import Window


def test_losses_of_a_checkpoint_meet_those_of_another_device() -> None:
    """A checkpoint brings its rows to the CPU; the run's own may be on a GPU (here: meta)."""
    window = Window()
    window.load_state_dict(
        {"names": ["box"], "rows": torch.ones(2, 1), "steps": [1, 2], "ids": [("a",), ("b",)]}
    )
    window.add(3, ("c",), {"box": torch.zeros((), device="meta")})
    assert {row.device.type for row in window.rows} == {"meta"} and len(window.rows) == 3

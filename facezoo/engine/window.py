"""What a run measured since it last published: loss terms and times."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from facezoo.errors import FacezooError

NAMED_IDS = 8


class NonFiniteLossError(FacezooError):
    """The loss became infinite or not a number."""


class Window:
    """Loss terms and times since the last published metrics.

    Terms stay on the device, as they are, until somebody asks: no step waits for it.
    """

    def __init__(self) -> None:
        self.names: list[str] = []
        self.rows: list[Tensor] = []
        self.steps: list[int] = []
        self.ids: list[tuple[str, ...]] = []
        self.dropped = 0
        self.start()

    def start(self) -> None:
        """Begins a new stretch of time; losses stay until ``close`` takes them."""
        self.started = time.perf_counter()
        self.data_seconds = self.hook_seconds = 0.0
        self.timed_steps = 0

    def add(
        self, step: int, ids: tuple[str, ...], losses: Mapping[str, Tensor], dropped: int = 0
    ) -> None:
        """Takes the loss terms of a step, and how many faces its transforms dropped."""
        self.names = list(losses)
        row = torch.stack(list(losses.values())).float()
        if self.rows and self.rows[0].device != row.device:  # rows of a checkpoint
            self.rows = [one.to(row.device) for one in self.rows]
        self.rows.append(row)
        self.steps.append(step)
        self.ids.append(ids)
        self.dropped += dropped
        self.timed_steps += 1

    def close(self, batch_size: int) -> dict[str, float]:
        """Returns the mean loss terms, the speed and the dropped faces, and forgets the losses.

        Times are those since ``start``, everything else since the last ``close``.
        """
        self.check_finite()
        means = torch.stack(self.rows).cpu().double().mean(dim=0).tolist()
        seconds = max(time.perf_counter() - self.started - self.hook_seconds, 1e-9)
        metrics = {"train/loss": sum(means)}
        metrics |= {
            f"train/loss_{name}": mean for name, mean in zip(self.names, means, strict=True)
        }
        metrics["time/images_per_second"] = self.timed_steps * batch_size / seconds
        metrics["time/data_share"] = self.data_seconds / seconds
        metrics["data/dropped_faces"] = float(self.dropped)
        self.rows, self.steps, self.ids, self.dropped = [], [], [], 0
        return metrics

    def check_finite(self, latest_only: bool = False) -> None:
        """Raises for the first step whose loss is not finite.

        Raises:
            NonFiniteLossError: with the step, the loss terms and the images.
        """
        first = len(self.rows) - 1 if latest_only else 0
        if not self.rows[first:] or bool(torch.stack(self.rows[first:]).isfinite().all()):
            return
        bad = next(i for i in range(first, len(self.rows)) if not self.rows[i].isfinite().all())
        terms = ", ".join(
            f"{name} {value:.4g}"
            for name, value in zip(self.names, self.rows[bad].tolist(), strict=True)
        )
        ids = ", ".join(self.ids[bad][:NAMED_IDS])
        more = len(self.ids[bad]) - NAMED_IDS
        raise NonFiniteLossError(
            f"The loss is not finite at step {self.steps[bad]} ({terms}; images {ids}"
            f"{f' and {more} more' if more > 0 else ''}): go on from the last checkpoint with a "
            "lower optimizer.lr, a train.clip_norm, or train.precision=fp32."
        )

    def state_dict(self) -> dict[str, Any]:
        """Returns the losses, so that a resumed run publishes the same mean."""
        rows = torch.stack(self.rows).cpu() if self.rows else torch.zeros(0)
        return {
            "names": self.names,
            "rows": rows,
            "steps": self.steps,
            "ids": self.ids,
            "dropped": self.dropped,
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Takes back what ``state_dict`` gave."""
        self.names, self.rows = list(state["names"]), list(state["rows"])
        self.steps, self.ids = list(state["steps"]), list(state["ids"])
        self.dropped = state["dropped"]

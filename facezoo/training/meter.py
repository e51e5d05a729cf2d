"""What a run measured since it last published: loss terms and times."""

import time
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from facezoo.structures import Batch
from facezoo.training.update import NonFiniteLossError

NAMED_IDS = 8


class Meter:
    """Loss terms and times since the last published metrics.

    Terms stay on the device, as they are, until somebody asks: no step waits for it. Of the whole
    run, ``max_skipped`` steps may have a loss that is not finite.
    """

    def __init__(self, max_skipped: int = 0) -> None:
        self.max_skipped = max_skipped
        self.skipped = 0
        self.names: list[str] = []
        self.rows: list[Tensor] = []
        self.bad: list[Tensor] = []
        self.steps: list[int] = []
        self.ids: list[tuple[str, ...]] = []
        self.dropped = 0
        self.unreadable = 0
        self.start()

    @property
    def bad_steps(self) -> int:
        """Steps of the whole run whose loss was not finite; waits for the device."""
        return self.skipped + sum(bool(one) for one in self.bad)

    def start(self) -> None:
        """Restarts the clock; losses stay until ``reset`` takes them."""
        self.started = time.perf_counter()
        self.data_seconds = self.hook_seconds = 0.0
        self.timed_steps = 0

    def update(self, step: int, batch: Batch, losses: Mapping[str, Tensor], bad: Tensor) -> None:
        """Adds a step: its number, this process's share of its batch, and what ``Update`` gave."""
        self.names = list(losses)
        row = torch.stack(list(losses.values())).float()
        if self.rows and self.rows[0].device != row.device:  # rows of a checkpoint
            self.rows = [one.to(row.device) for one in self.rows]
            self.bad = [one.to(row.device) for one in self.bad]
        self.rows.append(row)
        self.bad.append(bad)
        self.steps.append(step)
        self.ids.append(batch.ids)
        self.dropped += batch.dropped
        self.unreadable += len(batch.unreadable)
        self.timed_steps += 1

    def reset(self, batch_size: int) -> dict[str, float]:
        """Returns the mean loss terms, the speed and the dropped faces, and forgets the losses.

        Times are those since ``start``, everything else since the last ``reset``. Skipped steps
        are counted over the whole run, and their losses are left out of the means.
        """
        self.check_finite()
        kept = torch.stack(self.rows)[~torch.stack(self.bad)]
        self.skipped += len(self.rows) - len(kept)
        means = kept.cpu().double().mean(dim=0).tolist()
        seconds = max(time.perf_counter() - self.started - self.hook_seconds, 1e-9)
        metrics = {"train/loss": sum(means)}
        metrics |= {
            f"train/loss_{name}": mean for name, mean in zip(self.names, means, strict=True)
        }
        if self.max_skipped:
            metrics["train/skipped_steps"] = float(self.skipped)
        metrics["time/images_per_second"] = self.timed_steps * batch_size / seconds
        metrics["time/data_share"] = self.data_seconds / seconds
        metrics["data/dropped_faces"] = float(self.dropped)
        metrics["data/unreadable_images"] = float(self.unreadable)
        self.rows, self.bad, self.steps, self.ids = [], [], [], []
        self.dropped = self.unreadable = 0
        return metrics

    def check_finite(self) -> None:
        """Looks for losses that are not finite.

        Raises:
            NonFiniteLossError: there is one too many; with its step, loss terms and images.
        """
        if not self.bad:
            return
        bad = torch.stack(self.bad).cpu().nonzero().flatten().tolist()
        too_many = bad[self.max_skipped - self.skipped :]
        if not too_many:
            return
        place = too_many[0]
        terms = ", ".join(
            f"{name} {value:.4g}"
            for name, value in zip(self.names, self.rows[place].tolist(), strict=True)
        )
        what = "loss" if not self.rows[place].isfinite().all() else "norm of the gradients"
        ids = ", ".join(self.ids[place][:NAMED_IDS])
        more = len(self.ids[place]) - NAMED_IDS
        skipped = f" after {self.max_skipped} skipped steps" if self.max_skipped else ""
        raise NonFiniteLossError(
            self.steps[place],
            f"The {what} is not finite at step {self.steps[place]}{skipped} ({terms}; images {ids}"
            f"{f' and {more} more' if more > 0 else ''}): go on from the last checkpoint with a "
            "lower optimizer.lr, a train.clip_norm, or train.precision=fp32.",
        )

    def state_dict(self) -> dict[str, Any]:
        """Returns the losses, so that a resumed run publishes the same mean."""
        return {
            "names": self.names,
            "rows": torch.stack(self.rows).cpu() if self.rows else torch.zeros(0),
            "bad": torch.stack(self.bad).cpu() if self.bad else torch.zeros(0, dtype=torch.bool),
            "steps": self.steps,
            "ids": self.ids,
            "dropped": self.dropped,
            "unreadable": self.unreadable,
            "skipped": self.skipped,
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Takes back what ``state_dict`` gave."""
        self.names, self.rows = list(state["names"]), list(state["rows"])
        self.bad, self.skipped = list(state["bad"]), state["skipped"]
        self.steps, self.ids = list(state["steps"]), list(state["ids"])
        self.dropped = state["dropped"]
        self.unreadable = state.get("unreadable", 0)  # unknown to earlier checkpoints

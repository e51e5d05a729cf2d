"""The curves of several runs in one picture."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from facezoo.runs.listing import Run, validation_metrics
from facezoo.terminal import COUNTS

LOSSES = ("train/loss", "val/loss")
FURTHER = 4
"""The most metrics beside the losses: more would be too small to read."""


def plot_runs(runs: Sequence[Run], path: Path) -> list[str]:
    """Writes a picture with one small plot per metric and one colour per run.

    Args:
        runs: at least one.
        path: the PNG, whose folder is made where it is missing.

    Returns:
        The metrics in it; none, and no picture, where the runs have no curve.
    """
    metrics = metrics_to_plot(runs)
    if not metrics:
        return []
    columns = 1 if len(metrics) == 1 else 2 if len(metrics) in (2, 4) else 3
    lines = -(-len(metrics) // columns)
    figure = Figure(figsize=(4.4 * columns, 3.1 * lines + 0.4), layout="constrained")
    FigureCanvasAgg(figure)
    for place, metric in enumerate(metrics, 1):
        axes = figure.add_subplot(lines, columns, place)
        for number, run in enumerate(runs):
            points = run.points(metric)
            dots = "o" if len(points) < 40 else None
            steps, values = zip(*points, strict=True) if points else ((), ())
            axes.plot(steps, values, label=run.name, color=f"C{number}", marker=dots, markersize=3)
        axes.set(xlabel="step", ylabel=metric)
        axes.grid(alpha=0.3)
    handles, labels = figure.axes[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside upper center", ncols=min(len(runs), 3))
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, format="png", dpi=90)
    return metrics


def metrics_to_plot(runs: Sequence[Run]) -> list[str]:
    """Returns the losses, and a few more validation metrics that at least two runs have.

    Those that choose the runs' ``best`` come first, then the others as they were published; terms
    of the loss and counts are left out.
    """
    chosen = [run.metric for run in runs if run.metric is not None]
    others = [
        name
        for name in dict.fromkeys([*chosen, *validation_metrics(runs)])
        if name not in LOSSES
        and not name.startswith("val/loss_")
        and not name.endswith(COUNTS)
        and sum(bool(run.points(name)) for run in runs) >= 2
    ]
    return [name for name in LOSSES if any(run.points(name) for run in runs)] + others[:FURTHER]

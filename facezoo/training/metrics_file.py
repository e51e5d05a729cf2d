"""Reads and plots ``metrics.jsonl``, without torch, so that looking at runs is quick."""

import json
from pathlib import Path
from typing import Any

METRICS = "metrics.jsonl"


def read_metrics(path: Path) -> list[dict[str, Any]]:
    """Returns the rows of a ``metrics.jsonl``, none where there is no such file.

    A last line that a killed process left unfinished is passed over.
    """
    if not path.is_file():
        return []
    lines = path.read_text(encoding="utf-8").splitlines(keepends=True)
    return [json.loads(line) for line in lines if line.endswith("\n")]


def plot_losses(folder: Path, note: str = "") -> None:
    """Writes ``plots/losses.png`` from a run's ``metrics.jsonl``; nothing where that is missing.

    Training terms are thin lines, the sum is a thick one, the validation loss has dots.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    rows = read_metrics(folder / METRICS)
    names = dict.fromkeys(
        name for row in rows for name in row if name.startswith("train/loss") or name == "val/loss"
    )
    if not names:
        return
    figure = Figure(figsize=(8, 4.5), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    for name in names:
        points = [(row["step"], row[name]) for row in rows if row.get(name) is not None]
        axes.plot(
            *zip(*points, strict=True),
            label=name,
            linewidth=2 if name.endswith("/loss") else 0.8,
            marker="o" if name == "val/loss" else None,
            markersize=4,
        )
    axes.set(xlabel="step", ylabel="loss", title=note)
    axes.grid(alpha=0.3)
    axes.legend()
    (folder / "plots").mkdir(exist_ok=True)
    figure.savefig(folder / "plots" / "losses.png", dpi=120)

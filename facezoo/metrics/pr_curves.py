"""Precision over recall as a picture and as numbers."""

from __future__ import annotations

import csv as csv_format
from collections.abc import Mapping
from pathlib import Path

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from facezoo.metrics.evaluator import Curve


def pr_curves(curves: Mapping[str, Curve], png: Path, csv: Path) -> None:
    """Draws all curves into one picture and writes their points into one table.

    Args:
        curves: by name; with none, the picture has empty axes and the table only its heading.
        png: of the picture; the average precision of each curve stands in its legend.
        csv: of the table, with the columns ``curve``, ``recall`` and ``precision``.
    """
    _draw(curves, png)
    csv.parent.mkdir(parents=True, exist_ok=True)
    with csv.open("w", newline="", encoding="utf-8") as file:
        rows = csv_format.writer(file)
        rows.writerow(["curve", "recall", "precision"])
        for name, curve in curves.items():
            points = zip(curve.recall.tolist(), curve.precision.tolist(), strict=True)
            rows.writerows([name, f"{r:.6g}", f"{p:.6g}"] for r, p in points)


def _draw(curves: Mapping[str, Curve], png: Path) -> None:
    # Not through pyplot, which keeps every figure and may want a display.
    figure = Figure(figsize=(6.4, 5.6), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    for name, curve in curves.items():
        label = f"{name}: AP {curve.average_precision():.4f}"
        axes.plot(curve.recall, curve.precision, label=label)
    axes.set(xlabel="recall", ylabel="precision", xlim=(0, 1), ylim=(0, 1.02))
    axes.grid(alpha=0.3)
    if curves:
        axes.legend(loc="lower left")
    png.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(png, dpi=100, format="png")

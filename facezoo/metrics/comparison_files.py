"""A comparison of two sets of predictions as files."""

from __future__ import annotations

import csv
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from facezoo.metrics.bootstrap import Difference
from facezoo.metrics.compare import Comparison

INCHES_PER_ROW = 0.22
NUMBERS = ("a", "b", "difference", "low", "high", "share_b_better")


def flat(comparison: Comparison) -> dict[str, Any]:
    """Returns the numbers as one flat object, such as ``widerface/hard/difference``."""
    numbers = {
        f"{name}/{which}": value
        for name, one in comparison.differences.items()
        for which, value in zip(NUMBERS, _numbers(one), strict=True)
    }
    truth = None if comparison.truth is None else str(comparison.truth)
    return {**numbers, "images": len(comparison.mistakes), "truth": truth}


def write_comparison(out: Path, comparison: Comparison) -> None:
    """Writes tables and a plot.

        differences.csv   metric, a, b, difference, low and high end of the 95 % interval, share of
                          the resamples in which b is better, verdict
        images.csv        image, mistakes of a, of b; those first that differ most
        differences.png   the differences with their intervals

    Args:
        out: a folder, made where it is missing.
        comparison: what ``compare_predictions`` gave.
    """
    out.mkdir(parents=True, exist_ok=True)
    with (out / "differences.csv").open("w", newline="", encoding="utf-8") as file:
        rows = csv.writer(file)
        rows.writerow(["metric", *NUMBERS, "verdict"])
        for name, one in comparison.differences.items():
            rows.writerow([name, *(f"{value:.6g}" for value in _numbers(one)), one.verdict])
    with (out / "images.csv").open("w", newline="", encoding="utf-8") as file:
        rows = csv.writer(file)
        rows.writerow(["image", "a", "b"])
        rows.writerows([one.image_id, one.a, one.b] for one in comparison.mistakes)
    _draw(comparison.differences, out / "differences.png")


def _numbers(one: Difference) -> tuple[float, ...]:
    return one.a, one.b, one.estimate, one.low, one.high, one.share_b_better


def _draw(differences: Mapping[str, Difference], png: Path) -> None:
    # Not through pyplot, which keeps every figure and may want a display; and only here, as
    # Matplotlib takes longer to import than most comparisons to compute.
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8, 1.2 + INCHES_PER_ROW * len(differences)), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    for row, one in enumerate(differences.values()):
        colour = "tab:blue" if one.is_beyond_noise else "tab:gray"
        axes.plot([one.low, one.high], [row, row], color=colour)
        axes.plot(one.estimate, row, "o", color=colour, markersize=4)
    axes.axvline(0, color="black", linewidth=0.8)
    axes.set_yticks(range(len(differences)), list(differences), fontsize=7)
    axes.margins(y=0.01)
    axes.invert_yaxis()
    axes.set_xlabel("B - A, with 95 % interval (gray: within noise)")
    axes.grid(axis="x", alpha=0.3)
    figure.savefig(png, dpi=100, format="png")

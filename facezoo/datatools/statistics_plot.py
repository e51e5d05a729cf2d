"""The statistics of data sets as a picture."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

ATTRIBUTE_COLOURS = ("#9ecae1", "#4292c6", "#08519c")


def plot_statistics(statistics: Mapping[str, Mapping[str, Any]], path: Path) -> None:
    """Writes a picture of the faces by height, the images by faces, and the attributes.

    Args:
        statistics: what ``facezoo.datatools.statistics.statistics`` returned, by title.
        path: the PNG, whose folder is made where it is missing.
    """
    with_attributes = {title: one for title, one in statistics.items() if one["attributes"]}
    rows = 1 + len(with_attributes)
    figure = Figure(figsize=(12, 3.8 + 2.6 * len(with_attributes)), layout="constrained")
    FigureCanvasAgg(figure)
    grid = figure.add_gridspec(rows, 2, height_ratios=[3.4] + [2.4] * len(with_attributes))
    _bars(figure.add_subplot(grid[0, 0]), statistics, "face_heights")
    figure.axes[0].set(xlabel="face height (pixels)", ylabel="share of the faces (%)")
    _bars(figure.add_subplot(grid[0, 1]), statistics, "images_by_faces")
    figure.axes[1].set(xlabel="faces in an image", ylabel="share of the images (%)")
    for place, (title, one) in enumerate(with_attributes.items(), 1):
        axes = figure.add_subplot(grid[place, :])
        _attributes(axes, one["attributes"])
        axes.set(title=f"{title}: share of the faces by attribute (%)", xlim=(0, 100))
    figure.axes[0].legend()
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, format="png", dpi=100)


def _bars(axes: Axes, statistics: Mapping[str, Mapping[str, Any]], name: str) -> None:
    """Draws one group of bars for each bucket, with the counts above them."""
    width = 0.8 / len(statistics)
    for number, (title, one) in enumerate(statistics.items()):
        counts = np.array(list(one[name].values()))
        places = np.arange(len(counts)) + (number - (len(statistics) - 1) / 2) * width
        bars = axes.bar(places, 100 * counts / max(counts.sum(), 1), width, label=title)
        if len(statistics) <= 2:
            axes.bar_label(bars, [f"{count:,}" for count in counts], fontsize=6, padding=1)
    buckets = list(next(iter(statistics.values()))[name])
    axes.set_xticks(range(len(buckets)), buckets)
    axes.grid(axis="y", alpha=0.3)


def _attributes(axes: Axes, attributes: Mapping[str, Mapping[str, int]]) -> None:
    """Draws one bar for each attribute, cut into its values."""
    for row, values in enumerate(attributes.values()):
        counts = np.array(list(values.values()))
        shares = 100 * counts / max(counts.sum(), 1)
        starts = np.cumsum(shares) - shares
        for number, value in enumerate(values):
            colour = ATTRIBUTE_COLOURS[number % len(ATTRIBUTE_COLOURS)]
            axes.barh(row, shares[number], left=starts[number], color=colour, edgecolor="white")
            if shares[number] > 8:
                axes.text(
                    *(starts[number] + shares[number] / 2, row),
                    f"{value} {shares[number]:.0f}",
                    ha="center",
                    va="center",
                    fontsize=8,
                    color="black" if number == 0 else "white",
                )
    axes.set_yticks(range(len(attributes)), list(attributes))
    axes.invert_yaxis()

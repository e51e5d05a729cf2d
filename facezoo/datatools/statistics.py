"""Counts what is annotated: images, faces, their heights and their attributes, and draws it."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from numpy.typing import NDArray

from facezoo.data.annotations.annotation_file import ATTRIBUTES, AnnotationFile

HEIGHTS = {"0-8": 0, "8-16": 8, "16-32": 16, "32-64": 32, "64-128": 64, "128+": 128}
"""Buckets of face heights with their lower ends in pixels, as those of ``RecallBySize``."""

CROWDS = {"0": 0, "1": 1, "2-5": 2, "6-10": 6, "11-20": 11, "21-50": 21, "51-100": 51, "101+": 101}
"""Buckets of faces per image with their lowest numbers."""

ATTRIBUTE_VALUES: Mapping[str, tuple[str, ...]] = {
    "blur": ("clear", "normal", "heavy"),
    "expression": ("typical", "exaggerated"),
    "illumination": ("normal", "extreme"),
    "invalid": ("no", "yes"),
    "occlusion": ("none", "partial", "heavy"),
    "pose": ("typical", "atypical"),
}
"""Names of WIDER FACE's values 0, 1, 2, from the read-me of its annotation."""

ATTRIBUTE_COLOURS = ("#9ecae1", "#4292c6", "#08519c")

OFFICIAL_COUNTS = {"train": (12_880, 159_424), "val": (3_226, 39_708)}
"""Images and faces of WIDER FACE's splits."""


def statistics(file: AnnotationFile) -> dict[str, Any]:
    """Returns the counts of an annotation file.

    ``faces_per_image`` and ``images_by_faces`` count every annotated face, ``face_heights`` those
    whose box has an area. ``dropped`` are the others, ``ignored`` those with an area that are
    neither taught nor counted, ``with_landmarks`` those of which at least one landmark is known.
    ``official`` says whether the counts are the known ones of WIDER FACE's split, None where that
    it is none of them.

    Args:
        file: the annotation.

    Returns:
        Numbers and mappings of them, ready for JSON.

    Raises:
        DataError: a part of the file cannot be read.
    """
    file.strict()
    per_image = np.bincount(file.owners, minlength=len(file.names))
    usable = file.has_area()
    boxes = file.boxes[usable]
    known = OFFICIAL_COUNTS.get(file.split) if file.format == "widerface" else None
    return {
        "images": len(file.names),
        "faces": len(file.boxes),
        "images_without_faces": int((per_image == 0).sum()),
        "faces_per_image": {
            "min": int(per_image.min()),
            "median": float(np.median(per_image)),
            "mean": round(float(per_image.mean()), 4),
            "max": int(per_image.max()),
        },
        "images_by_faces": _counted(per_image, CROWDS),
        "face_heights": _counted(boxes[:, 3] - boxes[:, 1], HEIGHTS),
        "dropped": int((~usable).sum()),
        "ignored": int((file.ignore & usable).sum()),
        "with_landmarks": int(file.known().any(axis=1).sum()),
        "attributes": _attributes(file),
        "official": (len(file.names), len(file.boxes)) == known if known else None,
    }


def _counted(values: NDArray[np.number], buckets: Mapping[str, int]) -> dict[str, int]:
    """Returns how many values lie from the lower end of each bucket to that of the next one."""
    places = np.searchsorted(list(buckets.values()), values, side="right") - 1
    counts = np.bincount(places, minlength=len(buckets)).tolist()
    return dict(zip(buckets, counts, strict=True))


def _attributes(file: AnnotationFile) -> dict[str, dict[str, int]] | None:
    """Returns the faces by value of each attribute; a value without a name is its number."""
    if file.attributes is None:
        return None
    found = {}
    for name, values in zip(ATTRIBUTES, file.attributes.T, strict=True):
        counts = dict.fromkeys(ATTRIBUTE_VALUES[name], 0)
        for value, count in zip(*np.unique(values, return_counts=True), strict=True):
            known = 0 <= value < len(ATTRIBUTE_VALUES[name])
            counts[ATTRIBUTE_VALUES[name][value] if known else str(value)] = int(count)
        found[name] = counts
    return found


def plot_statistics(counted: Mapping[str, Mapping[str, Any]], path: Path) -> None:
    """Writes a picture of the faces by height, the images by faces, and the attributes.

    Args:
        counted: what ``statistics`` returned, by title.
        path: the PNG, whose folder is made where it is missing.
    """
    with_attributes = {title: one for title, one in counted.items() if one["attributes"]}
    rows = 1 + len(with_attributes)
    figure = Figure(figsize=(12, 3.8 + 2.6 * len(with_attributes)), layout="constrained")
    FigureCanvasAgg(figure)
    grid = figure.add_gridspec(rows, 2, height_ratios=[3.4] + [2.4] * len(with_attributes))
    _bars(figure.add_subplot(grid[0, 0]), counted, "face_heights")
    figure.axes[0].set(xlabel="face height (pixels)", ylabel="share of the faces (%)")
    _bars(figure.add_subplot(grid[0, 1]), counted, "images_by_faces")
    figure.axes[1].set(xlabel="faces in an image", ylabel="share of the images (%)")
    for place, (title, one) in enumerate(with_attributes.items(), 1):
        axes = figure.add_subplot(grid[place, :])
        _attribute_bars(axes, one["attributes"])
        axes.set(title=f"{title}: share of the faces by attribute (%)", xlim=(0, 100))
    figure.axes[0].legend()
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, format="png", dpi=100)


def _bars(axes: Axes, counted: Mapping[str, Mapping[str, Any]], name: str) -> None:
    """Draws one group of bars for each bucket, with the counts above them."""
    width = 0.8 / len(counted)
    for number, (title, one) in enumerate(counted.items()):
        counts = np.array(list(one[name].values()))
        places = np.arange(len(counts)) + (number - (len(counted) - 1) / 2) * width
        bars = axes.bar(places, 100 * counts / max(counts.sum(), 1), width, label=title)
        if len(counted) <= 2:
            axes.bar_label(bars, [f"{count:,}" for count in counts], fontsize=6, padding=1)
    buckets = list(next(iter(counted.values()))[name])
    axes.set_xticks(range(len(buckets)), buckets)
    axes.grid(axis="y", alpha=0.3)


def _attribute_bars(axes: Axes, attributes: Mapping[str, Mapping[str, int]]) -> None:
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

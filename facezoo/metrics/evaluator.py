"""What every evaluator is: a function from found and annotated faces to numbers and curves."""

import csv
from abc import ABC, abstractmethod
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from facezoo.structures import Faces, Truth

NO_FACES = Faces(np.zeros((0, 4), np.float32), np.zeros(0, np.float32))
"""What was found in an image that has no predictions."""


@dataclass(frozen=True)
class Curve:
    """Precision over recall at T thresholds, from the strictest to the laxest."""

    precision: NDArray[np.float64]  # T, 0 to 1
    recall: NDArray[np.float64]  # T, 0 to 1, not falling

    def average_precision(self) -> float:
        """Returns the area under the curve after precision is made to fall with recall.

        The rule of PASCAL VOC 2010 (every point, no interpolation to 11), which WIDER FACE took
        over. It is 0 for an empty curve.
        """
        recall = np.concatenate([[0.0], self.recall, [1.0]])
        precision = np.concatenate([[0.0], self.precision, [0.0]])
        envelope = np.maximum.accumulate(precision[::-1])[::-1]
        return float(np.sum(np.diff(recall) * envelope[1:]))


@dataclass(frozen=True)
class Result:
    """What an evaluator found out, by names such as ``coco/ap`` and ``widerface/hard``."""

    metrics: dict[str, float]  # never NaN
    curves: dict[str, Curve] = field(default_factory=dict)


class Evaluator(ABC):
    """Judges the faces found in a set of photographs.

    The set is the images of ``truth``: one without predictions counts as an image in which nothing
    was found, and predictions for other images are left out. The constructor of a subclass takes
    plain typed arguments, as its signature is what a config may say.
    """

    def check(self, image_ids: Collection[str]) -> None:  # noqa: B027  (most have nothing to check)
        """Looks at a set before faces are searched for in it, which takes long.

        Args:
            image_ids: the ids of the truth that ``__call__`` will be given.

        Raises:
            DataError: the set cannot be judged.
        """

    @abstractmethod
    def __call__(self, predictions: Mapping[str, Faces], truth: Mapping[str, Truth]) -> Result:
        """Returns the numbers of a set.

        Args:
            predictions: faces found by image id, such as ``0--Parade/0_Parade_Parade_0_164.jpg``,
                in pixels of the photograph that the truth is in.
            truth: annotated faces by image id.
        """


def write_pr_curves(curves: Mapping[str, Curve], png: Path, table: Path) -> None:
    """Draws all curves into one picture and writes their points into one table.

    Args:
        curves: by name; with none, the picture has empty axes and the table only its heading.
        png: of the picture; the average precision of each curve stands in its legend.
        table: a csv with the columns ``curve``, ``recall`` and ``precision``.
    """
    figure = new_figure(6.4, 5.6)
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
    points = (
        (name, f"{recall:.6g}", f"{precision:.6g}")
        for name, curve in curves.items()
        for recall, precision in zip(curve.recall.tolist(), curve.precision.tolist(), strict=True)
    )
    write_table(table, ("curve", "recall", "precision"), points)


def write_table(path: Path, heading: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """Writes a csv, whose folder is made where it is missing."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([heading, *rows])


def new_figure(width: float, height: float) -> Any:
    """Returns a Matplotlib figure of a size in inches.

    Not through pyplot, which keeps every figure and may want a display; and imported only here, as
    Matplotlib takes longer to import than most evaluations to compute.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout="constrained")
    FigureCanvasAgg(figure)
    return figure

"""Curves as a picture and as a table."""

import csv
from pathlib import Path

import numpy as np
import pytest

from facezoo.metrics.evaluator import Curve, write_pr_curves

EMPTY = Curve(np.zeros(0), np.zeros(0))


@pytest.mark.parametrize("count", [0, 1, 3])
def test_files(count: int, tmp_path: Path) -> None:
    falling = Curve(np.array([1.0, 0.75, 0.6]), np.array([0.2, 0.4, 0.9]))
    curves = dict(list({"a": falling, "b": EMPTY, "c/d": falling}.items())[:count])
    png, table = tmp_path / "new" / "curves.png", tmp_path / "other" / "curves.csv"
    write_pr_curves(curves, png, table)
    assert png.read_bytes().startswith(b"\x89PNG")
    with table.open(newline="") as file:
        rows = list(csv.reader(file))
    assert rows[0] == ["curve", "recall", "precision"]
    assert len(rows) == 1 + {0: 0, 1: 3, 3: 6}[count]
    if count:
        assert rows[2] == ["a", "0.4", "0.75"]


def test_average_precision_of_a_curve() -> None:
    curve = Curve(np.array([1.0, 0.5, 0.8]), np.array([0.1, 0.2, 0.5]))
    assert curve.average_precision() == pytest.approx(0.1 + 0.4 * 0.8)
    assert EMPTY.average_precision() == 0.0

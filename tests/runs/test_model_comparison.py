"""Several models side by side: where the numbers come from, and what is written of them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from torch import nn

from facezoo.builder import build_model
from facezoo.inference.detector import Detector
from facezoo.runs.model_comparison import (
    ModelComparison,
    compare_models,
    comparison_table,
    table_remarks,
    time_detectors,
    write_model_table,
)
from facezoo.runs.run import train_many

SMALL = [
    "train.max_steps=2",
    "data.batch_size=2",
    "data.train.dataset.num_images=4",
    "data.val.dataset.num_images=3",
    "hooks.tensorboard=null",
]


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """Three trainings, of which the second fails."""
    folder = tmp_path_factory.mktemp("several")
    for name, more in {
        "a": "",
        "b": "optimizer: {lr: 1e30}\ntrain: {log_every: 1}\n",
        "c": "model: {neck: {channels: 24}}\n"
        "data: {val: {dataset: {seed: 7}}}\n"
        "evaluation: {protocol: {long: 96}, score_thresh: 0.1, nms_thresh: 0.6}\n",
    }.items():
        (folder / f"{name}.yaml").write_text(f"_BASE_: tiny_test\n{more}")
    configs = [folder / f"{name}.yaml" for name in "abc"]
    results = train_many(configs, overrides=SMALL, out=folder / "out")
    return {"results": results, "comparison": compare_models(results), "folder": folder}


@pytest.mark.slow
def test_a_failure_keeps_no_other_model_from_its_training(trained: dict[str, Any]) -> None:
    first, second, third = trained["results"]
    assert [first.failure, third.failure] == ["", ""]
    assert second.failure.startswith("The loss is not finite at step") and not second.metrics
    assert (third.folder / "checkpoints/last/model.safetensors").is_file()
    row = trained["comparison"].models[1]
    assert (row["name"], row["failure"]) == ("b", second.failure)
    assert row["parameters"] is None and row["ms_per_image"] is None
    assert not any("/" in name for name in row)


@pytest.mark.slow
def test_numbers_are_those_of_the_run_and_of_the_model(trained: dict[str, Any]) -> None:
    result, row = trained["results"][2], trained["comparison"].models[2]
    assert (row["protocol"], row["score_thresh"], row["nms_thresh"]) == ("long:96", 0.1, 0.6)
    assert [one["on_first_set"] for one in trained["comparison"].models] == [True, True, False]
    assert row["widerface_by_size/easy"] == result.metrics["val/widerface_by_size/easy"]
    recalls = {name for name in row if name.startswith("recall_by_size/")}
    assert recalls and not any(name.endswith("_faces") for name in recalls)
    model = build_model(trained["folder"] / "c.yaml")
    assert row["parameters"] == sum(p.numel() for p in model.parameters())
    assert row["ms_per_image"] > 0
    assert trained["comparison"].images == 3 and trained["comparison"].device == "cpu"
    assert not trained["comparison"].untimed


@pytest.mark.slow
def test_each_is_timed_as_it_was_evaluated(
    trained: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    timed: dict[str, Any] = {}

    def note(detectors: dict[str, Detector], _: list[np.ndarray]) -> dict[str, float]:
        timed.update({name: one.describe() for name, one in detectors.items()})
        return dict.fromkeys(detectors, 1.0)

    monkeypatch.setattr("facezoo.runs.model_comparison.time_detectors", note)
    rows = compare_models(trained["results"]).models
    assert [*timed] == ["a", "c"]
    for row in (rows[0], rows[2]):
        for name in ("protocol", "score_thresh", "nms_thresh"):
            assert timed[row["name"]][name] == row[name]


@pytest.mark.slow
def test_an_error_of_timing_costs_the_times_alone(
    trained: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: Any) -> None:
        raise RuntimeError("out of memory")

    monkeypatch.setattr("facezoo.runs.model_comparison.time_detectors", fail)
    found = compare_models(trained["results"])
    assert found.untimed == ["No model was timed: RuntimeError: out of memory"]
    assert found.images == 0 and all(one["ms_per_image"] is None for one in found.models)
    assert found.models[2] == trained["comparison"].models[2] | {"ms_per_image": None}
    sentences = table_remarks(found)
    assert found.untimed[0] in sentences and not any(one.startswith("Times") for one in sentences)
    assert any(one.startswith("GMACs count") for one in sentences)


@pytest.mark.slow
def test_weights_that_cannot_be_read_cost_the_numbers_of_their_model(
    trained: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    from facezoo.runs import model_comparison

    def last_checkpoint(folder: Path) -> Path:
        return folder / ("gone" if folder.name == "a" else "checkpoints/last")

    monkeypatch.setattr(model_comparison, "last_checkpoint", last_checkpoint)
    found = compare_models(trained["results"])
    (sentence,) = found.untimed
    assert sentence.startswith("a was not timed: ") and "gone" in sentence
    first, _, third = found.models
    assert "widerface_by_size/easy" in first
    assert first["parameters"] is None and first["ms_per_image"] is None
    assert third["ms_per_image"] is not None and third["ms_per_image"] > 0


@pytest.mark.slow
def test_macs_at_640_by_480_are_three_quarters_of_those_of_the_square(
    trained: dict[str, Any],
) -> None:
    """Counted by hooks on the convolutions, which are nearly everything."""
    import torch

    model = build_model("tiny_test").eval()
    counted = {480: 0, 640: 0}

    def count(module: nn.Conv2d, _: Any, output: torch.Tensor) -> None:
        taps = module.kernel_size[0] * module.kernel_size[1] * module.in_channels // module.groups
        counted[height] += output.numel() * taps

    for module in model.modules():
        if isinstance(module, nn.Conv2d):
            module.register_forward_hook(count)
    for height in counted:
        with torch.no_grad():
            model(torch.zeros(1, 3, height, 640, dtype=torch.uint8))
    size = trained["comparison"].models[0]
    assert 4 * counted[480] == 3 * counted[640]
    # Interpolation is counted too.
    assert size["macs_640x480"] == pytest.approx(counted[480], rel=0.1)
    assert size["flops_640x640"] == pytest.approx(2 * counted[640], rel=0.1)


class Watch:
    """A clock that moves when a detector works, and notes who did."""

    def __init__(self) -> None:
        self.now = 0.0
        self.calls: list[tuple[str, int]] = []

    def detector(self, name: str, milliseconds: float) -> Any:
        def detect(photographs: list[np.ndarray]) -> None:
            assert len(photographs) == 1
            self.calls.append((name, int(photographs[0][0, 0, 0])))
            self.now += milliseconds / 1000 * (1 + int(photographs[0][0, 0, 0]))
            if len(self.calls) <= 4:
                self.now += 100  # the first round is slow

        return detect


def test_models_take_turns_on_the_same_photographs(monkeypatch: pytest.MonkeyPatch) -> None:
    watch = Watch()
    monkeypatch.setattr("facezoo.runs.model_comparison.perf_counter", lambda: watch.now)
    photographs = [np.full((4, 4, 3), value, np.uint8) for value in (0, 1)]
    detectors = {"quick": watch.detector("quick", 10), "slow": watch.detector("slow", 30)}
    times = time_detectors(detectors, photographs)
    assert times == pytest.approx({"quick": 15, "slow": 45})
    assert watch.calls[:4] == [("quick", 0), ("slow", 0), ("quick", 1), ("slow", 1)]
    assert len(watch.calls) == 4 * 6
    assert time_detectors({}, photographs) == time_detectors(detectors, []) == {}


def row(name: str, **known: Any) -> dict[str, Any]:
    unknown = ("score_thresh", "nms_thresh", "ms_per_image", "parameters")
    costs = ("macs_640x480", "flops_640x640")
    texts = {"name": name, "failure": "", "protocol": "", "on_first_set": True, "folder": name}
    return {**texts, **dict.fromkeys([*unknown, *costs]), **known}


@pytest.fixture
def comparison() -> ModelComparison:
    thresholds = {"score_thresh": 0.02, "nms_thresh": 0.4}
    costs = {"parameters": 447_000, "macs_640x480": 570_750_000, "flops_640x640": 1_522_000_000}
    metrics = {"widerface/easy": 0.9, "recall_by_size/0-8": 0.25}
    other = {"widerface_by_size/hard": 0.5, "recall_by_size/8-16": 0.75}
    other |= {"score_thresh": 0.1, "nms_thresh": 0.5}
    return ModelComparison(
        [
            row("a", protocol="vga", ms_per_image=12.34, **thresholds, **metrics, **costs),
            row("b", protocol="original", on_first_set=False, **other),
            row("c", failure="It did not end well."),
        ],
        "cpu",
        2,
        10,
    )


def test_the_written_table_has_a_row_per_model(comparison: ModelComparison, tmp_path: Path) -> None:
    write_model_table(comparison, tmp_path / "new")
    lines = (tmp_path / "new/comparison.md").read_text().splitlines()
    heading, _, *rows = [line.strip("| ").split(" | ") for line in lines if line.startswith("|")]
    cells = [dict(zip(heading, row, strict=True)) for row in rows]
    assert [one["model"] for one in cells] == ["a", "b *", "c"]
    thresholds = [(one["score threshold"], one["NMS IoU"]) for one in cells]
    assert thresholds == [("0.02", "0.4"), ("0.1", "0.5"), ("-", "-")]
    assert cells[0] | {"GMACs 640x480": "0.571", "GFLOPs 640x640": "1.522"} == cells[0]
    assert cells[0]["AP easy"] == "0.9000" and cells[0]["million parameters"] == "0.447"
    assert cells[1]["AP hard (by size)"] == "0.5000" and cells[1]["recall 8-16"] == "0.7500"
    assert set(list(cells[2].values())[2:]) == {"-"} and cells[2]["protocol"] == "failed"
    assert "* c failed: It did not end well." in lines
    assert any(line.startswith("* b *: of another validation set than the first") for line in lines)
    assert any("AP by size is not the official number" in line for line in lines)

    written = json.loads((tmp_path / "new/comparison.json").read_text())
    assert [one["failure"] for one in written["models"]] == ["", "", "It did not end well."]
    first = written["models"][0]
    assert first["macs_640x480"] == 570_750_000 and first["flops_640x640"] == 1_522_000_000
    assert first["widerface/easy"] == 0.9 and first["ms_per_image"] == 12.34
    assert [one["on_first_set"] for one in written["models"]] == [True, False, True]
    assert (first["score_thresh"], first["nms_thresh"], written["untimed"]) == (0.02, 0.4, [])
    assert written["models"][1]["parameters"] is None and written["threads"] == 2


def test_the_printed_table_has_the_same_cells(comparison: ModelComparison) -> None:
    table = comparison_table(comparison)
    assert table.row_count == 3 and len(table.columns) == 12
    assert [str(cell) for cell in table.columns[0]._cells] == ["a", "b *", "c"]
    assert len(table_remarks(comparison)) == 6

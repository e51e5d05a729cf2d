"""Each YOLO of the zoo goes the whole way: a step, a resume, an evaluation; the smallest learn."""

import importlib.util
import json
from pathlib import Path

import pytest

from facezoo.evaluation.evaluate import evaluate
from facezoo.runs.run import train

PROJECT = Path(__file__).resolve().parents[2]
DRAWN = (
    "{_delete_: true, type: SyntheticFaces, seed: 0, num_images: 4, image_size: 128, "
    "face_sizes: [16, 64]}"
)
SHORT = [
    *("data.image_size=128", "data.batch_size=2", "data.workers=0"),
    f"data.train={{_delete_: true, dataset: {DRAWN}, transforms: []}}",
    f"data.val.dataset={DRAWN}",
    *("train.epochs=null", "train.log_every=1", "hooks.tensorboard=null"),
    *("hooks.evaluation.every_epochs=null", "evaluation.protocol=original"),
    "evaluation.evaluators=[{type: CocoAP}]",
]


@pytest.mark.slow
@pytest.mark.parametrize(
    "name", ["yoloface_n05", "yoloface_n", "yoloface_s", "yolo8face_lite_t", "yolo8face_n"]
)
def test_a_step_a_resume_and_an_evaluation(name: str, tmp_path: Path) -> None:
    first = train(name, overrides=[*SHORT, "train.max_steps=1"], out=tmp_path)
    assert first.metrics["train/loss"] > 0
    second = train(name, overrides=["train.max_steps=2"], out=tmp_path, resume=True)
    assert second.metrics["val/loss"] > 0
    metrics = evaluate(tmp_path)
    assert metrics["coco/ap50"] == pytest.approx(second.metrics["val/coco/ap50"], abs=1e-12)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["yoloface_m", "yolo_darknet53"])
def test_a_step_of_the_large_ones(name: str, tmp_path: Path) -> None:
    overrides = [*SHORT, "train.max_steps=1", "hooks.checkpoint=null", "hooks.evaluation=null"]
    assert train(name, overrides=overrides, out=tmp_path).metrics["train/loss"] > 0


@pytest.mark.slow
@pytest.mark.parametrize("name", ["yoloface_n05", "yolo8face_lite_t"])
def test_the_smallest_of_each_head_learns_eight_photographs(
    name: str, shared_data: Path, tmp_path: Path
) -> None:
    specification = importlib.util.spec_from_file_location("overfit", PROJECT / "tools/overfit.py")
    assert specification is not None and specification.loader is not None
    overfit = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(overfit)
    root = shared_data / "widerface_mini"
    words = [name, "--root", str(root), "--out", str(tmp_path), "--size", "192", "--steps", "100"]
    assert overfit.main(words) == 0
    assert json.loads((tmp_path / "overfit.json").read_text())[name] > 0.9

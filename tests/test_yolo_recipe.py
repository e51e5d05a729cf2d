"""YOLO's recipe on top of its network: each fragment trains, and says what it is meant to."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest

from facezoo.config.config import load_config
from facezoo.runs.run import train

SMALL = {
    "data": {
        "root": None,
        "image_size": 128,
        "batch_size": 8,
        "workers": 0,
        "train": {"dataset": {"type": "SyntheticFaces", "num_images": 16}},
        "val": None,
    },
    "train": {"max_steps": 2, "log_every": 1, "device": "cpu", "precision": "fp32"},
    "hooks": {"evaluation": None, "tensorboard": None, "checkpoint": {"best": None}},
}
SYNTHETIC = {"image_size": "${data.image_size}", "face_sizes": [16, 64]}
SMALL["data"]["train"]["dataset"] |= SYNTHETIC  # type: ignore[index]


def recipe(*fragments: str, **changes: Any) -> dict[str, Any]:
    bases = ["yoloface_n05", *(f"_base_/{one}" for one in fragments)]
    return {"_BASE_": bases, **changes}


FRAGMENTS = [("yolo_augmentation",), ("yolo_schedule",), ("yolo_augmentation", "yolo_schedule")]


@pytest.mark.slow
@pytest.mark.parametrize("fragments", FRAGMENTS, ids="+".join)
def test_a_fragment_trains_yoloface(fragments: tuple[str, ...], tmp_path: Path) -> None:
    overrides = []
    if "yolo_augmentation" in fragments:
        overrides.append("data.train.transforms.1.size=256")
    config = load_config(recipe(*fragments, **SMALL), overrides)
    metrics = train(config, out=tmp_path / "run").metrics
    assert math.isfinite(metrics["train/loss"]) and metrics["train/loss"] > 0


def test_a_recipe_leaves_alone_what_it_does_not_name() -> None:
    """Above all the photographs of the validation, which lie as the evaluation shows them."""
    alone, varied = load_config("yoloface_n05"), load_config(recipe("yolo_augmentation"))
    for key in ("data.val", "data.batch_size", "data.image_size", "data.train.dataset", "model"):
        assert varied[key] == alone[key], key
    assert varied["evaluation"] == alone["evaluation"]


def test_the_recipe_is_that_of_yolov5() -> None:
    config = load_config(recipe("yolo_augmentation", "yolo_schedule"))
    transforms = config["data.train.transforms"]
    mosaic, mixup = (
        next(one for one in transforms if one["type"] == name) for name in ("Mosaic", "MixUp")
    )
    assert mosaic["size"] == 2 * config["data.image_size"]
    assert mosaic["until"] == mixup["until"] == config["train.epochs"] - 15
    assert config["schedule.warmup"] * config["train.epochs"] == pytest.approx(3)
    assert config["data.batch_size"] == 64 and config["optimizer.nesterov"] is True
    assert config["optimizer.type"] == "torch.SGD" and "betas" not in config["optimizer"]
    assert config["model.head.type"] == "YOLOHead"

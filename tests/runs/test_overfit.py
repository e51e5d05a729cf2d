"""The whole pipeline learns: a number that a broken loss, decoder or evaluator cannot reach."""

from pathlib import Path

import pytest

from facezoo.runs.run import train

OVERRIDES = [
    "data.train.dataset={_delete_: true, type: SyntheticFaces, seed: 3, num_images: 8, "
    "image_size: 128, face_sizes: [24, 100], max_faces: 6}",
    "data.val.dataset=${data.train.dataset}",
    "data.train.transforms=[]",
    "train.max_steps=150",
    "optimizer.lr=1e-2",
    "hooks.ema.decay=0.9",
]


@pytest.mark.slow
def test_tiny_model_overfits_eight_images(tmp_path: Path) -> None:
    result = train("tiny_test", overrides=OVERRIDES, out=tmp_path / "run")
    assert result.metrics["val/coco/ap50"] > 0.85

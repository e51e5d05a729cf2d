"""The validation of a run looks for faces at a protocol that its config names."""

import json
from pathlib import Path

import pytest

from facezoo.runs.run import train


@pytest.mark.slow
def test_a_run_validates_at_a_protocol_of_its_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine.yaml").write_text(
        "_BASE_: tiny_test\n"
        "data:\n"
        "  batch_size: 2\n"
        "  train: {dataset: {num_images: 4}}\n"
        "  val: {dataset: {num_images: 2}}\n"
        "train: {max_steps: 1}\n"
        "hooks: {tensorboard: null, early_stopping: null, checkpoint: {best: null}}\n"
        "evaluation:\n"
        "  protocols: {near: {views: [long:64, long:96], mirror: true}}\n"
        "  protocol: near\n"
    )
    train("mine.yaml", out="run")
    written = json.loads(Path("run/eval/metrics.json").read_text())
    assert written["protocol"] == "near"
    assert written["protocol_definition"] == "views long:64, long:96, each also mirrored"
    assert (written["data"], written["images"]) == ("SyntheticFaces", 2)

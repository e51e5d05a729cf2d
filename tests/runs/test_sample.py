from pathlib import Path

from facezoo.config.config import load_config
from facezoo.runs.run_config import trial_config


def test_a_sample_keeps_what_is_no_data(tmp_path: Path) -> None:
    """Also the folder in which its plug-ins lie, and whether they may be imported."""
    path = tmp_path / "mine.yaml"
    path.write_text(
        "_BASE_: retinaface_mnet025\nimports: [mine]\n"
        "train: {accumulate: 8, epochs: 3}\nevaluation: {protocol: {long: 640}}\n"
    )
    config = load_config(path, allow_imports=False)
    sample = trial_config(config)
    assert sample.name == "mine" and not sample.allow_imports
    assert sample.tree.value["imports"].value[0].origin.folder == tmp_path.resolve()
    assert sample["data.train.dataset.type"] == sample["data.val.dataset.type"] == "SyntheticFaces"
    assert sample["train.accumulate"] == 1 and sample["train.max_steps"] == 10
    assert sample["train.epochs"] is None and sample["evaluation.protocol"] == "original"
    assert sample["data.train.transforms"]
    for section in ("model", "optimizer", "schedule", "hooks"):
        assert sample[section] == config[section]


def test_a_split_that_is_not_there_stays_away() -> None:
    sample = trial_config(load_config("tiny_test", ["data.val=null"]))
    assert sample["data.val"] is None
    assert sample["data.train.dataset"]["num_images"] == 64


def test_a_sample_downloads_nothing() -> None:
    sample = trial_config(load_config("retinaface_r50"))
    assert sample["model.backbone.pretrained"] is False
    assert sample["model.backbone.name"] == "resnet50"


def test_a_sample_may_be_shorter() -> None:
    sample = trial_config(load_config("tiny_test", ["train.max_steps=2"]))
    assert sample["train.max_steps"] == 2

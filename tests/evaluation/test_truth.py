import logging
from pathlib import Path

import pytest

from facezoo.data.datasets.synthetic_faces import SyntheticFaces
from facezoo.errors import DataError
from facezoo.evaluation.evaluate import with_official_truth
from facezoo.metrics.evaluators import CocoAP, WiderFaceAP
from facezoo.metrics.official_truth import SUBSETS, OfficialTruth


@pytest.fixture
def root(tmp_path: Path) -> Path:
    folder = tmp_path / "eval_tools" / "ground_truth"
    folder.mkdir(parents=True)
    for name in ("wider_face_val.mat", *(f"wider_{subset}_val.mat" for subset in SUBSETS)):
        (folder / name).touch()
    return tmp_path


def official(monkeypatch: pytest.MonkeyPatch, ids: list[str]) -> None:
    truth = OfficialTruth(dict.fromkeys(ids), {})  # type: ignore[arg-type]
    monkeypatch.setattr(WiderFaceAP, "official", truth)


def test_found_truth_serves_images_that_it_knows(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    dataset = SyntheticFaces(seed=0, num_images=3)
    official(monkeypatch, [*(dataset.image_id(i) for i in range(3)), "0--Parade/other.jpg"])
    coco = CocoAP()
    same, widerface = with_official_truth([coco, WiderFaceAP()], None, root, dataset)
    assert same is coco and widerface.truth == root / "eval_tools" / "ground_truth"


def test_found_truth_is_left_out_for_other_images(
    root: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "facezoo")
    dataset = SyntheticFaces(seed=0, num_images=3)
    official(monkeypatch, [dataset.image_id(0)])
    (widerface,) = with_official_truth([WiderFaceAP()], None, root, dataset)
    assert widerface.truth is None
    assert f"does not know 2 of the 3 images, such as {dataset.image_id(1)}" in caplog.text


def test_truth_that_was_asked_for_is_kept(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    dataset = SyntheticFaces(seed=0, num_images=3)
    official(monkeypatch, [])
    folder = root / "eval_tools" / "ground_truth"
    (widerface,) = with_official_truth([WiderFaceAP()], folder, None, dataset)
    assert widerface.truth == folder
    with pytest.raises(DataError, match="no folder"):
        with_official_truth([WiderFaceAP()], root / "gone", None, dataset)

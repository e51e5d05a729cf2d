"""What is evaluated: which photographs, how many faces, by which files."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from facezoo.config.config import load_config
from facezoo.data.datasets.combined import Concat, Subset
from facezoo.data.datasets.face_dataset import ReadImage
from facezoo.data.datasets.synthetic_faces import SyntheticFaces
from facezoo.data.datasets.wider_face import WiderFace
from facezoo.errors import ConfigError, DataError
from facezoo.evaluation.evaluate import image_files, open_set
from facezoo.evaluation.judge import describe_set
from facezoo.structures import Sample, Truth

ANNOTATION = """\
0--Parade/a.jpg
3
10 20 30 40 0 0 0 0 0 0
1 2 3 4 0 0 0 1 0 0
5 6 0 7 0 0 0 0 0 0
1--Hands/b.jpg
1
7 8 9 10 0 0 0 0 0 0
"""
LABELS = """\
# 0--Parade/a.jpg
10 20 30 40 12 22 0 30 22 1 20 30 0 15 50 0 28 50 0 0.8
1 2 3 4 2 2 0 3 3 0 2 3 0 2 4 0 3 4 0 0.8
"""


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "WIDER_val" / "images").mkdir(parents=True)
    (tmp_path / "wider_face_split").mkdir()
    (tmp_path / "wider_face_split/wider_face_val_bbx_gt.txt").write_text(ANNOTATION)
    return tmp_path


def described(dataset: WiderFace | Subset, official: Path | None = None) -> dict[str, object]:
    truth = {dataset.image_id(i): dataset.truth(i) for i in range(len(dataset))}
    return describe_set(dataset, truth, official)


def test_landmarks_are_taken_where_they_are(root: Path) -> None:
    plain = open_set(root, None)
    assert plain.landmarks is None and described(plain.dataset)["faces_with_landmarks"] == 0
    labels = root / "retinaface_labels" / "val" / "label.txt"
    labels.parent.mkdir(parents=True)
    labels.write_text(LABELS)
    opened = open_set(str(root), None)
    assert opened.root == root and opened.landmarks == labels
    assert described(opened.dataset, root) == {
        "data": "WiderFace",
        "annotation": str(root / "wider_face_split/wider_face_val_bbx_gt.txt"),
        "images": 2,
        "faces": 2,  # one is marked invalid, one has no area
        "ignored_faces": 2,
        "faces_with_landmarks": 1,  # the other is of an ignored face
        "truth": str(root),
    }


def test_some_images_of_a_set(root: Path) -> None:
    subset = Subset(open_set(root, None).dataset, ["1--Hands/b.jpg"])
    found = described(subset)
    assert (found["data"], found["images"], found["faces"]) == ("WiderFace", 1, 1)
    assert found["truth"] == "the annotation"
    with pytest.raises(DataError, match="no image of the data set"):
        Subset(open_set(root, None).dataset, ["gone.jpg"])


def test_a_set_without_files_is_described_too() -> None:
    nobody = Truth(np.zeros((0, 4)), np.zeros(0, bool))
    assert describe_set(SyntheticFaces(num_images=1), {"a": nobody}, None) == {
        "data": "SyntheticFaces",
        "images": 1,
        "faces": 0,
        "ignored_faces": 0,
        "faces_with_landmarks": 0,
        "truth": "the annotation",
    }


def test_a_config_says_what_to_open_by_default() -> None:
    config = load_config("tiny_test")
    assert len(open_set(None, config).dataset) == config["data.val.dataset.num_images"]
    with pytest.raises(ConfigError, match="nothing to evaluate on"):
        open_set(None, None)


def test_files_of_photographs(root: Path, tmp_path: Path) -> None:
    whole = WiderFace(root, "val")
    names = ["0--Parade/a.jpg", "1--Hands/b.jpg"]
    files = {name: root / "WIDER_val/images" / name for name in names}
    assert image_files(whole) == files
    assert image_files(Subset(whole, names[1:])) == {names[1]: files[names[1]]}
    parts = Concat([Subset(whole, names[1:]), Subset(whole, names[:1])])
    assert image_files(parts) == files
    with pytest.raises(ConfigError, match=r"those of .*SyntheticFaces may be in none"):
        image_files(SyntheticFaces())


def test_photographs_that_other_code_reads_are_in_no_known_files(root: Path) -> None:
    class Dark(WiderFace):
        def sample(self, index: int, read: ReadImage) -> Sample:
            sample = super().sample(index, read)
            return replace(sample, image=np.zeros_like(sample.image))

    dark = Dark(root, "val")
    for dataset in (dark, Subset(dark, ["1--Hands/b.jpg"]), Concat([dark])):
        with pytest.raises(ConfigError, match=r"Dark may be .* changed by its code"):
            image_files(dataset)

"""``facezoo data show`` as a user meets it, and what its pictures hold."""

import json
from pathlib import Path

import cv2
import numpy as np
import pytest
import yaml

from facezoo.cli import main
from facezoo.data.datasets import SyntheticFaces
from facezoo.data.images import read_image
from facezoo.data.loading.loader import train_stream
from facezoo.data.transforms import Flip
from facezoo.datatools.sample_pictures import IGNORED_COLOUR, draw_sample, write_samples
from facezoo.inference.drawing import BOX_COLOUR, LANDMARK_COLOURS
from facezoo.structures import Sample

GREY = 90


def sample(**changed: object) -> Sample:
    points = np.array([[[20, 25], [40, 25], [30, 35], [22, 45], [np.nan, np.nan]]], np.float32)
    fields = {
        "image": np.full((80, 100, 3), GREY, np.uint8),
        "boxes": np.array([[10, 12, 50, 60], [60, 10, 80, 30]], np.float32),
        "landmarks": np.concatenate([points, np.full((1, 5, 2), np.nan, np.float32)]),
        "ignore": np.array([False, True]),
        "labels": np.zeros(2, np.int64),
        "image_id": "a/b.jpg",
    }
    return Sample(**{**fields, **changed})


def test_boxes_and_landmarks_have_their_colours() -> None:
    one = sample()
    drawn = draw_sample(one)
    assert (one.image == GREY).all()
    assert tuple(drawn[12, 30]) == tuple(drawn[59, 30]) == tuple(drawn[30, 10]) == BOX_COLOUR
    assert tuple(drawn[30, 49]) == BOX_COLOUR and (drawn[30, 50] == GREY).all()
    assert tuple(drawn[10, 70]) == tuple(drawn[20, 79]) == IGNORED_COLOUR
    for place, (x, y) in enumerate(one.landmarks[0, :4].astype(int)):
        assert tuple(drawn[y, x]) == LANDMARK_COLOURS[place]
    assert not (drawn == LANDMARK_COLOURS[4]).all(axis=2).any()
    assert len({BOX_COLOUR, IGNORED_COLOUR, *LANDMARK_COLOURS}) == 7


def test_the_samples_are_those_of_training(tmp_path: Path) -> None:
    """Behind the transforms, each picture has the image of the first batch of the same seed."""
    dataset = SyntheticFaces(0, 20, image_size=64, max_faces=0)  # nothing is drawn into them
    overview, *pictures = write_samples(dataset, [Flip(0.5)], tmp_path, 6, seed=4)
    batch = next(train_stream(dataset, [Flip(0.5)], 6, 4))
    assert [path.stem.partition("_")[2] for path in pictures] == [
        name.rpartition("/")[2].removesuffix(".jpg") for name in batch.ids
    ]
    flipped = 0
    for path, expected in zip(pictures, batch.images.permute(0, 2, 3, 1).numpy(), strict=True):
        picture = read_image(path).astype(int)
        before, after = picture[:64, :64], picture[:64, -64:]
        assert np.abs(after - expected).mean() < 12  # as JPEG keeps it
        flipped += np.abs(before - after).mean() > 2
    assert 0 < flipped < 6
    assert read_image(overview).shape[1] == 4 * 400


def test_config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys) -> None:
    monkeypatch.chdir(tmp_path)
    Path("mine.yaml").write_text(yaml.safe_dump({"_BASE_": "tiny_test"}))
    assert main(["data", "show", "mine.yaml", "--out", "out", "--number", "2"]) == 0
    assert "2 samples are drawn in out, all small in out/overview.jpg" in capsys.readouterr().out
    assert len(list(Path("out").iterdir())) == 3
    assert (
        main(["data", "show", "mine.yaml", "--split", "val", "--out", "val", "--number", "1"]) == 0
    )


def test_roots(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    images = Path("data/WIDER_train/images/a")
    images.mkdir(parents=True)
    cv2.imwrite(str(images / "b.png"), np.full((60, 90, 3), GREY, np.uint8))
    Path("data/wider_face_split").mkdir()
    Path("data/wider_face_split/wider_face_train_bbx_gt.txt").write_text(
        "a/b.png\n1\n10 10 30 40 0 0 0 0 0 0\n"
    )
    labels = Path("data/retinaface_labels/train/label.txt")
    labels.parent.mkdir(parents=True)
    labels.write_text(f"# a/b.png\n10 10 30 40 20 20 0 30 20 0 25 30 0 {'-1 -1 -1 ' * 2}0.9\n")
    assert main(["data", "show", "data", "--out", "out"]) == 0
    assert main(["data", "show", "data", "--out", "again", "--seed", "9"]) == 0
    picture = read_image(Path("out/000_b.jpg"))
    assert picture.shape == (60 + 24, 90, 3)  # one state, and the legend below
    assert np.abs(picture[20, 20].astype(int) - LANDMARK_COLOURS[0]).max() < 90
    content = {
        "images": [{"id": 1, "file_name": "b.png"}],
        "annotations": [{"id": 1, "image_id": 1, "category_id": 1, "bbox": [10, 10, 30, 40]}],
        "categories": [{"id": 1, "name": "face"}],
    }
    (images / "faces.json").write_text(json.dumps(content))
    assert main(["data", "show", str(images / "faces.json"), "--out", "coco"]) == 0
    assert Path("coco/000_b.jpg").is_file()


@pytest.mark.parametrize(
    ("argv", "sentence"),
    [
        (["nowhere"], "nowhere"),
        (["nowhere.json"], "The annotation file nowhere.json does not exist"),
        (["one.json"], "one.json has no list 'images'"),
        (["empty"], "WIDER FACE's folder empty/WIDER_train/images does not exist"),
        (["empty", "data.root=x"], "data.root=x changes a config, but empty is data"),
        (["retinaface_mnet025", "data.root=empty"], "empty/WIDER_train/images does not exist"),
        (["tiny_test", "quickstart"], "Name one data root or config to show; the words name 2."),
        (["tiny_test", "--number", "0"], "--number is 0"),
        (["tiny_test", "--seed", "-1"], "--seed is -1"),
        (["tiny_test", "data.val=null", "--split", "val"], "data.val"),
    ],
)
def test_wrong_requests(
    argv: list[str],
    sentence: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture,
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("empty").mkdir()
    Path("one.json").write_text("{}")
    assert main(["data", "show", *argv, "--out", "out"]) == 2
    printed = capsys.readouterr()
    assert sentence in printed.err and printed.err.count("\n") == 1
    assert not Path("out").exists()


@pytest.mark.slow
def test_photographs(shared_data: Path, tmp_path: Path) -> None:
    root = shared_data / "widerface_mini"
    words = ["data", "show", "retinaface_mnet025", f"data.root={root}", "--number", "3"]
    assert main([*words, "--out", str(tmp_path)]) == 0
    assert len(list(tmp_path.iterdir())) == 4

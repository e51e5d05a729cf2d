"""``facezoo data anchors`` as a user meets it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from facezoo.builder import build_model
from facezoo.cli import main
from facezoo.config.config import Config, load_config
from facezoo.data.images import write_image
from facezoo.datatools.anchors import find_anchors, fitness

FACES = [(8, 10), (16, 20), (40, 60), (80, 100)]
YOLO = ["data.workers=0", "data.train.dataset.num_images=16"]


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Four photographs of 200 x 100 pixels, each with one face of its own size, many times."""
    lines = []
    for number in range(4):
        name = f"0--Parade/{number}.png"
        write_image(tmp_path / "WIDER_train/images" / name, np.zeros((100, 200, 3), np.uint8))
        width, height = FACES[number]
        lines.append(f"{name}\n1\n0 0 {width} {height} 0 0 0 0 0 0\n")
    folder = tmp_path / "wider_face_split"
    folder.mkdir()
    (folder / "wider_face_train_bbx_gt.txt").write_text("".join(lines))
    return tmp_path


def yaml_of(printed: str) -> dict[int, list[list[float]]]:
    lines = printed[printed.index("model:") :]
    return yaml.safe_load(lines)["model"]["head"]["anchors"]


def as_array(anchors: dict[int, list[list[float]]]) -> np.ndarray:
    return np.concatenate([np.array(level) for level in anchors.values()])


def test_faces_of_a_root_are_scaled_to_the_image_size(
    root: Path, capsys: pytest.CaptureFixture
) -> None:
    words = ["--num", "4", "--strides", "8", "16", "--image-size", "400", "--images", "16"]
    assert main(["data", "anchors", str(root), *words]) == 0
    printed = capsys.readouterr().out
    assert yaml_of(printed) == {8: [[16, 20], [32, 40]], 16: [[80, 120], [160, 200]]}
    assert "Fit to 16 faces" in printed and "1.0000" in printed


def test_the_lines_make_a_model_and_fit_better_than_those_of_the_config(
    capsys: pytest.CaptureFixture, tmp_path: Path
) -> None:
    config = tmp_path / "mine.yaml"
    config.write_text(
        "_BASE_: yoloface_n05\ndata: {train: {dataset: {type: SyntheticFaces, image_size: 320}}}\n"
    )
    words = ["data", "anchors", "--config", str(config), *YOLO, "data.batch_size=8"]
    assert main([*words, "--images", "40", "--image-size", "320"]) == 0
    printed = capsys.readouterr().out
    assert "the config's" in printed
    anchors = yaml_of(printed)
    assert [*anchors] == [8, 16, 32] and all(len(level) == 3 for level in anchors.values())
    build_model("yoloface_n05", f"model.head.anchors={anchors}")
    assert main([*words, "--images", "40", "--image-size", "320"]) == 0
    assert capsys.readouterr().out == printed
    found = find_anchors(config=config, overrides=YOLO, images=40)
    assert found.own_fitness is not None
    assert found.fitness.mean_best_ratio > found.own_fitness.mean_best_ratio


def config_of(root: Path, base: str, head: dict[str, Any], **data: Any) -> Config:
    """A config that trains on the four photographs, on squares but no larger or smaller."""
    dataset = {"_delete_": True, "type": "WiderFace", "root": str(root), "split": "train"}
    square = [{"type": "Letterbox", "size": 200}]
    train = {"dataset": dataset, "transforms": square}
    return load_config(
        {
            "_BASE_": base,
            "model": {"head": head},
            "data": {"batch_size": 4, "workers": 0, "train": train, **data},
        }
    )


def test_squares_of_the_config_count(root: Path) -> None:
    anchors = {8: [10], 16: [[30, 40]], 32: [100]}
    found = find_anchors(config=config_of(root, "tiny_test", {"anchors": anchors}), images=4)
    own = np.array([[10, 10], [30, 40], [100, 100]])
    assert found.own_fitness == fitness(np.array(FACES, dtype=float), own)
    assert found.faces == 4 and [*found.anchors] == [8, 16, 32]


def test_the_limit_of_the_config_counts(root: Path) -> None:
    head = {"anchors": {8: [10], 16: [30], 32: [100]}, "assigner": {"max_ratio": 1.3}}
    found = find_anchors(config=config_of(root, "yoloface_n05", head), images=4)
    # Ratios of the best anchors are 1.25, 1.88, 2 and 1.25, so that two of four are below.
    assert found.max_ratio == 1.3 and found.own_fitness is not None
    assert found.own_fitness.best_possible_recall == found.own_fitness.anchors_per_face == 0.5
    assert found.fitness == fitness(np.array(FACES, float), as_array(found.anchors), 1.3)


def test_faces_are_as_large_as_the_scales_of_the_training_make_them(root: Path) -> None:
    config = config_of(root, "tiny_test", {}, multi_scale=[416])
    found = find_anchors(config=config, num=4, strides=[8, 16], images=4)
    np.testing.assert_allclose(as_array(found.anchors), np.array(FACES) * 416 / 200, atol=0.05)


def test_anchors_that_the_head_chooses_itself_count_as_the_configs(root: Path) -> None:
    config = config_of(root, "yoloface_n05", {"anchors": None, "num_anchors": 1})
    found = find_anchors(config=config, images=4)
    # One square a stride, evenly on a logarithmic scale from 8 to 512 px.
    own = np.array([[8, 8], [64, 64], [512, 512]], dtype=float)
    assert [*found.anchors] == [8, 16, 32] and all(len(one) == 1 for one in found.anchors.values())
    assert found.own_fitness == fitness(np.array(FACES, dtype=float), own)


def test_strides_are_those_of_the_head(root: Path) -> None:
    config = config_of(root, "yolo_darknet53", {"num_anchors": 2})
    assert [*find_anchors(config=config, images=4).anchors] == [32]


def test_a_head_without_anchors_is_refused(capsys: pytest.CaptureFixture) -> None:
    assert main(["data", "anchors", "--config", "yolo8face_lite_t"]) == 2
    assert (
        "model.head: YOLOFreeHead has a point in each cell and takes no anchors; name the config"
        in capsys.readouterr().err
    )


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        ([], "Name a data root, or a config with --config: one of the two."),
        (["ROOT", "--config", "tiny_test"], "Name a data root, or a config with --config: one"),
        (["ROOT", "ROOT"], "Name one data root; the words name 2."),
        (["tiny_test"], "tiny_test is no folder and no json; name a data root, or a config with"),
        (["ROOT", "--num", "8"], "8 anchors cannot be shared equally by the strides [8, 16, 32]"),
        (["ROOT", "--images", "0"], "--images is 0; look at 1 image at least"),
        (["ROOT", "--seed", "-1"], "--seed is -1"),
        (["ROOT", "data.workers=2"], "data.workers=2 changes a config"),
        (["ROOT"], "fewer than 9 different sizes; look at more images, or ask for fewer anchors"),
    ],
)
def test_wrong_requests(
    words: list[str], sentence: str, root: Path, capsys: pytest.CaptureFixture
) -> None:
    argv = [str(root) if word == "ROOT" else word for word in words]
    assert main(["data", "anchors", *argv]) == 2
    printed = capsys.readouterr()
    assert sentence in printed.err and not printed.out
    assert "Traceback" not in printed.err


@pytest.mark.slow
def test_real_faces_have_better_anchors_than_the_config(shared_data: Path) -> None:
    overrides = [f"data.root={shared_data / 'widerface_mini'}", "data.workers=0"]
    found = find_anchors(config="yoloface_n05", overrides=overrides, images=160)
    own = found.own_fitness
    assert own is not None and found.fitness.best_possible_recall >= 0.999
    assert found.fitness.mean_best_ratio > own.mean_best_ratio
    assert found.fitness.anchors_per_face > own.anchors_per_face

import dataclasses
import multiprocessing
import pickle
from concurrent.futures import ProcessPoolExecutor

import cv2
import numpy as np
import pytest

from facezoo.data.datasets.synthetic_faces import SyntheticFaces
from facezoo.errors import ConfigError
from facezoo.synthetic import person
from facezoo.synthetic.figures import COVER, FACE, Dice, Figure, paint
from facezoo.synthetic.look import Pose, landmark_points, on_head, sample_look
from facezoo.synthetic.scene import plan_scene
from facezoo.synthetic.things import DISTRACTORS, OCCLUDERS, draw_thing

MAGENTA, BLACK = (255, 0, 255), (0, 0, 0)
FULL_LIGHT = np.full((2, 2, 4), 255, np.uint8)


def dice(seed):
    return Dice(np.random.default_rng(seed))


def same(first, second):
    fields = ("image", "boxes", "landmarks", "ignore", "labels")
    return first.image_id == second.image_id and all(
        np.array_equal(getattr(first, f), getattr(second, f), equal_nan=f == "landmarks")
        for f in fields
    )


def recoloured(figure, colour):
    """The figure without its details: its face in ``colour``, what else it covers in black."""
    shapes = [
        shape._replace(colour=colour if shape.role == FACE else BLACK)
        for shape in figure.shapes
        if shape.role in (FACE, COVER)
    ]
    return Figure(shapes, figure.size)


def extent(mask):
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    return np.array([columns[0], rows[0], columns[-1] + 1, rows[-1] + 1])


@pytest.fixture(scope="module")
def truths():
    """Boxes, landmarks and ignore flags of 300 images; planning alone, nothing is painted."""
    dataset = SyntheticFaces(seed=7, num_images=300)
    return [dataset._plan(index)[1] for index in range(300)]


def test_item_depends_on_seed_and_index_alone():
    first, longer = SyntheticFaces(3, num_images=6), SyntheticFaces(3, num_images=900)
    state = np.random.get_state()[1].copy()
    wanted = [first[index] for index in range(6)]
    assert np.array_equal(np.random.get_state()[1], state)
    np.random.seed(1)
    assert all(same(longer[index], wanted[index]) for index in (5, 0, 3, 3))
    assert same(pickle.loads(pickle.dumps(longer))[4], wanted[4])  # noqa: S301


def test_item_is_the_same_with_more_threads():
    dataset, threads = SyntheticFaces(4, num_images=8), cv2.getNumThreads()
    try:
        cv2.setNumThreads(1)
        one = [dataset[index] for index in range(8)]
        cv2.setNumThreads(4)
        assert all(same(dataset[index], one[index]) for index in range(8))
    finally:
        cv2.setNumThreads(threads)


@pytest.mark.slow
def test_item_is_the_same_in_a_spawned_process():
    dataset = SyntheticFaces(5, num_images=4)
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, mp_context=context) as pool:
        elsewhere = list(pool.map(dataset.__getitem__, range(4)))
    assert all(same(dataset[index], elsewhere[index]) for index in range(4))


def test_seeds_share_no_image():
    train, val = SyntheticFaces(0, num_images=12), SyntheticFaces(1, num_images=12)
    pictures = {data[index].image.tobytes() for data in (train, val) for index in range(12)}
    names = {data.image_id(index) for data in (train, val) for index in range(12)}
    assert len(pictures) == len(names) == 24


def test_types_and_shapes():
    for index, sample in enumerate(SyntheticFaces(num_images=5, image_size=(96, 160))):
        count = len(sample.boxes)
        assert sample.image.shape == (96, 160, 3) and sample.image.dtype == np.uint8
        assert sample.image.flags.c_contiguous
        assert sample.boxes.shape == (count, 4) and sample.boxes.dtype == np.float32
        assert sample.landmarks.shape == (count, 5, 2) and sample.landmarks.dtype == np.float32
        assert sample.ignore.shape == (count,) and sample.ignore.dtype == np.bool_
        assert sample.labels.shape == (count,) and sample.labels.dtype == np.int64
        assert sample.image_id == f"synthetic_0/{index:06d}.jpg"


def test_truth_is_what_the_sample_says():
    dataset = SyntheticFaces(2, num_images=10)
    for index in range(10):
        sample, truth = dataset[index], dataset.truth(index)
        assert np.array_equal(truth.boxes, sample.boxes.astype(np.float64))
        assert np.array_equal(truth.ignore, sample.ignore)


def test_annotation_agrees_with_the_painted_faces():
    """Paints each face in one colour, alone and in its scene, and compares what shows."""
    dataset = SyntheticFaces(11, num_images=40)
    judged = {False: 0, True: 0}
    for index in range(40):
        figures, annotation = dataset._plan(index)
        for number, figure in enumerate(figures):
            if figure.landmarks is None:
                continue
            scene, alone = np.zeros((2, 320, 320, 3), np.uint8)
            for other, one in enumerate(figures):
                paint(scene, recoloured(one, MAGENTA if other == number else BLACK), FULL_LIGHT)
            skin = [one for one in recoloured(figure, MAGENTA).shapes if one.role == FACE]
            paint(alone, dataclasses.replace(figure, shapes=skin), FULL_LIGHT)
            seen, full = scene[..., 0] > 127, alone[..., 0] > 127
            box = extent(full)
            matches = np.abs(annotation.boxes - box).max(axis=1, initial=0) <= 1.0
            share = seen.sum() / full.sum()
            if not matches.any():
                assert share < 0.1
                continue
            low, high = figure.face_points().min(0), figure.face_points().max(0)
            whole = low.min() >= 0 and high.max() <= 320 and high[1] - low[1] >= 16
            if whole and abs(share - 0.3) > 0.1:
                assert annotation.ignore[matches].tolist() == [share < 0.3]
                judged[bool(share < 0.3)] += 1
    assert judged[False] > 80 and judged[True] >= 2


@pytest.mark.parametrize("height", [6, 11, 40, 170])
def test_box_has_the_asked_height_and_middle(height):
    for seed in range(30):
        figure = person.draw_person(dice(seed), height, (150.3, 160.8), standing=False)
        low, high = figure.face_points().min(axis=0), figure.face_points().max(axis=0)
        assert np.isclose(high[1] - low[1], height)
        assert np.allclose((low + high) / 2, (150.3, 160.8))


@pytest.mark.parametrize("yaw", [-0.5, 0.0, 0.4])
def test_landmarks_lie_on_the_painted_features(monkeypatch, yaw):
    iris, lips = (0, 255, 0), (0, 0, 255)
    look = dataclasses.replace(
        sample_look(dice(1)), iris=iris, lips=lips, beard="none", mouth="laugh", open_eyes=1.0
    )
    monkeypatch.setattr(person, "sample_look", lambda _: look)
    monkeypatch.setattr(person, "sample_pose", lambda _: Pose(yaw, 0.1, 0.2))
    monkeypatch.setattr(person, "_worn", lambda *_: ([], [], None))
    figure = person.draw_person(dice(0), 220, (160, 170), standing=False)
    shapes = [shape for shape in figure.shapes if shape.colour in (iris, lips)]
    image = np.zeros((320, 320, 3), np.uint8)
    paint(image, dataclasses.replace(figure, shapes=shapes), FULL_LIGHT)
    _, _, _, centres = cv2.connectedComponentsWithStats((image[..., 1] > 127).astype(np.uint8))
    eyes = centres[1:][np.argsort(centres[1:, 0])] + 0.5
    assert np.abs(eyes - figure.landmarks[:2]).max() < 2
    down, across = np.nonzero(image[..., 2] > 60)
    for corner, end in ((3, across.argmin()), (4, across.argmax())):
        assert np.abs(figure.landmarks[corner] - (across[end] + 0.5, down[end] + 0.5)).max() < 4


def test_profile_hides_the_far_eye_and_mouth_corner():
    for seed in range(10):
        look = sample_look(dice(seed))
        _, right = on_head(*landmark_points(look), look, Pose(1.3, 0.0, 0.0))
        _, left = on_head(*landmark_points(look), look, Pose(-1.3, 0.0, 0.0))
        assert (right > 0.02).tolist() == [True, False, True, True, False]
        assert (left > 0.02).tolist() == [False, True, True, False, True]


def test_landmarks_are_in_order_and_within_their_boxes(truths):
    boxes = np.concatenate([truth.boxes for truth in truths])
    landmarks = np.concatenate([truth.landmarks for truth in truths])
    slack = 0.02 * (boxes[:, 3] - boxes[:, 1])[:, None] + 0.5
    known = ~np.isnan(landmarks[..., 0])
    for axis in (0, 1):
        low, high = boxes[:, None, axis] - slack, boxes[:, None, axis + 2] + slack
        assert ((landmarks[..., axis] >= low) & (landmarks[..., axis] <= high))[known].all()
    # Up to 60 degrees of roll, what is on the image's left stays there.
    for left, right in ((0, 1), (3, 4)):
        both = known[:, left] & known[:, right]
        assert both.sum() > 500
        ordered = landmarks[both, left, 0] < landmarks[both, right, 0]
        assert ordered.mean() > 0.99
    assert 0.7 < known.mean() < 0.99


@pytest.mark.parametrize("size, sizes", [(320, (6, 300)), (320, (16, 200)), ((120, 200), (10, 40))])
def test_heights_stay_in_the_range(size, sizes):
    dataset = SyntheticFaces(1, num_images=120, image_size=size, face_sizes=sizes)
    boxes = np.concatenate([dataset.truth(index).boxes for index in range(120)])
    heights, widths = boxes[:, 3] - boxes[:, 1], boxes[:, 2] - boxes[:, 0]
    assert heights.min() > sizes[0] - 0.01 and heights.max() < sizes[1] + 0.01
    assert widths.min() > 0
    limit = np.array(size if isinstance(size, tuple) else (size, size))[::-1]
    assert boxes.min() >= 0 and (boxes[:, 2:] <= limit).all()
    # Every third of the range, as logarithms count, holds some faces.
    thirds = np.histogram(np.log(heights), bins=3, range=np.log(sizes))[0]
    assert thirds.min() > 10


def test_scenes_are_of_all_kinds(truths):
    counts = np.array([len(truth.boxes) for truth in truths])
    assert 0.04 < (counts == 0).mean() < 0.25
    assert 0.15 < (counts == 1).mean() < 0.6
    assert 0.05 < (counts >= 15).mean() < 0.3
    assert counts.max() <= 60
    ignored = np.concatenate([truth.ignore for truth in truths])
    assert 0.005 < ignored.mean() < 0.12


@pytest.mark.parametrize("most", [0, 1, 5])
def test_max_faces_is_kept(most):
    dataset = SyntheticFaces(1, num_images=60, max_faces=most)
    assert max(len(dataset.truth(index).boxes) for index in range(60)) == most


def test_no_thing_and_no_back_of_a_head_is_a_face():
    figures = [draw_thing(dice(s), DISTRACTORS + OCCLUDERS, 40, (50, 50)) for s in range(60)]
    figures += [person.draw_back_view(dice(s), 40, (50, 50), standing=True) for s in range(20)]
    assert all(figure.landmarks is None for figure in figures)
    assert all(shape.role != FACE for figure in figures for shape in figure.shapes)


def test_pictures_have_contrast_where_the_faces_are():
    dataset = SyntheticFaces(9, num_images=40)
    for index in range(40):
        sample = dataset[index]
        for left, top, right, bottom in sample.boxes[~sample.ignore].astype(int):
            assert sample.image[top : bottom + 1, left : right + 1].std() > 3


def test_plan_keeps_apart_from_painting():
    dataset = SyntheticFaces(6, num_images=3)
    figures = plan_scene(dataset._dice(2, 0), dataset.space)
    dataset[2]
    again = plan_scene(dataset._dice(2, 0), dataset.space)
    assert len(figures) == len(again)
    for figure, other in zip(figures, again, strict=True):
        for one, same_again in zip(figure.shapes, other.shapes, strict=True):
            assert np.array_equal(one.points, same_again.points)


@pytest.mark.parametrize(
    "arguments, said",
    [
        ({"num_images": -1}, "must not be negative"),
        ({"seed": -1}, "must not be negative"),
        ({"max_faces": -2}, "must not be negative"),
        ({"image_size": 16}, "at least 32 pixels"),
        ({"face_sizes": (60, 20)}, "must rise"),
        ({"face_sizes": (2, 20)}, "at least 4 pixels"),
        ({"image_size": 64, "face_sizes": (63, 100)}, "shorter side"),
    ],
)
def test_bad_arguments_are_refused(arguments, said):
    with pytest.raises(ConfigError, match=said):
        SyntheticFaces(**arguments)


@pytest.mark.parametrize("index", [-1, 3])
def test_index_out_of_range(index):
    with pytest.raises(IndexError, match="of 3"):
        SyntheticFaces(num_images=3)[index]

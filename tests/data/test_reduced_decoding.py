"""JPEGs decoded at a part of their scale: the same faces, and nearly the same pictures."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from facezoo.data import images as images_module
from facezoo.data.datasets.annotated_images import AnnotatedImages, Annotations
from facezoo.data.datasets.coco_faces import CocoFaces
from facezoo.data.datasets.concat import Concat
from facezoo.data.datasets.face_dataset import FaceDataset, ReadImage
from facezoo.data.datasets.subset import Subset
from facezoo.data.datasets.synthetic_faces import SyntheticFaces
from facezoo.data.image_headers import ORIENTATION
from facezoo.data.images import jpeg_size_hw, read_image, write_image
from facezoo.data.loading.cache import MEMORY, ImageCache
from facezoo.data.loading.loader import train_stream, val_batches
from facezoo.data.loading.reading import PLAIN_READING, Reading, is_outline
from facezoo.data.loading.sampler import TrainPlan
from facezoo.data.loading.samples import SampleMaker
from facezoo.data.transforms import Flip, Letterbox, Mosaic, SquareCrop, Transform
from facezoo.errors import DataError
from facezoo.structures import Sample

REDUCED = Reading(reduced=True)
SIZE_HW = (301, 437)


def smooth(height: int, width: int, seed: int = 0) -> np.ndarray:
    """Returns a picture without fine detail, which every way of scaling shows alike."""
    coarse = np.random.default_rng(seed).integers(40, 216, (6, 8, 3), dtype=np.uint8)
    return cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC)


def dataset_of(folder: Path, names: list[str], boxes: np.ndarray) -> AnnotatedImages:
    count = len(names)
    landmarks = (boxes[:, None, :2] + np.arange(10).reshape(5, 2)).astype(np.float32)
    starts = np.arange(count + 1) * (len(boxes) // count)
    annotations = Annotations(names, starts, boxes, np.zeros(len(boxes), bool), landmarks)
    return AnnotatedImages(folder, annotations, Path("faces.txt"))


def random_boxes(count: int, seed: int = 1) -> np.ndarray:
    generator = np.random.default_rng(seed)
    corners = generator.uniform(0, 250, (count, 2))
    return np.hstack([corners, corners + generator.uniform(10, 60, (count, 2))])


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("photographs")
    for number in range(4):
        write_image(path / f"{number}.jpg", smooth(*SIZE_HW, number))
    write_image(path / "4.png", smooth(*SIZE_HW, 4))
    return path


NAMES = [*(f"{number}.jpg" for number in range(4)), "4.png"]


@pytest.fixture(scope="module")
def dataset(folder: Path) -> AnnotatedImages:
    return dataset_of(folder, NAMES, random_boxes(20))


def made(dataset: FaceDataset, transform: Transform, reading: Reading, seed: int) -> Sample:
    plan = TrainPlan(len(dataset), 1, seed)
    return SampleMaker(dataset, (transform,), plan, reading=reading)(0, [])


def assert_alike(one: Sample, two: Sample, most: float = 2.5) -> None:
    assert one.image_id == two.image_id and one.image.shape == two.image.shape
    np.testing.assert_allclose(one.boxes, two.boxes, atol=1e-3)
    np.testing.assert_allclose(one.landmarks, two.landmarks, atol=1e-3)
    np.testing.assert_allclose(one.to_original, two.to_original, atol=1e-9)
    assert np.array_equal(one.ignore, two.ignore) and one.dropped == two.dropped
    assert np.abs(one.image.astype(int) - two.image).mean() < most


@given(
    st.integers(0, 2**20),
    st.integers(16, 160),
    st.sampled_from([(0.3, 1.0), (1.0, 2.0), (0.9, 0.9)]),
)
@settings(
    deadline=None, max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_a_square_crop_is_that_of_the_whole_decode(
    dataset: AnnotatedImages, seed: int, size: int, ratios: tuple[float, float]
) -> None:
    crop = SquareCrop(size, ratios)
    assert_alike(made(dataset, crop, REDUCED, seed), made(dataset, crop, PLAIN_READING, seed), 3.5)


@given(st.integers(0, 5), st.integers(16, 400), st.booleans())
@settings(deadline=None, max_examples=60)
def test_a_letterbox_is_that_of_the_whole_decode(
    dataset: AnnotatedImages, seed: int, size: int, centred: bool
) -> None:
    box = Letterbox(size, centred=centred)
    assert_alike(made(dataset, box, REDUCED, seed), made(dataset, box, PLAIN_READING, seed))


@pytest.mark.parametrize(
    ("size", "reduction"),
    [(300, 1), (219, 1), (218, 2), (110, 2), (109, 4), (55, 4), (54, 8), (8, 8)],
)
def test_no_more_is_decoded_than_is_shown(
    dataset: AnnotatedImages, size: int, reduction: int
) -> None:
    sample = dataset[0]
    window = Letterbox(size).plan(sample, np.random.default_rng(0))
    assert window.reduction == reduction
    longer = max(read_image(sample.path, reduction).shape)
    assert longer >= size


def edges(image: np.ndarray) -> tuple[float, float]:
    """Returns where the middle of the white block of a picture lies, x and y from its corner."""
    weights = image.astype(float).mean(-1)
    weights -= weights.min()
    rows, columns = (np.arange(side) + 0.5 for side in weights.shape)
    return (weights.sum(0) @ columns) / weights.sum(), (weights.sum(1) @ rows) / weights.sum()


@pytest.mark.parametrize("transform", [Letterbox(60), SquareCrop(60, (1.9, 1.9), value=(0, 0, 0))])
@pytest.mark.parametrize("size_hw", [(480, 640), (477, 639)])
def test_faces_stay_where_the_picture_shows_them(
    tmp_path: Path, transform: Transform, size_hw: tuple[int, int]
) -> None:
    picture = np.zeros((*size_hw, 3), np.uint8)
    picture[160:288, 320:416] = 255
    write_image(tmp_path / "a.jpg", picture)
    dataset = dataset_of(tmp_path, ["a.jpg"], np.array([[320.0, 160, 416, 288]]))
    if isinstance(transform, Letterbox):
        transform.value = (0, 0, 0)
    for seed in range(5):
        sample = made(dataset, transform, REDUCED, seed)
        x1, y1, x2, y2 = sample.boxes[0]
        assert edges(sample.image) == pytest.approx(((x1 + x2) / 2, (y1 + y2) / 2), abs=0.1)


@pytest.mark.parametrize("kind", ["JPEG", "MPO"])
@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("size_hw", [(96, 128), (97, 131)])
def test_a_photograph_is_upright_when_reduced(
    tmp_path: Path, kind: str, orientation: int, size_hw: tuple[int, int]
) -> None:
    exif = Image.Exif()
    exif[ORIENTATION] = orientation
    path = tmp_path / "a.jpg"
    further = {"save_all": True, "append_images": [Image.new("RGB", (9, 8))]}
    options = further if kind == "MPO" else {}
    Image.fromarray(smooth(*size_hw)).save(path, kind, exif=exif, quality=95, **options)
    whole = read_image(path)
    assert jpeg_size_hw(path) == whole.shape[:2]
    dataset = dataset_of(tmp_path, ["a.jpg"], np.array([[10.0, 20, 40, 60]]))
    for transform in (Letterbox(32), SquareCrop(24, (0.8, 1.5))):
        reduced = made(dataset, transform, REDUCED, 3)
        assert_alike(reduced, made(dataset, transform, PLAIN_READING, 3), 3.5)


def test_other_formats_and_large_crops_are_the_very_same(dataset: AnnotatedImages) -> None:
    assert np.array_equal(
        read_image(dataset.folder / "4.png", 4), read_image(dataset.folder / "4.png")
    )
    large = SquareCrop(300)
    for seed in range(8):
        one, two = (made(dataset, large, reading, seed) for reading in (REDUCED, PLAIN_READING))
        assert np.array_equal(one.image, two.image) and np.array_equal(one.boxes, two.boxes)


@pytest.mark.parametrize("first", [Flip(), Mosaic(64)])
def test_another_first_transform_gets_whole_photographs(
    dataset: AnnotatedImages, first: Transform
) -> None:
    transforms = [first, SquareCrop(32)]
    one, two = (
        next(train_stream(dataset, transforms, 4, 0, reading=reading))
        for reading in (REDUCED, PLAIN_READING)
    )
    assert torch.equal(one.images, two.images)


def test_partners_are_reduced_too_and_workers_and_caches_change_nothing(
    dataset: AnnotatedImages,
) -> None:
    transforms = [SquareCrop(48, (0.9, 1.2)), Mosaic(96), Letterbox(64)]

    def take(reading: Reading) -> list[torch.Tensor]:
        batches = train_stream(dataset, transforms, 4, 0, reading=reading)
        return [batch.images for batch in itertools.islice(batches, 3)]

    reduced = take(REDUCED)
    cache = ImageCache(MEMORY, 2**24)
    for _ in range(2):
        cached = take(Reading(cache, reduced=True))
        assert all(torch.equal(a, b) for a, b in zip(reduced, cached, strict=True))
    plain = take(PLAIN_READING)
    assert all(
        (a.int() - b.int()).abs().float().mean() < 4 for a, b in zip(reduced, plain, strict=True)
    )
    assert not all(torch.equal(a, b) for a, b in zip(reduced, plain, strict=True))


def test_drawn_images_go_through_unchanged() -> None:
    dataset = SyntheticFaces(0, 4, 64, (8, 40))
    one, two = (
        list(val_batches(dataset, [Letterbox(16)], 2, reading=reading))
        for reading in (REDUCED, PLAIN_READING)
    )
    assert all(torch.equal(a.images, b.images) for a, b in zip(one, two, strict=True))


class Changed(AnnotatedImages):
    """Photographs that its own reading changes."""

    def __init__(self, plain: AnnotatedImages, change: Callable[[np.ndarray], np.ndarray]) -> None:
        super().__init__(plain.folder, plain.annotations, plain.source)
        self.change = change

    def sample(self, index: int, read: ReadImage) -> Sample:
        return super().sample(index, lambda path: self.change(read(path)))


class ChangedSubset(Subset):
    """The same of a subset."""

    def sample(self, index: int, read: ReadImage) -> Sample:
        sample = super().sample(index, read)
        return replace(sample, image=sample.image[::-1])


@pytest.mark.parametrize(
    "change",
    [
        lambda image: image[:, ::-1],
        lambda image: image[:, 100:],
        lambda image: 255 - image,
        lambda image: cv2.LUT(image, np.arange(256, dtype=np.uint8)),
        lambda image: np.ascontiguousarray(image[..., ::-1]),
    ],
)
@pytest.mark.parametrize("transform", [SquareCrop(48), Letterbox(48)])
def test_a_data_set_that_changes_photographs_gets_them_whole(
    dataset: AnnotatedImages, change: Callable[[np.ndarray], np.ndarray], transform: Transform
) -> None:
    changed = Changed(dataset, change)
    for one in (changed, Subset(changed, NAMES), Concat([changed]), ChangedSubset(dataset, NAMES)):
        for seed in range(5):
            found, whole = (made(one, transform, way, seed) for way in (REDUCED, PLAIN_READING))
            assert np.array_equal(found.image, whole.image)
            assert np.array_equal(found.boxes, whole.boxes)


def test_subsets_and_joined_sets_are_reduced_as_what_they_consist_of(
    dataset: AnnotatedImages,
) -> None:
    jpegs = dataset_of(dataset.folder, NAMES[:4], random_boxes(16))
    for one in (Subset(jpegs, NAMES[:4]), Concat([jpegs])):
        found = made(one, Letterbox(48), REDUCED, 0)
        assert np.array_equal(found.image, made(jpegs, Letterbox(48), REDUCED, 0).image)
        assert not np.array_equal(found.image, made(one, Letterbox(48), PLAIN_READING, 0).image)
    assert CocoFaces.gives_as_read and not Concat([dataset, SyntheticFaces(0, 4)]).gives_as_read


def test_a_photograph_that_comes_whole_is_in_a_cache_once(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[ORIENTATION] = 6
    Image.fromarray(smooth(97, 131)).save(tmp_path / "a.jpg", exif=exif)
    cache = ImageCache(MEMORY, 2**20)
    for reduction in (1, 2, 4, 8):
        assert cache.read(tmp_path / "a.jpg", reduction).shape == (131, 97, 3)
    assert cache.used == 131 * 97 * 3


def test_unreadable_photographs_are_skipped_as_ever(tmp_path: Path) -> None:
    for number in range(3):
        write_image(tmp_path / f"{number}.jpg", smooth(96, 128, number))
    broken = (tmp_path / "1.jpg").read_bytes()
    (tmp_path / "1.jpg").write_bytes(broken[:-400])  # its header can be read
    (tmp_path / "2.jpg").unlink()
    dataset = dataset_of(tmp_path, ["0.jpg", "1.jpg", "2.jpg"], random_boxes(3) / 4)
    transforms = [SquareCrop(24)]
    batch = next(train_stream(dataset, transforms, 3, 0, on_unreadable="next", reading=REDUCED))
    assert set(batch.ids) == {"0.jpg"} and len(batch.unreadable) >= 2
    with pytest.raises(DataError, match=r"broken off|does not exist"):
        next(train_stream(dataset, transforms, 3, 0, reading=REDUCED))


def test_the_limit_of_pixels_holds_when_reduced(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(images_module, "MAX_PIXELS", 301 * 437 - 1)
    with pytest.raises(DataError, match="437 x 301 pixels"):
        read_image(folder / "0.jpg", 8)


def test_a_header_that_lies_is_found_out(
    dataset: AnnotatedImages, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = made(dataset, SquareCrop(48), PLAIN_READING, 0)
    monkeypatch.setattr(
        Reading, "outline", lambda self, path: np.broadcast_to(np.uint8(0), (*SIZE_HW[::-1], 3))
    )
    found = made(dataset, SquareCrop(48), REDUCED, 0)
    assert np.array_equal(found.image, expected.image)
    assert np.array_equal(found.boxes, expected.boxes)


def test_an_outline_has_the_size_of_the_photograph_and_no_memory(folder: Path) -> None:
    outline = REDUCED.outline(folder / "0.jpg")
    assert is_outline(outline) and outline.shape == (*SIZE_HW, 3)
    assert outline.dtype == np.uint8 and outline.base is not None
    assert not is_outline(REDUCED.outline(folder / "4.png"))

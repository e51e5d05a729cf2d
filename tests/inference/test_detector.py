"""The way from photographs to faces, with a model whose answer is known for every picture."""

from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from torch import Tensor, nn

from facezoo.errors import ConfigError, DataError
from facezoo.inference.detector import Detector, as_rgb, evaluation_mode, map_to_original
from facezoo.models.face_detector import Padding, Pixels
from facezoo.structures import Faces

PAD = (10, 20, 30)


class BrightSpot(nn.Module):
    """Finds the one bright rectangle of an image: its box, and a corner as landmark."""

    stride = 32

    def __init__(self) -> None:
        super().__init__()
        self.pixels = Pixels(order="bgr", mean=PAD[::-1], std=(1, 1, 1))
        self.unused = nn.Parameter(torch.zeros(1))
        self.seen: list[Tensor] = []
        self.modes: list[bool] = []

    def predict(
        self, images: Tensor, maps: Tensor, score_thresh: float, nms_thresh: float
    ) -> list[Faces]:
        self.seen.append(images)
        self.modes.append(self.training)
        return [
            self._find(image, to_original) for image, to_original in zip(images, maps, strict=True)
        ]

    def _find(self, image: Tensor, to_original: Tensor) -> Faces:
        ys, xs = torch.nonzero(image.min(dim=0).values > 127, as_tuple=True)
        if not len(ys):
            return Faces(np.zeros((0, 4), np.float32), np.zeros(0, np.float32))
        corners = torch.tensor(
            [[xs.min(), ys.min(), 1], [xs.max() + 1, ys.max() + 1, 1]], dtype=torch.float64
        )
        box = (corners @ to_original.T).reshape(1, 4).float().numpy()
        return Faces(box, np.ones(1, np.float32), box[:, None, :2])


def photograph(height: int, width: int, box: tuple[int, int, int, int] | None = None) -> np.ndarray:
    image = np.full((height, width, 3), 60, dtype=np.uint8)
    if box is not None:
        image[box[1] : box[3], box[0] : box[2]] = 255
    return image


@pytest.mark.parametrize(
    ("protocol", "size_hw", "tolerance"),
    [
        ("original", (100, 150), 0),  # nothing to scale, padded to 128 x 160
        ("original", (128, 64), 0),  # nothing to pad
        ("long:300", (100, 150), 0),  # exactly twice as large
        ("long:75", (100, 150), 0),  # exactly half as large, the box on even pixels
        ("vga", (100, 150), 1),
        ("short:77", (100, 150), 1),
        ("fixed:96x160", (100, 150), 1),  # other shape: the scales of the two sides differ
    ],
)
def test_boxes_come_back_in_pixels_of_the_photograph(
    protocol: str, size_hw: tuple[int, int], tolerance: int
) -> None:
    box = (20, 32, 48, 90)
    model = BrightSpot()
    (faces,) = Detector(model, protocol=protocol)([photograph(*size_hw, box)])
    np.testing.assert_allclose(faces.boxes, [box], atol=tolerance)
    np.testing.assert_allclose(faces.landmarks, [[box[:2]]], atol=tolerance)
    assert model.seen[0].shape[2] % 32 == model.seen[0].shape[3] % 32 == 0


def test_the_scales_are_those_of_the_rounded_size() -> None:
    to_original = map_to_original((427, 640, 3), (683, 1024, 3))
    np.testing.assert_allclose(to_original @ [640, 427, 1], [1024, 683])
    np.testing.assert_allclose(to_original @ [0, 0, 1], [0, 0])


def test_pads_right_and_below_with_the_colour_of_the_model() -> None:
    model = BrightSpot()
    detector = Detector(model)
    image = photograph(40, 70)
    detector([image])
    (seen,) = model.seen
    assert seen.shape == (1, 3, 64, 96) and seen.dtype == torch.uint8
    assert (seen[0, :, :40, :70].permute(1, 2, 0).numpy() == image).all()
    padding = torch.cat([seen[0, :, 40:].flatten(1), seen[0, :, :, 70:].flatten(1)], dim=1)
    assert (padding == torch.tensor(PAD)[:, None]).all()
    assert detector.describe()["padding"] == f"RGB {PAD} right and below, to a multiple of 32 px"


@pytest.mark.parametrize("protocol", ["original", "long:128", "long:75"])
def test_a_model_may_want_its_photographs_in_the_middle_of_a_square(protocol: str) -> None:
    box = (20, 12, 48, 40)
    model = BrightSpot()
    model.pixels = Pixels(padding=Padding(colour=(1, 2, 3), centred=True, square=True))
    detector = Detector(model, protocol=protocol)
    image = photograph(45, 90, box)
    (faces,) = detector([image])
    np.testing.assert_allclose(faces.boxes, [box], atol=0 if protocol == "original" else 1)
    np.testing.assert_allclose(faces.landmarks, [[box[:2]]], atol=1)
    (seen,) = model.seen
    side = {"original": 96, "long:128": 128, "long:75": 96}[protocol]
    assert seen.shape == (1, 3, side, side)
    assert seen[0, :, 0, 0].tolist() == seen[0, :, -1, -1].tolist() == [1, 2, 3]
    if protocol == "original":
        assert (seen[0, :, 25:70, 3:93].permute(1, 2, 0).numpy() == image).all()
        outside = seen[0].clone()
        outside[:, 25:70, 3:93] = torch.tensor([1, 2, 3], dtype=torch.uint8).view(3, 1, 1)
        assert (outside == outside[:, :1, :1]).all()
    assert detector.describe()["padding"] == (
        "RGB (1, 2, 3) on both sides, to a square of sides of a multiple of 32 px"
    )


def test_batches_of_mixed_sizes_equal_one_by_one(tmp_path: Path) -> None:
    generator = np.random.default_rng(0)
    images = []
    for i in range(11):
        height, width = generator.integers(40, 130, 2)
        x, y = generator.integers(0, 30, 2)
        box = None if i == 5 else (x, y, x + generator.integers(4, 10), y + 8)
        images.append(photograph(height, width, box))
    path = tmp_path / "one.png"
    cv2.imwrite(str(path), images[3])
    images[3] = path
    together = Detector(BrightSpot(), batch_size=4)(images)
    alone = [Detector(BrightSpot())([image])[0] for image in images]
    assert [len(faces) for faces in together] == [1] * 5 + [0] + [1] * 5
    for a, b in zip(together, alone, strict=True):
        np.testing.assert_array_equal(a.boxes, b.boxes)


def test_equal_sizes_are_predicted_together_and_no_more_than_asked() -> None:
    model = BrightSpot()
    Detector(model, batch_size=4)([photograph(40, 40), photograph(70, 40), photograph(50, 50)] * 2)
    assert [len(images) for images in model.seen] == [3, 1, 1, 1]
    assert Detector(model)([]) == []


def test_large_photographs_are_predicted_fewer_at_once() -> None:
    images = [photograph(40, 90, (5, 6, 9, 10 + i)) for i in range(5)]  # padded to 64 x 96
    whole, parts, ones = BrightSpot(), BrightSpot(), BrightSpot()
    together = Detector(whole)(images)
    apart = Detector(parts, max_pixels=3 * 64 * 96 - 1)(images)
    alone = Detector(ones, max_pixels=1)(images)
    assert [len(batch) for batch in whole.seen] == [5]
    assert [len(batch) for batch in parts.seen] == [2, 2, 1]
    assert [len(batch) for batch in ones.seen] == [1] * 5
    for a, b, c in zip(together, apart, alone, strict=True):
        np.testing.assert_array_equal(a.boxes, b.boxes)
        np.testing.assert_array_equal(a.boxes, c.boxes)


@pytest.mark.parametrize(
    ("image", "given"),
    [
        ("photo.jpg", "single file 'photo.jpg'"),
        (Path("photo.jpg"), "single file 'photo.jpg'"),
        (photograph(3, 4), r"single array of shape \(3, 4, 3\)"),
        (photograph(3, 4)[..., 0], r"single array of shape \(3, 4\)"),
    ],
)
def test_one_photograph_goes_into_a_list(image: object, given: str) -> None:
    with pytest.raises(DataError, match=given + r"; put it into \[ \]\."):
        Detector(BrightSpot())(image)
    assert len(Detector(BrightSpot())(np.zeros((2, 8, 8, 3), np.uint8))) == 2


def test_every_part_gets_its_mode_back_even_after_an_error() -> None:
    model = nn.Sequential(nn.BatchNorm2d(1), nn.BatchNorm2d(1))
    model[1].eval()

    def fail() -> None:
        with evaluation_mode(model):
            assert not any(module.training for module in model.modules())
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    assert [module.training for module in model.modules()] == [True, True, False]
    spot = BrightSpot()
    Detector(spot)([photograph(32, 32)])
    assert spot.modes == [False] and spot.training


def test_grey_counts_as_equal_colours() -> None:
    grey = np.arange(12, dtype=np.uint8).reshape(3, 4)
    for image in (grey, grey[..., None]):
        assert (as_rgb(image) == np.stack([grey] * 3, axis=2)).all()


@pytest.mark.parametrize(
    ("image", "sentence"),
    [
        (np.zeros((4, 4, 3), np.uint16), "array of uint16; give 8 bits"),
        (np.zeros((4, 4, 3), np.float32), "array of float32; give 8 bits"),
        (np.zeros((4, 4, 4), np.uint8), "has four channels"),
        (np.zeros((4, 4, 2), np.uint8), "of shape (4, 4, 2)"),
        (np.zeros((3, 4, 4, 3), np.uint8), "of shape (3, 4, 4, 3)"),
        (np.zeros((0, 4, 3), np.uint8), "of shape (0, 4, 3)"),
        (np.zeros((0, 4), np.uint8), "of shape (0, 4)"),
        (np.zeros(5, np.uint8), "of shape (5,)"),
    ],
)
def test_arrays_that_are_no_photographs(image: np.ndarray, sentence: str) -> None:
    with pytest.raises(DataError) as error:
        Detector(BrightSpot())([image])
    assert sentence in str(error.value)


def test_files_that_are_no_photographs(tmp_path: Path) -> None:
    broken = tmp_path / "broken.jpg"
    broken.write_bytes(b"\xff\xd8 not much of a picture")
    for path in (broken, tmp_path / "missing.jpg"):
        with pytest.raises(DataError, match=path.name):
            Detector(BrightSpot())([path])


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ({"protocol": "vgaa"}, "did you mean 'vga'"),
        ({"score_thresh": 1.5}, "score_thresh is 1.5"),
        ({"nms_thresh": -0.1}, "nms_thresh is -0.1"),
        ({"device": "gpu0"}, "The device 'gpu0' is not on this machine"),
        ({"weights": "w.safetensors"}, "not built yet"),
        ({"batch_size": 0}, "batch_size is 0"),
        ({"max_pixels": 0}, "max_pixels is 0"),
    ],
)
def test_bad_arguments(arguments: dict, sentence: str) -> None:
    with pytest.raises(ConfigError) as error:
        Detector(BrightSpot(), **arguments)
    assert sentence in str(error.value)


def test_what_a_pil_image_becomes() -> None:
    from PIL import Image

    picture = Image.new("RGB", (40, 30))
    with pytest.raises(DataError, match="takes a list of photographs, not a single Image"):
        Detector(BrightSpot())(picture)
    with pytest.raises(DataError, match="give a file or an array"):
        Detector(BrightSpot())([picture])


def test_faces_are_shown_in_a_line() -> None:
    (faces,) = Detector(BrightSpot())([photograph(64, 64, (10, 10, 20, 20))])
    assert repr(faces) == "Faces(1, scores 1.00 to 1.00)"
    assert repr(faces[:0]) == "Faces(none)"


class BrightBox(BrightSpot):
    """The same without landmarks, which a mirror image would have to reorder."""

    def _find(self, image: Tensor, to_original: Tensor) -> Faces:
        faces = super()._find(image, to_original)
        return Faces(faces.boxes, faces.scores)


@pytest.mark.parametrize("mirror", [False, True])
def test_views_are_joined_in_pixels_of_the_photograph(mirror: bool) -> None:
    model = BrightBox()
    protocol = {"views": ["original", "long:640", "long:320"], "mirror": mirror}
    detector = Detector(model, protocol=protocol)
    boxes = [(40, 30, 120, 130), (200, 10, 300, 90)]
    found = detector([photograph(240, 320, boxes[0]), photograph(240, 320, boxes[1])])
    assert len(model.seen) == (6 if mirror else 3)
    for faces, box in zip(found, boxes, strict=True):
        assert faces.boxes.shape == (1, 4)
        np.testing.assert_allclose(faces.boxes[0], box, atol=1.0)
    described = detector.describe()
    assert described["joined"] == "box voting at IoU 0.4"
    assert described["protocol"].startswith("views original, vga, long:320")
    assert described["protocol"].endswith("each also mirrored") is mirror

import struct

import cv2
import numpy as np
import pytest
from PIL import Image

from facezoo.data.images import read_image, write_image
from facezoo.errors import DataError


@pytest.fixture
def picture():
    """Smooth colours with a red top left corner, 40 x 64 x 3."""
    rows, columns = np.mgrid[0:40, 0:64]
    image = np.stack([255 - 3 * columns, 4 * rows, 2 * (rows + columns)], axis=2)
    return np.clip(image, 0, 255).astype(np.uint8)


def jpeg(tmp_path, picture, **options):
    path = tmp_path / "picture.jpg"
    Image.fromarray(picture).save(path, quality=95, **options)
    return path


def test_png_is_exact_and_rgb(tmp_path, picture):
    Image.fromarray(picture).save(tmp_path / "a.png")
    image = read_image(tmp_path / "a.png")
    assert image.dtype == np.uint8 and image.flags.c_contiguous and image.flags.writeable
    assert np.array_equal(image, picture)
    assert np.array_equal(read_image(str(tmp_path / "a.png")), picture)


def test_jpeg_agrees_with_pillow(tmp_path, picture):
    path = jpeg(tmp_path, picture)
    with Image.open(path) as other:
        assert np.abs(read_image(path).astype(int) - np.asarray(other).astype(int)).max() <= 4


@pytest.mark.parametrize("name", ["Gesichter größer.png", "人脸 検出.png", "emoji 🙂.png"])
def test_any_name(tmp_path, picture, name):
    Image.fromarray(picture).save(tmp_path / name)
    assert np.array_equal(read_image(tmp_path / name), picture)


@pytest.mark.parametrize("name", ["größer.png", "人脸.PNG", "new/folder/a.bmp", "a.webp"])
def test_written_pictures_come_back(tmp_path, picture, name):
    write_image(tmp_path / name, picture)
    if name.endswith("webp"):
        assert np.abs(read_image(tmp_path / name).astype(int) - picture).max() < 30
    else:
        assert np.array_equal(read_image(tmp_path / name), picture)


def test_quality_of_a_jpeg(tmp_path, picture):
    write_image(tmp_path / "good.jpg", picture)
    write_image(tmp_path / "poor.JPG", picture, 10)
    assert (tmp_path / "poor.JPG").stat().st_size < (tmp_path / "good.jpg").stat().st_size


@pytest.mark.parametrize("name", ["a", "a.xyz", "a.txt"])
def test_endings_that_are_no_format(tmp_path, picture, name):
    with pytest.raises(DataError, match=rf"picture .*{name} cannot be encoded"):
        write_image(tmp_path / name, picture)
    assert not list(tmp_path.iterdir())


def test_grey_is_repeated(tmp_path, picture):
    Image.fromarray(picture[..., 0]).save(tmp_path / "grey.png")
    assert np.array_equal(read_image(tmp_path / "grey.png"), picture[..., :1].repeat(3, 2))


def test_transparency_is_dropped(tmp_path, picture):
    alpha = np.zeros((40, 64, 1), np.uint8)
    Image.fromarray(np.concatenate([picture, alpha], axis=2)).save(tmp_path / "rgba.png")
    assert np.array_equal(read_image(tmp_path / "rgba.png"), picture)


@pytest.mark.parametrize("suffix", [".png", ".tiff"])
def test_sixteen_bits_keep_the_higher_eight(tmp_path, suffix):
    grey = np.arange(65536, dtype=np.uint16).reshape(256, 256)
    path = tmp_path / f"deep{suffix}"
    path.write_bytes(cv2.imencode(suffix, grey)[1].tobytes())
    image = read_image(path)
    assert image.dtype == np.uint8 and np.array_equal(image[..., 1], grey >> 8)


def test_exif_orientation_is_applied(tmp_path, picture):
    exif = Image.Exif()
    exif[274] = 6
    image = read_image(jpeg(tmp_path, picture, exif=exif))
    assert image.shape == (64, 40, 3)
    assert np.abs(image.astype(int) - np.rot90(picture, -1).astype(int)).mean() < 6


@pytest.mark.parametrize("share", [0.02, 0.3, 0.6, 0.9, 0.99])
@pytest.mark.parametrize("suffix", [".jpg", ".png", ".webp", ".bmp"])
def test_broken_off(tmp_path, picture, suffix, share):
    data = cv2.imencode(suffix, cv2.resize(picture, (512, 320)))[1].tobytes()
    path = tmp_path / f"half{suffix}"
    path.write_bytes(data[: int(len(data) * share)])
    with pytest.raises(DataError, match=rf"half\{suffix} .*broken off"):
        read_image(path)


def test_broken_off_and_filled_with_zeros(tmp_path, picture):
    """To the decoder, enough zeros are a whole picture, grey from where the file broke off."""
    data = jpeg(tmp_path, picture).read_bytes()
    path = tmp_path / "zeros.jpg"
    path.write_bytes(data[: len(data) * 3 // 4] + bytes(8 * len(data)))
    assert cv2.imread(str(path)) is not None
    with pytest.raises(DataError, match="broken off"):
        read_image(path)


def test_broken_off_behind_a_thumbnail(tmp_path, picture):
    """The end of the thumbnail is not the end of the photograph."""
    data = jpeg(tmp_path, picture).read_bytes()
    thumbnail = cv2.imencode(".jpg", picture[::4, ::4])[1].tobytes()
    segment = b"\xff\xe1" + struct.pack(">H", len(thumbnail) + 2) + thumbnail
    whole = data[:2] + segment + data[2:]
    path = tmp_path / "thumb.jpg"
    path.write_bytes(whole)
    assert read_image(path).shape == picture.shape
    path.write_bytes(whole[:-40])
    with pytest.raises(DataError, match="broken off"):
        read_image(path)


@pytest.mark.parametrize("progressive", [False, True])
def test_what_a_camera_appends_is_no_fault(tmp_path, picture, progressive):
    path = jpeg(tmp_path, picture, progressive=progressive)
    wanted = read_image(path)
    path.write_bytes(path.read_bytes() + b"video \xff\xda\x00\x01" + bytes(50))
    assert np.array_equal(read_image(path), wanted)


def test_missing_file(tmp_path):
    with pytest.raises(DataError, match=r"none\.jpg does not exist"):
        read_image(tmp_path / "none.jpg")


def test_folder(tmp_path):
    with pytest.raises(DataError, match="cannot be read"):
        read_image(tmp_path)


@pytest.mark.parametrize(
    "data, said", [(b"", "empty file"), (b"<html>not here</html>", "cannot be decoded")]
)
def test_no_picture(tmp_path, data, said):
    (tmp_path / "x.jpg").write_bytes(data)
    with pytest.raises(DataError, match=rf"x\.jpg .*{said}"):
        read_image(tmp_path / "x.jpg")


def test_more_pixels_than_opencv_takes(tmp_path):
    header = b"\x89PNG\r\n\x1a\n" + struct.pack(">I", 13) + b"IHDR"
    size = struct.pack(">IIBBBBB", 60000, 60000, 8, 2, 0, 0, 0)
    (tmp_path / "huge.png").write_bytes(header + size + bytes(40))
    with pytest.raises(DataError, match=r"huge\.png cannot be decoded"):
        read_image(tmp_path / "huge.png")


@pytest.mark.slow
def test_real_photographs_agree_with_pillow(shared_data):
    for path in sorted((shared_data / "widerface_mini" / "WIDER_val").rglob("*.jpg"))[::40]:
        with Image.open(path) as other:
            wanted = np.asarray(other.convert("RGB")).astype(int)
        assert np.abs(read_image(path).astype(int) - wanted).max() <= 4

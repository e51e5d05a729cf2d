import struct
import warnings
import zlib
from io import BytesIO

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageOps

from facezoo.data.images import MAX_PIXELS, read_image, stored_size_hw, write_image
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


def by_pillow(path):
    """The picture as another decoder shows it: the first frame, upright, RGB."""
    with Image.open(path) as other:
        return np.asarray(ImageOps.exif_transpose(other).convert("RGB")).astype(int)


def largest_difference(image, wanted):
    assert image.dtype == np.uint8 and image.shape == wanted.shape
    return np.abs(image.astype(int) - wanted).max()


def png(width, height, depth, colour, pixels=b""):
    """A PNG by its specification; ``pixels`` are compressed rows, each with its filter byte."""

    def chunk(kind, data):
        return (
            struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        )

    header = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0)
    parts = [chunk(b"IHDR", header), chunk(b"IDAT", pixels), chunk(b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


def black_rows(width, height):
    """Rows of a PNG of one bit, compressed a thousandfold."""
    packer = zlib.compressobj(1)
    row = bytes(1 + (width + 7) // 8)
    return b"".join([*(packer.compress(row * 100) for _ in range(height // 100)), packer.flush()])


def test_png_is_exact_and_rgb(tmp_path, picture):
    Image.fromarray(picture).save(tmp_path / "a.png")
    image = read_image(tmp_path / "a.png")
    assert image.dtype == np.uint8 and image.flags.c_contiguous and image.flags.writeable
    assert np.array_equal(image, picture)
    assert np.array_equal(read_image(str(tmp_path / "a.png")), picture)


@pytest.mark.parametrize("progressive", [False, True])
def test_jpeg_agrees_with_pillow(tmp_path, picture, progressive):
    path = jpeg(tmp_path, picture, progressive=progressive)
    assert largest_difference(read_image(path), by_pillow(path)) <= 4


def test_jpeg_for_print_agrees_with_pillow(tmp_path, picture):
    path = tmp_path / "cmyk.jpg"
    Image.fromarray(picture).convert("CMYK").save(path, quality=95)
    assert largest_difference(read_image(path), by_pillow(path)) <= 8
    assert np.abs(read_image(path).astype(int) - picture).mean() < 6


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


def test_grey_jpeg_is_repeated(tmp_path, picture):
    path = jpeg(tmp_path, picture[..., 0])
    image = read_image(path)
    assert (image == image[..., :1]).all()
    assert largest_difference(image, by_pillow(path)) <= 1


def test_transparency_is_dropped(tmp_path, picture):
    alpha = np.arange(40 * 64).astype(np.uint8).reshape(40, 64, 1)
    Image.fromarray(np.concatenate([picture, alpha], axis=2)).save(tmp_path / "rgba.png")
    image = read_image(tmp_path / "rgba.png")
    assert np.array_equal(image, picture)
    assert largest_difference(image, by_pillow(tmp_path / "rgba.png")) == 0


@pytest.mark.parametrize("suffix", [".png", ".tiff"])
def test_sixteen_bits_keep_the_higher_eight(tmp_path, suffix):
    grey = np.arange(65536, dtype=np.uint16).reshape(256, 256)
    path = tmp_path / f"deep{suffix}"
    path.write_bytes(cv2.imencode(suffix, grey)[1].tobytes())
    image = read_image(path)
    assert image.dtype == np.uint8 and np.array_equal(image[..., 1], grey >> 8)


def test_sixteen_bits_of_colour_keep_the_higher_eight(tmp_path):
    colours = np.random.default_rng(0).integers(0, 65536, (40, 64, 3), dtype=np.uint16)
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in colours)
    path = tmp_path / "deep.png"
    path.write_bytes(png(64, 40, 16, 2, zlib.compress(rows)))
    assert np.array_equal(read_image(path), colours >> 8)
    assert largest_difference(read_image(path), by_pillow(path)) == 0


@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation_is_applied(tmp_path, picture, orientation):
    exif = Image.Exif()
    exif[274] = orientation
    path = jpeg(tmp_path, picture, exif=exif)
    image, lying = read_image(path), orientation >= 5
    assert image.shape == ((64, 40, 3) if lying else (40, 64, 3))
    assert largest_difference(image, by_pillow(path)) <= 4
    assert stored_size_hw(path.read_bytes()) == (40, 64)


def test_first_frame_of_an_animation(tmp_path, picture):
    grey = Image.fromarray(picture[..., 0])
    others = [Image.fromarray(picture[::-1, ::-1, 0].copy()), Image.new("L", grey.size, 9)]
    path = tmp_path / "moves.gif"
    grey.save(path, save_all=True, append_images=others, duration=100, loop=0)
    with Image.open(path) as other:
        assert other.n_frames == 3
    assert largest_difference(read_image(path), by_pillow(path)) == 0
    assert np.array_equal(read_image(path)[..., 0], picture[..., 0])


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
    (tmp_path / "folder.jpg").mkdir()
    with pytest.raises(DataError, match=r"folder\.jpg cannot be read \(.+\); give a file"):
        read_image(tmp_path / "folder.jpg")


def test_name_that_no_file_has(tmp_path):
    with pytest.raises(DataError, match=r"a\\x00\.jpg' has no name of a file; correct it"):
        read_image(tmp_path / "a\0.jpg")


@pytest.mark.parametrize(
    "data, said", [(b"", "empty file"), (b"<html>not here</html>", "cannot be decoded")]
)
def test_no_picture(tmp_path, data, said):
    (tmp_path / "x.jpg").write_bytes(data)
    with pytest.raises(DataError, match=rf"x\.jpg .*{said}"):
        read_image(tmp_path / "x.jpg")


def test_wider_than_opencv_takes(tmp_path):
    (tmp_path / "wide.png").write_bytes(png(2_000_000, 1, 8, 2))
    with pytest.raises(DataError, match=r"wide\.png cannot be decoded"):
        read_image(tmp_path / "wide.png")


def test_more_pixels_than_are_read_never_fill_the_memory(tmp_path):
    """A whole picture of 75 kB, which would be 1.8 GB once decoded."""
    resource = pytest.importorskip("resource")
    path = tmp_path / "huge.png"
    path.write_bytes(png(30_000, 20_000, 1, 0, black_rows(30_000, 20_000)))
    stored_size_hw(path.read_bytes())  # imports what it needs
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(
        DataError,
        match=r"huge\.png has 30000 x 20000 pixels, more than the 256 million .*; scale it down",
    ):
        read_image(path)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 100_000  # kB


def test_more_pixels_than_are_read_in_a_jpeg(tmp_path, picture):
    data = bytearray(jpeg(tmp_path, picture).read_bytes())
    frame = data.index(b"\xff\xc0")  # then length, precision, height, width
    data[frame + 5 : frame + 9] = struct.pack(">HH", 20_000, 30_000)
    (tmp_path / "huge.jpg").write_bytes(data)
    with pytest.raises(DataError, match=r"huge\.jpg has 30000 x 20000 pixels"):
        read_image(tmp_path / "huge.jpg")


def test_panorama(tmp_path, picture):
    wide = np.tile(picture, (1, 313, 1))[:, :20_000]
    path = jpeg(tmp_path, wide)
    image = read_image(path)
    assert image.shape == (40, 20_000, 3)
    assert largest_difference(image, by_pillow(path)) <= 4


def test_size_of_a_large_panorama_is_read_without_a_warning():
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # as Pillow would warn of it, or refuse the second
        assert stored_size_hw(png(20_000, 5_000, 8, 2)) == (5_000, 20_000)
        assert stored_size_hw(png(30_000, 20_000, 8, 2)) == (20_000, 30_000)
    assert 20_000 * 5_000 <= MAX_PIXELS < 30_000 * 20_000


@pytest.mark.parametrize(
    "name, options",
    [
        ("JPEG", {}),
        ("PNG", {}),
        ("WEBP", {}),
        ("WEBP", {"lossless": True}),
        ("WEBP", {"save_all": True, "append_images": [Image.new("RGB", (64, 40))]}),
        ("GIF", {}),
        ("BMP", {}),
        ("TIFF", {}),
        ("PPM", {}),
        ("JPEG2000", {}),
    ],
)
def test_size_by_the_header(picture, name, options):
    file = BytesIO()
    Image.fromarray(picture).save(file, name, **options)
    assert stored_size_hw(file.getvalue()) == (40, 64)


@pytest.mark.parametrize("name", ["GIF", "WEBP"])
def test_more_pixels_than_are_read_where_pillow_has_a_limit_too(tmp_path, picture, name):
    file = BytesIO()
    others = [Image.fromarray(picture[::-1].copy())]
    Image.fromarray(picture).save(file, name, save_all=True, append_images=others)
    data = bytearray(file.getvalue())
    if name == "GIF":
        data[6:10] = struct.pack("<HH", 30_000, 20_000)
    else:
        data[24:30] = (29_999).to_bytes(3, "little") + (19_999).to_bytes(3, "little")
    (tmp_path / "huge.jpg").write_bytes(data)
    with pytest.raises(DataError, match=r"huge\.jpg has 30000 x 20000 pixels"):
        read_image(tmp_path / "huge.jpg")


@pytest.mark.filterwarnings("ignore::UserWarning")  # Pillow's, of damaged TIFFs
@settings(max_examples=150, deadline=None)
@given(
    suffix=st.sampled_from([".jpg", ".png", ".webp", ".bmp", ".tiff", ".ppm", ".gif"]),
    changes=st.lists(st.tuples(st.integers(0, 300), st.integers(0, 255)), max_size=6),
    end=st.integers(1, 400),
)
def test_damaged_headers_are_never_an_error(suffix, changes, end):
    """Whatever the bytes: a size or none."""
    data = bytearray(cv2.imencode(suffix, np.full((8, 9, 3), 200, np.uint8))[1].tobytes())
    for place, value in changes:
        data[place % len(data)] = value
    size = stored_size_hw(bytes(data[:end]))
    assert size is None or min(size) >= 0


@pytest.mark.slow
def test_real_photographs_agree_with_pillow(shared_data):
    for path in sorted((shared_data / "widerface_mini" / "WIDER_val").rglob("*.jpg"))[::40]:
        assert largest_difference(read_image(path), by_pillow(path)) <= 4

"""The size of a picture from its header, against what decoding gives."""

from __future__ import annotations

import struct
import zlib
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageOps

from facezoo.data.annotations.image_files import read_sizes_hw
from facezoo.data.images import ORIENTATION, read_image, upright_size_hw
from facezoo.errors import DataError


def picture(kind: str, turned: int | None = None, **options: object) -> bytes:
    image = Image.fromarray(np.random.default_rng(0).integers(0, 256, (24, 40, 3), np.uint8))
    if turned is not None:
        exif = Image.Exif()
        exif[ORIENTATION] = turned
        options["exif"] = exif
    file = BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "TIFF", "WEBP"])
@pytest.mark.parametrize("turned", [None, *range(1, 9)])
def test_the_size_is_that_of_the_upright_picture(
    tmp_path: Path, kind: str, turned: int | None
) -> None:
    data = picture(kind, turned)
    (tmp_path / "a").write_bytes(data)
    assert upright_size_hw(data) == read_image(tmp_path / "a").shape[:2]


@pytest.mark.parametrize("turned", [None, *range(1, 9)])
def test_a_jpeg_with_further_pictures_is_turned_like_any_other(
    tmp_path: Path, turned: int | None
) -> None:
    path = tmp_path / "a.jpg"
    second = Image.new("RGB", (6, 5))
    path.write_bytes(picture("MPO", turned, save_all=True, append_images=[second]))
    with Image.open(path) as opened:
        assert opened.format == "MPO"
        upright = ImageOps.exif_transpose(opened)
    assert (
        upright_size_hw(path.read_bytes())
        == read_image(path).shape[:2]
        == (upright.height, upright.width)
    )


@pytest.mark.parametrize("kind", ["BMP", "PPM", "GIF", "JPEG2000", "AVIF"])
def test_formats_that_are_never_turned(tmp_path: Path, kind: str) -> None:
    data = picture(kind)
    (tmp_path / "a").write_bytes(data)
    assert upright_size_hw(data) == read_image(tmp_path / "a").shape[:2] == (24, 40)


def test_avif_is_not_turned_by_opencv(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(picture("AVIF", 6))
    assert upright_size_hw((tmp_path / "a").read_bytes()) == read_image(tmp_path / "a").shape[:2]


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "TIFF", "WEBP"])
def test_a_damaged_header_has_no_size_and_no_error(kind: str) -> None:
    data = picture(kind, 6)
    for end in range(0, min(len(data), 400), 7):
        size = upright_size_hw(data[:end])
        assert size is None or len(size) == 2
    spoilt = bytearray(data)
    for place in range(12, min(len(data), 200)):
        spoilt[place] ^= 0xFF
        upright_size_hw(bytes(spoilt))


def test_sizes_for_a_conversion_are_upright_and_without_a_limit(tmp_path: Path) -> None:
    (tmp_path / "a.jpg").write_bytes(picture("JPEG", 6))
    header = struct.pack(">4sIIBBBBB", b"IHDR", 40_000, 30_000, 8, 2, 0, 0, 0)
    check = struct.pack(">I", zlib.crc32(header))
    bitmap = b"\x89PNG\r\n\x1a\n" + struct.pack(">I", 13) + header + check
    (tmp_path / "b.png").write_bytes(bitmap + struct.pack(">I4s", 0, b"IDAT") + bytes(4))
    sizes = read_sizes_hw(tmp_path, ["a.jpg", "b.png"], Path("faces.txt"))
    assert sizes.tolist() == [[40, 24], [30_000, 40_000]]


@pytest.mark.parametrize(
    ("name", "says"),
    [("no.jpg", "that faces.txt annotates does not exist; add it"), ("", "Is a dir")],
)
def test_a_size_that_cannot_be_read_is_one_sentence(tmp_path: Path, name: str, says: str) -> None:
    with pytest.raises(DataError, match=says):
        read_sizes_hw(tmp_path, [name], Path("faces.txt"))

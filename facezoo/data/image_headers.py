"""The size of a picture from the header of its file; no pixel is decoded."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from contextlib import contextmanager
from io import BytesIO

from PIL import Image

HEADERS = ("JPEG", "PNG", "BMP", "TIFF", "PPM", "JPEG2000", "AVIF")
"""Formats that OpenCV decodes and whose headers Pillow reads, by Pillow's names. Not GIF and WebP,
which it refuses from a lower limit of its own on."""

TURNED = ("JPEG", "MPO", "PNG")
"""Those of them that OpenCV turns upright. MPO is what Pillow calls a JPEG with further pictures
behind it (a depth map, a second view), as telephones write them. WebP is one more that is turned,
and TIFF, whose size Pillow gives as that of the upright picture."""

SIGNATURE_BYTES = 16
HEADER_FAULTS = (
    ArithmeticError,
    EOFError,
    LookupError,
    OSError,
    RuntimeError,
    SyntaxError,
    TypeError,
    ValueError,
    struct.error,
    Image.DecompressionBombError,
)
"""What Pillow raises for damaged headers."""

ORIENTATION = 0x0112  # EXIF's tag
UPRIGHT = 1
LYING = frozenset({5, 6, 7, 8})  # its values for a picture that has to be turned by 90 degrees


def stored_size_hw(data: bytes) -> tuple[int, int] | None:
    """Returns height and width in pixels by the header of an image file.

    They are those of the pixels as stored: an EXIF orientation that lays the picture on its side is
    not applied (but to a TIFF).

    Args:
        data: the file, or as much of it as holds the header.

    Returns:
        None where there is no header that can be read; OpenCV may still know the format.
    """
    if data.startswith(b"GIF8") and len(data) >= 10:
        width, height = struct.unpack_from("<HH", data, 6)
        return height, width
    if _is_webp(data):
        return _webp_size_hw(data)
    with _pillow_header(data) as image:
        return None if image is None else (image.height, image.width)


def upright_size_hw(data: bytes) -> tuple[int, int] | None:
    """Returns height and width as ``read_image`` gives them, with the EXIF orientation applied.

    See ``stored_size_hw``.
    """
    size_hw = stored_size_hw(data)
    if size_hw is None or orientation(data) not in LYING:
        return size_hw
    return size_hw[1], size_hw[0]


def orientation(data: bytes) -> int:
    """Returns the EXIF orientation that OpenCV applies to a file, 1 for none.

    Args:
        data: the file, or as much of it as holds the header.
    """
    try:
        if _is_webp(data):
            exif = Image.Exif()
            exif.load(_webp_chunk(data, b"EXIF"))
            return int(exif.get(ORIENTATION, UPRIGHT))
        with _pillow_header(data) as image:
            if image is None or image.format not in TURNED:
                return UPRIGHT
            return int(image.getexif().get(ORIENTATION, UPRIGHT))
    except HEADER_FAULTS:
        return UPRIGHT


@contextmanager
def _pillow_header(data: bytes) -> Iterator[Image.Image | None]:
    """Gives what Pillow reads of a header, None where it is none of ``HEADERS``."""
    Image.init()  # at its first call
    for name in HEADERS:
        factory, accepts = Image.OPEN.get(name, (None, None))
        if factory is None or accepts is None or accepts(data[:SIGNATURE_BYTES]) is not True:
            continue
        try:
            # Not by Image.open: it warns of pictures that are fine here, and to silence a warning
            # changes the filters of all threads.
            image = factory(BytesIO(data), "")
        except HEADER_FAULTS:
            continue
        with image:
            yield image
        return
    yield None


def _is_webp(data: bytes) -> bool:
    return data.startswith(b"RIFF") and data[8:15] == b"WEBPVP8" and len(data) >= 30


def _webp_size_hw(data: bytes) -> tuple[int, int]:
    """Returns height and width by the first chunk of a WebP (RFC 9649)."""
    kind = data[12:16]
    if kind == b"VP8X":  # extended: the canvas
        width, height = (1 + int.from_bytes(data[at : at + 3], "little") for at in (24, 27))
    elif kind == b"VP8L":  # lossless: fourteen bits each
        bits = int.from_bytes(data[21:25], "little")
        width, height = 1 + (bits & 0x3FFF), 1 + (bits >> 14 & 0x3FFF)
    else:  # the two highest bits are for display
        width, height = (one & 0x3FFF for one in struct.unpack_from("<HH", data, 26))
    return height, width


def _webp_chunk(data: bytes, name: bytes) -> bytes:
    """Returns the content of a chunk of a WebP, empty where it has none of that name."""
    place = 12
    while place + 8 <= len(data):
        size = int.from_bytes(data[place + 4 : place + 8], "little")
        if data[place : place + 4] == name:
            return data[place + 8 : place + 8 + size]
        place += 8 + size + size % 2  # chunks begin at even places
    return b""

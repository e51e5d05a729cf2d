"""Pictures from and to files, coded by OpenCV, and their sizes by their headers, from Pillow."""

import re
from contextlib import suppress
from io import BytesIO
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from facezoo.errors import DataError

MAX_PIXELS = 256_000_000
"""Most pixels of a photograph: 768 MB once decoded, which several worker processes can hold side by
side. A panorama of 20,000 x 5,000 is well below. OpenCV itself takes up to 2^30 pixels, 3.2 GB, of
which a file of some kilobytes may consist."""

JPEG_START = b"\xff\xd8"
JPEG_END = b"\xff\xd9"
# Within a scan, 0xFF stands before 0x00, a restart marker or another 0xFF; all else ends the scan.
JPEG_MARKER = re.compile(rb"\xff([^\x00\x01\xff\xd0-\xd7])")


FORMATS = ("JPEG", "PNG", "BMP", "TIFF", "PPM", "JPEG2000", "AVIF", "GIF", "WEBP")
"""Formats that OpenCV decodes and whose headers Pillow reads, by Pillow's names."""
TURNED = ("JPEG", "MPO", "PNG", "WEBP")
"""Those of them that OpenCV turns upright. MPO is what Pillow calls a JPEG with further pictures
behind it, as telephones write them. TIFF is one more, but Pillow gives its size upright."""

ORIENTATION = 0x0112  # EXIF's tag
LYING = frozenset({5, 6, 7, 8})  # its values for a picture that has to be turned by 90 degrees
SIGNATURE_BYTES = 16
CANVAS_BYTES = 30  # of a WebP, up to the size of its canvas


class TooManyPixelsError(DataError):
    """A picture that is in order, but larger than ``MAX_PIXELS``."""


def read_image(path: str | Path) -> NDArray[np.uint8]:
    """Returns a photograph as H x W x 3, uint8, RGB.

    The picture stands upright: an EXIF orientation is applied, as OpenCV, browsers and most tools
    for annotation do. (Of 400 original photographs of WIDER FACE none has one, so that its boxes
    fit either way.) Grey is repeated, of 16 bits the higher eight are kept, transparency is dropped
    without blending, and of an animation the first frame is taken.

    Args:
        path: a JPEG, PNG, WebP, BMP, TIFF ...; its name may hold any character.

    Raises:
        DataError: the file is missing, no picture, broken off, or has more than ``MAX_PIXELS`` by
            its header, which is looked at before anything is decoded. A JPEG without its end counts
            as broken off although most of it could be shown: the rest would be a grey area under
            annotated faces.
    """
    data = _read_bytes(path)
    height, width = stored_size_hw(data) or (0, 0)
    if height * width > MAX_PIXELS:
        raise TooManyPixelsError(
            f"The image {path} has {width} x {height} pixels, more than the "
            f"{MAX_PIXELS // 1_000_000} million that are read; scale it down or cut it into parts."
        )
    # OpenCV finds most of these, but where zeros fill the file up it shows grey for the rest.
    if data.startswith(JPEG_START) and not data.endswith(JPEG_END) and not _has_end(data):
        raise DataError(f"The image {path} is a JPEG that is broken off; fetch it again.")
    try:
        # From memory, as OpenCV's own reading of files fails for some names on Windows.
        image = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR_RGB)
    except cv2.error as error:
        raise DataError(f"The image {path} cannot be decoded: {error.err}.") from error
    if image is None:
        raise DataError(
            f"The image {path} cannot be decoded: it is broken off, damaged, or no picture that "
            "OpenCV knows; fetch it again or convert it to JPEG or PNG."
        )
    return np.asarray(image, np.uint8)


def read_only_image(path: str | Path) -> NDArray[np.uint8]:
    """Returns a photograph as ``read_image`` does, but read-only, as one from a cache has to be.

    That it always is lets what writes into it fail at once, not at the first one of a cache.
    """
    image = read_image(path)
    image.flags.writeable = False
    return image


def write_image(path: str | Path, image: NDArray[np.uint8], jpeg_quality: int = 95) -> None:
    """Writes a picture in the format that the ending of its name says.

    Args:
        path: such as ``a.jpg`` or ``a.png``, in any case; its name may hold any character. The
            folder is made where it is missing.
        image: H x W x 3, RGB.
        jpeg_quality: 0 to 100, for JPEG only.

    Raises:
        DataError: the ending is no format that OpenCV writes, or the format cannot hold the image.
        OSError: the file cannot be written.
    """
    path = Path(path)
    suffix = path.suffix.lower()
    is_jpeg = suffix in (".jpg", ".jpeg")
    options = [cv2.IMWRITE_JPEG_QUALITY, jpeg_quality] if is_jpeg else []
    try:
        done, data = cv2.imencode(suffix, cv2.cvtColor(image, cv2.COLOR_RGB2BGR), options)
    except cv2.error as error:
        raise DataError(f"The picture {path} cannot be encoded: {error.err}.") from error
    if not done:
        raise DataError(f"The picture {path} cannot be encoded; give its name the ending .png.")
    path.parent.mkdir(parents=True, exist_ok=True)
    # Encoded in memory, as OpenCV's own writing of files fails for some names on Windows.
    path.write_bytes(data.tobytes())


def _read_bytes(path: str | Path) -> bytes:
    """Returns the bytes of a file."""
    try:
        data = Path(path).read_bytes()
    except FileNotFoundError as error:
        raise DataError(f"The image {path} does not exist; check the path.") from error
    except OSError as error:
        raise DataError(
            f"The image {path} cannot be read ({error.strerror}); give a file that you may read."
        ) from error
    except ValueError as error:  # a zero byte in the name
        raise DataError(f"The image {str(path)!r} has no name of a file; correct it.") from error
    if not data:
        raise DataError(f"The image {path} is an empty file; fetch it again.")
    return data


def _has_end(data: bytes) -> bool:
    """Returns whether a JPEG has its end marker, whatever was appended behind it.

    The markers are followed from the start: a thumbnail within the file has an end of its own, and
    what cameras append (a video, a depth map) may hold any bytes.
    """
    place = len(JPEG_START)
    while marker := JPEG_MARKER.search(data, place):
        if marker.group() == JPEG_END:
            return True
        # The two bytes of the length count themselves.
        place = marker.end() + int.from_bytes(data[marker.end() : marker.end() + 2], "big")
    return False


def stored_size_hw(data: bytes) -> tuple[int, int] | None:
    """Returns height and width in pixels by the header of an image file; no pixel is decoded.

    They are those of the pixels as stored: an EXIF orientation that lays the picture on its side is
    not applied (but to a TIFF).

    Args:
        data: the file, or as much of it as holds the header.

    Returns:
        None where there is no header that can be read; OpenCV may still know the format.
    """
    if data.startswith(b"RIFF") and data[8:16] == b"WEBPVP8X" and len(data) >= CANVAS_BYTES:
        # Only such a WebP can have more than ``MAX_PIXELS``, and Pillow's own limit is lower.
        width, height = (1 + int.from_bytes(data[at : at + 3], "little") for at in (24, 27))
        return height, width
    image = _opened(data)
    return None if image is None else (image.height, image.width)


def upright_size_hw(data: bytes) -> tuple[int, int] | None:
    """Returns height and width as ``read_image`` gives them, with the EXIF orientation applied.

    See ``stored_size_hw``.
    """
    size_hw, image = stored_size_hw(data), _opened(data)
    if size_hw is not None and image is not None and image.format in TURNED:
        with suppress(Exception):  # see ``_opened``
            return size_hw[::-1] if image.getexif().get(ORIENTATION) in LYING else size_hw
    return size_hw


def _opened(data: bytes) -> Image.Image | None:
    """Returns what Pillow reads of a header, None where it is none of ``FORMATS``."""
    Image.init()  # at its first call
    for name in FORMATS:
        factory, accepts = Image.OPEN.get(name, (None, None))
        if factory is None or accepts is None or accepts(data[:SIGNATURE_BYTES]) is not True:
            continue
        # Not by Image.open: it warns of pictures that are fine here, and to silence a warning
        # changes the filters of all threads. A damaged header may raise nearly anything.
        with suppress(Exception):
            return factory(BytesIO(data), "")
    return None

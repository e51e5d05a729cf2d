"""How the loader gets at the pixels of photographs: through a cache or not, reduced or not."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from facezoo.config.sections import cache_bytes
from facezoo.data.images import jpeg_size_hw, read_image
from facezoo.data.loading.cache import ImageCache


@dataclass(frozen=True)
class Reading:
    """How photographs are read.

    Attributes:
        cache: keeps decoded photographs; None decodes each time.
        reduced: decode a JPEG at a half, a quarter or an eighth of its scale where the first
            transform shows no more of it.
    """

    cache: ImageCache | None = None
    reduced: bool = False

    def image(self, path: str | Path, reduction: int = 1) -> NDArray[np.uint8]:
        """Returns a photograph as ``facezoo.data.images.read_image`` does, but read-only.

        With a cache it has to be; that it always is lets what writes into it fail at once, instead
        of at the first photograph that the cache has.

        Raises:
            DataError: see there.
        """
        if self.cache is not None:
            return self.cache.read(path, reduction)
        image = read_image(path, reduction)
        image.flags.writeable = False
        return image

    def outline(self, path: str | Path) -> NDArray[np.uint8]:
        """Returns an array of the photograph's shape without its pixels, and without memory.

        It is for data sets that give it on as it is (``FaceDataset.gives_as_read``).

        What is no JPEG comes with its pixels: it is not decoded at another scale.

        Raises:
            DataError: see ``image``.
        """
        size_hw = jpeg_size_hw(path)
        if size_hw is None:
            return self.image(path)
        return np.broadcast_to(np.uint8(0), (*size_hw, 3))


PLAIN_READING = Reading()
"""Every photograph is decoded whole, each time."""


def is_outline(image: NDArray[np.uint8]) -> bool:
    """Returns whether an array is what ``Reading.outline`` gives in place of pixels."""
    return image.strides == (0, 0, 0)


def open_reading(cache: str | None, cache_limit: int | str, reduced_decoding: bool) -> Reading:
    """Returns how photographs are read, by the keys of the section ``data``.

    Args:
        cache: ``memory``, a folder, or None.
        cache_limit: bytes, as a number or such as ``8GiB``.
        reduced_decoding: see ``Reading.reduced``.

    Raises:
        ConfigError: the system has no such cache, or the limit is none.
        DataError: the folder cannot be used.
    """
    kept = None if cache is None else ImageCache(cache, cache_bytes(cache_limit))
    return Reading(kept, reduced_decoding)

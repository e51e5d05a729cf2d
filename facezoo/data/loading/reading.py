"""How the loader gets at the pixels of photographs: through a cache or not."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from facezoo.config.sections import cache_bytes
from facezoo.data.images import read_image
from facezoo.data.loading.cache import ImageCache


@dataclass(frozen=True)
class Reading:
    """How photographs are read.

    Attributes:
        cache: keeps decoded photographs; None decodes each time.
    """

    cache: ImageCache | None = None

    def image(self, path: str | Path) -> NDArray[np.uint8]:
        """Returns a photograph as ``facezoo.data.images.read_image`` does, but read-only.

        With a cache it has to be; that it always is lets what writes into it fail at once, instead
        of at the first photograph that the cache has.

        Raises:
            DataError: see there.
        """
        if self.cache is not None:
            return self.cache.read(path)
        image = read_image(path)
        image.flags.writeable = False
        return image


PLAIN_READING = Reading()
"""Every photograph is decoded whole, each time."""


def open_reading(cache: str | None, cache_limit: int | str) -> Reading:
    """Returns how photographs are read, by the keys of the section ``data``.

    Args:
        cache: ``memory``, a folder, or None.
        cache_limit: bytes, as a number or such as ``8GiB``.

    Raises:
        ConfigError: the system has no such cache, or the limit is none.
        DataError: the folder cannot be used.
    """
    kept = None if cache is None else ImageCache(cache, cache_bytes(cache_limit))
    return Reading(kept)

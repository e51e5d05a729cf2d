"""One stream of photographs for every command that looks for faces; quick to import.

Photographs are files and folders (``facezoo detect``) or the images of a data set (an evaluation).
``detect_batches`` reads them ahead in threads and gives each with its faces.
"""

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter
from typing import Any, Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

from facezoo.errors import ConfigError, DataError
from facezoo.structures import Faces

SUFFIXES = {".bmp", ".jpeg", ".jpg", ".png", ".ppm", ".tif", ".tiff", ".webp"}
READERS = 4
AHEAD = 4

Source = TypeVar("Source")
Result = TypeVar("Result")
Image = NDArray[np.uint8]
Watch = Callable[[Sequence[Any]], Iterable[Any]]
"""Passes on the batches of a loop, such as a progress bar."""


@dataclass(frozen=True)
class Photograph(Generic[Source]):
    """A photograph and the faces found in it.

    Attributes:
        source: where it is from, such as a path or an index in a data set.
        image: H x W x 3, RGB.
        faces: in its pixels.
        seconds: of reading it, of finding its faces, and from the photograph before it to the next;
            the last two are those of its batch, divided by the photographs in it.
    """

    source: Source
    image: Image
    faces: Faces
    seconds: tuple[float, float, float]

    def record(self) -> dict[str, Any]:
        """Returns what a JSON file says of the photograph, in its pixels."""
        faces: list[dict[str, Any]] = []
        for i in range(len(self.faces)):
            box = [round(side, 2) for side in self.faces.boxes[i].tolist()]
            faces.append({"box": box, "score": round(float(self.faces.scores[i]), 5)})
            if self.faces.landmarks is not None:
                points = self.faces.landmarks[i].tolist()
                faces[i]["landmarks"] = [[round(x, 2), round(y, 2)] for x, y in points]
        height, width = self.image.shape[:2]
        return {"path": str(self.source), "width": width, "height": height, "faces": faces}


def detect_batches(
    detect: Callable[[list[Image]], list[Faces]],
    batches: Sequence[Sequence[Source]],
    read: Callable[[Source], Image],
    watch: Watch = iter,
    failed: Callable[[Source, DataError], None] | None = None,
) -> Iterator[list[Photograph[Source]]]:
    """Gives batches of photographs with their faces; only a few photographs are in memory.

    Args:
        detect: such as a ``Detector``.
        batches: the photographs that are given to it together.
        read: returns a photograph.
        watch: see ``Watch``.
        failed: is called with a photograph that cannot be read and the error; the photograph is
            then left out.

    Raises:
        DataError: a photograph cannot be read, and there is no ``failed``.
    """

    def read_timed(source: Source) -> tuple[Image | DataError, float]:
        start = perf_counter()
        try:
            image: Image | DataError = read(source)
        except DataError as error:
            image = error
        return image, perf_counter() - start

    def load(batch: Sequence[Source]) -> list[tuple[Image | DataError, float]]:
        return list(map(read_timed, batch))

    last = perf_counter()
    for batch, loaded in zip(watch(batches), read_ahead(load, batches), strict=True):
        sources, images, reading = [], [], []
        for source, (image, seconds) in zip(batch, loaded, strict=True):
            if not isinstance(image, DataError):
                sources.append(source)
                images.append(image)
                reading.append(seconds)
            elif failed is None:
                raise image
            else:
                failed(source, image)
        start = perf_counter()
        faces = detect(images)
        now = perf_counter()
        count = max(1, len(images))
        times = [(one, (now - start) / count, (now - last) / count) for one in reading]
        last = now
        yield list(map(Photograph, sources, images, faces, times))


def read_ahead(load: Callable[[Source], Result], items: Sequence[Source]) -> Iterator[Result]:
    """Gives ``load(item)`` in order, while threads are busy with the next few."""
    with ThreadPoolExecutor(READERS) as pool:
        waiting: deque[Future[Result]] = deque()
        for item in items:
            waiting.append(pool.submit(load, item))
            if len(waiting) > AHEAD:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()


def in_batches(items: Sequence[Source], size: int) -> list[Sequence[Source]]:
    """Returns the items in groups of ``size``, the last of which may be smaller."""
    return [items[start : start + size] for start in range(0, len(items), size)]


def find_photographs(words: Sequence[str], out: Path | None) -> tuple[dict[Path, Path], int]:
    """Returns the photographs that some words mean.

    Args:
        words: files, taken as they are; and folders, of whose files the pictures are taken.
        out: the output folder, or None where nothing is drawn. Where it lies within one of the
            folders, the pictures in it are skipped.

    Returns:
        The photographs, each with its name below the output folder, where no two have the same;
        and the number of pictures that were skipped.

    Raises:
        DataError: a path does not exist, or there is no photograph at all.
    """
    found: dict[Path, Path] = {}
    skipped = 0
    for path in map(Path, words):
        if path.is_dir():
            drawings = out.resolve() if out and path.resolve() in out.resolve().parents else None
            for file in sorted(path.rglob("*")):
                if file.suffix.lower() not in SUFFIXES or not file.is_file():
                    continue
                if drawings in file.resolve().parents:
                    skipped += 1
                else:
                    found.setdefault(file, file.relative_to(path))
        elif path.is_file():
            known = path.suffix.lower() in SUFFIXES
            found.setdefault(path, Path(path.name if known else f"{path.name}.png"))
        else:
            raise DataError(f"There is no file or folder {path}.")
    if not found:
        raise DataError(f"There is no photograph in {', '.join(words)}.")
    return _distinct(found), skipped


def _distinct(found: dict[Path, Path]) -> dict[Path, Path]:
    """Returns the same with a number added to names that would overwrite another."""
    taken: set[Path] = set()
    for path, name in found.items():
        number, free = 2, name
        while free in taken:
            free = name.with_stem(f"{name.stem}_{number}")
            number += 1
        taken.add(free)
        found[path] = free
    return found


def check_overwrites(photographs: dict[Path, Path], out: Path | None, json: Path | None) -> None:
    """Refuses to write over a photograph, also over one that was not asked for.

    An output folder that holds photographs may hold more of them, so that nothing in it is
    overwritten; in one of its own, a second run replaces the drawings of the first.

    Args:
        photographs: see ``find_photographs``.
        out: the output folder, or None where nothing is drawn.
        json: a file that will be written, or None.

    Raises:
        ConfigError: a file to be written is a photograph, or may be one.
    """
    originals = {photograph.resolve() for photograph in photographs}
    drawings = [] if out is None else [out / name for name in photographs.values()]
    mixed = out is not None and any(out.resolve() in one.parents for one in originals)
    for path in [*drawings, *([] if json is None else [json])]:
        if path.resolve() in originals:
            raise ConfigError(
                f"Writing {path} would overwrite the photograph; give another --out or --json."
            )
    for path in drawings:
        if mixed and path.exists():
            raise ConfigError(
                f"Drawing {path} would overwrite a file in {out}, which also holds photographs; "
                "give another --out."
            )

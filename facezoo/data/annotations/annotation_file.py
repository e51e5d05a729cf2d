"""What an annotation says: faces as a few long arrays, where each stands, and what is wrong.

N faces of all images lie one after another in the order of the images; L landmarks each.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from typing_extensions import Self

from facezoo.errors import DataError
from facezoo.structures import Truth

ATTRIBUTES = ("blur", "expression", "illumination", "invalid", "occlusion", "pose")
"""WIDER FACE's attributes of a face."""

DECIMALS = 4  # of a pixel; more would only show the rounding of float32


@dataclass(frozen=True)
class Annotations:
    """The faces of a whole data set, as few objects, since each worker process has a copy.

    Attributes:
        names: image ids, which are paths within the folder of the images.
        starts: images + 1, int64; the faces of image i are rows ``starts[i]`` to ``starts[i + 1]``.
        boxes: N x 4, float64, as annotated; ``x2 <= x1`` or ``y2 <= y1`` is a box without area.
        ignore: N, bool.
        landmarks: N x L x 2, float32, NaN where unknown.
        attributes: N x A, int8, or None.
    """

    names: Sequence[str]
    starts: NDArray[np.int64]
    boxes: NDArray[np.float64]
    ignore: NDArray[np.bool_]
    landmarks: NDArray[np.float32]
    attributes: NDArray[np.int8] | None = None

    def has_area(self) -> NDArray[np.bool_]:
        """Returns N, whether a box has an area."""
        x1, y1, x2, y2 = self.boxes.T
        return (x2 > x1) & (y2 > y1)

    def known(self) -> NDArray[np.bool_]:
        """Returns N x L, whether a landmark is known."""
        return ~np.isnan(self.landmarks[..., 0])

    def truth(self, index: int) -> Truth:
        """Returns every face of image ``index``; one without area is ignored and has no extent."""
        rows = slice(*self.starts[index : index + 2].tolist())
        boxes = self.boxes[rows].copy()
        usable = (boxes[:, 2:] > boxes[:, :2]).all(axis=1)
        # A negative width must not turn into an area in somebody's formula.
        boxes[~usable, 2:] = boxes[~usable, :2]
        return Truth(
            boxes,
            self.ignore[rows] | ~usable,
            self.landmarks[rows],
            None if self.attributes is None else self.attributes[rows],
        )


@dataclass(frozen=True)
class Finding:
    """One thing that is wrong with a data set.

    Attributes:
        kind: a name in ``facezoo.datatools.inspection.KINDS``.
        where: ``file:line``, or ``file: annotations[7]`` in a json, or a file or folder.
        image: name of the image, empty where it is about none.
        message: what is wrong, without the place.
        entry: number of the image in its annotation file, -1 where it is about none.
        face: number of the face in its annotation file, -1 where it is about none.
        landmark: of the face, 0 to 4, or -1.
    """

    kind: str
    where: str
    image: str
    message: str
    entry: int = -1
    face: int = -1
    landmark: int = -1


@dataclass(frozen=True)
class Repair:
    """What is left of an annotation file.

    Attributes:
        kept: images that stay: the number of their first entry, and those of their faces.
        boxes: N x 4, float64, x1 y1 x2 y2, clipped where that was wrong.
        clipped: N, bool.
        forgotten: N x L, bool, landmarks that are unknown now.
    """

    kept: list[tuple[int, list[int]]]
    boxes: NDArray[np.float64]
    clipped: NDArray[np.bool_]
    forgotten: NDArray[np.bool_]

    def extents(self, face: int) -> list[float]:
        """Returns x, y, width, height of a box."""
        return corners_to_extents(self.boxes[face][None])[0].tolist()  # type: ignore[no-any-return]


@dataclass(frozen=True)
class AnnotationFile(Annotations):
    """An annotation as it stands in its file, right or wrong; a subclass for each format.

    Where something is wrong an image may be there twice, and what cannot be read is in ``faults``
    alone.

    Attributes:
        occluded: N x L, bool, whether a known landmark is marked as not visible.
        sizes_hw: images x 2, int32, height and width in pixels, zeros where the file has none.
        path: the file, or the folder of files.
        content: what ``rewrite`` needs of it.
        image_places: where each image stands: indices of lines, or of a list of the file.
        face_places: the same of each face.
        faults: what cannot be read.
        left_out: sentences on what the file has and this form has no place for.
        others: how many annotations are of other categories than faces.
        folder: of the images, None where it is unknown.
        split: ``train``, ``val`` or empty where nothing says it.
        title: what reports call it.

    Class attributes:
        format: its name.
        keeps: what it has a place for besides boxes: ``landmarks``, ``occluded`` (of a landmark),
            ``attributes`` and ``ignore``.
        needs_sizes: whether it cannot be written without the images' sizes.
        is_folder: whether it is a folder of files, not one file.
        example: how a path in its layout ends; None where there is no layout.
        endings: of image files that its reader knows, in lower case; None for any.
        layouts: where a data root has it, the first that is there.
    """

    occluded: NDArray[np.bool_] = field(kw_only=True)
    sizes_hw: NDArray[np.int32] = field(kw_only=True)
    path: Path = field(default=Path(), kw_only=True)
    content: Any = field(default=None, kw_only=True)
    image_places: Sequence[int] = field(default=(), kw_only=True)
    face_places: Sequence[int] = field(default=(), kw_only=True)
    faults: Sequence[Finding] = field(default=(), kw_only=True)
    left_out: Sequence[str] = field(default=(), kw_only=True)
    others: int = field(default=0, kw_only=True)
    folder: Path | None = field(default=None, kw_only=True)
    split: str = field(default="", kw_only=True)
    title: str = field(default="", kw_only=True)

    format: ClassVar[str]
    keeps: ClassVar[frozenset[str]] = frozenset()
    needs_sizes: ClassVar[bool] = False
    is_folder: ClassVar[bool] = False
    example: ClassVar[str | None] = None
    endings: ClassVar[tuple[str, ...] | None] = None
    layouts: ClassVar[tuple[str, ...]] = ()

    @classmethod
    def read(cls, path: Path, images: Path | None = None) -> Self:
        """Reads an annotation; what is wrong with an entry becomes one of ``faults``.

        Args:
            path: of the file or folder.
            images: folder of the images, for formats that need it.

        Raises:
            DataError: it is missing, empty or of another form, or it names no image.
        """
        raise NotImplementedError

    @classmethod
    def write(cls, content: AnnotationFile, path: Path) -> list[str]:
        """Writes what was read in any format, and returns sentences on what does not fit."""
        raise NotImplementedError

    def rewrite(self, repair: Repair, path: Path) -> None:
        """Writes what a repair leaves; a format whose files hold more keeps that word for word."""
        entries = [entry for entry, _ in repair.kept]
        faces = [face for _, some in repair.kept for face in some]
        left = replace(
            self,
            names=[self.names[entry] for entry in entries],
            starts=np.cumsum([0, *(len(some) for _, some in repair.kept)]),
            boxes=repair.boxes[faces],
            ignore=self.ignore[faces],
            landmarks=np.where(repair.forgotten[..., None], np.nan, self.landmarks)[faces],
            attributes=None if self.attributes is None else self.attributes[faces],
            occluded=self.occluded[faces],
            sizes_hw=self.sizes_hw[entries],
        )
        self.write(left, path)

    @classmethod
    def recognizes(cls, path: Path) -> bool:
        """Returns whether a file or folder looks like this format."""
        raise NotImplementedError

    @classmethod
    def images_folder(cls, path: Path) -> Path | None:
        """Returns where its layout has the images of an annotation; None elsewhere."""
        return None

    @classmethod
    def images_near(cls, path: Path, split: str) -> Path | None:
        """Returns the folder of images that is there, or where the layout has it."""
        above = path.resolve().parents
        places = [path.parent / "images"]
        places += [place / f"WIDER_{split}" / "images" for place in above[:3] if split]
        return next((place for place in places if place.is_dir()), cls.images_folder(path))

    @cached_property
    def owners(self) -> NDArray[np.int64]:
        """N, int64, the number of the image that each face is in."""
        return np.repeat(np.arange(len(self.names)), np.diff(self.starts))

    def rows(self) -> Iterable[tuple[str, range]]:
        """Yields the name of each image, and the rows of its faces."""
        starts = self.starts.tolist()
        return zip(self.names, map(range, starts[:-1], starts[1:]), strict=True)

    def place_of_image(self, entry: int) -> str:
        """Returns where an image stands, such as ``file:12``."""
        return f"{self.path}:{self.image_places[entry] + 1}"

    def place_of_face(self, face: int) -> str:
        """Returns where a face stands, such as ``file:13``."""
        return f"{self.path}:{self.face_places[face] + 1}"

    def strict(self, *allowed: str) -> Self:
        """Returns itself where nothing is wrong.

        Args:
            allowed: kinds of faults that may pass.

        Raises:
            DataError: with the first fault and its place.
        """
        faults = [one for one in self.faults if one.kind not in allowed]
        if not faults:
            return self
        raise DataError(
            f"{faults[0].where}: {faults[0].message}; see all {len(faults)} such places with "
            f"`facezoo data check {self.path}`."
        )

    def annotations(self) -> Annotations:
        """Returns what a data set keeps of it."""
        return Annotations(*[getattr(self, name) for name in Annotations.__dataclass_fields__])


def no_image(path: Path, faults: Sequence[Finding], advice: str) -> DataError:
    """Returns what to raise where an annotation names no image, perhaps as none can be read."""
    first = f"{faults[0].where}: {faults[0].message}" if faults else f"{path} names no image"
    return DataError(f"{first}; {advice}.")


def extents_to_corners(extents: NDArray[np.float64]) -> NDArray[np.float64]:
    """Returns N x 4 boxes ``x1, y1, x2, y2`` of N x 4: x, y, width, height."""
    return np.concatenate([extents[:, :2], extents[:, :2] + extents[:, 2:4]], axis=1)


def corners_to_extents(boxes: NDArray[np.float64]) -> NDArray[np.float64]:
    """Returns N x 4: x, y, width, height of N x 4 boxes ``x1, y1, x2, y2``, as written."""
    return pixels(np.concatenate([boxes[:, :2], boxes[:, 2:] - boxes[:, :2]], axis=1))


def pixels(values: NDArray[np.floating]) -> NDArray[np.float64]:
    """Returns coordinates as they are written, without the noise of adding and float32."""
    rounded = np.round(values.astype(np.float64), DECIMALS)
    return np.asarray(rounded + 0.0)  # as -0 is no coordinate


def as_words(numbers: Iterable[float]) -> str:
    """Returns numbers as text with spaces between, whole ones without a point."""
    return " ".join([f"{number:.12g}" for number in numbers])

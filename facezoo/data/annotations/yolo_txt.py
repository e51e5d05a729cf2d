"""YOLO's folder of labels: a text file of boxes per image, and YOLO5Face's form with landmarks."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray
from typing_extensions import Self

from facezoo.data.annotations.annotation_file import (
    DECIMALS,
    AnnotationFile,
    Finding,
    Repair,
    as_words,
)
from facezoo.data.annotations.image_files import PICTURES, list_images, read_size_hw
from facezoo.data.annotations.text_lines import face_lines, read_rows
from facezoo.errors import DataError
from facezoo.structures import NUM_LANDMARKS

UNKNOWN = -1.0
FACE_CLASS = 0
WITHOUT_LANDMARKS = 5
WITH_LANDMARKS = WITHOUT_LANDMARKS + 2 * NUM_LANDMARKS
CLASS_NAMES = "classes.txt"
"""A list of class names, which tools for annotation put beside the labels."""

SHARE_DECIMALS = 10  # of an image's width, which keeps those of a pixel up to 10^6 pixels


class YoloText(AnnotationFile):
    """A folder of labels: ``class cx cy w h`` a line, or with five landmarks ``x y`` behind.

    All but the class are shares of the image's width and height; a landmark of -1 is unknown. The
    labels of ``<name>.jpg`` are ``<name>.txt``, also in folders below; an image without such a file
    has no faces. ``image_places`` are whether there is one, ``content`` the lines that can be read
    by their place, for each image.
    """

    format: ClassVar[str] = "yolo"
    needs_sizes: ClassVar[bool] = True
    is_folder: ClassVar[bool] = True
    example: ClassVar[str | None] = "labels/val"
    endings: ClassVar[tuple[str, ...] | None] = PICTURES
    layouts: ClassVar[tuple[str, ...]] = ("labels/{split}",)

    @classmethod
    def read(cls, path: Path, images: Path | None = None, category: int = FACE_CLASS) -> Self:
        """Reads a folder of labels.

        Args:
            path: of the folder.
            images: folder of the images; None for where the layout has them.
            category: number of the class that is a face.
        """
        images = images or cls.images_folder(path)
        if images is None:
            raise DataError(
                f"{path} has no 'labels' in it to replace by 'images'; name the folder of the "
                "images with --images."
            )
        if not path.is_dir():
            raise DataError(f"The folder of labels {path} does not exist; name another.")
        found = _Labels(path, images)
        rows = np.concatenate([np.zeros((0, WITH_LANDMARKS)), *found.tables])
        counts = np.array([len(table) for table in found.tables])
        is_face = rows[:, 0] == category
        owners = np.repeat(np.arange(len(counts)), counts)[is_face]
        rows, others = rows[is_face], int((~is_face).sum())
        sizes_hw = np.array(found.sizes_hw, np.int32)
        scale = np.maximum(sizes_hw[:, ::-1], 1).astype(np.float64)[owners]
        centres, extents = rows[:, 1:3] * scale, rows[:, 3:5] * scale
        points = rows[:, WITHOUT_LANDMARKS:].reshape(-1, NUM_LANDMARKS, 2)
        known = (points != UNKNOWN).all(axis=2, keepdims=True)
        places = [place for lines in found.lines for place in lines]
        of_all = f"{others:,} of {others + len(rows):,}"
        return cls(
            names=found.names,
            starts=np.searchsorted(owners, np.arange(len(counts) + 1)).astype(np.int64),
            boxes=np.concatenate([centres - extents / 2, centres + extents / 2], axis=1),
            ignore=np.zeros(len(rows), bool),
            landmarks=np.where(known, points * scale[:, None], np.nan).astype(np.float32),
            occluded=np.zeros((len(rows), NUM_LANDMARKS), bool),
            sizes_hw=sizes_hw,
            path=path,
            content=found.lines,
            image_places=[(path / _label_of(name)).is_file() for name in found.names],
            face_places=[places[row] for row in np.flatnonzero(is_face).tolist()],
            faults=found.faults,
            left_out=[f"{of_all} rows are of other classes: left out."] if others else [],
            others=others,
        )

    @classmethod
    def write(cls, content: AnnotationFile, path: Path) -> list[str]:
        """Writes a folder of labels, one file per image, also for those without faces.

        Raises:
            DataError: two images would share a file of labels.
        """
        sizes = content.sizes_hw[:, ::-1][content.owners].astype(np.float64)
        boxes, lost = _within(content, sizes)
        values = [np.full((len(boxes), 1), FACE_CLASS), boxes]
        if "landmarks" in cls.keeps:
            points = content.landmarks / sizes[:, None]
            outside = ((points < 0) | (points > 1)).any(axis=2)
            points = np.where((content.known() & ~outside)[..., None], points, UNKNOWN)
            values.append(points.reshape(-1, 2 * NUM_LANDMARKS))
            if outside.any():
                lost.append(
                    f"A landmark in YOLO's form lies within the image: {outside.sum():,} of "
                    f"{content.known().sum():,} lie outside and are now unknown."
                )
        for name, other in _sharing(content.names).items():
            raise DataError(
                f"The images {other} and {name} have the same labels, {path / _label_of(name)}; "
                "rename one of them."
            )
        table = np.round(np.concatenate(values, axis=1), SHARE_DECIMALS)
        for name, faces in face_lines(content, table):
            _write_label(path / _label_of(name), faces)
        return lost

    def rewrite(self, repair: Repair, path: Path) -> None:
        """Writes the labels of the images that stay; without its own an image has no faces."""
        faces = {
            (int(self.owners[face]), self.face_places[face]): face
            for face in range(len(self.boxes))
        }
        path.mkdir(parents=True, exist_ok=True)
        for entry, kept in repair.kept:
            lines = []
            for place, line in self.content[entry].items():
                face = faces.get((entry, place))
                if face is None or face in kept:  # other classes stay with their images
                    lines.append(line.strip() if face is None else self._line(repair, entry, face))
            _write_label(path / _label_of(self.names[entry]), lines)

    def _line(self, repair: Repair, entry: int, face: int) -> str:
        words = self.content[entry][self.face_places[face]].split()
        if repair.clipped[face]:
            size = np.tile(self.sizes_hw[entry][::-1], 2)
            x1, y1, x2, y2 = (repair.boxes[face] / size).tolist()
            words[1:5] = as_words(((x1 + x2) / 2, (y1 + y2) / 2, x2 - x1, y2 - y1)).split()
        for landmark in np.flatnonzero(repair.forgotten[face]).tolist():
            words[5 + 2 * landmark : 7 + 2 * landmark] = ["-1"] * 2
        return " ".join(words)

    @classmethod
    def recognizes(cls, path: Path) -> bool:
        """Returns whether it is a folder that is called ``labels``, or lies in one."""
        return path.is_dir() and cls.images_folder(path) is not None

    @classmethod
    def images_folder(cls, path: Path) -> Path | None:
        """Returns the path with the last ``labels`` replaced, as YOLO's own code does."""
        parts = list(path.absolute().parts)
        if "labels" not in parts:
            return None
        last = len(parts) - 1 - parts[::-1].index("labels")
        return Path(*parts[:last], "images", *parts[last + 1 :])

    @classmethod
    def images_near(cls, path: Path, split: str) -> Path | None:
        """Returns the folder of the layout; YOLO's labels have no other."""
        return cls.images_folder(path)

    def place_of_image(self, entry: int) -> str:
        """Returns its file of labels."""
        return str(self.path / _label_of(self.names[entry]))

    def place_of_face(self, face: int) -> str:
        """Returns where a face stands, such as ``labels/a.txt:3``."""
        return f"{self.place_of_image(int(self.owners[face]))}:{self.face_places[face] + 1}"


class YoloLandmarksText(YoloText):
    """YOLO5Face's form of it; both are read the same."""

    format: ClassVar[str] = "yolo-landmarks"
    keeps: ClassVar[frozenset[str]] = frozenset({"landmarks"})
    layouts: ClassVar[tuple[str, ...]] = ()


@dataclass
class _Labels:
    """What was read: of each image its size, the table of its rows and their lines by place."""

    path: Path
    images: Path
    names: list[str] = field(default_factory=list)
    sizes_hw: list[tuple[int, int]] = field(default_factory=list)
    tables: list[NDArray[np.float64]] = field(default_factory=list)
    lines: list[dict[int, str]] = field(default_factory=list)
    faults: list[Finding] = field(default_factory=list)

    def __post_init__(self) -> None:
        names = list_images(self.images)
        sharing = _sharing(names)
        for name in names:
            label = self.path / _label_of(name)
            if name in sharing:
                message = f"the images {sharing[name]} and {name} have the same labels"
                self.faults.append(Finding("malformed", str(label), name, message))
            else:
                self._read_image(name, label)
        labels = {CLASS_NAMES, *map(_label_of, names)}
        for path in sorted(self.path.rglob("*.txt")):
            if path.relative_to(self.path).as_posix() not in labels:
                message = f"it belongs to no image in {self.images}"
                self.faults.append(Finding("malformed", str(path), "", message))

    def _read_image(self, name: str, label: Path) -> None:
        entry = len(self.names)
        self.names.append(name)
        try:
            self.sizes_hw.append(read_size_hw(self.images / name, label))
        except DataError as error:
            self.sizes_hw.append((0, 0))
            message = str(error).rpartition(";")[0]
            self.faults.append(Finding("unreadable_image", str(label), name, message, entry))
        table, lines, problems = _read_label(label)
        self.tables.append(table)
        self.lines.append(lines)
        for place, problem in sorted(problems.items()):
            where = f"{label}:{place + 1}"
            self.faults.append(Finding("malformed", where, name, problem, entry))


def _sharing(names: Sequence[str]) -> dict[str, str]:
    """Returns the images whose labels are those of an earlier one, with that one's name."""
    first: dict[str, str] = {}
    pairs = [(name, first.setdefault(_label_of(name), name)) for name in names]
    return {name: other for name, other in pairs if other != name}


def _label_of(name: str) -> str:
    """Returns the path of the labels of an image within their folder."""
    return PurePosixPath(name).with_suffix(".txt").as_posix()


def _read_label(path: Path) -> tuple[NDArray[np.float64], dict[int, str], dict[int, str]]:
    """Returns n x 15, unknown landmarks as -1; the lines, and what is wrong, by place."""
    text = path.read_text(encoding="utf-8-sig", errors="replace") if path.is_file() else ""
    lines = text.split("\n")
    places = [place for place, line in enumerate(lines) if line.strip()]
    if not places:
        return np.zeros((0, WITH_LANDMARKS)), {}, {}
    table, problems = read_rows(lines, places, (WITHOUT_LANDMARKS, WITH_LANDMARKS))
    places = [place for place in places if place not in problems]
    wrong = _problems_of_shares(table)
    problems |= {places[row]: problem for row, problem in wrong.items()}
    right = [row for row in range(len(table)) if row not in wrong]
    missing = WITH_LANDMARKS - table.shape[1]
    table = np.pad(table[right], ((0, 0), (0, missing)), constant_values=UNKNOWN)
    return table, {places[row]: lines[places[row]] for row in right}, problems


def _problems_of_shares(table: NDArray[np.float64]) -> dict[int, str]:
    """Returns by row where a class is no whole number, or a share is none."""
    within = (table >= 0) & (table <= 1)
    within[:, WITHOUT_LANDMARKS:] |= table[:, WITHOUT_LANDMARKS:] == UNKNOWN
    within[:, 0] = (table[:, 0] >= 0) & (table[:, 0] % 1 == 0)
    problems: dict[int, str] = {}
    for row, column in np.argwhere(~within).tolist():
        or_unknown = ", nor -1 for unknown" if column >= WITHOUT_LANDMARKS else ""
        what = (
            f"is no share of the image from 0 to 1{or_unknown}"
            if column
            else "is no class, which is a whole number from 0 on"
        )
        problems.setdefault(row, f"{table[row, column]:g} {what}")
    return problems


def _within(
    content: AnnotationFile, sizes: NDArray[np.float64]
) -> tuple[NDArray[np.float64], list[str]]:
    """Returns N x 4 centres and extents as shares, of boxes cut at the edges of their images."""
    low = np.clip(content.boxes[:, :2], 0, sizes)
    high = np.maximum(np.clip(content.boxes[:, 2:], 0, sizes), low)
    moved = np.abs(np.concatenate([low, high], axis=1) - content.boxes).max(axis=1, initial=0)
    cut = int((moved > 10.0**-DECIMALS).sum())
    shares = np.concatenate([(low + high) / 2 / sizes, (high - low) / sizes], axis=1)
    lost = f"A box in YOLO's form ends at the image's edge: {cut:,} of {len(low):,} were cut there."
    return shares, [lost] if cut else []


def _write_label(path: Path, lines: Sequence[str]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    text = "".join(f"{line}\n" for line in lines)
    path.write_text(text, encoding="utf-8", newline="\n")

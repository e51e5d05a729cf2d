"""``convert``: annotation from one format into another, and what is lost on the way."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple

from facezoo.data.datasets.wider_face import PICTURES as WIDERFACE_PICTURES
from facezoo.datatools.formats import coco, retinaface, widerface, yolo
from facezoo.datatools.formats.content import Content
from facezoo.datatools.formats.image_files import (
    PICTURES,
    check_placing,
    place_images,
    read_sizes_hw,
)
from facezoo.errors import ConfigError, DataError, did_you_mean

CVAT = (
    "CVAT's own xml is no longer read or written; CVAT exports and imports 'COCO Keypoints', so "
    "name the format coco, as docs/formats.md says."
)
CONTROL = re.compile(r"[\x00-\x1f\x7f]")


def _no_layout(path: Path) -> Path | None:
    """Returns None: the format does not say where its images are."""
    return None


@dataclass(frozen=True)
class Format:
    """A format of annotation.

    Attributes:
        read: the content at a path, given the folder of images where it is known.
        write: writes content, and returns sentences on what of it does not fit.
        keeps: what it has a place for besides boxes: ``landmarks``, ``occluded`` (of a landmark),
            ``attributes`` and ``ignore``.
        needs_sizes: whether it cannot be written without the images' sizes.
        is_folder: whether it is a folder of files, not one file.
        images_folder: where its layout has the images of an annotation; with one, the images are
            put there when it is written.
        example: how a path in its layout ends; None where there is no layout.
        endings: of image files that its reader knows, in lower case; None for any.
    """

    read: Callable[[Path, Path | None], Content]
    write: Callable[[Content, Path], list[str]]
    keeps: frozenset[str]
    needs_sizes: bool = True
    is_folder: bool = False
    images_folder: Callable[[Path], Path | None] = _no_layout
    example: str | None = None
    endings: frozenset[str] | None = None


EVERYTHING = frozenset({"landmarks", "occluded", "attributes", "ignore"})
FORMATS = {
    "widerface": Format(
        read=widerface.read,
        write=widerface.write,
        keeps=frozenset({"attributes", "ignore"}),
        needs_sizes=False,
        images_folder=widerface.images_folder,
        example=widerface.EXAMPLE,
        endings=frozenset(WIDERFACE_PICTURES),
    ),
    "retinaface": Format(
        read=retinaface.read,
        write=retinaface.write,
        keeps=frozenset({"landmarks", "occluded"}),
        needs_sizes=False,
    ),
    "coco": Format(read=coco.read, write=coco.write, keeps=EVERYTHING),
    "yolo": Format(
        read=yolo.read,
        write=yolo.write,
        keeps=frozenset(),
        is_folder=True,
        images_folder=yolo.images_folder,
        example=yolo.EXAMPLE,
        endings=PICTURES,
    ),
    "yolo-landmarks": Format(
        read=yolo.read,
        write=yolo.write_with_landmarks,
        keeps=frozenset({"landmarks"}),
        is_folder=True,
        images_folder=yolo.images_folder,
        example=yolo.EXAMPLE,
        endings=PICTURES,
    ),
}


class Conversion(NamedTuple):
    """What a conversion has written.

    Attributes:
        images: how many.
        faces: how many.
        lost: sentences on what the source has and the result has not, with numbers.
    """

    images: int
    faces: int
    lost: tuple[str, ...]


def convert(
    source: Path, from_format: str, to_format: str, out: Path, images: Path | None = None
) -> Conversion:
    """Reads annotation in one format and writes it in another.

    The formats are ``widerface``, ``retinaface``, ``coco``, ``yolo`` and ``yolo-landmarks``. The
    result is what the matching data set class reads. In the layouts of ``widerface`` and ``yolo``
    the images have a place beside the annotation: they are put there as hard links where the file
    system has them, otherwise as copies. Where a format needs the sizes of images, they come from
    the source, or from the headers of the images.

    Args:
        source: the annotation: a file, or YOLO's folder of labels.
        from_format: its format.
        to_format: the format to write.
        out: what to write, of the same kind as ``source``; it must not exist.
        images: folder of the images; None for where the layout of ``source`` has them.

    Raises:
        ConfigError: there is no such format.
        DataError: the source is missing or malformed, ``out`` exists or lies where its format does
            not have it, or images are needed and not there.
    """
    source, out = Path(source), Path(out)
    reader, writer = _format(from_format), _format(to_format)
    _check_places(source, out, from_format)
    folder = Path(images) if images is not None else reader.images_folder(source)
    content = reader.read(source, folder)
    _check_names(content.names, writer.endings, source, to_format)
    if writer.needs_sizes and content.sizes_hw is None:
        folder = _wanted(folder, f"{to_format} needs the sizes of the images")
        content = replace(content, sizes_hw=read_sizes_hw(folder, content.names, source))
    place = writer.images_folder(out)
    if place is None and writer.example is not None:
        raise DataError(
            f"{out} is not where the layout of {to_format} has its annotation; end --out in "
            f"{writer.example}."
        )
    if place is not None:
        folder = _wanted(folder, f"the layout of {to_format} includes the images")
        check_placing(folder, content.names, place)
    out.parent.mkdir(parents=True, exist_ok=True)
    misfits = writer.write(content, out)
    if folder is not None and place is not None:
        place_images(folder, content.names, place)
    lost = (*content.left_out, *_lost(content, writer.keeps, to_format), *misfits)
    return Conversion(len(content.names), len(content.boxes), lost)


def _format(name: str) -> Format:
    if name == "cvat":
        raise ConfigError(CVAT)
    if name not in FORMATS:
        raise ConfigError(
            f"There is no format {name!r}{did_you_mean(name, list(FORMATS))}; there are "
            f"{', '.join(FORMATS)}."
        )
    return FORMATS[name]


def _check_names(
    names: Sequence[str], endings: frozenset[str] | None, source: Path, to_format: str
) -> None:
    """Checks that each name can stand on a line of text, and in a layout of images."""
    for name in names:
        if not name or name != name.strip() or CONTROL.search(name):
            raise DataError(
                f"{source}: the image name {name!r} is empty, or has spaces at its ends or "
                "characters of control, which not every format can hold; rename the file."
            )
        if endings is not None and not name.lower().endswith(tuple(endings)):
            raise DataError(
                f"{source}: the image name {name!r} ends in none of {', '.join(sorted(endings))}, "
                f"which {to_format} is read by; convert the image."
            )


def _check_places(source: Path, out: Path, from_format: str) -> None:
    """Checks that the source is of its format's kind, and that nothing is overwritten."""
    if source.is_dir() and not FORMATS[from_format].is_folder:
        found = [*source.glob("wider_face_split/wider_face_*_bbx_gt.txt")]
        example = f", such as {min(found)}" if found and from_format == "widerface" else ""
        raise DataError(
            f"{source} is a folder, and {from_format} is read from a file; name the file of the "
            f"annotation{example}."
        )
    if out.exists():
        raise DataError(f"{out} exists already; name another --out, or remove it.")


def _wanted(folder: Path | None, reason: str) -> Path:
    if folder is None:
        raise DataError(f"The folder of the images is not known, but {reason}; name --images.")
    if not folder.is_dir():
        raise DataError(
            f"The folder of images {folder} does not exist, but {reason}; name --images."
        )
    return folder


def _lost(content: Content, keeps: frozenset[str], to_format: str) -> list[str]:
    """Returns sentences on what a format has no place for, where there is some of it."""
    total = len(content.boxes)
    known = content.known()
    with_attributes = 0 if content.attributes is None else total
    sentences = {
        "landmarks": (
            known.any(axis=1).sum(),
            f"has no landmarks: those of {{:,}} of {total:,} faces are lost.",
        ),
        "occluded": (
            content.occluded.sum(),
            f"has no mark for a hidden landmark: {{:,}} of {known.sum():,} lose it.",
        ),
        "attributes": (
            with_attributes,
            f"has no attributes: those of {{:,}} of {total:,} faces are lost.",
        ),
        "ignore": (
            content.ignore.sum(),
            f"has no mark for a face to ignore: {{:,}} of {total:,} become faces like any other.",
        ),
    }
    return [
        f"{to_format} {sentence.format(number)}"
        for name, (number, sentence) in sentences.items()
        if number and name not in keeps
    ]

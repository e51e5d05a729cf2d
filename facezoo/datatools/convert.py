"""``convert``: annotation from one format into another, and what is lost on the way."""

import os
import re
import shutil
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

from facezoo.data.annotations import FORMATS
from facezoo.data.annotations.annotation_file import AnnotationFile
from facezoo.data.annotations.image_files import read_sizes_hw
from facezoo.errors import ConfigError, DataError, did_you_mean

CVAT = (
    "CVAT's own xml is no longer read or written; CVAT exports and imports 'COCO Keypoints', so "
    "name the format coco, as docs/formats.md says."
)
CONTROL = re.compile(r"[\x00-\x1f\x7f]")


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

    The result is what the matching data set class reads. In the layouts of ``widerface`` and
    ``yolo`` the images have a place beside the annotation: they are put there as hard links where
    the file system has them, otherwise as copies. Where a format needs the sizes of images, they
    come from the source, or from the headers of the images.

    Args:
        source: the annotation: a file, or YOLO's folder of labels.
        from_format: the format of SOURCE.
        to_format: the format of PLACE. Formats are those of ``facezoo.data.annotations.FORMATS``.
        out: where to write, of the kind that the format has; it must be new.
        images: folder of the images (default: where the layout of SOURCE has them, for widerface
            and yolo).

    Raises:
        ConfigError: there is no such format.
        DataError: the source is missing or malformed, ``out`` exists or lies where its format does
            not have it, or images are needed and not there.
    """
    source, out = Path(source), Path(out)
    reader, writer = _format(from_format), _format(to_format)
    _check_places(source, out, reader)
    folder = Path(images) if images is not None else reader.images_folder(source)
    content = reader.read(source, folder).strict()
    _check_names(content.names, writer, source)
    if writer.needs_sizes and not content.sizes_hw.all():
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
        _check_placing(folder, content.names, place)
    out.parent.mkdir(parents=True, exist_ok=True)
    misfits = writer.write(content, out)
    if folder is not None and place is not None:
        place_images(folder, content.names, place)
    lost = (*content.left_out, *_lost(content, writer), *misfits)
    return Conversion(len(content.names), len(content.boxes), lost)


def place_images(folder: Path, names: Sequence[str], target: Path) -> None:
    """Puts images into another folder, as hard links where the file system has them, or copies.

    Args:
        folder: where they are.
        names: paths within it, and then within ``target``.
        target: the folder to fill; nothing is done where it is ``folder`` itself.
    """
    if target.resolve() == folder.resolve():
        return
    for name in names:
        (target / name).parent.mkdir(parents=True, exist_ok=True)
        try:
            os.link((folder / name).resolve(), target / name)
        except OSError:  # another disk, no such links there, or none to files of somebody else
            shutil.copyfile(folder / name, target / name)


def _format(name: str) -> type[AnnotationFile]:
    if name == "cvat":
        raise ConfigError(CVAT)
    if name not in FORMATS:
        raise ConfigError(
            f"There is no format {name!r}{did_you_mean(name, list(FORMATS))}; there are "
            f"{', '.join(FORMATS)}."
        )
    return FORMATS[name]


def _check_names(names: Sequence[str], writer: type[AnnotationFile], source: Path) -> None:
    """Checks that each name can stand on a line of text, and in a layout of images."""
    for name in names:
        if name != name.strip() or CONTROL.search(name):
            raise DataError(
                f"{source}: the image name {name!r} has spaces at its ends or characters of "
                "control, which not every format can hold; rename the file."
            )
        if writer.endings is not None and not name.lower().endswith(writer.endings):
            raise DataError(
                f"{source}: the image name {name!r} ends in none of {', '.join(writer.endings)}, "
                f"which {writer.format} is read by; convert the image."
            )


def _check_places(source: Path, out: Path, reader: type[AnnotationFile]) -> None:
    """Checks that the source is of its format's kind, and that nothing is overwritten."""
    if source.is_dir() and not reader.is_folder:
        found = [one for one in source.glob("*/wider_face_*_bbx_gt.txt") if reader.example]
        example = f", such as {min(found)}" if found else ""
        raise DataError(
            f"{source} is a folder, and {reader.format} is read from a file; name the file of the "
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


def _check_placing(folder: Path, names: Sequence[str], target: Path) -> None:
    """Checks that ``place_images`` will find the images and a place for them."""
    if target.resolve() != folder.resolve() and target.exists() and any(target.iterdir()):
        raise DataError(f"The folder of images {target} exists already; name another --out.")
    missing = [name for name in names if not (folder / name).is_file()]
    if missing:
        raise DataError(
            f"{len(missing)} of {len(names)} annotated images are not in {folder}, such as "
            f"{missing[0]}; add them or name the folder of the images with --images."
        )


def _lost(content: AnnotationFile, writer: type[AnnotationFile]) -> list[str]:
    """Returns sentences on what a format has no place for, where there is some of it."""
    total = len(content.boxes)
    known = content.known()
    counts = {
        "landmarks": (
            known.any(axis=1).sum(),
            f"has no landmarks: those of {{:,}} of {total:,} faces are lost.",
        ),
        "occluded": (
            content.occluded.sum(),
            f"has no mark for a hidden landmark: {{:,}} of {known.sum():,} lose it.",
        ),
        "attributes": (
            0 if content.attributes is None else total,
            f"has no attributes: those of {{:,}} of {total:,} faces are lost.",
        ),
        "ignore": (
            content.ignore.sum(),
            f"has no mark for a face to ignore: {{:,}} of {total:,} become faces like any other.",
        ),
    }
    return [
        f"{writer.format} {sentence.format(number)}"
        for name, (number, sentence) in counts.items()
        if number and name not in writer.keeps
    ]

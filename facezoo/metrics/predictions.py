"""Predictions as files: WIDER FACE's text format, and COCO's list of results.

A text file per image, ``<event>/<image>.txt`` for the image ``<event>/<image>.jpg``: its name, the
number of faces, then ``x y w h score`` a line, x and y being the top left corner in pixels.
Where ``a.jpg`` and ``a.png`` lie in one event, ``a.txt`` is of the first and ``a.png.txt`` of the
other.
"""

import json
import logging
import math
from collections.abc import Iterable, Mapping
from itertools import chain
from pathlib import Path, PurePosixPath, PureWindowsPath

import numpy as np
from numpy.typing import NDArray

from facezoo.errors import DataError
from facezoo.structures import Faces

logger = logging.getLogger(__name__)

IMAGE_SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp", ".webp")
COLUMNS = 5
NAME_BYTES = "surrogateescape"
"""How Python reads the bytes of a file name that are no UTF-8, and so those of it in a file."""


def write_widerface_predictions(folder: Path, predictions: Mapping[str, Faces]) -> None:
    """Writes one text file per image, with nine digits a number, enough for float32.

    An image that would share a file with an earlier one gets its whole name with ``.txt``, which
    ``read_widerface_predictions`` looks for first, and a line in the log.

    Args:
        folder: made where it is missing; other files in it are left alone.
        predictions: by image id.

    Raises:
        DataError: an image id would leave the folder, or two share even that file.
    """
    written: dict[Path, str] = {}
    for image_id, faces in predictions.items():
        path = _path_of(folder, image_id)
        if path in written:
            whole = _path_of_whole_name(folder, image_id)
            logger.warning(
                "Images %r and %r have one name but for the ending; %s is of the first and %s of "
                "the second.",
                written[path],
                image_id,
                path,
                whole.name,
            )
            path = whole
        if path in written:
            raise DataError(
                f"Images {written[path]!r} and {image_id!r} would share the file {path}; rename "
                "one of them."
            )
        written[path] = image_id
        lines = [path.stem, str(len(faces))]
        for row in np.column_stack([_xywh(faces), faces.scores.astype(np.float64)]).tolist():
            lines.append(" ".join(f"{value:.9g}" for value in row))
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("\n".join(lines) + "\n", encoding="utf-8", errors=NAME_BYTES)


def read_widerface_predictions(
    folder: Path, names: Iterable[str] | None = None
) -> dict[str, Faces]:
    """Reads one text file per image.

    Blank lines and extra blanks do no harm; the name in a file is not compared with the file's.

    Args:
        folder: holds ``<event>/<image>.txt``.
        names: ids of the images to read, such as ``0--Parade/0_Parade_Parade_0_164.jpg``; one
            without a file is left out of the result. By default every text file is read, as of a
            ``.jpg`` where its name has no ending of an image before ``.txt``.

    Returns:
        Faces by image id, best score first.

    Raises:
        DataError: there is no such folder or it has no text file, a file is malformed, or a name
            leads out of the folder.
    """
    check_folder(folder)
    if names is None:
        paths = {
            _image_of(path.relative_to(folder)): path for path in sorted(folder.rglob("*.txt"))
        }
        if not paths:
            raise DataError(f"{folder} holds no predictions <event>/<image>.txt.")
    else:
        usual = {name: _path_of(folder, name) for name in names}
        whole = {name: _path_of_whole_name(folder, name) for name in names}
        paths = {name: whole[name] if whole[name].is_file() else usual[name] for name in names}
    predictions = {}
    for image_id, path in paths.items():
        try:
            text = path.read_text(encoding="utf-8", errors=NAME_BYTES)
        except FileNotFoundError:
            continue
        except OSError as error:
            raise DataError(f"{path} cannot be read ({error}); write it again.") from error
        predictions[image_id] = _parse(path, text)
    return predictions


def check_folder(folder: Path) -> None:
    """Raises DataError unless a folder of predictions is there."""
    if not folder.is_dir():
        raise DataError(f"There is no folder of predictions {folder}; give an existing one.")


def write_coco_predictions(path: Path, predictions: Mapping[str, Faces]) -> None:
    """Writes a JSON list of COCO results; ``image_id`` is the id as it is, a string.

    Args:
        path: of the file, whose folder is made where it is missing.
        predictions: by image id.
    """
    results = [
        {"image_id": image_id, "category_id": 1, "bbox": box, "score": score}
        for image_id, faces in predictions.items()
        for box, score in zip(_xywh(faces).tolist(), faces.scores.tolist(), strict=True)
    ]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(results), encoding="utf-8")


def _xywh(faces: Faces) -> NDArray[np.float64]:
    boxes = faces.boxes.astype(np.float64)
    boxes[:, 2:] -= boxes[:, :2]
    return boxes


def _path_of(folder: Path, image_id: str) -> Path:
    """Returns the text file of an image; refuses one outside the folder, on any system."""
    relative = PurePosixPath(image_id)
    leaves = relative.is_absolute() or PureWindowsPath(image_id).anchor or "\\" in image_id
    if leaves or ".." in relative.parts or not relative.name:
        raise DataError(
            f"The image id {image_id!r} leads out of {folder}; ids are like <event>/<image>.jpg."
        )
    is_image = relative.suffix.lower() in IMAGE_SUFFIXES
    return folder / relative.with_name((relative.stem if is_image else relative.name) + ".txt")


def _path_of_whole_name(folder: Path, image_id: str) -> Path:
    """Returns the text file of an image whose usual one is another's."""
    return _path_of(folder, image_id).with_name(f"{PurePosixPath(image_id).name}.txt")


def _image_of(path: Path) -> str:
    """Returns the id of the image that a text file is of."""
    named = path.with_suffix("")
    is_whole = named.suffix.lower() in IMAGE_SUFFIXES
    return (named if is_whole else path.with_suffix(".jpg")).as_posix()


def _parse(path: Path, text: str) -> Faces:
    rows = [words for words in map(str.split, text.splitlines()) if words]
    try:
        (count,) = map(int, rows[1])
        values = np.fromiter(map(float, chain.from_iterable(rows[2:])), np.float64)
        fits = count == len(rows) - 2 and all(len(row) == COLUMNS for row in rows[2:])
    except (IndexError, ValueError):
        fits = False
    if not fits or not np.isfinite(values).all() or (values.reshape(-1, COLUMNS)[:, 2:4] < 0).any():
        raise DataError(_what_is_wrong(path, text))
    boxes, scores = np.split(values.reshape(-1, COLUMNS), [4], axis=1)
    boxes[:, 2:] += boxes[:, :2]
    order = np.argsort(-scores[:, 0], kind="stable")
    return Faces(boxes[order].astype(np.float32), scores[order, 0].astype(np.float32))


def _what_is_wrong(path: Path, text: str) -> str:
    """Returns the sentence about the first fault of a malformed file."""
    lines = [(i, line) for i, line in enumerate(text.splitlines(), 1) if line.strip()]
    if len(lines) < 2:
        return f"{path} ends before the number of faces; it takes a name, a number, then the faces."
    (number, line), faces = lines[1], lines[2:]
    try:
        count = int(line)
    except ValueError:
        return f"{path}:{number} has {line.strip()!r} where the number of faces belongs."
    for number, line in faces:
        try:
            values = [float(word) for word in line.split()]
        except ValueError:
            values = []
        if len(values) != COLUMNS or not all(map(math.isfinite, values)):
            return f"{path}:{number} has {line.strip()!r} instead of x y w h score, five numbers."
        if min(values[2:4]) < 0:
            return f"{path}:{number} has a box of negative width or height: {line.strip()!r}."
    return f"{path}:{lines[1][0]} says {count} faces, but {len(faces)} follow."

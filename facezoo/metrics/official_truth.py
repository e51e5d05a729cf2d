"""The annotation of WIDER FACE's evaluation tool: four ``.mat`` files."""

import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from facezoo.errors import DataError

SUBSETS = ("easy", "medium", "hard")
LAYOUT = Path("eval_tools", "ground_truth")
"""Where the official tool keeps the four files."""
_UNREADABLE = (LookupError, ValueError, TypeError, OSError, NotImplementedError, zlib.error)
"""What SciPy raises for files that are cut off, damaged or of another kind."""


@dataclass(frozen=True)
class OfficialTruth:
    """All faces of the set, and which of them each subset counts; it ignores the others."""

    boxes: dict[str, NDArray[np.float64]]  # by image id, n x 4, x1 y1 x2 y2 in pixels
    counted: dict[str, dict[str, NDArray[np.bool_]]]  # by subset and image id, n


def read_official_truth(folder: Path) -> OfficialTruth:
    """Reads ``wider_face_val.mat`` and ``wider_{easy,medium,hard}_val.mat``.

    Raises:
        DataError: a file is missing or is not what the official tool comes with.
    """
    check_official_truth(folder)
    faces = _read(folder / "wider_face_val.mat", "event_list", "file_list", "face_bbx_list")
    boxes: dict[str, NDArray[np.float64]] = {}
    for event, files, of_event in zip(*(column.ravel() for column in faces), strict=True):
        for name, xywh in zip(files.ravel(), of_event.ravel(), strict=True):
            corners = np.array(xywh, dtype=np.float64).reshape(-1, 4)
            corners[:, 2:] += corners[:, :2]
            boxes[f"{event.item()}/{name.item()}.jpg"] = corners
    counted = {subset: _counted(folder / f"wider_{subset}_val.mat", boxes) for subset in SUBSETS}
    return OfficialTruth(boxes, counted)


def find_official_truth(*places: Path) -> Path | None:
    """Returns the first ``eval_tools/ground_truth`` that is in one of the folders, or None."""
    return next((place / LAYOUT for place in places if (place / LAYOUT).is_dir()), None)


def check_official_truth(folder: Path) -> None:
    """Raises DataError unless the four files are there."""
    names = ["wider_face_val.mat", *(f"wider_{subset}_val.mat" for subset in SUBSETS)]
    missing = [name for name in names if not (folder / name).is_file()]
    if missing:
        raise DataError(
            f"{folder} lacks {', '.join(missing)}; give the folder eval_tools/ground_truth of "
            "WIDER FACE's evaluation tool."
        )


def _counted(path: Path, boxes: dict[str, NDArray[np.float64]]) -> dict[str, NDArray[np.bool_]]:
    """Returns by image id which faces a subset counts: the file lists them from 1."""
    (lists,) = _read(path, "gt_list")
    places = [of_image for of_event in lists.ravel() for of_image in of_event.ravel()]
    if len(places) != len(boxes):
        raise DataError(
            f"{path} is about {len(places)} images and wider_face_val.mat beside it about "
            f"{len(boxes)}; take the four files from one download."
        )
    counted = {}
    for (image_id, corners), listed in zip(boxes.items(), places, strict=True):
        counts = np.zeros(len(corners), dtype=np.bool_)
        try:
            counts[listed.ravel().astype(np.intp) - 1] = True
        except IndexError as error:
            raise DataError(
                f"{path} lists a face of {image_id} that wider_face_val.mat beside it does not "
                "have; take the four files from one download."
            ) from error
        counted[image_id] = counts
    return counted


def _read(path: Path, *names: str) -> list[NDArray[Any]]:
    # SciPy takes as long to import as the files take to read; only this function needs it.
    from scipy.io import loadmat
    from scipy.io.matlab import MatReadError

    try:
        content = loadmat(path, variable_names=names)
        return [content[name] for name in names]
    except (*_UNREADABLE, MatReadError) as error:
        raise DataError(
            f"{path} cannot be read as a file of WIDER FACE's evaluation tool ({error}); "
            "download it again."
        ) from error

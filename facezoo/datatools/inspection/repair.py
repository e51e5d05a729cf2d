"""Writes annotations without what was found wrong with them, and a list of what changed."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from facezoo.data.annotations.annotation_file import AnnotationFile, Finding, Repair
from facezoo.datatools.inspection.check import KINDS, Change, Inspection
from facezoo.errors import ConfigError, DataError

CHANGES = "changes.txt"


def write_repaired(inspections: Sequence[Inspection], root: Path, out: Path) -> list[Path]:
    """Writes cleaned copies of the annotations, in their formats, and ``changes.txt``.

    Args:
        inspections: of the data set.
        root: what was inspected; copies of the files in a folder keep their places in it.
        out: folder of the copies.

    Returns:
        The files.

    Raises:
        ConfigError: see ``copies_of``.
        DataError: nothing is left of a file.
    """
    copies = copies_of([one.file for one in inspections], root, out)
    repairs = [_repaired(one) for one in inspections]
    lines: list[str] = []
    for inspection, (repair, changes), path in zip(inspections, repairs, copies, strict=True):
        path.parent.mkdir(parents=True, exist_ok=True)
        inspection.file.rewrite(repair, path)
        lines += [f"{inspection.file.path} -> {path}: {len(changes)} changes", *changes]
    (out / CHANGES).write_text("\n".join(lines) + "\n", encoding="utf-8", newline="\n")
    return [*copies, out / CHANGES]


def copies_of(files: Sequence[AnnotationFile], root: Path, out: Path) -> list[Path]:
    """Returns where the cleaned copy of each file goes.

    Raises:
        ConfigError: something is there already; nothing is ever written over.
    """
    parts = [one.path.name if one.path == root else one.path.relative_to(root) for one in files]
    copies = [out / part for part in parts]
    for path in (*copies, out / CHANGES):
        if path.exists():
            raise ConfigError(f"{path} exists already; give --fix an empty or new folder.")
    return copies


def _repaired(inspection: Inspection) -> tuple[Repair, list[str]]:
    """Returns what is left of an annotation file after an inspection, and the changes."""
    # An image of which no face is left goes too: with none it would teach that there is none.
    file = inspection.file
    by_change: dict[Change, list[Finding]] = {change: [] for change in Change}
    for finding in inspection.findings:
        by_change[KINDS[finding.kind].change].append(finding)
    boxes, clipped = _clipped(inspection, by_change[Change.CLIP])
    forgotten = np.zeros(file.landmarks.shape[:2], bool)
    for finding in by_change[Change.UNKNOWN]:
        forgotten[finding.face, finding.landmark] = True
    gone_faces = {finding.face for finding in by_change[Change.REMOVE_FACE]}
    gone_images = {finding.image for finding in by_change[Change.REMOVE_IMAGE]}
    # A face that could not be read was one nevertheless.
    spoilt = {one.image for one in [*by_change[Change.LEAVE_OUT], *by_change[Change.COUNT]]}
    kept: list[tuple[int, list[int]]] = []
    emptied: list[str] = []
    for name, (first, faces) in _joined(file).items():
        left = [face for face in faces if face not in gone_faces]
        if name in gone_images:
            continue
        if not left and (faces or name in spoilt):
            emptied.append(f"{file.place_of_image(first)}: {name}: no face is left; image removed")
        else:
            kept.append((first, left))
    if not kept:
        raise DataError(f"Nothing is left of {file.path} after its repair; correct it by hand.")
    changes = [
        f"{one.where}: {one.image}: {one.message}; {change.value}"
        for change, findings in by_change.items()
        for one in findings
        if change is not Change.NOTHING
    ]
    return Repair(kept, boxes, clipped, forgotten), [*changes, *emptied]


def _joined(file: AnnotationFile) -> dict[str, tuple[int, list[int]]]:
    """Returns by name the first entry of each image and the faces of all its entries."""
    images: dict[str, tuple[int, list[int]]] = {}
    for entry, name in enumerate(file.names):
        images.setdefault(name, (entry, []))
    for name, faces in file.rows():
        images[name][1].extend(faces)
    return images


def _clipped(
    inspection: Inspection, findings: Sequence[Finding]
) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    file = inspection.file
    clipped = np.zeros(len(file.boxes), bool)
    clipped[[finding.face for finding in findings]] = True
    limits = np.tile(inspection.sizes_hw[file.owners][:, ::-1], 2)
    boxes = np.where(clipped[:, None], np.clip(file.boxes, 0, limits), file.boxes)
    return boxes, clipped

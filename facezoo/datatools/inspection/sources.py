"""From a data root to the annotation files in it."""

from __future__ import annotations

from pathlib import Path

from facezoo.datatools.inspection.annotation_file import AnnotationFile
from facezoo.datatools.inspection.coco_entries import read_coco
from facezoo.datatools.inspection.text_lines import read_text
from facezoo.errors import ConfigError, DataError

SPLITS = ("train", "val")


def open_annotation_files(root: Path, split: str | None = None) -> list[AnnotationFile]:
    """Reads the annotation of a data set, however malformed it is.

    Args:
        root: a folder in the layout of WIDER FACE (whose annotation may lie in
            ``wider_face_split`` or in the folder itself, and whose landmarks are found as
            ``retinaface_labels/<split>/label.txt`` or ``<split>/label.txt``), a COCO json beside
            its images, or one text file of either format.
        split: ``train`` or ``val``; None for what is there.

    Returns:
        One for each file, train first.

    Raises:
        DataError: there is nothing that can be read.
        ConfigError: a split is named together with a single file.
    """
    if root.is_dir():
        return _files_of_folder(root, SPLITS if split is None else (split,))
    if not root.is_file():
        raise DataError(
            f"There is no file or folder {root}; give a folder in the layout of WIDER FACE, a COCO "
            "json, or an annotation file."
        )
    if split is not None:
        raise ConfigError(f"--split chooses in a folder, but {root} is one file; leave it out.")
    return [_single_file(root)]


def _files_of_folder(root: Path, splits: tuple[str, ...]) -> list[AnnotationFile]:
    found: list[AnnotationFile] = []
    for split in splits:
        name = f"wider_face_{split}_bbx_gt.txt"
        official = _first_file(root / "wider_face_split" / name, root / name)
        labels = _first_file(
            root / "retinaface_labels" / split / "label.txt", root / split / "label.txt"
        )
        for path, title in ((official, split), (labels, f"{split}, landmarks")):
            if path is not None:
                one = read_text(path)
                one.title, one.split = title, split
                one.folder = _folder(path, split)
                # In the official layout images belong there, whether or not they are.
                if one.folder is None and path.parent.name == "wider_face_split":
                    one.folder = root / f"WIDER_{split}" / "images"
                found.append(one)
    if not found:
        names = " or ".join(f"wider_face_split/wider_face_{split}_bbx_gt.txt" for split in splits)
        raise DataError(
            f"The folder {root} is no data set that facezoo knows: it has no {names}; name another "
            "folder, a COCO json, or an annotation file."
        )
    return found


def _single_file(path: Path) -> AnnotationFile:
    if path.suffix.lower() == ".json":
        one = read_coco(path)
        one.folder = path.parent
    else:
        one = read_text(path)
        words = (path.parent.name, *path.stem.split("_"))
        one.split = next((split for split in SPLITS if split in words), "")
        one.folder = _folder(path, one.split)
    one.title = path.name
    return one


def _folder(path: Path, split: str) -> Path | None:
    """Returns the folder of images that belongs to a text file, None where none is there."""
    above = path.resolve().parents
    places = [path.parent / "images"]
    places += [place / f"WIDER_{split}" / "images" for place in above[:3] if split]
    return next((place for place in places if place.is_dir()), None)


def _first_file(*paths: Path) -> Path | None:
    return next((path for path in paths if path.is_file()), None)

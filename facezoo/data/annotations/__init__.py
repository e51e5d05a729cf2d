"""Annotation formats, a file each: read tolerantly, with findings, and written.

A data set's annotation is opened by its root (``open_annotation_files``) or by the name of its
format (``FORMATS``). To add a format, write a subclass of ``AnnotationFile`` and list it here.
"""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from facezoo.data.annotations.annotation_file import AnnotationFile
from facezoo.data.annotations.coco_json import CocoJson
from facezoo.data.annotations.retinaface_txt import RetinaFaceText
from facezoo.data.annotations.widerface_txt import WiderFaceText
from facezoo.data.annotations.yolo_txt import YoloLandmarksText, YoloText
from facezoo.errors import ConfigError, DataError

FORMATS: dict[str, type[AnnotationFile]] = {
    one.format: one
    for one in (WiderFaceText, RetinaFaceText, CocoJson, YoloText, YoloLandmarksText)
}
RECOGNIZED = (CocoJson, YoloText, RetinaFaceText, WiderFaceText)
SPLITS = ("train", "val")


def open_annotation_files(root: Path, split: str | None = None) -> list[AnnotationFile]:
    """Reads the annotation of a data set, however malformed it is.

    Args:
        root: a folder in the layout of WIDER FACE (whose annotation may lie in
            ``wider_face_split`` or in the folder itself, and whose landmarks are found as
            ``retinaface_labels/<split>/label.txt`` or ``<split>/label.txt``) or of YOLO
            (``labels/<split>`` and ``images/<split>``), or one annotation: a COCO json beside its
            images, a text file of WIDER FACE or RetinaFace, or YOLO's folder of labels.
        split: ``train`` or ``val``; None for what is there.

    Returns:
        One for each annotation, train first.

    Raises:
        DataError: there is nothing that can be read.
        ConfigError: a split is named together with a single annotation.
    """
    if not root.exists():
        raise DataError(
            f"There is no file or folder {root}; give a folder in the layout of WIDER FACE or of "
            "YOLO, a COCO json, or an annotation file."
        )
    splits = SPLITS if split is None else (split,)
    found = [one for wanted in splits for one in _in_layout(root, wanted)]
    if found:
        return found
    kind = next((one for one in RECOGNIZED if one.recognizes(root)), None)
    if kind is None:
        names = " or ".join(f"wider_face_split/wider_face_{one}_bbx_gt.txt" for one in splits)
        raise DataError(
            f"The folder {root} is no data set that facezoo knows: it has no {names} and no labels "
            "of YOLO; name another folder, a COCO json, or an annotation file."
        )
    if split is not None:
        raise ConfigError(f"--split chooses in a folder, but {root} is one file; leave it out.")
    words = (root.absolute().parent.name, *root.stem.split("_"))
    split = next((one for one in SPLITS if one in words), "")
    return [_opened(kind, root, split, root.name)]


def _in_layout(root: Path, split: str) -> Iterator[AnnotationFile]:
    """Yields what a data root has of a split."""
    for kind in FORMATS.values():
        paths = [root / layout.format(split=split) for layout in kind.layouts]
        path = next((one for one in paths if one.exists()), None)
        if path is not None:
            landmarks = ", landmarks" if kind is RetinaFaceText else ""
            yield _opened(kind, path, split, split + landmarks)


def _opened(kind: type[AnnotationFile], path: Path, split: str, title: str) -> AnnotationFile:
    folder = kind.images_near(path, split)
    return replace(kind.read(path, folder), folder=folder, split=split, title=title)

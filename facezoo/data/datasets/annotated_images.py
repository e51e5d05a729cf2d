"""Data sets of photographs in a folder: any annotation, a json of COCO, labels of YOLO."""

import logging
from dataclasses import replace
from pathlib import Path

import numpy as np

from facezoo.data.annotations.annotation_file import Annotations
from facezoo.data.annotations.coco_json import CocoJson
from facezoo.data.annotations.yolo_txt import YoloText
from facezoo.data.datasets.face_dataset import FaceDataset, ReadImage
from facezoo.errors import DataError
from facezoo.registry import DATASETS
from facezoo.structures import NUM_LANDMARKS, Sample, Truth

logger = logging.getLogger(__name__)


class AnnotatedImages(FaceDataset):
    """Photographs in a folder with annotated faces.

    A face whose box has no area cannot be taught: it is left out of the samples, and is an ignored
    box without area in the truth, whose rows are those of the annotation file.

    Args:
        folder: of the images.
        annotations: of all of them.
        source: the annotation file, for messages.

    Attributes:
        counts: how many ``images`` and ``faces`` the annotation has, and how many of the faces are
            ``dropped`` (boxes without area), ``ignored`` and ``with_landmarks`` (at least one).
    """

    num_landmarks = NUM_LANDMARKS

    def __init__(self, folder: Path, annotations: Annotations, source: Path) -> None:
        self.folder = folder
        self.annotations = annotations
        self.source = source
        self._usable = annotations.has_area()
        self.counts = {
            "images": len(annotations.names),
            "faces": len(annotations.boxes),
            "dropped": int((~self._usable).sum()),
            "ignored": int((annotations.ignore & self._usable).sum()),
            "with_landmarks": int(annotations.known().any(axis=1).sum()),
        }
        if self.counts["dropped"]:
            logger.warning(
                "%s: dropped %d of %d faces, whose boxes have no area",
                source,
                self.counts["dropped"],
                self.counts["faces"],
            )
        logger.info("%s: %s", source, ", ".join(f"{n} {name}" for name, n in self.counts.items()))

    def __len__(self) -> int:
        return len(self.annotations.names)

    def sample(self, index: int, read: ReadImage) -> Sample:
        """Returns image ``index`` with its faces; only here the image is read, by ``read``."""
        all_of, number = self.annotations, self.checked(index)
        rows = slice(*all_of.starts[number : number + 2].tolist())
        keep = self._usable[rows]
        path = self.folder / self.image_id(index)
        return Sample(
            image=read(path),
            boxes=all_of.boxes[rows][keep].astype(np.float32),
            landmarks=all_of.landmarks[rows][keep],
            ignore=all_of.ignore[rows][keep],
            labels=np.zeros(int(keep.sum()), np.int64),
            image_id=self.image_id(index),
            path=str(path),
            attributes=None if all_of.attributes is None else all_of.attributes[rows][keep],
        )

    def truth(self, index: int) -> Truth:
        """Returns the faces of image ``index``; see ``Annotations.truth``."""
        return self.annotations.truth(self.checked(index))

    def image_id(self, index: int) -> str:
        """Returns the path of image ``index`` within the folder of the images."""
        return self.annotations.names[self.checked(index)]


@DATASETS.register
class CocoFaces(AnnotatedImages):
    """Faces from a json in COCO's format, with or without five keypoints.

    Image ids are the ``file_name``s, in the order of the json; within an image its faces have the
    order of the json. ``bbox`` is x, y, width, height. A face with ``iscrowd`` or ``ignore`` of 1
    is set to ignore. ``keypoints`` are five times x, y, visibility, in the order of
    ``facezoo.structures``; visibility 0 is unknown, a face without keypoints has none that is
    known.

    Args:
        images: folder of the images.
        json: file of the annotation.
        category: name of the category that is a face; None for the only one of the file, or the one
            of several that is named ``face``.

    Attributes:
        counts: see ``AnnotatedImages``; also ``other_categories``, annotations left out as they
            are not of ``category``.

    Raises:
        DataError: a file is missing or malformed.
    """

    def __init__(self, images: Path, json: Path, category: str | None = None) -> None:
        images, json = Path(images), Path(json)
        if not images.is_dir():
            raise DataError(f"The folder of images {images} does not exist; name another.")
        file = CocoJson.read(json, category=category).strict()
        # Attributes are WIDER FACE's; in a json they are other tools' as well.
        super().__init__(images, replace(file.annotations(), attributes=None), json)
        self._sizes_hw = file.sizes_hw
        self.counts["other_categories"] = file.others

    def sample(self, index: int, read: ReadImage) -> Sample:
        """Returns image ``index`` with its faces, read by ``read``.

        Raises:
            IndexError: there is no such image.
            DataError: it cannot be read, or has not the size that the json says.
        """
        sample = super().sample(index, read)
        height, width = self._sizes_hw[index].tolist()
        if (height, width) not in ((0, 0), sample.image.shape[:2]):
            raise DataError(
                f"The image {sample.path} has {sample.image.shape[1]} x {sample.image.shape[0]} "
                f"pixels, but its annotation in {self.source} is for {width} x {height}; correct "
                "the json, or give the images that were annotated."
            )
        return sample


@DATASETS.register
class YoloFaces(AnnotatedImages):
    """Faces from YOLO's text files, one per image, with or without landmarks.

    The labels of ``images/<name>.jpg`` are ``labels/<name>.txt``, also in folders below. A line is
    ``class cx cy w h``, or YOLO5Face's ``class cx cy w h x1 y1 ... x5 y5``, in shares of the
    image's width and height; a landmark of -1 is unknown. Image ids are the paths within
    ``images``, sorted. As in YOLO, an image without a label file has no faces; such images are
    counted. The format has no flag to ignore a face.

    Args:
        images: folder of the images.
        labels: folder of the text files.
        category: number of the class that is a face.

    Attributes:
        counts: see ``AnnotatedImages``; also ``unlabelled``, images without a label file, and
            ``other_categories``, rows left out as they are not of ``category``.

    Raises:
        DataError: a folder is missing, a line malformed, or an image of some labels is missing.
    """

    def __init__(self, images: Path, labels: Path, category: int = 0) -> None:
        images, labels = Path(images), Path(labels)
        file = YoloText.read(labels, images, category).strict()
        super().__init__(images, file.annotations(), labels)
        self.counts["unlabelled"] = len(file.names) - sum(file.image_places)
        self.counts["other_categories"] = file.others

"""``SyntheticFaces``: the data set that needs no download and no file."""

import numpy as np

from facezoo.data.datasets.face_dataset import FaceDataset
from facezoo.errors import ConfigError
from facezoo.registry import DATASETS
from facezoo.structures import NUM_LANDMARKS, Sample, Truth
from facezoo.synthetic.figures import Dice, Figure
from facezoo.synthetic.scene import LARGEST_SHARE, Space, annotate, paint_scene, plan_scene


@DATASETS.register
class SyntheticFaces(FaceDataset):
    """Drawn people in drawn places, with exact boxes and landmarks.

    Image i follows from (seed, i) alone: the same in each process and in any order, whatever the
    length of the data set. Two seeds share no image. About one image in twelve shows no face, one
    in eight a crowd of 15 or more. Things without a face (balls, clocks, hands, people seen from
    behind ...) stand among the people.

    A box runs from the hairline (of a bald head: its top) to the chin and from ear to ear, as WIDER
    FACE draws them, also where hair, a hat or another person hides a part. The middle of a face is
    always in the image; where the border cuts a face its box ends there. A landmark is NaN where
    the face's own turn, another figure or the border hides it; eyes behind glasses count as seen.
    A face of which less than 30 % is seen is set to ignore, one that does not show at all is not
    annotated.

    Args:
        seed: of all images; train and val take different ones.
        num_images: length of the data set.
        image_size: side of square images, or (height, width), in pixels.
        face_sizes: lowest and highest face in pixels (its box before the border cuts it; what the
            cut leaves is at least the lowest). Heights are drawn log-uniformly; none is above 0.95
            of the image's shorter side.
        max_faces: most faces of one image; 0 for places without people.

    Raises:
        ConfigError: an argument is out of range.
    """

    num_landmarks = NUM_LANDMARKS

    def __init__(
        self,
        seed: int = 0,
        num_images: int = 1000,
        image_size: int | tuple[int, int] = 320,
        face_sizes: tuple[int, int] = (6, 300),
        max_faces: int = 60,
    ) -> None:
        height, width = (
            (image_size, image_size) if isinstance(image_size, int) else tuple(image_size)
        )
        low, high = face_sizes
        largest = min(float(high), LARGEST_SHARE * min(height, width))
        if min(seed, num_images, max_faces) < 0:
            raise ConfigError(
                f"SyntheticFaces: seed ({seed}), num_images ({num_images}) and max_faces "
                f"({max_faces}) must not be negative."
            )
        if min(height, width) < 32:
            raise ConfigError(
                f"SyntheticFaces: image_size {image_size} is too small; give at least 32 pixels."
            )
        if not 4 <= low <= largest or low > high:
            raise ConfigError(
                f"SyntheticFaces: face_sizes {list(face_sizes)} must rise from at least 4 pixels, "
                f"and its first must fit into {LARGEST_SHARE} of the image's shorter side "
                f"({min(height, width)} pixels)."
            )
        self.seed = seed
        self.num_images = num_images
        self.space = Space(height, width, (float(low), largest), max_faces)

    def __len__(self) -> int:
        return self.num_images

    def __getitem__(self, index: int) -> Sample:
        """Returns image ``index``, painted anew."""
        figures, truth = self._plan(index)
        assert truth.landmarks is not None
        image = paint_scene(self._dice(index, 1), figures, self.space)
        return Sample(
            image=image,
            boxes=truth.boxes.astype(np.float32),
            landmarks=truth.landmarks,
            ignore=truth.ignore,
            labels=np.zeros(len(truth.boxes), np.int64),
            image_id=self.image_id(index),
        )

    def truth(self, index: int) -> Truth:
        """Returns the faces of image ``index``; nothing is painted."""
        return self._plan(index)[1]

    def image_id(self, index: int) -> str:
        """Returns ``synthetic_<seed>/<index>.jpg``, in the form of WIDER FACE's ids."""
        return f"synthetic_{self.seed}/{self.checked(index):06d}.jpg"

    def _dice(self, index: int, stream: int) -> Dice:
        source = np.random.SeedSequence(self.seed, spawn_key=(self.checked(index), stream))
        return Dice(np.random.Generator(np.random.Philox(source)))

    def _plan(self, index: int) -> tuple[list[Figure], Truth]:
        figures = plan_scene(self._dice(index, 0), self.space)
        return figures, annotate(figures, self.space)

"""What is done to a whole batch on its device: the mirror image, colours and sharpness."""

import math
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import pad

from facezoo.data.transforms.colour import GREY_WEIGHTS, ColorJitter
from facezoo.data.transforms.transform import Transform, check_range
from facezoo.errors import ConfigError
from facezoo.registry import TRANSFORMS
from facezoo.structures import MIRRORED_LANDMARKS, NUM_LANDMARKS, Batch, Sample

UNCHANGED = [*np.eye(3).ravel().tolist(), 0.0]
SIGMAS_IN_KERNEL = 3


class BatchTransform(Transform):
    """A change of a whole batch on its device, listed in ``data.train.batch_transforms``.

    What is random about an image is drawn from its own generator, on the CPU, as a few numbers; the
    change is one tensor expression over the batch, that treats each image by its numbers and looks
    at no other, and waits for no device. So an image comes out the same in whatever slice of a
    batch it is, and where it stands there.
    """

    of_batches = True

    def draw(self, generator: np.random.Generator) -> list[float]:
        """Returns the numbers of an image, as many for each."""
        raise NotImplementedError

    def change(self, batch: Batch, numbers: Tensor) -> Batch:
        """Returns the changed batch; the one that was given is left as it is.

        Args:
            batch: its images and targets on the device, uint8.
            numbers: B x K, float32, on the CPU: what ``draw`` gave for each image.
        """
        raise NotImplementedError

    def __call__(self, sample: Sample, generator: np.random.Generator) -> Sample:
        """Raises a ConfigError: a sample is no batch."""
        raise ConfigError(
            f"{type(self).__name__} changes whole batches; list it in data.train.batch_transforms."
        )


@TRANSFORMS.register
class BatchFlip(BatchTransform):
    """Mirrors left and right, each image on its own; see ``Flip``.

    Args:
        p: probability.

    Raises:
        ConfigError: ``p`` is no probability.
    """

    def __init__(self, p: float = 0.5) -> None:
        check_range("BatchFlip", "probability", p=p)
        self.p = p

    def draw(self, generator: np.random.Generator) -> list[float]:
        """Returns 1 for an image that is to be mirrored, else 0."""
        return [float(generator.random() < self.p)]

    def change(self, batch: Batch, numbers: Tensor) -> Batch:
        """Returns the batch, some of its images mirrored with their faces and maps."""
        images, targets = batch.images, batch.targets
        width = images.shape[-1]
        on_cpu = numbers[:, 0] > 0
        flipped = on_cpu.to(images.device, non_blocking=True)[:, None, None]
        x1, y1, x2, y2 = targets.boxes.unbind(-1)
        boxes = torch.stack([width - x2, y1, width - x1, y2], dim=-1)
        x, y = targets.landmarks.unbind(-1)
        known, points = targets.landmarks_valid, torch.stack([width - x, y], dim=-1)
        if known.shape[-1] == NUM_LANDMARKS:  # only five have an order for mirror images
            order = list(MIRRORED_LANDMARKS)
            known, points = known[..., order], points[..., order, :]
        points = torch.where(known[..., None], points, 0.0)
        mirror = torch.tensor([[-1.0, 0, width], [0, 1, 0]], dtype=batch.maps.dtype)
        maps = batch.maps[..., :2] @ mirror
        maps[..., 2] += batch.maps[..., 2]
        return replace(
            batch,
            images=laid_out_as(images, torch.where(flipped[..., None], images.flip(-1), images)),
            targets=replace(
                targets,
                boxes=torch.where(flipped & targets.valid[..., None], boxes, targets.boxes),
                landmarks=torch.where(flipped[..., None], points, targets.landmarks),
                landmarks_valid=torch.where(flipped, known, targets.landmarks_valid),
            ),
            maps=torch.where(on_cpu[:, None, None], maps, batch.maps),
        )


def laid_out_as(images: Tensor, changed: Tensor) -> Tensor:
    """Returns changed images in the memory layout of those before the change."""
    if images.is_contiguous(memory_format=torch.channels_last):
        return changed.contiguous(memory_format=torch.channels_last)
    return changed.contiguous()


@TRANSFORMS.register
class BatchColorJitter(BatchTransform, ColorJitter):
    """Changes brightness, contrast, saturation and hue of each image, as ``ColorJitter`` does."""

    def draw(self, generator: np.random.Generator) -> list[float]:
        """Returns a 3 x 3 matrix of colours and the share of the image's mean grey to add."""
        change = self.draw_change(generator)
        return UNCHANGED if change is None else [*change[0].ravel().tolist(), change[1]]

    def change(self, batch: Batch, numbers: Tensor) -> Batch:
        """Returns the batch in other colours."""
        images = batch.images
        moved = numbers.to(images.device, non_blocking=True)
        # A sum of integers is the same in any order.
        sums = images.sum((2, 3), dtype=torch.int64).float()
        weights = torch.from_numpy(GREY_WEIGHTS).float().to(images.device, non_blocking=True)
        greys = (sums * weights).sum(1) / images[0, 0].numel()
        matrices, shares = moved[:, :9].reshape(-1, 3, 3), moved[:, 9]
        return replace(batch, images=recoloured(images, matrices, shares * greys))


@TRANSFORMS.register
class BatchGrey(BatchTransform):
    """Takes the colour out of some images, by the weights of ITU-R BT.601.

    Args:
        p: probability.

    Raises:
        ConfigError: ``p`` is no probability.
    """

    def __init__(self, p: float = 0.1) -> None:
        check_range("BatchGrey", "probability", p=p)
        self.p = p

    def draw(self, generator: np.random.Generator) -> list[float]:
        """Returns the 3 x 3 matrix of colours of an image."""
        grey = generator.random() < self.p
        return np.ravel(np.tile(GREY_WEIGHTS, (3, 1)) if grey else np.eye(3)).tolist()

    def change(self, batch: Batch, numbers: Tensor) -> Batch:
        """Returns the batch, some of its images grey."""
        matrices = numbers.to(batch.images.device, non_blocking=True).reshape(-1, 3, 3)
        images = recoloured(batch.images, matrices, matrices.new_zeros(len(matrices)))
        return replace(batch, images=images)


@TRANSFORMS.register
class BatchGaussianBlur(BatchTransform):
    """Blurs some images, each by a width of its own; what lies beyond the border is mirrored.

    Args:
        sigma: lowest and highest width of the Gaussian, in pixels, drawn uniformly.
        p: probability.

    Raises:
        ConfigError: an argument is out of range.
    """

    def __init__(self, sigma: tuple[float, float] = (0.3, 1.5), p: float = 0.1) -> None:
        if not 0 < sigma[0] <= sigma[1]:
            raise ConfigError(
                f"sigma of BatchGaussianBlur is {list(sigma)}; give the lowest, above 0, and then "
                "the highest."
            )
        check_range("BatchGaussianBlur", "probability", p=p)
        self.sigma = sigma
        self.p = p
        self.radius = math.ceil(SIGMAS_IN_KERNEL * sigma[1])

    def draw(self, generator: np.random.Generator) -> list[float]:
        """Returns half of a symmetric kernel, from its middle on."""
        places = np.arange(self.radius + 1)
        if generator.random() >= self.p:
            return (places == 0).astype(float).tolist()
        weights = np.exp(-0.5 * (places / generator.uniform(*self.sigma)) ** 2)
        return (weights / (2 * weights.sum() - weights[0])).tolist()

    def change(self, batch: Batch, numbers: Tensor) -> Batch:
        """Returns the batch, some of its images blurred.

        Raises:
            ConfigError: a side of the images is no longer than the kernel reaches.
        """
        images = batch.images
        if min(images.shape[2:]) <= self.radius:
            raise ConfigError(
                f"BatchGaussianBlur looks {self.radius} pixels far, but images have "
                f"{images.shape[3]} x {images.shape[2]}; give a smaller sigma."
            )
        weights = numbers.to(images.device, non_blocking=True)[..., None, None, None]
        pixels = pad(images.float(), [self.radius] * 4, mode="reflect")
        for axis in (2, 3):
            length = images.shape[axis]
            shifted = [pixels.narrow(axis, start, length) for start in range(2 * self.radius + 1)]
            pixels = shifted[self.radius] * weights[:, 0]
            for distance in range(1, self.radius + 1):
                pair = shifted[self.radius - distance] + shifted[self.radius + distance]
                pixels = pixels.addcmul(pair, weights[:, distance])
        return replace(batch, images=laid_out_as(images, _to_bytes(pixels)))


def recoloured(images: Tensor, matrices: Tensor, offsets: Tensor) -> Tensor:
    """Returns images in other colours, in the memory layout that they have.

    The ``matrices`` are B x 3 x 3, from the old colours to the new; ``offsets`` are B, added to all
    channels.
    """
    old = [channel.float() for channel in images.unbind(1)]
    factors = matrices[..., None, None]
    # Not by a product of matrices, whose rounding may depend on the number of images.
    new = [
        sum(factors[:, row, column] * old[column] for column in range(3)) + offsets[:, None, None]
        for row in range(3)
    ]
    return laid_out_as(images, torch.stack([_to_bytes(one) for one in new], dim=1))


def _to_bytes(values: Tensor) -> Tensor:
    return values.round().clamp(0, 255).to(torch.uint8)

"""The one way from photographs to faces: load, scale, pad, predict, map back.

Every command that finds faces goes through ``Detector``, so that their numbers agree for the same
batches. Scaling is OpenCV's bilinear resize to the size that the protocol asks for. The scaled
image lies in the upper left corner of one whose sides are multiples of the model's coarsest
stride, and the rest has the colour of the mean, unless the model's ``Padding`` says otherwise.
"""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from facezoo.config.config import Config
from facezoo.data.images import read_image
from facezoo.errors import ConfigError, DataError
from facezoo.inference.loading import choose_device, load_model
from facezoo.inference.protocols import Protocol, configured_protocol, parse_protocol
from facezoo.inference.voting import unmirrored, vote
from facezoo.models.face_detector import FaceDetector
from facezoo.structures import Faces
from facezoo.zoo.catalogue import DEFAULT_MODEL

SCORE_THRESH = 0.02
NMS_THRESH = 0.4
"""The thresholds of RetinaFace's evaluation on WIDER FACE, where a config has none."""

BATCH_SIZE = 8
"""Photographs that go through a network at once."""

MAX_PIXELS = BATCH_SIZE * 1280 * 1280
"""Padded pixels of a batch: one of the photographs of WIDER FACE, 1024 wide, stays whole."""


class Detector:
    """Finds faces in photographs with one model, at one scale or in several views.

    Args:
        model: a ``FaceDetector``, which is used as it is; or what ``load_model`` takes: a name in
            the zoo, a YAML file, a mapping, a Config, a run folder, a checkpoint.
        weights: see ``load_model``; only for a model that is not built yet, as are the next two.
        overrides: see ``load_model``.
        allow_imports: see ``load_model``.
        protocol: the scale; see ``facezoo.inference.protocols``. Names that the config gives under
            ``evaluation.protocols`` count too. None is the config's own, without one ``original``.
        score_thresh: lowest score of a face, by default the config's.
        nms_thresh: IoU above which the worse of two faces is dropped, by default the config's.
        device: ``auto`` (CUDA, else MPS, else the CPU) or a device of torch. By default a model
            that is built already stays where it is, and any other goes where ``auto`` says.
        batch_size: the most photographs that are predicted together. It bounds memory; on some
            devices it also moves results by rounding errors.
        max_pixels: the most padded pixels that are predicted together, which bounds memory where
            photographs are large: fewer than ``batch_size`` of them go through the network then,
            but always one. Nothing is scaled down for it.

    Raises:
        FacezooError: a config, a weights file, the protocol, a threshold, a bound or the device is
            wrong.
    """

    def __init__(
        self,
        model: FaceDetector | str | Path | Mapping[str, Any] | Config = DEFAULT_MODEL,
        *,
        weights: str | Path | None = None,
        overrides: Sequence[str] = (),
        allow_imports: bool = False,
        protocol: str | Mapping[str, Any] | Protocol | None = "original",
        score_thresh: float | None = None,
        nms_thresh: float | None = None,
        device: str | None = None,
        batch_size: int = BATCH_SIZE,
        max_pixels: int = MAX_PIXELS,
    ) -> None:
        for bound, value in (("batch_size", batch_size), ("max_pixels", max_pixels)):
            if value < 1:
                raise ConfigError(f"{bound} is {value}; give at least 1.")
        self.batch_size, self.max_pixels = batch_size, max_pixels
        self.config: Config | None = None
        self.weights: Path | None = None
        configured: Mapping[str, Any] = {}
        if isinstance(model, nn.Module):
            if weights is not None or overrides:
                raise ConfigError("Weights and overrides go with a model that is not built yet.")
            self.model = model
            self.protocol = parse_protocol(protocol or "original")
            if device is not None:
                self.model.to(choose_device(device))
        else:
            place = choose_device(device or "auto")
            loaded = load_model(model, weights, overrides, allow_imports=allow_imports)
            self.protocol = configured_protocol(loaded.config, protocol)
            configured = loaded.config["evaluation"]
            self.config, self.weights = loaded.config, loaded.weights
            self.model = loaded.model.to(place).to(memory_format=torch.channels_last)
        self.score_thresh = _threshold("score_thresh", score_thresh, configured, SCORE_THRESH)
        self.nms_thresh = _threshold("nms_thresh", nms_thresh, configured, NMS_THRESH)

    def __call__(self, images: Sequence[str | Path | NDArray[np.uint8]]) -> list[Faces]:
        """Returns the faces of each photograph, in its pixels, best score first.

        Photographs of one padded size are predicted together, ``batch_size`` and ``max_pixels`` at
        most; nothing of a photograph's result depends on the others but rounding errors.

        Args:
            images: a list, also for one photograph, of files, or arrays H x W x 3, uint8, RGB.
                Grey arrays (H x W or H x W x 1) count as equal red, green and blue; all others
                are refused.

        Raises:
            DataError: a file cannot be read, an array is not an image, or one photograph is given
                without a list around it.
        """
        _check_is_list(images)
        found: list[Faces] = []
        with evaluation_mode(self.model), torch.inference_mode():
            for start in range(0, len(images), self.batch_size):
                found += self._detect(images[start : start + self.batch_size])
        return found

    @property
    def device(self) -> torch.device:
        """Where the model runs."""
        return next(self.model.parameters()).device

    @property
    def device_name(self) -> str:
        """The name of the graphics card that the model runs on, else the kind of the device."""
        place = self.device
        return torch.cuda.get_device_name(place) if place.type == "cuda" else place.type

    def describe(self) -> dict[str, Any]:
        """Returns what fixes the result, as it is to stand beside a number."""
        protocol, stride = self.protocol, self.model.stride
        described: dict[str, Any] = {}
        if self.config is not None:
            described |= {"model": self.config.name, "weights": str(self.weights)}
        described["protocol"] = protocol.name()
        if protocol.own_name:
            described["protocol_definition"] = protocol.definition()
        described["resize"] = "none" if protocol.rule == "original" else "bilinear"
        if len(protocol.views()) > 1:
            described["joined"] = f"box voting at IoU {self.nms_thresh}"
        padding = self.model.pixels.padding
        where = "on both sides" if padding.centred else "right and below"
        square = "a square of sides of " if padding.square else ""
        described["padding"] = (
            f"RGB {self.model.pixels.padding_rgb()} {where}, to {square}a multiple of {stride} px"
        )
        return described | {"score_thresh": self.score_thresh, "nms_thresh": self.nms_thresh}

    def _detect(self, images: Sequence[str | Path | NDArray[np.uint8]]) -> list[Faces]:
        photographs = [as_rgb(image) for image in images]
        views = [
            self._detect_view(photographs, scale, mirrored)
            for scale, mirrored in self.protocol.views()
        ]
        if len(views) == 1:
            return views[0]
        return [vote(found, self.nms_thresh) for found in zip(*views, strict=True)]

    def _detect_view(
        self, photographs: Sequence[NDArray[np.uint8]], scale: Protocol, mirrored: bool
    ) -> list[Faces]:
        """Returns the faces of each photograph at one scale, found in its mirror image or not."""
        if mirrored:
            faces = self._detect_view([one[:, ::-1] for one in photographs], scale, False)
            widths = [one.shape[1] for one in photographs]
            return [unmirrored(*pair) for pair in zip(faces, widths, strict=True)]
        groups: dict[tuple[int, int], list[int]] = defaultdict(list)
        scaled, corners, maps = [], [], []
        for i, photograph in enumerate(photographs):
            scaled.append(scale_image(photograph, scale))
            size = self._padded_size_hw(scaled[i])
            corners.append(self._corner(scaled[i], size))
            maps.append(map_to_original(scaled[i].shape, photograph.shape, corners[i]))
            groups[size].append(i)
        found: dict[int, Faces] = {}
        device = self.device
        for (height, width), members in self._chunks(groups):
            batch = np.empty((len(members), height, width, 3), dtype=np.uint8)
            batch[:] = self.model.pixels.padding_rgb()
            for place, i in enumerate(members):
                (x, y), (rows, columns) = corners[i], scaled[i].shape[:2]
                batch[place, y : y + rows, x : x + columns] = scaled[i]
            # Rows of RGB pixels seen as B x 3 x H x W are channels_last without a copy.
            predicted = self.model.predict(
                torch.from_numpy(batch).permute(0, 3, 1, 2).to(device),
                torch.from_numpy(np.stack([maps[i] for i in members])),
                self.score_thresh,
                self.nms_thresh,
            )
            found.update(zip(members, predicted, strict=True))
        return [found[i] for i in range(len(photographs))]

    def _chunks(
        self, groups: Mapping[tuple[int, int], list[int]]
    ) -> Iterator[tuple[tuple[int, int], list[int]]]:
        """Gives the groups of one padded size in parts that ``max_pixels`` allows."""
        for (height, width), members in groups.items():
            most = max(1, self.max_pixels // (height * width))
            for start in range(0, len(members), most):
                yield (height, width), members[start : start + most]

    def _padded_size_hw(self, image: NDArray[np.uint8]) -> tuple[int, int]:
        stride = self.model.stride
        height, width = (-(-side // stride) * stride for side in image.shape[:2])
        if self.model.pixels.padding.square:
            height = width = max(height, width)
        return height, width

    def _corner(self, image: NDArray[np.uint8], padded_hw: tuple[int, int]) -> tuple[int, int]:
        """Returns where the upper left corner of the image lies in the padded one, x and y."""
        if not self.model.pixels.padding.centred:
            return 0, 0
        return (padded_hw[1] - image.shape[1]) // 2, (padded_hw[0] - image.shape[0]) // 2


def _check_is_list(images: object) -> None:
    if isinstance(images, (str, Path)):
        given = f"the single file {str(images)!r}"
    elif isinstance(images, np.ndarray) and images.ndim in (2, 3):
        given = f"a single array of shape {images.shape}"
    elif not isinstance(images, (Sequence, np.ndarray)):
        given = f"a single {type(images).__name__}"
    else:
        return
    raise DataError(f"A Detector takes a list of photographs, not {given}; put it into [ ].")


def as_rgb(image: str | Path | NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Returns a photograph as H x W x 3, uint8, RGB, from a file or an array.

    Raises:
        DataError: the file cannot be read, or the array is neither RGB nor grey with 8 bits.
    """
    if isinstance(image, (str, Path)):
        return read_image(image)
    if not isinstance(image, np.ndarray):
        raise DataError(
            f"An image is a {type(image).__name__}; give a file or an array, which for a PIL image "
            'is numpy.asarray(image.convert("RGB")).'
        )
    if image.dtype != np.uint8:
        raise DataError(
            f"An image is an array of {image.dtype}; give 8 bits (uint8, 0 to 255), which for 16 "
            "bits is (image // 257).astype(numpy.uint8)."
        )
    if image.size and (image.ndim == 2 or (image.ndim == 3 and image.shape[2] == 1)):
        return np.repeat(image.reshape(*image.shape[:2], 1), 3, axis=2)
    if image.ndim == 3 and image.shape[2] == 4:
        raise DataError(
            "An image has four channels; lay it over a background of your choice, or drop its "
            "transparency with image[..., :3]."
        )
    if image.ndim != 3 or image.shape[2] != 3 or not image.size:
        raise DataError(
            f"An image is an array of shape {image.shape}; give height x width x 3, RGB."
        )
    return image


def scale_image(image: NDArray[np.uint8], protocol: Protocol) -> NDArray[np.uint8]:
    """Returns the image at the size that a protocol asks for, resized bilinearly by OpenCV."""
    height, width = protocol.target_size_hw((image.shape[0], image.shape[1]))
    if (height, width) == image.shape[:2]:
        return image
    scaled = cv2.resize(image, (width, height), interpolation=cv2.INTER_LINEAR)
    return scaled  # type: ignore[return-value]  # the stubs of OpenCV know no 8 bits


def map_to_original(
    scaled_shape: tuple[int, ...],
    original_shape: tuple[int, ...],
    corner_xy: tuple[int, int] = (0, 0),
) -> NDArray[np.float64]:
    """Returns the 2 x 3 map from pixels of a scaled and padded image to those of its original.

    Coordinates are those of pixel edges (0 is the outer edge of the first pixel), so that scaling
    moves nothing and the two sides' scales may differ by the rounding of the size.
    """
    x = original_shape[1] / scaled_shape[1]
    y = original_shape[0] / scaled_shape[0]
    return np.array([[x, 0, -corner_xy[0] * x], [0, y, -corner_xy[1] * y]])


@contextmanager
def evaluation_mode(model: nn.Module) -> Iterator[None]:
    """Puts a model into evaluation mode, and every part back into its own mode afterwards."""
    modes = [(module, module.training) for module in model.modules()]
    model.eval()
    try:
        yield
    finally:
        for module, training in modes:
            module.training = training


def _threshold(
    name: str, given: float | None, configured: Mapping[str, Any], default: float
) -> float:
    value = configured.get(name, default) if given is None else given
    if not 0 <= value <= 1:
        raise ConfigError(f"{name} is {value}; give a number from 0 to 1.")
    return float(value)

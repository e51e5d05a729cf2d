"""The adapter for albumentations: any of its transforms by its own name."""

import inspect
import os
import random
from dataclasses import replace
from functools import cache
from types import ModuleType
from typing import Any

import numpy as np
from pydantic import ValidationError

from facezoo.data.transforms.geometric import mirrored_order
from facezoo.data.transforms.transform import (
    PROBES,
    SMALLEST_SIDE,
    Transform,
    box_centres,
    compose,
    nearest_affine,
    within_view,
)
from facezoo.errors import ConfigError, did_you_mean
from facezoo.registry import TRANSFORMS
from facezoo.structures import Sample

_MIRRORING_BORDERS = (2, 3, 4)
"""OpenCV's BORDER_REFLECT, BORDER_WRAP and BORDER_REFLECT_101, which show faces a second time."""

_SCALING = (
    "LongestMaxSize",
    "RandomResizedCrop",
    "RandomScale",
    "RandomSizedCrop",
    "Resize",
    "SmallestMaxSize",
)
"""Transforms that multiply points by the scale, which is right for continuous coordinates; the
others take points by the index of the pixel, whose middle is half a pixel further."""


@TRANSFORMS.register_adapter("albumentations")
class Albumentations(Transform):
    """A transform of albumentations: ``{type: albumentations.MotionBlur, p: 0.1, blur_limit: 7}``.

    Boxes, landmarks and the map to the original follow the image. A face whose centre leaves it, or
    of which the library keeps no box, is dropped and counted; boxes end at the border; a landmark
    outside is NaN. Where the transform mirrors, eyes and mouth corners change places. A transform
    that is no affine map (Perspective, ElasticTransform ...) moves boxes and landmarks as the
    library does, while ``to_original`` becomes the affine map nearest to it over the image; where
    it displaces each pixel (ElasticTransform, GridDistortion ...), the library's search for the
    landmarks is right to about a pixel and takes a second or more per image.

    A box of less than 0.01 pixel in width or height is dropped by transforms that move boxes.

    Args:
        name: class in albumentations, of those that take one image: neither compositions (OneOf
            ...) nor transforms that need a mask, a second image or a volume.
        p: probability; None is the transform's own default.
        arguments: of that class.

    Raises:
        ConfigError: there is no such transform or argument, or a value does not fit.
    """

    def __init__(self, name: str, p: float | None = None, **arguments: Any) -> None:
        given = arguments if p is None else {"p": p, **arguments}
        transform = _make(name, given)
        _check_needs(name, transform)
        self.name = name
        self.p = float(transform.p)
        transform.p = 1.0  # the draw is made here, before anything is prepared for the library
        self.half = 0.0 if name in _SCALING else 0.5
        library = _library()
        self.moves_pixels = isinstance(transform, library.DualTransform)
        self.runner = transform
        if self.moves_pixels:
            _check_faces_follow(name, transform)
            self.runner = library.Compose(
                [transform],
                bbox_params=library.BboxParams(
                    "pascal_voc", min_width=SMALLEST_SIDE, min_height=SMALLEST_SIDE
                ),
                keypoint_params=library.KeypointParams("xy", remove_invisible=False),
                strict=True,
            )

    def __call__(self, sample: Sample, generator: np.random.Generator) -> Sample:
        """Returns the sample, changed with probability ``p``.

        Raises:
            ConfigError: the library refuses the sample, or gives something other than 8-bit RGB.
        """
        if generator.random() >= self.p:
            return sample
        self.runner.set_random_state(generator, random.Random(int(generator.integers(2**63))))
        if self.moves_pixels:
            return self._change_view(sample)
        return replace(sample, image=self._run(sample, image=sample.image)["image"])

    def _run(self, sample: Sample, **data: Any) -> dict[str, Any]:
        """Returns what the library makes of the data, its image checked."""
        try:
            result = self.runner(**data)
        except Exception as error:
            raise ConfigError(
                f"albumentations.{self.name} fails on image {sample.image_id} of "
                f"{sample.image.shape[1]} x {sample.image.shape[0]} pixels: {error}"
            ) from error
        image = result["image"]
        if not (
            isinstance(image, np.ndarray)
            and image.dtype == np.uint8
            and image.ndim == 3
            and image.shape[2] == 3
        ):
            raise ConfigError(
                f"albumentations.{self.name} does not give 8-bit RGB; the model normalises on its "
                "own device, so leave such a transform out."
            )
        return result

    def _change_view(self, sample: Sample) -> Sample:
        """Returns the sample changed by a transform that moves pixels."""
        size = np.array([sample.image.shape[1], sample.image.shape[0]])
        boxes = np.clip(sample.boxes.astype(np.float64), 0, np.tile(size, 2))
        usable = np.flatnonzero((boxes[:, 2:] - boxes[:, :2] >= SMALLEST_SIDE).all(1))
        known = np.isfinite(sample.landmarks).all(-1)
        probes, centres = PROBES * size, box_centres(sample.boxes)
        points = np.concatenate([probes, centres, sample.landmarks[known]])
        result = self._run(
            sample,
            image=sample.image,
            bboxes=np.column_stack([boxes[usable], usable]),
            keypoints=points - self.half,
        )
        moved = np.asarray(result["keypoints"], np.float64)[:, :2] + self.half
        if len(moved) != len(points):
            raise ConfigError(
                f"albumentations.{self.name} does not keep count of the landmarks; leave it out."
            )
        ends = np.cumsum([len(probes), len(centres)])
        moved_probes, moved_centres, seen = np.split(moved, ends)
        back = nearest_affine(moved_probes, probes)
        landmarks = np.full_like(sample.landmarks, np.nan)
        landmarks[known] = seen
        if np.linalg.det(back[:, :2]) < 0:
            landmarks = mirrored_order(landmarks)
        kept = np.asarray(result["bboxes"], np.float64).reshape(-1, 5)
        order = kept[:, -1].astype(np.intp)
        changed = replace(
            sample,
            image=result["image"],
            landmarks=landmarks,
            to_original=compose(sample.to_original, back),
            dropped=sample.dropped + len(sample.boxes) - len(order),
        ).select(order)
        changed = replace(changed, boxes=kept[:, :4].astype(np.float32))
        return within_view(changed, moved_centres[order])


def _library() -> ModuleType:
    """Imports albumentations, on first use since it takes seconds, without its version check."""
    os.environ.setdefault("NO_ALBUMENTATIONS_UPDATE", "1")
    import albumentations

    return albumentations


@cache
def _names() -> tuple[str, ...]:
    """Returns the names of the library's transforms of an image."""
    library = _library()
    bases = (library.ImageOnlyTransform, library.DualTransform)
    return tuple(
        sorted(
            name
            for name, one in vars(library).items()
            if isinstance(one, type)
            and issubclass(one, bases)
            and not issubclass(one, library.Transform3D)
            and one not in (*bases, library.Lambda)
        )
    )


def _make(name: str, given: dict[str, Any]) -> Any:
    """Returns the library's transform; an error has a sentence for each wrong argument."""
    if name not in _names():
        near = did_you_mean(name, _names())
        raise ConfigError(
            f"albumentations has no transform {name!r} for one image{near}; its documentation "
            "lists them."
        )
    kind = getattr(_library(), name)
    known = [one for one in inspect.signature(kind).parameters if one != "strict"]
    unknown = [one for one in given if one not in known]
    if unknown:
        raise ConfigError(
            [
                f"{one} is no argument of albumentations.{name}{did_you_mean(one, known)}; "
                f"it takes {', '.join(known)}."
                for one in unknown
            ]
        )
    if "keypoint_remapping_method" in known:  # the default, through a mask, loses points
        given = {"keypoint_remapping_method": "direct", **given}
    owner = next(one for one in kind.__mro__ if "__init__" in vars(one))
    strict = {"strict": True} if "InitSchema" in vars(owner) else {}  # the others do not know it
    try:
        return kind(**given, **strict)
    except (ValueError, TypeError) as error:
        cause = error.__cause__
        if not isinstance(cause, ValidationError):
            raise ConfigError(f"albumentations.{name} refuses its arguments: {error}") from error
        raise ConfigError(_complaints(name, given, cause.errors(include_url=False))) from error


def _complaints(name: str, given: dict[str, Any], errors: list[Any]) -> list[str]:
    """Returns a sentence for each argument that pydantic complains of."""
    reasons: dict[str, list[str]] = {}
    for one in errors:
        argument = str(one["loc"][0]) if one["loc"] else ""
        if argument in given:
            start = f"{argument} of albumentations.{name} is {given[argument]!r}"
        elif argument:
            start = f"{argument} of albumentations.{name} has to be given"
        else:
            start = f"albumentations.{name} refuses its arguments"
        reasons.setdefault(start, []).append(one["msg"])
    return [f"{start}: {' or '.join(dict.fromkeys(why))}." for start, why in reasons.items()]


def _check_needs(name: str, transform: Any) -> None:
    """Raises a ConfigError where a transform takes more than an image and its faces."""
    needs = sorted(set(transform.targets_as_params) - {"image", "bboxes", "keypoints"})
    if needs:
        raise ConfigError(
            f"{name!r} of albumentations needs {', '.join(needs)}, which no data set gives; take "
            "another transform."
        )


def _check_faces_follow(name: str, transform: Any) -> None:
    """Raises a ConfigError where boxes and landmarks could not follow a transform."""
    targets = transform._targets if isinstance(transform._targets, tuple) else ()
    if not {"BBOXES", "KEYPOINTS"} <= {target.name for target in targets}:
        raise ConfigError(
            f"{name!r} of albumentations does not move boxes and landmarks; take another transform."
        )
    if getattr(transform, "border_mode", 0) in _MIRRORING_BORDERS:
        raise ConfigError(
            f"border_mode of albumentations.{name} is {transform.border_mode}, which shows faces a "
            "second time at the border; give 0 (a colour) or 1 (the border's pixels)."
        )

"""From the ``data`` section of a config to data sets and transforms."""

from collections.abc import Mapping
from typing import Any, Literal

from facezoo.builder import UNBUILT, Builder, add_to_context
from facezoo.config.config import Config
from facezoo.data.datasets.face_dataset import FaceDataset
from facezoo.data.transforms.batch import BatchTransform
from facezoo.data.transforms.transform import Transform
from facezoo.registry import DATASETS, TRANSFORMS


def build_dataset(
    config: Config, split: Literal["train", "val"]
) -> tuple[FaceDataset, list[Transform]]:
    """Builds the data set and the transforms of a split.

    ``data.root`` and ``data.image_size`` serve where a data set or a transform leaves them out.

    Raises:
        FacezooError: see ``facezoo.build``; a DataError where the data is not there.
    """
    builder = Builder(config)
    return builder.finish(_split(builder, config, split))


def build_batch_transforms(config: Config) -> list[BatchTransform]:
    """Builds what is done to whole batches of training, on their device.

    Raises:
        ConfigError: see ``facezoo.build``.
    """
    builder = Builder(config)
    return builder.finish(_transforms(builder, config, "data.train.batch_transforms", {}))


def check_data(builder: Builder, config: Config) -> None:
    """Builds the section as a whole; what is wrong is noted in the builder."""
    for split in ("train", "val"):
        if config.get(f"data.{split}") is not None:
            _split(builder, config, split)
    _transforms(builder, config, "data.train.batch_transforms", {})


def _split(builder: Builder, config: Config, split: str) -> Any:
    """Builds the data set and the transforms of ``data.<split>``."""
    path = f"data.{split}"
    node = config.get(path)
    if not isinstance(node, Mapping) or "dataset" not in node:
        return builder.add_problem(path, "there is no data set: give it a mapping with 'dataset'")
    known = {name: config.get(f"data.{name}") for name in ("root", "image_size")}
    builder.defaults = {name: value for name, value in known.items() if value is not None}
    context: dict[str, Any] = {}
    dataset = builder.part(node["dataset"], DATASETS, f"{path}.dataset", context)
    add_to_context(dataset, context)
    transforms = _transforms(builder, config, f"{path}.transforms", context)
    builder.defaults = {}
    return dataset, transforms


def _transforms(
    builder: Builder, config: Config, path: str, context: Mapping[str, Any]
) -> list[Any]:
    """Builds a list of transforms, of samples or of whole batches, as its name says."""
    found = builder.parts(path, TRANSFORMS, **context)
    wants_batches = path.endswith(".batch_transforms")
    for index, transform in enumerate(found):
        if transform is UNBUILT or getattr(transform, "of_batches", False) == wants_batches:
            continue
        changes, name = (
            ("single samples", "transforms")
            if wants_batches
            else ("whole batches", "batch_transforms")
        )
        where = f"{path}.{index}"
        kind = config[f"{where}.type"]
        builder.add_problem(where, f"{kind} changes {changes}; list it in data.train.{name}")
    return found

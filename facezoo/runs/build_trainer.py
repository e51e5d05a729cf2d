"""Builds the trainer of a run: data, model, optimizer, schedule, hooks and validation."""

import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import torch

from facezoo import distributed
from facezoo.builder import Builder, build_evaluators, build_model, build_optimizer
from facezoo.config.config import Config
from facezoo.config.sections import cache_bytes
from facezoo.data.build_data import build_batch_transforms, build_dataset
from facezoo.data.loading.cache import ImageCache
from facezoo.data.loading.loader import BatchAugmentation, train_stream, val_batches
from facezoo.data.loading.sampler import TrainPlan
from facezoo.distributed import own_device, with_shared_batch_norm
from facezoo.evaluation.evaluate import with_official_truth
from facezoo.evaluation.judge import Validation
from facezoo.inference.loading import choose_device
from facezoo.inference.protocols import configured_protocol
from facezoo.registry import HOOKS, SCHEDULES
from facezoo.runs.start import Start
from facezoo.structures import Batch
from facezoo.training.hook import Hook
from facezoo.training.optim import Schedule
from facezoo.training.process import keep_freed_memory, seed_generators
from facezoo.training.trainer import Trainer
from facezoo.zoo.safe_load import init_from as load_parts

logger = logging.getLogger(__name__)


def build_schedule(config: Config) -> Schedule:
    """Builds the schedule of the learning rate; it raises what ``build_model`` does."""
    builder = Builder(config)
    return builder.finish(builder.section("schedule", SCHEDULES))


def build_hooks(config: Config) -> dict[str, Hook]:
    """Builds the hooks by name, in the order of the file; null is none."""
    builder = Builder(config)
    return builder.finish(hooks_of(builder, config))


def hooks_of(builder: Builder, config: Config) -> dict[str, Hook]:
    """Builds the hooks; what is wrong is noted in the builder."""
    return {
        name: builder.part(node, HOOKS, f"hooks.{name}", {})
        for name, node in config["hooks"].items()
        if node is not None
    }


def build_trainer(start: Start, init_from: str | None) -> Trainer:
    """Builds everything that a run needs; the weights are the start's, not yet a checkpoint's.

    Args:
        start: what is to be trained, and where.
        init_from: weights to start from, ``FILE`` or ``FILE:backbone,neck``.

    Raises:
        FacezooError: a part, the data or the weights are wrong.
    """
    config = start.config_to_build
    data, settings = config.sections.data, config.sections.train
    device = own_device(choose_device(settings.device))
    if device.type == "cpu":
        keep_freed_memory()
    seed_generators(settings.seed)
    dataset, transforms = build_dataset(config, "train")
    limit = cache_bytes(data.cache_limit)
    cache = None if data.cache is None else ImageCache(data.cache, limit)
    model = build_model(config)
    if init_from is not None:
        for line in load_parts(model, init_from):
            logger.info("%s", line)
    if settings.channels_last:
        model = model.to(memory_format=torch.channels_last)
    model = model.to(device)
    if settings.sync_batch_norm:
        model = with_shared_batch_norm(model, device)

    def open_stream(step: int) -> Iterator[Batch]:
        return train_stream(
            dataset,
            transforms,
            data.batch_size,
            settings.seed,
            start_step=step,
            workers=data.workers,
            pin_memory=device.type == "cuda",
            share=distributed.share(),
            sides=data.multi_scale,
            on_unreadable=data.on_unreadable,
            cache=cache,
        )

    trainer = Trainer(
        model,
        build_optimizer(config, model),
        build_schedule(config),
        open_stream,
        samples_per_epoch=len(dataset),
        batch_size=data.batch_size,
        settings=settings,
        hooks=build_hooks(config),
        validation=_validation(config, cache),
        folder=start.folder,
        config=start.config,
        note=start.note,
        augmentation=_augmentation(config, len(dataset)),
    )
    if not distributed.is_main():  # else every rank would draw the same dropout
        seed_generators(settings.seed, distributed.share().rank)
    return trainer


def _augmentation(config: Config, samples_per_epoch: int) -> BatchAugmentation | None:
    """Returns what is done to this process's share of the batches, None for nothing."""
    transforms = build_batch_transforms(config)
    if not transforms:
        return None
    batch_size, seed = config.sections.data.batch_size, config.sections.train.seed
    plan = TrainPlan(samples_per_epoch, batch_size, seed, distributed.share())
    return BatchAugmentation(tuple(transforms), plan)


def _validation(config: Config, cache: ImageCache | None) -> Validation | None:
    data, evaluation = config.sections.data, config.sections.evaluation
    if data.val is None:
        return None
    settings = {
        "protocol": configured_protocol(config),
        "score_thresh": evaluation.score_thresh,
        "nms_thresh": evaluation.nms_thresh,
    }
    dataset, transforms = build_dataset(config, "val")
    batches = partial(val_batches, dataset, transforms, data.batch_size, data.workers)
    root = Path(data.root) if data.root else None
    return Validation(
        dataset,
        partial(batches, share=distributed.share(), cache=cache),
        with_official_truth(build_evaluators(config), None, root, dataset),
        settings,
    )


@contextmanager
def chosen_algorithms(trainer: Trainer) -> Iterator[None]:
    """Asks torch for deterministic or for fast algorithms while a run trains."""
    settings, cudnn = trainer.settings, torch.backends.cudnn
    before = torch.are_deterministic_algorithms_enabled(), cudnn.benchmark
    one_size = not trainer.config.get("data.multi_scale")
    cudnn.benchmark = one_size and not settings.deterministic
    if settings.deterministic:
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # what cuBLAS asks for
        torch.use_deterministic_algorithms(True, warn_only=True)
    try:
        yield
    finally:
        torch.use_deterministic_algorithms(before[0])
        cudnn.benchmark = before[1]

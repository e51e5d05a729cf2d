"""What one process and two ranks must do alike: run as it is, and under torchrun.

    two_ranks.py OUT.json

Writes numbers that the test compares. Batch norm is frozen throughout, as it sees a share at a
time.
"""

import json
import sys
from dataclasses import replace
from pathlib import Path

import torch

from facezoo import distributed
from facezoo.builder import build_evaluators, build_model, build_optimizer
from facezoo.config.config import load_config
from facezoo.config.sections import TrainSettings
from facezoo.data.build_data import build_dataset
from facezoo.data.loading.loader import train_stream, val_batches
from facezoo.evaluation.judge import judge, validation_loss
from facezoo.inference.detector import Detector
from facezoo.structures import Batch
from facezoo.training.update import Update

SETTINGS = [
    *("model.freeze_batch_norm=[backbone,neck,head]", "data.batch_size=8"),
    "data.val.dataset.num_images=21",
    # Not Adam, which makes whole steps of the rounding errors of gradients near zero.
    "optimizer={_delete_: true, type: torch.SGD, lr: 1e-2, momentum: 0.9}",
]


def without_faces_in_the_second_half(batch: Batch, rank: int, world_size: int) -> Batch:
    valid = batch.targets.valid.clone()
    first = 4 - rank * len(batch.ids) if world_size > 1 else 4
    valid[max(first, 0) :] = False
    return replace(batch, targets=replace(batch.targets, valid=valid))


def train(accumulate: int, clear: bool) -> dict[str, object]:
    config = load_config("tiny_test", SETTINGS)
    share = distributed.share()
    torch.manual_seed(0)
    model = build_model(config)
    settings = TrainSettings(max_steps=3, accumulate=accumulate, clip_norm=10.0)
    update = Update(model, build_optimizer(config, model), settings)
    dataset, transforms = build_dataset(config, "train")
    stream = train_stream(dataset, transforms, 8, seed=0, share=share)
    losses, ids = [], []
    model.train()
    for _ in range(3):
        batch = next(stream)
        if clear:
            batch = without_faces_in_the_second_half(batch, share.rank, share.world_size)
        terms, bad = update(batch)
        assert not bad
        losses.append({name: float(value) for name, value in terms.items()})
        ids.append([one for part in distributed.gather(batch.ids) for one in part])
    norms = {name: float(value.double().norm()) for name, value in model.state_dict().items()}
    return {"losses": losses, "ids": ids, "norms": norms}


def evaluate() -> dict[str, float]:
    config = load_config("tiny_test", SETTINGS)
    torch.manual_seed(1)
    model = build_model(config).eval()
    dataset, transforms = build_dataset(config, "val")
    losses = validation_loss(
        lambda batch: model(batch.images, batch.targets),
        val_batches(dataset, transforms, 4, share=distributed.share()),
    )
    detector = Detector(model, protocol="original", score_thresh=0.005, nms_thresh=0.4)
    results = judge(detector, dataset, build_evaluators(config), batch_size=4)
    found = sum(float(faces.scores.sum()) for faces in results.predictions.faces.values())
    return losses | results.metrics | {"sum_of_scores": found}


def main() -> None:
    torch.set_num_threads(1)
    with distributed.process_group():
        found = {
            "ranks": distributed.share().world_size,
            "plain": train(accumulate=1, clear=False),
            "no_faces": train(accumulate=1, clear=True),
            "accumulated": train(accumulate=2, clear=True),
            "evaluation": evaluate(),
        }
        if distributed.is_main():
            Path(sys.argv[1]).write_text(json.dumps(found))


if __name__ == "__main__":
    main()

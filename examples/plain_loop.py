"""Trains a tiny detector on drawn faces with parts of facezoo and a plain loop of PyTorch.

    python examples/plain_loop.py --steps 30

The model, the data set and the optimizer are those of the config; the loop is yours to change.
"""

from __future__ import annotations

import argparse
from itertools import islice

import torch

from facezoo import build_model, load_config
from facezoo.builder import build_optimizer
from facezoo.data.build_data import build_dataset
from facezoo.data.loading.loader import train_stream


def train(steps: int) -> list[float]:
    """Returns the loss of each step."""
    torch.manual_seed(0)
    config = load_config("tiny_test")
    model = build_model(config).train()
    optimizer = build_optimizer(config, model)
    dataset, transforms = build_dataset(config, "train")
    losses = []
    for batch in islice(train_stream(dataset, transforms, batch_size=8, seed=0), steps):
        terms = model(batch.images, batch.targets)  # by name, each a sum and its count
        loss = sum(term.total / term.count.clamp(min=1) for term in terms.values())
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 10.0)
        optimizer.step()
        losses.append(loss.item())
        print(f"step {len(losses)}: loss {losses[-1]:.3f}")
    return losses


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--steps", type=int, default=30, help="updates of the weights (30)")
    train(parser.parse_args().steps)

"""Packs a trained model for the wheel: float16 weights and the config, in one safetensors file."""

import argparse
from pathlib import Path

import torch

from facezoo.inference.loading import load_model
from facezoo.zoo.safe_load import save_tensors

if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--run", required=True, help="run folder or checkpoint")
    parser.add_argument("--out", required=True, type=Path, help="F.safetensors")
    arguments = parser.parse_args()
    loaded = load_model(arguments.run)
    tensors = {
        # The preprocessing is a few numbers that half precision would round.
        name: value.half() if value.is_floating_point() and "pixels." not in name else value
        for name, value in loaded.model.state_dict().items()
    }
    limit = torch.finfo(torch.float16).max
    if any(bool((value.abs() > limit).any()) for value in loaded.model.state_dict().values()):
        parser.error("a weight is too large for half precision")
    contiguous = {name: value.contiguous() for name, value in tensors.items()}
    save_tensors(arguments.out, contiguous, {"config": loaded.config.to_yaml()})

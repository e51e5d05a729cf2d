"""Packs a trained model for the wheel: float16 weights and the config, in one safetensors file.

The file is named after the config of the zoo that its weights belong to.
"""

import argparse
from pathlib import Path

from torch import Tensor

from facezoo.config.config import load_config
from facezoo.inference.loading import load_model
from facezoo.zoo.safe_load import save_tensors


def pack(name: str, value: Tensor) -> Tensor:
    # The preprocessing is a few numbers that half precision would round, and the variances of a
    # first layer that sees 0 to 255 may be beyond its range.
    half = value.half() if value.is_floating_point() and not name.startswith("pixels.") else value
    return (half if bool(half.isfinite().all()) else value).contiguous()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--run", required=True, help="run folder or checkpoint")
    parser.add_argument("--out", required=True, type=Path, help="NAME.safetensors")
    arguments = parser.parse_args()
    config = load_config(arguments.out.stem)
    model = load_model(config, arguments.run).model
    tensors = {name: pack(name, value) for name, value in model.state_dict().items()}
    save_tensors(arguments.out, tensors, {"config": config.to_yaml()})

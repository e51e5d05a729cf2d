"""Where a model runs."""

from __future__ import annotations

import torch

from facezoo.errors import ConfigError


def choose_device(name: str) -> torch.device:
    """Returns the device of that name; ``auto`` is CUDA, else MPS, else the CPU.

    Raises:
        ConfigError: torch does not know the device, or the machine does not have it.
    """
    if name == "auto":
        if torch.cuda.is_available():
            return torch.device("cuda")
        return torch.device("mps" if torch.backends.mps.is_available() else "cpu")
    try:
        device = torch.device(name)
        torch.empty(1, device=device)
    except (RuntimeError, AssertionError) as error:
        raise ConfigError(
            f"The device {name!r} is not on this machine or not in this build of torch "
            f"({str(error).splitlines()[0]}); cpu always works."
        ) from error
    return device

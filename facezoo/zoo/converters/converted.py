"""What every converter gives."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor


@dataclass(frozen=True)
class Converted:
    """A checkpoint under facezoo's names.

    Attributes:
        tensors: by facezoo's names.
        config: the model of the zoo that they are of.
        overrides: what differs from that config.
        folded: numbers that two-class softmax needs and one logit does not.
    """

    tensors: dict[str, Tensor]
    config: str
    overrides: tuple[str, ...]
    folded: int

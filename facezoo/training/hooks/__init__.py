"""Hooks: what happens beside the training step. One file each; the order is the config's."""

from facezoo.training.hook import Hook, is_due
from facezoo.training.hooks.checkpointing import Checkpoint
from facezoo.training.hooks.console import Console
from facezoo.training.hooks.early_stopping import EarlyStopping
from facezoo.training.hooks.ema import EMA
from facezoo.training.hooks.evaluation import Evaluation
from facezoo.training.hooks.jsonl import JSONL
from facezoo.training.hooks.profile import Profile
from facezoo.training.hooks.trackers import MLflow, TensorBoard, WandB

__all__ = [
    "EMA",
    "JSONL",
    "Checkpoint",
    "Console",
    "EarlyStopping",
    "Evaluation",
    "Hook",
    "MLflow",
    "Profile",
    "TensorBoard",
    "WandB",
    "is_due",
]

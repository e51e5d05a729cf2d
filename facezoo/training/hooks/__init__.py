"""Hooks: what happens beside the training step; they run in the order of the config."""

from facezoo.training.hook import Hook, is_due
from facezoo.training.hooks.checkpointing import Checkpoint
from facezoo.training.hooks.ema import EMA
from facezoo.training.hooks.evaluation import EarlyStopping, Evaluation
from facezoo.training.hooks.profile import Profile
from facezoo.training.hooks.trackers import MLflow, TensorBoard, WandB
from facezoo.training.hooks.writers import JSONL, Console

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

"""Hooks: what happens beside the training step. One file each; the order is the config's."""

from facezoo.engine.hooks.base import Hook, is_due
from facezoo.engine.hooks.checkpoint import Checkpoint
from facezoo.engine.hooks.console import Console
from facezoo.engine.hooks.early_stopping import EarlyStopping
from facezoo.engine.hooks.ema import EMA
from facezoo.engine.hooks.evaluation import Evaluation
from facezoo.engine.hooks.jsonl import JSONL
from facezoo.engine.hooks.mlflow import MLflow
from facezoo.engine.hooks.profile import Profile
from facezoo.engine.hooks.tensorboard import TensorBoard
from facezoo.engine.hooks.wandb import WandB

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

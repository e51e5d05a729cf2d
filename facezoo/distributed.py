"""Several processes that train as one: ``torchrun`` starts them, each takes its share of a step.

Everything here is harmless in a single process: sums are what they were, gathering gives a list
of one. The collectives are those of ``torch.distributed``: gloo for tensors on the CPU, NCCL for
those on a GPU. All ranks must call them in the same order.
"""

import contextlib
import ctypes
import json
import os
import signal
import sys
from collections.abc import Iterator, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any, TypeVar

import torch
import torch.distributed as dist
from timm.layers import convert_sync_batchnorm
from torch import Tensor, nn
from torch.distributed.elastic.multiprocessing.errors import get_error_handler

from facezoo.data.loading.sampler import Share
from facezoo.errors import ConfigError, FacezooError

TIMEOUT = timedelta(hours=2)
"""Of a collective: longer than rank 0 may need to judge a large validation set on its own."""
PR_SET_PDEATHSIG = 1
"""Of Linux: the signal that a process gets when its parent ends."""

Value = TypeVar("Value")
Model = TypeVar("Model", bound=nn.Module)


class RankFailedError(FacezooError):
    """Another process of the run failed, so this one cannot go on."""


class SharedError(FacezooError):
    """An error that every rank raises at the same step, so that none has to tell the others."""


class RunInterrupted(SharedError):  # noqa: N818 - it says what happened, and nothing is wrong
    """A signal ended the run; what it had done is saved.

    The exit code is the shell's for that signal: 130 for Ctrl-C, 143 for SIGTERM.

    Args:
        signal_name: such as ``SIGTERM``.
        sentence: what happened and how to go on.
    """

    def __init__(self, signal_name: str, sentence: str) -> None:
        self.signal_name = signal_name
        self.exit_code = 128 + signal.Signals[signal_name].value
        super().__init__(sentence)


def share() -> Share:
    """Returns which of the processes this is, rank 0 of 1 where there is only one."""
    if not dist.is_initialized():
        return Share()
    return Share(dist.get_rank(), dist.get_world_size())


def is_main() -> bool:
    """Returns whether this is rank 0, the process that writes."""
    return share().rank == 0


def is_restarted() -> bool:
    """Returns whether the launcher (torchrun, SLURM) has started this run again."""
    counts = ("TORCHELASTIC_RESTART_COUNT", "SLURM_RESTART_COUNT")
    return any(int(os.environ.get(name) or 0) > 0 for name in counts)


def may_restart() -> bool:
    """Returns whether the launcher starts this run again when it fails."""
    return int(os.environ.get("TORCHELASTIC_MAX_RESTARTS") or 0) > 0


def own_device(device: torch.device) -> torch.device:
    """Returns the device of this process: each process of a machine has a GPU of its own.

    Raises:
        ConfigError: one GPU was named for several processes, or there are too few.
    """
    if share().world_size == 1 or device.type == "cpu":
        return device
    if device.type != "cuda":
        raise ConfigError(
            f"{share().world_size} processes cannot train on {device}, for which torch has no "
            "collectives; give train.device=cpu."
        )
    place = int(os.environ.get("LOCAL_RANK") or 0)
    if device.index is not None:
        raise ConfigError(
            f"train.device is {device}, but {share().world_size} processes train; give cuda or "
            "auto, and each takes the GPU of its local rank."
        )
    if place >= torch.cuda.device_count():
        raise ConfigError(
            f"There are {torch.cuda.device_count()} GPUs for process {place + 1} of this machine; "
            "start torchrun with --nproc-per-node of at most that number."
        )
    return torch.device("cuda", place)


@contextlib.contextmanager
def process_group() -> Iterator[None]:
    """Joins the processes that ``torchrun`` started; does nothing where there is only one.

    An error in one rank ends the others too, within seconds, with its message: its end breaks their
    collectives, and torchrun ends those that nothing else does.

    Raises:
        RankFailedError: another rank failed.
    """
    if dist.is_initialized() or int(os.environ.get("WORLD_SIZE") or 1) == 1:
        yield
        return
    if torch.cuda.is_available():
        torch.cuda.set_device(int(os.environ.get("LOCAL_RANK") or 0) % torch.cuda.device_count())
    has_nccl = torch.cuda.is_available() and dist.is_nccl_available()
    store, rank, world_size = next(dist.rendezvous("env://", timeout=TIMEOUT))
    # torchrun keeps the store when it restarts, with the addresses of processes that are gone.
    attempt = os.environ.get("TORCHELASTIC_RESTART_COUNT", 0)
    dist.init_process_group(
        "cpu:gloo,cuda:nccl" if has_nccl else "gloo",
        store=dist.PrefixStore(f"facezoo/{attempt}", store),
        rank=rank,
        world_size=world_size,
        timeout=TIMEOUT,
    )
    # Linux ends a rank with torchrun, without which it trains for nobody.
    if sys.platform == "linux" and os.environ.get("TORCHELASTIC_USE_AGENT_STORE") == "True":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, int(signal.SIGTERM))
    try:
        yield
    except SharedError:
        dist.destroy_process_group()
        raise
    except BaseException as error:
        if isinstance(error, FacezooError) or not _lost_a_peer(error):
            get_error_handler().record_exception(error)  # what torchrun and the other ranks read
            raise
        raise RankFailedError(_failure_elsewhere(error)) from error
    dist.destroy_process_group()


def _failure_elsewhere(error: BaseException) -> str:
    """Returns what another rank of this machine wrote into torchrun's error file, if one did."""
    own = Path(os.environ.get("TORCHELASTIC_ERROR_FILE", ""))
    for file in own.parent.parent.glob(f"*/{own.name}") if own.name else ():
        with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
            message = json.loads(file.read_text(encoding="utf-8"))["message"]["message"]
            sentence = message.partition(": ")[2].partition("\n")[0]
            return f"Rank {file.parent.name} failed: {sentence}"
    return (
        "Another process of the run ended without a message, perhaps killed for want of memory "
        f"({str(error).splitlines()[0]}); go on from the last checkpoint with --resume."
    )


def _lost_a_peer(error: BaseException) -> bool:
    """Returns whether a collective failed because another process went away."""
    if isinstance(error, dist.DistError):
        return True
    return isinstance(error, RuntimeError) and "peer" in str(error).lower()


def sum_over_ranks(tensor: Tensor) -> Tensor:
    """Returns the sum of a tensor over all ranks; itself in a single process."""
    if dist.is_initialized():
        tensor = tensor.clone()
        dist.all_reduce(tensor)
    return tensor


def any_rank(flag: bool) -> bool:
    """Returns whether the flag is set in any rank; all ranks get the same answer."""
    if not dist.is_initialized():
        return flag
    return bool(sum_over_ranks(torch.tensor(int(flag))))


def gather(value: Value) -> list[Value]:
    """Returns every rank's value, in the order of ranks, in every rank."""
    if not dist.is_initialized():
        return [value]
    values: list[Any] = [None] * dist.get_world_size()
    dist.all_gather_object(values, value)
    return values


def from_main(value: Value) -> Value:
    """Returns rank 0's value in every rank."""
    if not dist.is_initialized():
        return value
    values = [value]
    dist.broadcast_object_list(values, src=0)
    return values[0]


@torch.no_grad()
def average_over_ranks(tensors: Sequence[Tensor]) -> None:
    """Replaces tensors by their mean over all ranks, in one collective."""
    if not dist.is_initialized() or not tensors:
        return
    flat = torch.cat([tensor.reshape(-1).float() for tensor in tensors])
    dist.all_reduce(flat)
    flat /= dist.get_world_size()
    parts = flat.split([tensor.numel() for tensor in tensors])
    for tensor, part in zip(tensors, parts, strict=True):
        tensor.copy_(part.view_as(tensor))


def with_shared_batch_norm(model: Model, device: torch.device) -> Model:
    """Returns a model whose batch norms take their statistics over the images of all ranks.

    Raises:
        ConfigError: the model is not on a GPU, which is where torch can do that.
    """
    if device.type != "cuda":
        raise ConfigError(
            f"train.sync_batch_norm needs GPUs, and the model is on {device}; set it to false: the "
            "statistics of all processes are averaged after each step in any case."
        )
    return convert_sync_batchnorm(model)

"""Data parallel training over processes started by `torchrun`.

Place in the flow: `loop` -> here -> torch.distributed (gloo on CPUs, nccl on GPUs). Gradients are
averaged explicitly after the backward pass, so that N processes with one micro-batch each take the
very step that one process takes with N micro-batches.
"""

import os
from collections.abc import Generator, Iterable
from contextlib import contextmanager
from dataclasses import dataclass

import torch
import torch.distributed as dist
from torch import Tensor


@dataclass(frozen=True, slots=True)
class Ranks:
    """This process among all: its number, and how many there are."""

    rank: int = 0
    world: int = 1

    @property
    def leads(self) -> bool:
        """One process writes checkpoints and talks."""
        return self.rank == 0

    def average(self, tensors: Iterable[Tensor]) -> None:
        """Replace each tensor by its mean over all processes, in one message."""
        if self.world == 1:
            return
        parts = list(tensors)
        flat = torch.cat([part.flatten() for part in parts])
        dist.all_reduce(flat)
        flat /= self.world
        for part, own in zip(parts, flat.split([part.numel() for part in parts]), strict=True):
            part.copy_(own.view_as(part))

    def any(self, flag: bool) -> bool:
        """Say whether it is true on any process: all must stop at the same step."""
        if self.world == 1:
            return flag
        told = torch.tensor([float(flag)], device=device())
        dist.all_reduce(told, op=dist.ReduceOp.MAX)
        return bool(told.item())


def device() -> torch.device:
    """Return where this process computes: its own GPU if there are any."""
    if torch.cuda.is_available():
        return torch.device("cuda", int(os.environ.get("LOCAL_RANK", "0")))
    return torch.device("cpu")


@contextmanager
def joined_ranks() -> Generator[Ranks]:
    """Join the other processes for the time of the body; alone without `torchrun`."""
    world = int(os.environ.get("WORLD_SIZE", "1"))
    if world == 1:
        yield Ranks()
        return
    dist.init_process_group("nccl" if torch.cuda.is_available() else "gloo")
    try:
        yield Ranks(dist.get_rank(), world)
    finally:
        dist.destroy_process_group()

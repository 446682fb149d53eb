"""Checkpoints: everything an exact resume needs, written so that a crash leaves the old one."""

from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn


def save_checkpoint(path: Path, content: dict[str, Any]) -> None:
    """Write a checkpoint atomically (a full disk or a kill keeps the previous file)."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_suffix(".partial")
    torch.save(content, partial)
    partial.replace(path)


def load_checkpoint(path: Path) -> dict[str, Any]:
    """Read a checkpoint; tensors, numbers and strings only."""
    return torch.load(path, map_location="cpu", weights_only=True)


class Ema:
    """Exponential moving average of a module's parameters."""

    def __init__(self, module: nn.Module, decay: float) -> None:
        self.decay = decay
        self.shadow: dict[str, Tensor] = {
            name: p.detach().clone() for name, p in module.named_parameters()
        }

    @torch.no_grad()
    def update(self, module: nn.Module, step: int) -> None:
        """Follow the module; quickly at first, so that the start is forgotten."""
        decay = min(self.decay, (1 + step) / (10 + step))
        for name, parameter in module.named_parameters():
            self.shadow[name].lerp_(parameter.detach(), 1 - decay)

    @torch.no_grad()
    def copy_to(self, module: nn.Module) -> None:
        """Write the average into a module of the same shape."""
        for name, parameter in module.named_parameters():
            parameter.copy_(self.shadow[name])

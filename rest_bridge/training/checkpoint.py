"""Checkpoints: everything an exact resume needs, written so that a crash leaves the old one."""

import os
import pickle
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from rest_bridge.errors import RestBridgeError


class CheckpointError(RestBridgeError):
    """A checkpoint cannot be written, cannot be read, or belongs to another model."""


def save_checkpoint(path: Path, content: dict[str, Any]) -> None:
    """Write a checkpoint atomically: a full disk or a kill at any moment keeps the previous file.

    Raises:
        CheckpointError: it could not be written; the previous file is untouched.
    """
    partial = path.with_name(path.name + ".partial")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with partial.open("wb") as file:
            torch.save(content, file)
            file.flush()
            os.fsync(file.fileno())
        partial.replace(path)
    except (OSError, RuntimeError) as error:  # torch wraps some write errors
        partial.unlink(missing_ok=True)
        raise CheckpointError(
            f"The checkpoint could not be written ({error}); free some space and run the same "
            f"command again, the last one is kept: {path}"
        ) from error


def load_checkpoint(path: Path) -> dict[str, Any]:
    """Read a checkpoint; tensors, numbers and strings only.

    Raises:
        CheckpointError: it is missing, damaged or no checkpoint.
    """
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError as error:
        raise CheckpointError(
            f"There is no checkpoint {path}; train the stage before, or name one with `start`."
        ) from error
    except (OSError, RuntimeError, EOFError, pickle.UnpicklingError) as error:
        raise CheckpointError(
            f"The checkpoint is damaged or none at all ({type(error).__name__}): {path}"
        ) from error
    if not isinstance(content, dict):
        raise CheckpointError(f"This is no checkpoint of rest_bridge: {path}")
    return content


def load_weights(module: nn.Module, weights: dict[str, Tensor], path: Path) -> None:
    """Write weights into a module; names it does not have are passed over.

    New input columns (conditions that older checkpoints did not know) are filled with zeros, so
    that the network does at first what it did before.

    Args:
        module: to write into.
        weights: name -> tensor.
        path: where they come from, for the message.

    Raises:
        CheckpointError: a weight is missing or of another size.
    """
    with torch.no_grad():
        for name, own in module.named_parameters():
            if name not in weights:
                raise CheckpointError(f"The checkpoint lacks {name}: {path}")
            given = weights[name]
            if _is_widened(name, given, own):
                given = nn.functional.pad(given, (0, own.shape[1] - given.shape[1]))
            if given.shape != own.shape:
                raise CheckpointError(
                    f"The checkpoint is of another size: {name} is {list(given.shape)} there and "
                    f"{list(own.shape)} by the settings; change the model's section or train anew: "
                    f"{path}"
                )
            own.copy_(given)


def _is_widened(name: str, given: Tensor, own: Tensor) -> bool:
    takes_conditions = name.endswith(("condition.0.weight", "obey.weight"))
    grown = given.ndim == 2 and given.shape[0] == own.shape[0] and given.shape[1] < own.shape[1]
    return takes_conditions and grown


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

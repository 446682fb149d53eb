"""Blends two checkpoints of one lineage: robust fine-tuning (WiSE-FT, arXiv:2109.01903).

Place in the flow: an earlier student + one fine-tuned from it -> here -> a checkpoint to export.
The mean of weights that lie in one valley keeps most of what the first does well (talkers whose
lips were tracked) and most of what the second learnt (rounding, closures); the share is chosen on
validation.
"""

from pathlib import Path

import torch
from torch import Tensor

from rest_bridge.generator.conditions import EMOTION
from rest_bridge.model.dit import StreamingDit
from rest_bridge.training.checkpoint import (
    CheckpointError,
    load_checkpoint,
    load_weights,
    save_checkpoint,
)
from rest_bridge.training.emotion_shapes import borrow_wishes, settle_emotions
from rest_bridge.training.motion_learner import begin_emotions
from rest_bridge.training.motion_models import averaged_models


def blend(first: Path, second: Path, share: float, out: Path, *, settle: bool = False) -> None:
    """Write the weighted mean of two checkpoints' averaged weights.

    Args:
        first: checkpoint that is kept; one that knows no emotions gets their shapes.
        second: fine-tuned from it (or from what it came from).
        share: of the second, 0..1.
        out: checkpoint to write.
        settle: give it the emotions' shapes by `emotion_shapes`, instead of what it learnt of them.

    Raises:
        CheckpointError: one is missing, damaged, holds no DiT, or the sizes differ.
    """
    if not 0 <= share <= 1:
        raise CheckpointError(f"share = {share} is not possible; choose 0 to 1.")
    saved = load_checkpoint(second)
    weights = [_weights(path) for path in (first, second)]
    encoder, dit = averaged_models(saved, second)
    mixed: dict[str, Tensor] = {}
    for name, own in weights[1].items():
        other = weights[0].get(name)
        if other is None or other.shape != own.shape:
            raise CheckpointError(f"{name} differs in size; blend relatives only: {first}")
        mixed[name] = torch.lerp(other, own, share)
    for prefix, module in (("encoder.", encoder), ("dit.", dit)):
        part = {k[len(prefix) :]: v for k, v in mixed.items() if k.startswith(prefix)}
        load_weights(module, part, out)
    if settle:
        borrow_wishes(dit)
        settle_emotions(dit)
        mixed |= _named("dit.", dit)
    content = {
        "ema": mixed, "dit_config": dit.config.to_dict(), "step": int(saved["step"]),
        "blend": {"first": first.name, "second": second.name, "share": share},
    }  # fmt: skip
    if "speech_config" in saved:
        content["speech_config"] = saved["speech_config"]
    save_checkpoint(out, content)


def _weights(path: Path) -> dict[str, Tensor]:
    """Return the averaged weights of SpeechAE and DiT, as wide as today's conditions."""
    saved = load_checkpoint(path)
    encoder, dit = averaged_models(saved, path)
    if saved["ema"]["dit.obey.weight"].shape[1] <= EMOTION.start:
        begin_emotions(dit)
    return _named("encoder.", encoder) | _named("dit.", dit)


def _named(prefix: str, module: StreamingDit | torch.nn.Module) -> dict[str, Tensor]:
    return {prefix + name: value.detach().clone() for name, value in module.named_parameters()}

"""Pretrains SpeechAE: reconstruction, frame-contrast and a mouth probe (REST stage 0).

Run as `python -m rest_bridge.training speech --config configs/train/speech.toml`. The mouth probe
is ours: it teaches in minutes what to listen for, before the DiT costs seconds a step.
"""

import json
import logging
import time
import tomllib
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from rest_bridge.errors import ConfigError
from rest_bridge.model.audio_encoder import SpeechConfig, SpeechEncoder, SpeechHeads
from rest_bridge.rig import RIG_NAMES
from rest_bridge.training import losses, speech_data, speech_sessions
from rest_bridge.training.checkpoint import load_checkpoint, save_checkpoint

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class SpeechRun:
    """Settings of one pretraining run; see configs/train/speech.toml.

    Attributes:
        data: folder written by `speech_prepare`.
        out: checkpoint to write and, if it exists, to resume from.
        seconds: wall-clock time to train.
        batch_size, num_latents: crops a step and their length.
        learning_rate: of AdamW, after 100 steps of warm-up.
        contrastive, probe: weights of the losses beside the reconstruction.
        seed: of batches.
        save_every_s: between checkpoints.
    """

    data: str
    out: str
    seconds: float = 300.0
    batch_size: int = 32
    num_latents: int = 32
    learning_rate: float = 1e-3
    contrastive: float = 0.1
    probe: float = 1.0
    seed: int = 0
    save_every_s: float = 120.0


def read_config(path: Path, run_type: type[Any], overrides: dict[str, Any]) -> Any:
    """Read a TOML file into a settings dataclass.

    Raises:
        ConfigError: the file cannot be read, or a key is unknown.
    """
    try:
        with path.open("rb") as file:
            values = tomllib.load(file)
    except (OSError, tomllib.TOMLDecodeError) as error:
        raise ConfigError(f"The training settings cannot be read ({error}): {path}") from error
    values.update({k: v for k, v in overrides.items() if v is not None})
    known = {f.name for f in fields(run_type)}
    unknown = sorted(values.keys() - known)
    if unknown:
        raise ConfigError(f"Unknown keys {unknown}; known are {sorted(known)}. {path}")
    return run_type(**values)


def load_training_sessions(data: Path) -> list[speech_sessions.Session]:
    """Read every train-*.npz of the folder."""
    return [
        s for path in sorted(data.glob("train-*.npz")) for s in speech_sessions.load_sessions(path)
    ]


def encode(encoder: SpeechEncoder, mel: Tensor) -> Tensor:
    """Encode crops with their history and drop the history's tokens.

    Args:
        encoder: SpeechAE.
        mel: [B, (HISTORY_LATENTS + T) * 8, 80].

    Returns:
        [B, T, 2, D].
    """
    tokens, _ = encoder(mel, encoder.initial_state(len(mel)))
    return tokens[:, speech_sessions.HISTORY_LATENTS :]


def speech_losses(
    heads: SpeechHeads, tokens: Tensor, mel: Tensor, target: Tensor, weight: Tensor,
    measure: losses.RigLosses,
) -> tuple[Tensor, Tensor, Tensor]:  # fmt: skip
    """Return reconstruction, contrastive and mouth-probe losses.

    Args:
        heads: pretraining heads.
        tokens: [B, T, 2, D].
        mel: as given to `encode`.
        target: [B, 2T, 58], normalised rig.
        weight: [B, 2T].
        measure: the rig losses.
    """
    own = mel[:, speech_sessions.HISTORY_LATENTS * speech_sessions.MEL_PER_LATENT :]
    reconstruction, scores, mouth = heads(tokens, own)
    windows = own.unflatten(1, (tokens.shape[1], -1)).flatten(2)
    predicted = mouth.float().unflatten(-1, (2, -1)).flatten(1, 2)
    # Pose and eyes follow plans that the voice does not know.
    blind = torch.ones(len(RIG_NAMES))
    blind[:20] = 0
    probe = measure.rig_error(predicted * blind, target * blind, weight)
    return (
        (reconstruction.float() - windows).square().mean(),
        losses.contrastive(scores.float()),
        probe + measure.motion_error(predicted * blind, target * blind),
    )


def train(run: SpeechRun) -> None:
    """Pretrain until the time is over; resumes exactly from the last checkpoint."""
    torch.set_num_threads(1)
    torch.manual_seed(run.seed)
    config = SpeechConfig()
    encoder = SpeechEncoder(config)
    heads = SpeechHeads(config, num_rig=len(RIG_NAMES))
    both = nn.ModuleDict({"encoder": encoder, "heads": heads})
    optimiser = torch.optim.AdamW(both.parameters(), lr=run.learning_rate, weight_decay=0.01)
    step, out = 0, Path(run.out)
    if out.exists():
        saved = load_checkpoint(out)
        both.load_state_dict(saved["model"])
        optimiser.load_state_dict(saved["optimiser"])
        step = int(saved["step"])
    measure = losses.RigLosses()
    sessions = load_training_sessions(Path(run.data))
    source = speech_data.batches(
        sessions, batch_size=run.batch_size, num_latents=run.num_latents, seed=run.seed,
        first_step=step,
    )  # fmt: skip
    begun = saved_at = time.monotonic()
    averages: dict[str, float] = {}
    while time.monotonic() - begun < run.seconds:
        batch = next(source)
        mel, rig = torch.from_numpy(batch.mel), torch.from_numpy(batch.rig)
        for group in optimiser.param_groups:
            group["lr"] = run.learning_rate * min(1.0, (step + 1) / 100)
        with torch.autocast("cpu", torch.bfloat16):
            tokens = encode(encoder, mel)
            parts = speech_losses(
                heads, tokens, mel, measure.normalise(rig), torch.from_numpy(batch.weight), measure
            )
        reconstruction, contrast, probe = parts
        loss = reconstruction + run.contrastive * contrast + run.probe * probe
        optimiser.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(both.parameters(), 1.0)
        optimiser.step()
        step += 1
        for name, value in zip(("mel", "contrast", "mouth"), parts, strict=True):
            now = float(value.detach())
            averages[name] = 0.98 * averages.get(name, now) + 0.02 * now
        if step % 50 == 0:
            told = {k: round(v, 4) for k, v in averages.items()}
            log.info("%s", json.dumps({"step": step, "s": round(time.monotonic() - begun), **told}))
        if time.monotonic() - saved_at > run.save_every_s:
            _save(out, both, optimiser, step)
            saved_at = time.monotonic()
    _save(out, both, optimiser, step)


def _save(out: Path, both: nn.ModuleDict, optimiser: torch.optim.Optimizer, step: int) -> None:
    content = {"model": both.state_dict(), "optimiser": optimiser.state_dict(), "step": step}
    save_checkpoint(out, content)

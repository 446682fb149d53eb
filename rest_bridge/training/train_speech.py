"""SpeechAE alone: reconstruction, frame-contrast and a mouth probe (REST stage 0).

Place in the flow: `speech_data.Batch` -> here -> `loop`. The mouth probe is ours: it teaches in
minutes what to listen for, before the DiT costs seconds a step.
"""

from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from rest_bridge.model.audio_encoder import SpeechEncoder, SpeechHeads
from rest_bridge.rig import RIG_NAMES
from rest_bridge.training import losses, speech_sessions
from rest_bridge.training.ranks import device
from rest_bridge.training.settings import ModelSettings, SpeechSettings
from rest_bridge.training.speech_data import Batch


def load_training_sessions(data: Path) -> list[speech_sessions.Session]:
    """Read every train-*.npz of the folder that is whole; an empty list if there are none."""
    paths = sorted(data.glob("train-*.npz"))
    return [s for path in paths for s in speech_sessions.usable_sessions(path)]


def encode(encoder: SpeechEncoder, mel: Tensor) -> Tensor:
    """Encode crops with their history and drop the history's tokens.

    Args:
        encoder: SpeechAE.
        mel: [B, (HISTORY_LATENTS + T) * 8, 80].

    Returns:
        [B, T, 2, D].
    """
    begin = [state.to(mel.device) for state in encoder.initial_state(len(mel))]
    tokens, _ = encoder(mel, begin)
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
    blind = torch.ones(len(RIG_NAMES), device=target.device)
    blind[:20] = 0
    probe = measure.rig_error(predicted * blind, target * blind, weight)
    return (
        (reconstruction.float() - windows).square().mean(),
        losses.contrastive(scores.float()),
        probe + measure.motion_error(predicted * blind, target * blind),
    )


class SpeechLearner:
    """SpeechAE with its pretraining heads; see `loop.Learner`."""

    def __init__(self, model: ModelSettings, settings: SpeechSettings) -> None:
        self.settings = settings
        speech = model.speech()
        self.encoder = SpeechEncoder(speech)
        self.heads = SpeechHeads(speech, num_rig=len(RIG_NAMES))
        both = nn.ModuleDict({"encoder": self.encoder, "heads": self.heads})
        self.module: nn.Module = both.to(device())
        self.about: dict[str, Any] = {
            "speech_config": {"widths": list(speech.widths), "token_width": speech.token_width}
        }
        self.measure = losses.RigLosses(device())

    def groups(self) -> list[dict[str, Any]]:
        """Return the optimiser's only group."""
        return [{"params": list(self.module.parameters()), "share": 1.0}]

    def losses(self, batch: Batch, chance: torch.Generator) -> dict[str, Tensor]:
        """Return reconstruction, contrast and probe of a batch, weighted."""
        del chance
        mel, rig, weight = (
            torch.from_numpy(x).to(device()) for x in (batch.mel, batch.rig, batch.weight)
        )
        tokens = encode(self.encoder, mel)
        target = self.measure.normalise(rig)
        sound, contrast, probe = speech_losses(
            self.heads, tokens, mel, target, weight, self.measure
        )
        return {
            "mel": sound,
            "contrast": self.settings.contrastive * contrast,
            "probe": self.settings.probe * probe,
        }

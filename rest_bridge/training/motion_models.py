"""From a checkpoint to networks that are ready to run: SpeechAE and DiT with averaged weights."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rest_bridge.generator.conditions import CONDITION_NAMES
from rest_bridge.model.audio_encoder import SpeechConfig, SpeechEncoder
from rest_bridge.model.dit import DitConfig, StreamingDit
from rest_bridge.training.checkpoint import CheckpointError, load_weights


def averaged_models(
    saved: Mapping[str, Any], path: Path = Path("checkpoint")
) -> tuple[SpeechEncoder, StreamingDit]:
    """Return SpeechAE and DiT of a checkpoint, with the averaged weights.

    Args:
        saved: content of a checkpoint of a motion stage.
        path: where it comes from, for the message.

    Raises:
        CheckpointError: it is no checkpoint of a motion stage.
    """
    if "dit_config" not in saved:
        raise CheckpointError(f"This checkpoint holds no DiT; choose one of a motion stage: {path}")
    encoder = SpeechEncoder(speech_config(saved))
    # Older checkpoints know fewer conditions; those that came later have no weight in them.
    sizes = {**saved["dit_config"], "num_conditions": len(CONDITION_NAMES)}
    dit = StreamingDit(DitConfig.from_dict(sizes))
    for prefix, module in (("encoder.", encoder), ("dit.", dit)):
        own = {k[len(prefix) :]: v for k, v in saved["ema"].items() if k.startswith(prefix)}
        load_weights(module, own, path)
    return encoder.eval(), dit.eval()


def speech_config(saved: Mapping[str, Any]) -> SpeechConfig:
    """Return SpeechAE's size; older checkpoints do not name it and have the default."""
    if "speech_config" not in saved:
        return SpeechConfig()
    widths = saved["speech_config"]["widths"]
    return SpeechConfig(
        widths=(widths[0], widths[1], widths[2], widths[3]),
        token_width=int(saved["speech_config"]["token_width"]),
    )

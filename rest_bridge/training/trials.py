"""Judges one student on held-out speech: the numbers that comparisons and ablations put in a row.

Place in the flow: checkpoint + validation sessions -> here -> `comparison`, `ablation`. Every clip
is streamed twice: with a neutral reference (lips, head, seams), and with one that looks aside and
smiles (does the ID-Sink carry who it is?).

Terms: `r`, `within`, `closed`, `jitter` as in `speech_metrics`, means over sources; `identity_deg`
how far the mean head pose is from where the reference's own pose puts it; `seam` second differences
of mouth and head across chunk borders over those inside (1: nobody can tell where a chunk ends);
`first` error of the lip aperture in the first half second over that later.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from rest_bridge.rig import RIG_INDEX, RIG_NAMES
from rest_bridge.training import speech_metrics
from rest_bridge.training.curves import lip_aperture
from rest_bridge.training.motion_models import averaged_models
from rest_bridge.training.settings import SHIPPED_STEPS
from rest_bridge.training.speech_sessions import Session
from rest_bridge.types import LATENT_STRIDE

COLUMNS: Final = (
    "score", "r", "within", "width", "closed", "still", "jitter", "seam", "first", "identity_deg",
)  # fmt: skip
_ASIDE: Final = {"headYaw": 8.0, "headPitch": -4.0, "mouthSmileLeft": 0.4, "mouthSmileRight": 0.4}
_FIRST_FRAMES: Final = 12
_SEAM_CHUNK: Final = 3
_SEAM_CHANNELS: Final = [
    i for i, name in enumerate(RIG_NAMES) if name.startswith(("head", "jaw", "mouth"))
]
FloatArray = npt.NDArray[np.float32]


def judge(
    saved: Mapping[str, Any],
    held_out: Sequence[Session],
    *,
    num_steps: int = SHIPPED_STEPS,
    chunk_latents: int = 1,
    temperature: float = 0.2,
    max_latents: int = 100,
    **ablation: bool,
) -> dict[str, float]:
    """Stream held-out speech through a student's averaged weights.

    Args:
        saved: content of a checkpoint of a motion stage.
        held_out: validation sessions.
        num_steps: denoising steps; as many as are shipped.
        chunk_latents: latent frames of a chunk.
        temperature: of the noise.
        max_latents: longest clip.
        **ablation: `keep_sink`, `keep_context` of `rollout.stream`.

    Returns:
        `COLUMNS` -> value.
    """
    models = averaged_models(saved)
    options: dict[str, Any] = {
        "num_steps": num_steps, "temperature": temperature, "max_latents": max_latents, **ablation,
    }  # fmt: skip
    clips = speech_metrics.generate(*models, held_out, chunk_latents=chunk_latents, **options)
    table = speech_metrics.summarise(clips)
    speaking = [m for m in table.values() if "r" in m and m["closed"] >= 0]
    row = {
        name: float(np.mean([metrics[name] for metrics in speaking]))
        for name in ("r", "within", "width", "closed", "still", "jitter")
    }
    row["score"] = row["r"] + row["within"] + 0.5 * row["closed"]
    row["first"] = _first_error(clips)
    chunk = chunk_latents if chunk_latents > 1 else _SEAM_CHUNK
    chunked = clips
    if chunk != chunk_latents:
        chunked = speech_metrics.generate(*models, held_out, chunk_latents=chunk, **options)
    row["seam"] = _seam(chunked, chunk * LATENT_STRIDE)
    row["identity_deg"] = _identity_error(models, held_out, clips, options)
    return {name: row[name] for name in COLUMNS}


def markdown_table(title: str, rows: Mapping[str, Mapping[str, float]]) -> str:
    """Return rows (name -> column -> value) as a Markdown table."""
    columns = list(dict.fromkeys(name for row in rows.values() for name in row))
    lines = [f"| {title} | " + " | ".join(columns) + " |", "| --- |" + " --- |" * len(columns)]
    for name, row in rows.items():
        cells = [f"{row[c]:.3f}" if c in row else "" for c in columns]
        lines.append(f"| {name} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def _first_error(clips: Sequence[speech_metrics.Clip]) -> float:
    errors = [np.abs(lip_aperture(c.target) - lip_aperture(c.predicted)) for c in clips]
    first = np.concatenate([e[:_FIRST_FRAMES] for e in errors]).mean()
    later = np.concatenate([e[_FIRST_FRAMES:] for e in errors]).mean()
    return float(first / (later + 1e-9))


def _seam(clips: Sequence[speech_metrics.Clip], frames_per_chunk: int) -> float:
    """Second differences whose middle pair of frames lies across a border, over all others."""
    border, inside = [], []
    for clip in clips:
        bend = np.diff(clip.predicted[:, _SEAM_CHANNELS], 2, axis=0)
        energy = np.square(bend / (bend.std(0) + 1e-6)).mean(1)
        place = (np.arange(len(energy)) + 1) % frames_per_chunk
        across = (place == 0) | (place == frames_per_chunk - 1)
        border.append(energy[across])
        inside.append(energy[~across])
    return float(np.concatenate(border).mean() / (np.concatenate(inside).mean() + 1e-9))


def _identity_error(
    models: tuple[Any, Any],
    held_out: Sequence[Session],
    neutral: Sequence[speech_metrics.Clip],
    options: dict[str, Any],
) -> float:
    reference = np.zeros(len(RIG_NAMES), np.float32)
    for name, value in _ASIDE.items():
        reference[RIG_INDEX[name]] = value
    clips = speech_metrics.generate(*models, held_out, reference=reference, **options)
    turned = [
        clip.predicted[:, :2].mean(0) - other.predicted[:, :2].mean(0)
        for clip, other in zip(clips, neutral, strict=True)
    ]
    return float(np.abs(np.stack(turned) - reference[:2]).mean())

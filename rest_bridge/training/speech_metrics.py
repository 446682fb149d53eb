"""Judges generated motion against held-out motion: lips, closures, stillness, jitter, blinks.

Place in the flow: validation sessions + SpeechAE + DiT -> here -> a table (training log, evaluate).
All lip numbers use `curves.lip_aperture`, for the target and the prediction alike.

Terms: `r` Pearson correlation at zero lag over whole clips; `within` the same over frames that are
not rest; `mismatched` against another clip of the same source (what speech on/off alone would
give); `closed` share of p/b/m frames at which the lips come within 0.06 of shut or the lowest
quarter of the clip's range; `still` deviation of the aperture in rest over that in speech.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch

from rest_bridge.generator.sampler import latent_noise
from rest_bridge.model.audio_encoder import SpeechEncoder
from rest_bridge.model.dit import StreamingDit
from rest_bridge.rig import RIG_INDEX
from rest_bridge.training import losses, rollout, speech_data, speech_sessions
from rest_bridge.training.curves import lip_aperture, mouth_width
from rest_bridge.training.settings import SHIPPED_STEPS
from rest_bridge.training.train_speech import encode

FloatArray = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Clip:
    """One validation clip: target and prediction, float32 [F, 58], and its labels, [F]."""

    session: speech_sessions.Session
    target: FloatArray
    predicted: FloatArray
    blink: FloatArray


@torch.no_grad()
def generate(
    encoder: SpeechEncoder,
    dit: StreamingDit,
    sessions: Sequence[speech_sessions.Session],
    *,
    num_steps: int = SHIPPED_STEPS,
    chunk_latents: int = 1,
    max_latents: int = 150,
    temperature: float = 1.0,
    reference: FloatArray | None = None,
    **ablation: bool,
) -> list[Clip]:
    """Stream every session (its first `max_latents`) through the model, all in one batch.

    Args:
        encoder: SpeechAE.
        dit: the student.
        sessions: to stream.
        num_steps: denoising steps.
        chunk_latents: latent frames of a chunk.
        max_latents: longest clip.
        temperature: of the noise.
        reference: float32 [58], rig of the reference picture; neutral if None.
        **ablation: `keep_sink`, `keep_context` of `rollout.stream`.
    """
    measure = losses.RigLosses()
    lengths = [min(s.num_latents, max_latents) for s in sessions]
    longest = max(lengths)
    crops = [
        speech_data.compose(s, version=0, first=0, num_latents=n, rng=None)
        for s, n in zip(sessions, lengths, strict=True)
    ]
    tokens, conditions = [], []
    for crop, length in zip(crops, lengths, strict=True):
        own = encode(encoder, torch.from_numpy(crop.mel))[0]
        tokens.append(torch.nn.functional.pad(own, (0, 0, 0, 0, 0, longest - length)))
        rows = torch.from_numpy(crop.conditions[0])
        conditions.append(torch.nn.functional.pad(rows, (0, 0, 0, longest - length)))
    seen = np.zeros(58, np.float32) if reference is None else reference
    still = torch.from_numpy(seen).expand(len(crops), 2, 58)
    noise = torch.from_numpy(
        np.stack([latent_noise(i, 0, longest, temperature) for i in range(len(crops))])
    )
    latents = rollout.stream(
        dit, measure.to_latents(measure.normalise(still))[:, 0], torch.stack(tokens),
        torch.stack(conditions), noise, num_steps=num_steps, chunk_latents=chunk_latents,
        **ablation,
    )  # fmt: skip
    rig = (measure.to_normalised(latents) * measure.scale + measure.mean).numpy()
    rig[..., 6:] = np.clip(rig[..., 6:], 0, 1)
    return [
        Clip(s, crop.rig[0], rig[i, : 2 * n], s.life[0, : 2 * n, 0])
        for i, (s, crop, n) in enumerate(zip(sessions, crops, lengths, strict=True))
    ]


def summarise(clips: Sequence[Clip]) -> dict[str, dict[str, float]]:
    """Return source -> metric -> value; the source of GRID's strangers is "grid-others"."""
    groups: dict[str, list[Clip]] = {}
    for clip in clips:
        groups.setdefault(_group(clip.session), []).append(clip)
    return {name: _metrics(group) for name, group in sorted(groups.items())}


def _group(session: speech_sessions.Session) -> str:
    if session.style == "grid" and not session.name.startswith("s1_"):
        return "grid-others"
    return session.style


def _metrics(clips: list[Clip]) -> dict[str, float]:
    truth = [lip_aperture(c.target) for c in clips]
    made = [lip_aperture(c.predicted) for c in clips]
    if clips[0].session.style == "negative":
        every = np.concatenate(made)
        return {"open": float(every.mean()), "most": float(every.max())}
    speaking = [~c.session.rest[: len(t)] for c, t in zip(clips, truth, strict=True)]
    pairs = list(zip(truth, made, speaking, strict=True))
    others = made[1:] + made[:1]
    out = {
        "r": _mean(_pearson(t, m) for t, m, _ in pairs),
        "within": _mean(_pearson(t[s], m[s]) for t, m, s in pairs),
        "mismatched": _mean(
            _pearson(t[:n], o[:n])
            for t, o in zip(truth, others, strict=True)
            for n in [min(len(t), len(o))]
        ),
        "width": _mean(
            _pearson(mouth_width(c.target)[s], mouth_width(c.predicted)[s])
            for c, s in zip(clips, speaking, strict=True)
        ),
        "lag_ms": 40.0 * _best_lag(truth, made),
        "range": _p95(made) / _p95(truth),
        "closed": _closed(clips, made),
    }
    rest = np.concatenate([m[~s] for _, m, s in pairs])
    voiced = np.concatenate([m[s] for _, m, s in pairs])
    out["still"] = float(rest.std() / (voiced.std() + 1e-9)) if len(rest) else float("nan")
    out["open_rest"] = float(rest.mean()) if len(rest) else float("nan")
    out["jitter"] = _jitter([c.predicted for c in clips]) / _jitter([c.target for c in clips])
    out["blink"] = _mean(
        _pearson(c.blink, c.predicted[:, RIG_INDEX["eyeBlinkLeft"]]) for c in clips if c.blink.any()
    )
    for index, name in enumerate(("yaw", "pitch")):
        out[name] = _mean(_pearson(c.target[:, index], c.predicted[:, index]) for c in clips)
    return out


def _closed(clips: list[Clip], made: list[FloatArray]) -> float:
    hits: list[bool] = []
    for clip, gap in zip(clips, made, strict=True):
        shut = clip.session.closure[: len(gap)].astype(np.float32) > 0.9
        low = float(np.percentile(gap, 5))
        limit = max(0.06, low + 0.25 * (float(np.percentile(gap, 95)) - low))
        near = np.minimum(gap, np.minimum(np.roll(gap, 1), np.roll(gap, -1)))
        hits += list(near[shut] < limit)
    return float(np.mean(hits)) if hits else float("nan")


def _p95(curves: list[FloatArray]) -> float:
    return float(np.percentile(np.concatenate(curves), 95))


def _jitter(rigs: list[FloatArray]) -> float:
    return float(np.concatenate([np.diff(r[:, :3], 2, axis=0) for r in rigs]).std()) + 1e-9


def _best_lag(truth: list[FloatArray], made: list[FloatArray]) -> int:
    """Frames that the made curve comes late (positive) for the best correlation."""
    pairs = list(zip(truth, made, strict=True))
    scores = {
        lag: _mean(_pearson(np.roll(t, lag)[5:-5], m[5:-5]) for t, m in pairs)
        for lag in range(-4, 5)
    }
    return max(scores, key=lambda lag: scores[lag])


def _pearson(a: FloatArray, b: FloatArray) -> float:
    if len(a) < 3 or a.std() < 1e-6 or b.std() < 1e-6:
        return 0.0
    return float(np.corrcoef(a, b)[0, 1])


def _mean(values: Iterable[float]) -> float:
    collected = list(values)
    return float(np.mean(collected)) if collected else float("nan")

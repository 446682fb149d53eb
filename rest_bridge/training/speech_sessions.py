"""Sessions: stretches of speech with motion, turned into features and targets and stored.

Place in the flow: `speech_sources` -> here (once, by `speech_prepare`) -> `speech_data`. A session
is a stretch of one source with pauses before and after; it is stored in several versions (another
life, another degradation of the sound, normaliser warm or cold).

Shape letters: T latent frames, F = 2T video frames, M mel frames, V versions, S samples.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from rest_bridge.features.mel import FRAMES_PER_SECOND, LogMel, MelConfig
from rest_bridge.generator import conditions
from rest_bridge.generator.life import LifePlanner
from rest_bridge.training import augment_audio, prosody
from rest_bridge.training.curves import gaussian_smooth
from rest_bridge.training.speech_sources import Utterance
from rest_bridge.types import FRAME_RATE_HZ, LATENT_STRIDE, MODEL_RATE_HZ

FloatArray = npt.NDArray[np.float32]

LOOKAHEAD_FRAMES: Final = 4
"""Mel frames (10 ms) that SpeechAE hears beyond a latent frame's end."""
MEL_PER_LATENT: Final = LATENT_STRIDE * FRAMES_PER_SECOND // FRAME_RATE_HZ
HISTORY_LATENTS: Final = 8
"""Latent frames of sound before a crop; SpeechAE remembers no more than this."""
_SAMPLES_PER_FRAME: Final = MODEL_RATE_HZ // FRAME_RATE_HZ


@dataclass(slots=True)
class Session:
    """One stretch of a source, stored.

    Attributes:
        name, style: of its first utterance; style "negative" has no voice.
        mel: float16 [V, H + M, 80], H = HISTORY_LATENTS * 8 + lookahead frames of history.
        mouth: float16 [F, 58], mouth (and tracked brows).
        life: float32 [V, F, 9]: blink, gaze x, gaze y, then the six pose values (slow part).
        slow: float32 [V, T, 3]: slow pose in degrees, the condition.
        accents: float32 [F, 2]: nod in degrees, brow raise; both scaled by `amount`.
        tracked: the pose is real, with its own accents inside.
        weight: float32 [F], 3 on closures and rest.
        closure: float16 [F]. rest: bool [F].
    """

    name: str
    style: str
    mel: npt.NDArray[np.float16]
    mouth: npt.NDArray[np.float16]
    life: FloatArray
    slow: FloatArray
    accents: FloatArray
    tracked: bool
    weight: FloatArray
    closure: npt.NDArray[np.float16]
    rest: npt.NDArray[np.bool_]

    @property
    def num_latents(self) -> int:
        """Whole latent frames."""
        return len(self.mouth) // LATENT_STRIDE


# --- building -------------------------------------------------------------------------------------


def join_utterances(
    parts: Sequence[Utterance], rng: np.random.Generator, *, pauses: bool
) -> Utterance:
    """Chain utterances with pauses of silence between, before and after them.

    Args:
        parts: of one style.
        rng: source of the pauses' lengths.
        pauses: False chains them as they are.
    """

    def pause() -> Utterance:
        long = rng.random() < 0.06
        seconds = float(rng.uniform(3, 7) if long else rng.uniform(0.25, 1.5))
        count = int(seconds * FRAME_RATE_HZ) if pauses else 0
        return _silence(count)

    pieces: list[Utterance] = [pause()]
    for part in parts:
        count = min(len(part.mouth), len(part.samples) // _SAMPLES_PER_FRAME)
        pieces += [_cut(part, count), pause()]
    pieces = [p for p in pieces if len(p.mouth)]
    poses = [p.pose for p in pieces if p.pose is not None]
    brows = [p.brow for p in pieces if p.brow is not None]
    return Utterance(
        name=parts[0].name,
        style=parts[0].style,
        samples=np.concatenate([p.samples for p in pieces]),
        mouth=np.concatenate([p.mouth for p in pieces]),
        closure=np.concatenate([p.closure for p in pieces]),
        rest=np.concatenate([p.rest for p in pieces]),
        pose=np.concatenate(poses) if len(poses) == len(pieces) else None,
        brow=np.concatenate(brows) if len(brows) == len(pieces) else None,
    )


def _cut(part: Utterance, count: int) -> Utterance:
    return Utterance(
        part.name, part.style, part.samples[: count * _SAMPLES_PER_FRAME], part.mouth[:count],
        part.closure[:count], part.rest[:count],
        None if part.pose is None else part.pose[:count],
        None if part.brow is None else part.brow[:count],
    )  # fmt: skip


def _silence(num_frames: int) -> Utterance:
    return Utterance(
        "pause", "pause", np.zeros(num_frames * _SAMPLES_PER_FRAME, np.float32),
        np.zeros((num_frames, 58), np.float32), np.zeros(num_frames, np.float32),
        np.ones(num_frames, bool),
    )  # fmt: skip


def negative_utterance(index: int, rng: np.random.Generator, seconds: float = 12.0) -> Utterance:
    """Make sound without a voice (noise, music, knocks): the mouth stays shut."""
    count = int(seconds * FRAME_RATE_HZ)
    num_samples = count * _SAMPLES_PER_FRAME
    slope = float(rng.uniform(-6, 0))
    sound = augment_audio.coloured_noise(num_samples, rng, slope_db_per_octave=slope)
    kinds = (None, _plucked_chords, _knocks, _gated_chords)
    make = kinds[index % len(kinds)]
    if make is not None:
        sound = np.float32(0.02) * sound + make(num_samples, rng)
    level = 10 ** (float(rng.uniform(-46, -18)) / 20)
    sound = (sound / (np.sqrt(np.mean(sound**2)) + 1e-9) * level).astype(np.float32)
    utterance = _silence(count)
    return Utterance(
        f"negative-{index}", "negative", np.clip(sound, -1, 1), utterance.mouth,
        utterance.closure, utterance.rest,
    )  # fmt: skip


_NOTES_HZ: Final = (110, 131, 165, 196, 220, 262, 277, 330, 392, 440, 523, 659)


def _plucked_chords(num_samples: int, rng: np.random.Generator) -> FloatArray:
    t = np.arange(num_samples) / MODEL_RATE_HZ
    sound = np.zeros(num_samples)
    for start_s in np.arange(0, float(t[-1]), float(rng.uniform(0.25, 0.8))):
        since = np.maximum(t - start_s, 0)
        envelope = (t >= start_s) * np.exp(-since * float(rng.uniform(1.0, 5.0)))
        for root in rng.choice(_NOTES_HZ, 3):
            for harmonic in range(1, 6):
                tone = np.sin(2 * np.pi * float(root) * harmonic * since) / harmonic
                sound += 0.3 * envelope * tone
    return sound.astype(np.float32)


def _gated_chords(num_samples: int, rng: np.random.Generator) -> FloatArray:
    """Held tones that go on and off as syllables do: what fools a mouth most."""
    t = np.arange(num_samples) / MODEL_RATE_HZ
    beat_hz, harmonics = float(rng.uniform(0.5, 5)), int(rng.integers(1, 9))
    share, edge = float(rng.uniform(-0.5, 0.5)), float(rng.uniform(2, 30))
    gate = 1 / (1 + np.exp(-edge * (np.sin(2 * np.pi * beat_hz * t) - share)))
    vibrato = float(rng.uniform(0, 0.02)) * np.sin(2 * np.pi * 5.5 * t) / 5.5
    sound = np.zeros(num_samples)
    bar = int(rng.uniform(0.4, 2.5) * MODEL_RATE_HZ)
    for first in range(0, num_samples, bar):
        part = slice(first, first + bar)
        for root in rng.choice(_NOTES_HZ, int(rng.integers(1, 4)), replace=False):
            for harmonic in range(1, harmonics + 1):
                phase = 2 * np.pi * float(root) * harmonic * (t[part] + vibrato[part])
                sound[part] += np.sin(phase) / harmonic
    return (gate * sound).astype(np.float32)


def _knocks(num_samples: int, rng: np.random.Generator) -> FloatArray:
    sound = np.zeros(num_samples, np.float32)
    for first in rng.integers(0, num_samples - 3200, 30):
        length = int(rng.integers(200, 3000))
        decay = np.exp(-np.arange(length) / (0.2 * length))
        sound[first : first + length] += (rng.standard_normal(length) * decay).astype(np.float32)
    return sound


def build_session(
    utterance: Utterance,
    mel: LogMel,
    rng: np.random.Generator,
    *,
    num_versions: int,
    history: FloatArray,
    voices: Sequence[FloatArray],
) -> Session:
    """Turn a chained utterance into a stored session.

    Args:
        utterance: from `join_utterances`.
        mel: the features.
        rng: source of lives and degradations.
        num_versions: 1 for clean only; the first is always clean.
        history: float32 [S], sound of the same talker that came before (any length).
        voices: other talkers, for babble.
    """
    count = len(utterance.mouth) // LATENT_STRIDE * LATENT_STRIDE
    times_s = (np.arange(count) + 0.5) / FRAME_RATE_HZ
    samples = utterance.samples[: count * _SAMPLES_PER_FRAME]
    mels, lives, slows = [], [], []
    for version in range(num_versions):
        degraded = version > 0 and rng.random() < 0.6
        mels.append(
            _features(samples, history, mel, rng, voices if degraded else None, version=version)
        )
        planner = LifePlanner(int(rng.integers(2**31)))
        pose = np.zeros((count, 6), np.float32)
        if utterance.pose is not None:
            pose[:] = utterance.pose[:count]
            slow = gaussian_smooth(pose[:, :3], 15)
        else:
            pose[:, :3] = planner.sway_deg(times_s)
            slow = pose[:, :3]
        slows.append(slow.reshape(-1, LATENT_STRIDE, 3).mean(1))
        blink, gaze = planner.blink(times_s), planner.gaze(times_s)
        lives.append(np.concatenate([blink[:, None], gaze, pose], 1))
    mouth = utterance.mouth[:count].copy()
    if utterance.brow is not None:
        brow = utterance.brow[:count]
        mouth += conditions.expression_to_rig(np.zeros_like(brow), brow)
    moving = utterance.pose is None and utterance.style != "negative"
    moments = prosody.accents(samples) if moving else []
    rest, closure = utterance.rest[:count], utterance.closure[:count]
    return Session(
        name=utterance.name,
        style=utterance.style,
        mel=np.stack(mels).astype(np.float16),
        mouth=mouth.astype(np.float16),
        life=np.stack(lives).astype(np.float32),
        slow=np.stack(slows).astype(np.float32),
        accents=prosody.accent_curves(moments, times_s),
        tracked=utterance.pose is not None,
        weight=(1 + 2 * np.maximum(closure, rest)).astype(np.float32),
        closure=closure.astype(np.float16),
        rest=rest,
    )


def _features(
    samples: FloatArray,
    history: FloatArray,
    mel: LogMel,
    rng: np.random.Generator,
    voices: Sequence[FloatArray] | None,
    *,
    version: int,
) -> FloatArray:
    kept = HISTORY_LATENTS * MEL_PER_LATENT * MODEL_RATE_HZ // FRAMES_PER_SECOND
    before = history[-4 * MODEL_RATE_HZ :]
    kind = float(rng.random())
    if version > 0 and kind < 0.3:  # a stream that has just begun
        before = np.zeros(kept, np.float32)
    elif version > 0 and kind < 0.45:  # somebody who was silent for a while
        before = np.zeros(int(rng.integers(5, 20)) * MODEL_RATE_HZ, np.float32)
    if len(before) < kept:
        before = np.concatenate([np.zeros(kept - len(before), np.float32), before])
    # The lookahead of the last latent frame hears silence beyond the end.
    tail = np.zeros(LOOKAHEAD_FRAMES * MODEL_RATE_HZ // FRAMES_PER_SECOND, np.float32)
    sound = np.concatenate([before, samples, tail])
    if voices is not None:
        sound = augment_audio.degrade(sound, voices, rng)
    room = rng.standard_normal(len(sound)) * 10 ** (float(rng.uniform(-92, -66)) / 20)
    if rng.random() < 0.75:  # else the pauses are digital silence
        sound = sound + room.astype(np.float32)
    if version > 0:
        sound = augment_audio.random_gain(sound, rng)
    frames, _ = mel.step(sound.astype(np.float32), mel.initial_state())
    wanted = HISTORY_LATENTS * MEL_PER_LATENT + len(samples) // 160 + LOOKAHEAD_FRAMES
    return frames[-wanted:]


def measure_mel(utterances: Sequence[Utterance], rng: np.random.Generator) -> MelConfig:
    """Mean and deviation of the log-mel of some training speech at usual levels."""
    blank = MelConfig(np.zeros(80, np.float32), np.ones(80, np.float32))
    mel = LogMel(blank)
    rows: list[FloatArray] = []
    for index in rng.choice(len(utterances), min(60, len(utterances)), replace=False):
        samples = augment_audio.random_gain(utterances[int(index)].samples, rng)
        starts = range(0, len(samples) - 400, 1600)
        rows += [mel.log_mel(samples[start : start + 400]) for start in starts]
    table = np.stack(rows)
    return MelConfig(table.mean(0).astype(np.float32), table.std(0).astype(np.float32))


# --- storage --------------------------------------------------------------------------------------

_ARRAYS: Final = ("mel", "mouth", "life", "slow", "accents", "weight", "closure", "rest")


def save_sessions(sessions: Sequence[Session], path: Path) -> None:
    """Write sessions to one .npz (arrays) with their names and styles."""
    arrays: dict[str, Any] = {}
    for number, session in enumerate(sessions):
        for name in _ARRAYS:
            arrays[f"{number}.{name}"] = getattr(session, name)
    index = [{"name": s.name, "style": s.style, "tracked": s.tracked} for s in sessions]
    arrays["index"] = np.frombuffer(json.dumps(index).encode(), np.uint8)
    np.savez(path, **arrays)


def load_sessions(path: Path) -> list[Session]:
    """Read what `save_sessions` wrote."""
    with np.load(path, allow_pickle=False) as archive:
        index = json.loads(archive["index"].tobytes().decode())
        return [
            Session(**entry, **{name: archive[f"{number}.{name}"] for name in _ARRAYS})
            for number, entry in enumerate(index)
        ]

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
from scipy.signal import lfilter

from rest_bridge.features.mel import (
    FRAMES_PER_SECOND,
    HOP_SAMPLES,
    WINDOW_SAMPLES,
    LogMel,
    MelConfig,
    mel_filters,
)
from rest_bridge.generator import conditions
from rest_bridge.generator.life import LifePlanner
from rest_bridge.training import augment_audio, crowded, prosody
from rest_bridge.training.background_sounds import quiet_room
from rest_bridge.training.curves import gaussian_smooth
from rest_bridge.training.speech_sources import Utterance, silent_utterance
from rest_bridge.types import FRAME_RATE_HZ, LATENT_STRIDE, MODEL_RATE_HZ

FloatArray = npt.NDArray[np.float32]

LOOKAHEAD_FRAMES: Final = 4
"""Mel frames (10 ms) that SpeechAE hears beyond a latent frame's end."""
MOST_LOOKAHEAD_FRAMES: Final = 8
"""Stored, so that another lookahead needs no new sessions."""
MEL_PER_LATENT: Final = LATENT_STRIDE * FRAMES_PER_SECOND // FRAME_RATE_HZ
HISTORY_LATENTS: Final = 8
"""Latent frames of sound before a crop; SpeechAE remembers no more than this."""
_SAMPLES_PER_FRAME: Final = MODEL_RATE_HZ // FRAME_RATE_HZ


@dataclass(slots=True)
class Session:
    """One stretch of a source, stored.

    Attributes:
        name, style: of its first utterance; style "negative" has no voice.
        mel: float16 [V, H + M, 80], H = HISTORY_LATENTS * 8 of history + the stored lookahead.
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

    Returns:
        One utterance with the name of the first.
    """

    def pause() -> Utterance:
        kind = float(rng.random())
        # Between sentences, to think, to listen.
        low, high = (0.25, 1.4) if kind < 0.8 else (1.4, 4) if kind < 0.93 else (4, 10)
        count = int(float(rng.uniform(low, high)) * FRAME_RATE_HZ) if pauses else 0
        return silent_utterance("pause", "pause", count)

    pieces: list[Utterance] = [pause()]
    for part in parts:
        count = min(len(part.mouth), len(part.samples) // _SAMPLES_PER_FRAME)
        pieces += [_cut(part, count), pause()]
    pieces = [p for p in pieces if len(p.mouth)]
    poses = [p.pose for p in pieces if p.pose is not None]
    brows = [p.brow for p in pieces if p.brow is not None]
    lids = [p.lids for p in pieces if p.lids is not None]
    return Utterance(
        name=parts[0].name,
        style=parts[0].style,
        samples=np.concatenate([p.samples for p in pieces]),
        mouth=np.concatenate([p.mouth for p in pieces]),
        closure=np.concatenate([p.closure for p in pieces]),
        rest=np.concatenate([p.rest for p in pieces]),
        pose=np.concatenate(poses) if len(poses) == len(pieces) else None,
        brow=np.concatenate(brows) if len(brows) == len(pieces) else None,
        lids=np.concatenate(lids) if len(lids) == len(pieces) else None,
    )


def _cut(part: Utterance, count: int) -> Utterance:
    return Utterance(
        part.name, part.style, part.samples[: count * _SAMPLES_PER_FRAME], part.mouth[:count],
        part.closure[:count], part.rest[:count],
        None if part.pose is None else part.pose[:count],
        None if part.brow is None else part.brow[:count],
        None if part.lids is None else part.lids[:count],
    )  # fmt: skip


def build_session(
    utterance: Utterance,
    mel: LogMel,
    rng: np.random.Generator,
    *,
    num_versions: int,
    history: FloatArray,
    voices: Sequence[FloatArray],
    num_crowded: int = 0,
) -> Session:
    """Turn a chained utterance into a stored session.

    Args:
        utterance: from `join_utterances`.
        mel: the features.
        rng: source of lives and degradations.
        num_versions: 1 for clean only; the first is always clean.
        history: float32 [S], sound of the same talker that came before (any length).
        voices: other talkers, for babble.
        num_crowded: further versions among other talkers, over music or in noise; see `crowded`.

    Returns:
        The session, in whole latent frames.
    """
    count = len(utterance.mouth) // LATENT_STRIDE * LATENT_STRIDE
    times_s = (np.arange(count) + 0.5) / FRAME_RATE_HZ
    samples = utterance.samples[: count * _SAMPLES_PER_FRAME]
    speaks = utterance.style != "negative"
    spoken = prosody.phrases(samples) if speaks else []
    mels, lives, slows = [], [], []
    for version in range(num_versions + num_crowded):
        if version >= num_versions:
            mels.append(crowded_features(samples, history, mel, rng, voices))
        else:
            degraded = version > 0 and rng.random() < 0.6
            mels.append(
                _features(samples, history, mel, rng, voices if degraded else None, version=version)
            )
        life = _life(utterance, spoken, times_s, rng)
        slow = life[:, 3:6]
        if utterance.pose is not None:
            slow = gaussian_smooth(life[:, 3:6], 15)
        slows.append(slow.reshape(-1, LATENT_STRIDE, 3).mean(1))
        lives.append(life)
    mouth = utterance.mouth[:count].copy()
    if utterance.brow is not None:
        brow = utterance.brow[:count]
        mouth += conditions.expression_to_rig(np.zeros_like(brow), brow)
    accents = np.zeros((count, 2), np.float32)
    if utterance.pose is None and speaks:
        accents = prosody.accent_curves(prosody.accents(samples), times_s)
        accents += prosody.melody_curves(samples, spoken, times_s)
        accents[:, 1] = np.minimum(accents[:, 1], 0.8)
    rest, closure = utterance.rest[:count], utterance.closure[:count]
    return Session(
        name=utterance.name,
        style=utterance.style,
        mel=np.stack(mels).astype(np.float16),
        mouth=mouth.astype(np.float16),
        life=np.stack(lives).astype(np.float32),
        slow=np.stack(slows).astype(np.float32),
        accents=accents,
        tracked=utterance.pose is not None,
        weight=(1 + 2 * np.maximum(closure, rest)).astype(np.float32),
        closure=closure.astype(np.float16),
        rest=rest,
    )


def _life(
    utterance: Utterance,
    spoken: list[prosody.Phrase],
    times_s: npt.NDArray[np.float64],
    rng: np.random.Generator,
) -> FloatArray:
    """Return float32 [F, 9]: blink, gaze x and y, pose; by chance and by what is said."""
    planner = LifePlanner(int(rng.integers(2**31)))
    pose = np.zeros((len(times_s), 6), np.float32)
    if utterance.pose is not None:
        pose[:] = utterance.pose[: len(times_s)]
    else:
        pose[:, :3] = planner.sway_deg(times_s)
        pose[:, 1] += prosody.listening_nods(spoken, times_s, rng)
    if rng.random() < 0.35:  # a life that doesn't listen, as the runtime's planner has it
        spoken = []
    if utterance.lids is not None:
        blink = utterance.lids[: len(times_s)]
    else:
        blink = prosody.blinks(planner, spoken, times_s, rng)
    gaze = prosody.glances(planner, spoken, times_s, rng) if spoken else planner.gaze(times_s)
    return np.concatenate([blink[:, None], gaze, pose], 1).astype(np.float32)


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
    tail = np.zeros(MOST_LOOKAHEAD_FRAMES * MODEL_RATE_HZ // FRAMES_PER_SECOND, np.float32)
    sound = np.concatenate([before, samples, tail])
    if voices is not None:
        sound = augment_audio.degrade(sound, voices, rng)
    if rng.random() < 0.75:  # else the pauses are digital silence
        sound = sound + quiet_room(len(sound), rng)
    if version > 0:
        sound = augment_audio.random_gain(sound, rng)
    frames = whole_features(mel, sound.astype(np.float32))
    wanted = HISTORY_LATENTS * MEL_PER_LATENT + len(samples) // 160 + MOST_LOOKAHEAD_FRAMES
    return frames[-wanted:]


def crowded_features(
    samples: FloatArray,
    history: FloatArray,
    mel: LogMel,
    rng: np.random.Generator,
    voices: Sequence[FloatArray],
) -> FloatArray:
    """Return a session's features [H + M, 80] as they are with much else to be heard."""
    per_frame = MODEL_RATE_HZ // FRAMES_PER_SECOND
    kept, tail = HISTORY_LATENTS * MEL_PER_LATENT, MOST_LOOKAHEAD_FRAMES
    sound = crowded.in_a_crowd(
        samples, history, voices, rng, least_lead=kept * per_frame, tail=tail * per_frame
    )
    return whole_features(mel, sound)[-(kept + len(samples) // per_frame + tail) :]


def whole_features(mel: LogMel, sound: FloatArray) -> FloatArray:
    """Return what `mel.step` gives for the whole sound from its initial state, five times faster.

    The windows are transformed together, so values differ in the last bits; sessions store halves.

    Args:
        mel: the features.
        sound: float32 [S].

    Returns:
        float32 [M, 80].
    """
    config, alpha = mel.config, 1.0 / (mel.config.time_constant_s * FRAMES_PER_SECOND)
    padded = np.concatenate([np.zeros(WINDOW_SAMPLES - HOP_SAMPLES, np.float32), sound])
    windows = np.lib.stride_tricks.sliding_window_view(padded, WINDOW_SAMPLES)[::HOP_SAMPLES]
    raw = np.concatenate(
        [_log_mels(mel, windows[i : i + 1024]) for i in range(0, len(windows), 1024)]
    )
    forget = [1.0, alpha - 1.0]
    mean, _ = lfilter([alpha], forget, raw, axis=0, zi=(1 - alpha) * config.mean[None])
    spread = config.deviation[None].astype(np.float64) ** 2
    variance, _ = lfilter([alpha], forget, (raw - mean) ** 2, axis=0, zi=(1 - alpha) * spread)
    frames = (raw - mean) / np.sqrt(variance + (0.5 * config.deviation) ** 2)
    return np.clip(frames, -config.clip, config.clip).astype(np.float32)


def _log_mels(mel: LogMel, windows: FloatArray) -> FloatArray:
    spectrum = np.fft.rfft(windows * np.hanning(WINDOW_SAMPLES).astype(np.float32), 512)
    power = (spectrum.real**2 + spectrum.imag**2).astype(np.float32)
    return np.log(power @ mel_filters().T + np.float32(mel.config.power_floor))


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
    """Write sessions to one .npz (arrays) with their names and styles; whole or not at all.

    Args:
        sessions: any.
        path: of the file.

    Raises:
        OSError: it cannot be written; what was begun is removed.
    """
    arrays: dict[str, Any] = {}
    for number, session in enumerate(sessions):
        for name in _ARRAYS:
            arrays[f"{number}.{name}"] = getattr(session, name)
    index = [{"name": s.name, "style": s.style, "tracked": s.tracked} for s in sessions]
    arrays["index"] = np.frombuffer(json.dumps(index).encode(), np.uint8)
    part = path.with_suffix(".part")
    try:
        with part.open("wb") as file:
            np.savez(file, **arrays)
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)


def load_sessions(path: Path) -> list[Session]:
    """Read what `save_sessions` wrote."""
    with np.load(path, allow_pickle=False) as archive:
        index = json.loads(archive["index"].tobytes().decode())
        return [
            Session(**entry, **{name: archive[f"{number}.{name}"] for name in _ARRAYS})
            for number, entry in enumerate(index)
        ]

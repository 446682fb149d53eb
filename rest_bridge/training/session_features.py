"""Sound of a session -> features as the runtime hears them, degraded or in a crowd.

Place in the flow: `speech_sessions.build_session` -> here -> stored features. The normaliser has a
past: the same talker before, silence, or nothing. Shape letters: M mel frames, S samples.
"""

from collections.abc import Sequence
from typing import Final

import numpy as np
from scipy.signal import lfilter

from rest_bridge.features.mel import (
    FRAMES_PER_SECOND,
    HOP_SAMPLES,
    WINDOW_SAMPLES,
    LogMel,
    MelConfig,
    mel_filters,
)
from rest_bridge.training import augment_audio, crowded
from rest_bridge.training.background_sounds import quiet_room
from rest_bridge.types import FRAME_RATE_HZ, LATENT_STRIDE, MODEL_RATE_HZ, FloatArray

LOOKAHEAD_FRAMES: Final = 4
"""Mel frames (10 ms) that SpeechAE hears beyond a latent frame's end."""
MOST_LOOKAHEAD_FRAMES: Final = 8
"""Stored, so that another lookahead needs no new sessions."""
MEL_PER_LATENT: Final = LATENT_STRIDE * FRAMES_PER_SECOND // FRAME_RATE_HZ
HISTORY_LATENTS: Final = 8
"""Latent frames of sound before a crop; SpeechAE remembers no more than this."""


def session_features(
    samples: FloatArray,
    history: FloatArray,
    mel: LogMel,
    rng: np.random.Generator,
    voices: Sequence[FloatArray] | None,
    *,
    version: int,
) -> FloatArray:
    """Return one version's features [H + M, 80].

    Args:
        samples: float32 [S], of the session, clean.
        history: the same talker before.
        mel: the features.
        rng: source of chance.
        voices: other talkers, for babble; None for an undegraded voice.
        version: 0 is at its own level, after the talker's own history.
    """
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


def measure_mel(voices: Sequence[FloatArray], rng: np.random.Generator) -> MelConfig:
    """Mean and deviation of the log-mel of some voices (float32 [S] each) at usual levels."""
    blank = MelConfig(np.zeros(80, np.float32), np.ones(80, np.float32))
    mel = LogMel(blank)
    rows: list[FloatArray] = []
    for index in rng.choice(len(voices), min(60, len(voices)), replace=False):
        samples = augment_audio.random_gain(voices[int(index)], rng)
        starts = range(0, len(samples) - 400, 1600)
        rows += [mel.log_mel(samples[start : start + 400]) for start in starts]
    table = np.stack(rows)
    return MelConfig(table.mean(0).astype(np.float32), table.std(0).astype(np.float32))

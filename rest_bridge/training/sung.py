"""Singing made from speech: the same words, held and drawn to the notes of a tune.

Place in the flow: a clean voice -> here -> `voice_finder`, `foreground_scenes`. There is no sung
recording in the data, and singing is a voice that must not be muted. Linear prediction keeps the
mouth's shape of every 10 ms; vowels are held two to four times as long and voiced by pulses at the
pitch of a note, with vibrato. Shape letters: S samples at 16 kHz; F frames of 10 ms.
"""

from typing import Final

import numpy as np
import numpy.typing as npt
from scipy.linalg import solve_toeplitz
from scipy.signal import lfilter

from rest_bridge.types import MODEL_RATE_HZ, FloatArray

_HOP: Final = MODEL_RATE_HZ // 100
_SIZE: Final = 3 * _HOP
_ORDER: Final = 18
_NOTES: Final = np.array([0, 2, 4, 5, 7, 9, 11, 12])
_LEAST_LAG, _MOST_LAG = MODEL_RATE_HZ // 400, MODEL_RATE_HZ // 80
_VOICED: Final = 0.45
"""Least periodicity of a voiced frame."""


def sung(voice: FloatArray, rng: np.random.Generator) -> FloatArray:
    """Return a clean voice as if its words were sung.

    Args:
        voice: float32 [S], 16 kHz.
        rng: source of the tune and of how it is sung.

    Returns:
        float32 [S'], one and a half to three times as long, at the same level.
    """
    frames = np.lib.stride_tricks.sliding_window_view(voice, _SIZE)[::_HOP]
    frames = frames * np.hanning(_SIZE)
    spectra = np.fft.rfft(frames, 2 * _SIZE)
    correlations = np.fft.irfft(np.abs(spectra) ** 2)[:, : _MOST_LAG + 1]
    periodic = correlations[:, _LEAST_LAG:].max(1) / (correlations[:, 0] + 1e-9) > _VOICED
    places = _places(periodic, float(rng.uniform(1.6, 4.0)))
    pulses = _pulses(len(places), periodic[places], rng)
    out = np.zeros((len(places) + 3) * _HOP)
    window = np.hanning(_SIZE) / 1.5
    for k, place in enumerate(places):
        lags = correlations[place, : _ORDER + 1] + 1e-9
        lags[0] *= 1.0001
        shape = solve_toeplitz(lags[:-1], lags[1:])
        left = max(float(lags[0] - shape @ lags[1:]), 1e-12)
        part = pulses[k * _HOP : k * _HOP + _SIZE]
        gain = np.sqrt(left / _SIZE / (np.mean(part**2) + 1e-9))
        out[k * _HOP : k * _HOP + _SIZE] += window * lfilter([gain], [1, *-shape], part)
    level = np.sqrt(np.mean(voice**2) / (np.mean(out**2) + 1e-12))
    return (out * level).astype(np.float32)


def _places(periodic: npt.NDArray[np.bool_], longer: float) -> npt.NDArray[np.intp]:
    """Return which frame is sung at each 10 ms: voiced ones for longer."""
    lasts = np.where(periodic, longer, 1.0)
    ends = np.cumsum(lasts)
    return np.searchsorted(ends, np.arange(int(ends[-1])), side="right").clip(0, len(lasts) - 1)


def _pulses(
    num_frames: int, periodic: npt.NDArray[np.bool_], rng: np.random.Generator
) -> npt.NDArray[np.float64]:
    """Return what the throat gives: pulses at the notes of a tune, noise in consonants."""
    count = (num_frames + 3) * _HOP
    root_hz = float(rng.uniform(90, 330))
    note_frames = int(rng.integers(15, 70))
    notes = rng.choice(_NOTES, num_frames // note_frames + 2)
    steps = np.repeat(notes, note_frames * _HOP)[:count].astype(np.float64)
    glide = int(0.04 * MODEL_RATE_HZ)
    steps = np.convolve(np.pad(steps, glide, "edge"), np.ones(glide) / glide, "same")[glide:-glide]
    time_s = np.arange(count) / MODEL_RATE_HZ
    depth, rate_hz = float(rng.uniform(0, 0.5)), float(rng.uniform(4.5, 6.5))
    steps += depth * np.sin(2 * np.pi * rate_hz * time_s)
    turns = np.cumsum(root_hz * 2 ** (steps / 12) / MODEL_RATE_HZ)
    noise = rng.standard_normal(count)
    beats = np.diff(np.floor(turns), prepend=0) * np.sqrt(MODEL_RATE_HZ / root_hz)
    # A throat's pulses fall by 12 dB an octave; prediction has taken some of it up already.
    beats = lfilter([1.0], [1.0, -0.7], beats)
    voiced = np.pad(np.repeat(periodic, _HOP), (0, count - len(periodic) * _HOP)).astype(np.float64)
    voiced = np.convolve(voiced, np.ones(_HOP) / _HOP, "same")
    airy = float(rng.uniform(0.02, 0.15))
    return voiced * (beats + airy * noise) + (1 - voiced) * noise

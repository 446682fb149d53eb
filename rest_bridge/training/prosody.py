"""Nods, brows, blinks and glances that follow the voice, for sources whose video we don't have.

Place in the flow: clean samples -> here -> `speech_sessions` targets. Accents start after the
loudness peak that causes them, so a streaming network can hear them come. Blinks and glances are
conditions as well as targets: the network obeys them, or, where they are not given, learns when
people make them. Shape letters: S samples at 16 kHz; F frames.
"""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from rest_bridge.generator.life import LifePlanner
from rest_bridge.training.curves import gaussian_smooth

FloatArray = npt.NDArray[np.float32]
_RATE_HZ, _HOP = 16_000, 160
_STEP_S = _HOP / _RATE_HZ
_CLOSING_S, _SHUT_S, _OPENING_S = 0.08, 0.04, 0.16
_PITCH_WINDOW = 640
_LOWEST_HZ, _HIGHEST_HZ = 70.0, 400.0


class Phrase(NamedTuple):
    """A stretch of speech between two pauses, and how its melody ends.

    Attributes:
        start_s, end_s: its span.
        rise: semitones by which the pitch of the last 0.3 s lies above that before.
    """

    start_s: float
    end_s: float
    rise: float


def accents(samples: FloatArray) -> list[tuple[float, float]]:
    """Find stressed moments.

    Args:
        samples: float32 [S], clean speech.

    Returns:
        (time in seconds, strength 0..1) of loudness peaks that stand out of their surroundings, at
        least 0.35 s apart.
    """
    level_db = _level_db(samples)
    fast = gaussian_smooth(level_db[:, None], 5)[:, 0]
    slow = gaussian_smooth(level_db[:, None], 60)[:, 0]
    loud = fast > np.percentile(fast, 95) - 16
    score = np.where(loud, np.clip((fast - slow - 3) / 12, 0, 1), 0)
    inner = (score[1:-1] >= score[:-2]) & (score[1:-1] > score[2:]) & (score[1:-1] > 0.15)
    found: list[tuple[float, float]] = []
    for k in np.flatnonzero(inner) + 1:
        moment = (float(k) * _STEP_S, float(score[k]))
        if found and moment[0] - found[-1][0] < 0.35:
            if moment[1] > found[-1][1]:
                found[-1] = moment
            continue
        found.append(moment)
    return found


def _level_db(samples: FloatArray) -> npt.NDArray[np.float64]:
    count = len(samples) // _HOP
    power = np.mean(samples[: count * _HOP].reshape(count, _HOP) ** 2, axis=1)
    return 10 * np.log10(power + 1e-8)


def pitch_hz(samples: FloatArray) -> FloatArray:
    """Return float32 [S // 160]: the voice's pitch by autocorrelation, 0 where there is none."""
    count = max(0, (len(samples) - _PITCH_WINDOW) // _HOP + 1)
    out = np.zeros(len(samples) // _HOP, np.float32)
    low, high = int(_RATE_HZ / _HIGHEST_HZ), int(_RATE_HZ / _LOWEST_HZ)
    for first in range(0, count, 2048):  # a block at a time: an hour must not fill the memory
        starts = np.arange(first, min(first + 2048, count)) * _HOP
        windows = samples[starts[:, None] + np.arange(_PITCH_WINDOW)] * np.hanning(_PITCH_WINDOW)
        spectrum = np.fft.rfft(windows, 2048)
        correlation = np.fft.irfft(np.abs(spectrum) ** 2)[:, : high + 1]
        energy = correlation[:, 0]
        lags = correlation[:, low:] / np.maximum(energy, 1e-9)[:, None]
        best = lags.argmax(1)
        voiced = (lags[np.arange(len(best)), best] > 0.45) & (energy > 1e-3)
        out[first : first + len(best)] = np.where(voiced, _RATE_HZ / (best + low), 0)
    return out


def phrases(samples: FloatArray) -> list[Phrase]:
    """Return the stretches of speech that pauses of 0.25 s or more set apart."""
    level_db = _level_db(samples)
    if not len(level_db) or level_db.max() < -60:
        return []
    loud = gaussian_smooth(level_db[:, None], 4)[:, 0] > np.percentile(level_db, 95) - 24
    pitch = pitch_hz(samples)
    found: list[Phrase] = []
    edges = np.flatnonzero(np.diff(np.concatenate([[0], loud.astype(np.int8), [0]])))
    for first, stop in edges.reshape(-1, 2):
        if found and first * _STEP_S - found[-1].end_s < 0.25:
            first = round(found.pop().start_s / _STEP_S)
        found.append(Phrase(float(first * _STEP_S), float(stop * _STEP_S), 0.0))
    return [p._replace(rise=_rise(pitch, p)) for p in found if p.end_s - p.start_s > 0.15]


def _rise(pitch: FloatArray, phrase: Phrase) -> float:
    last, stop = int((phrase.end_s - 0.3) / _STEP_S), int(phrase.end_s / _STEP_S)
    before = pitch[max(0, last - 80) : max(0, last)]
    end = pitch[max(0, last) : stop]
    before, end = before[before > 0], end[end > 0]
    if len(before) < 10 or len(end) < 5:
        return 0.0
    return float(12 * np.log2(np.median(end) / np.median(before)))


def accent_curves(
    moments: list[tuple[float, float]], times_s: npt.NDArray[np.float64]
) -> FloatArray:
    """Movement that the accents cause.

    Args:
        moments: from `accents`.
        times_s: float64 [F].

    Returns:
        float32 [F, 2]: nod in degrees of pitch (positive is down), brow raise 0..1.
    """
    out = np.zeros((len(times_s), 2))
    for time_s, strength in moments:
        since = times_s - time_s
        # Down within 0.12 s after the peak, back over 0.4 s with a slight overshoot.
        nod = np.where(since > -0.04, np.sin(np.clip((since + 0.04) / 0.5, 0, 1) * np.pi), 0)
        out[:, 0] += 2.6 * strength * nod * np.exp(-np.maximum(since - 0.08, 0) / 0.22)
        if strength > 0.45:
            lift = np.clip((since + 0.06) / 0.16, 0, 1) * np.clip((0.62 - since) / 0.3, 0, 1)
            out[:, 1] = np.maximum(out[:, 1], 0.55 * (strength - 0.2) * lift)
    return out.astype(np.float32)


def melody_curves(
    samples: FloatArray, spoken: list[Phrase], times_s: npt.NDArray[np.float64]
) -> FloatArray:
    """Movement that the melody causes: a head that rises with the pitch, brows at a question.

    Args:
        samples: float32 [S], clean.
        spoken: from `phrases`.
        times_s: float64 [F].

    Returns:
        float32 [F, 2], as from `accent_curves`; the pitch's part comes 60 ms late.
    """
    out = np.zeros((len(times_s), 2))
    pitch = pitch_hz(samples)
    voiced = pitch > 0
    if voiced.sum() > 50:
        steps = np.arange(len(pitch)) * _STEP_S
        tone = 12 * np.log2(
            np.interp(steps, steps[voiced], pitch[voiced]) / np.median(pitch[voiced])
        )
        speaking = gaussian_smooth(voiced[:, None].astype(np.float64), 25)
        smooth = gaussian_smooth(np.clip(tone, -7, 7)[:, None], 18) * speaking
        out[:, 0] = -0.35 * np.interp(times_s, steps + 0.06, smooth[:, 0])
    for phrase in spoken:
        if phrase.rise > 2.5:
            since = times_s - (phrase.end_s - 0.2)
            lift = np.clip(since / 0.2, 0, 1) * np.clip((0.9 - since) / 0.35, 0, 1)
            out[:, 1] = np.maximum(out[:, 1], min(0.75, 0.12 * phrase.rise) * lift)
    return out.astype(np.float32)


def blinks(
    planner: LifePlanner,
    spoken: list[Phrase],
    times_s: npt.NDArray[np.float64],
    rng: np.random.Generator,
) -> FloatArray:
    """Return float32 [F]: the planner's blinks, most of them moved to the next end of a phrase.

    People blink where they pause; the rate stays the planner's.
    """
    planned = planner.blink(times_s)
    shut = planned > 0.995
    starts = times_s[np.flatnonzero(shut & ~np.roll(shut, 1))] - _CLOSING_S
    moved: list[float] = []
    ends = np.array([p.end_s for p in spoken])
    for start_s in starts:
        if len(ends) and rng.random() < 0.6:
            nearest = float(ends[np.abs(ends - start_s).argmin()])
            if abs(nearest - start_s) < 1.2:
                start_s = nearest + float(rng.uniform(-0.08, 0.2))
        if not moved or start_s - moved[-1] > 0.32:
            moved.append(float(start_s))
    closure = np.zeros(len(times_s))
    for start_s in moved:
        closing = (times_s - start_s) / _CLOSING_S
        opening = (start_s + _CLOSING_S + _SHUT_S + _OPENING_S - times_s) / _OPENING_S
        x = np.clip(np.minimum(closing, opening), 0, 1)
        closure = np.maximum(closure, x * x * (3 - 2 * x))
    return closure.astype(np.float32)


def glances(
    planner: LifePlanner,
    spoken: list[Phrase],
    times_s: npt.NDArray[np.float64],
    rng: np.random.Generator,
) -> FloatArray:
    """Plan the gaze: listeners look at you, speakers look away now and then as they begin.

    Args:
        planner: of this life.
        spoken: from `phrases`.
        times_s: float64 [F].
        rng: source of chance.

    Returns:
        float32 [F, 2], x to the image's right and y up, -1..1.
    """
    gaze = planner.gaze(times_s).astype(np.float64)
    speaking = np.zeros(len(times_s))
    for phrase in spoken:
        speaking[(times_s > phrase.start_s - 0.2) & (times_s < phrase.end_s + 0.4)] = 1
    gaze *= (0.35 + 0.65 * _saccadic(speaking))[:, None]
    for phrase in spoken:
        if rng.random() < 0.25:
            away = rng.normal(0, (0.25, 0.15))
            since = times_s - (phrase.start_s + float(rng.uniform(-0.1, 0.2)))
            held = np.clip(since / 0.05, 0, 1) * np.clip(
                (float(rng.uniform(0.5, 1.2)) - since) / 0.05, 0, 1
            )
            gaze += held[:, None] * (away - gaze)
    return np.clip(gaze, -0.7, 0.7).astype(np.float32)


def _saccadic(values: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    return gaussian_smooth(values[:, None], 0.7)[:, 0]


def listening_nods(
    spoken: list[Phrase], times_s: npt.NDArray[np.float64], rng: np.random.Generator
) -> FloatArray:
    """Return float32 [F]: nods (degrees of pitch) of a listener, in pauses of over 2 s."""
    out = np.zeros(len(times_s))
    borders = [0.0, *(t for p in spoken for t in (p.start_s, p.end_s)), float(times_s[-1])]
    for start_s, end_s in zip(borders[0::2], borders[1::2], strict=True):
        for _ in range(int(rng.poisson(max(0.0, (end_s - start_s - 1.5) / 4)))):
            at_s = float(rng.uniform(start_s + 0.4, max(start_s + 0.5, end_s - 1.0)))
            depth, cycles = float(rng.uniform(0.8, 3.0)), int(rng.integers(1, 4))
            since = np.clip((times_s - at_s) / (0.45 * cycles), 0, 1)
            out += depth * np.sin(np.pi * since) * np.sin(np.pi * cycles * since) ** 2
    return out.astype(np.float32)

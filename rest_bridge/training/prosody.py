"""Head nods and brow accents that follow the voice, for sources whose video we don't have.

Place in the flow: clean samples -> here -> `speech_data` targets. The accents start after the
loudness peak that causes them, so a streaming network can hear them come.
Shape letters: S samples at 16 kHz; F frames.
"""

import numpy as np
import numpy.typing as npt

from rest_bridge.training.curves import gaussian_smooth

FloatArray = npt.NDArray[np.float32]
_RATE_HZ, _HOP = 16_000, 160
_STEP_S = _HOP / _RATE_HZ


def accents(samples: FloatArray) -> list[tuple[float, float]]:
    """Find stressed moments.

    Args:
        samples: float32 [S], clean speech.

    Returns:
        (time in seconds, strength 0..1) of loudness peaks that stand out of their surroundings, at
        least 0.35 s apart.
    """
    count = len(samples) // _HOP
    power = np.mean(samples[: count * _HOP].reshape(count, _HOP) ** 2, axis=1)
    level_db = 10 * np.log10(power + 1e-8)
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

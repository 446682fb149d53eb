"""Visemes or measured lips -> rig curves (ARKit weights), and the lip aperture all are judged by.

Place in the flow: `visemes`/`tracks` -> here -> `speech_data`. Co-articulation follows Cohen and
Massaro's dominance functions (1993) with exponential flanks; p/b/m closures are enforced, since a
mean of neighbours never closes. It knows nothing about audio features or networks.

Shape letters: F frames; C viseme channels (`visemes.CHANNELS`).
"""

from typing import Final

import numpy as np
import numpy.typing as npt

from rest_bridge.rig import RIG_INDEX, RIG_NAMES
from rest_bridge.training.visemes import CHANNELS, VISEMES, VisemeSpan

FloatArray = npt.NDArray[np.float32]

_MOUTH_LEAD_S: Final = 0.02
"""The mouth runs ahead of the sound by this much."""
_JAW, _TONGUE = CHANNELS.index("jaw"), CHANNELS.index("tongue")

_CHANNEL_TO_ARKIT: Final[dict[str, dict[str, float]]] = {
    "jaw": {"jawOpen": 1.0},
    "funnel": {"mouthFunnel": 1.0},
    "pucker": {"mouthPucker": 1.0},
    "stretch": {"mouthStretchLeft": 0.8, "mouthStretchRight": 0.8},
    "lower_down": {"mouthLowerDownLeft": 0.8, "mouthLowerDownRight": 0.8},
    "upper_up": {"mouthUpperUpLeft": 0.8, "mouthUpperUpRight": 0.8},
    "roll_lower": {"mouthRollLower": 0.85},
    "tongue": {"tongueOut": 0.3},
    "smile": {"mouthSmileLeft": 0.8, "mouthSmileRight": 0.8},
}
_CLOSURE: Final = {
    "mouthRollLower": 0.42, "mouthRollUpper": 0.32, "mouthPressLeft": 0.42, "mouthPressRight": 0.42,
}  # fmt: skip


def channel_basis() -> FloatArray:
    """Return float32 [C, 58]: rig values of each viseme channel at full weight."""
    basis = np.zeros((len(CHANNELS), len(RIG_NAMES)), np.float32)
    for row, channel in enumerate(CHANNELS):
        for name, weight in _CHANNEL_TO_ARKIT[channel].items():
            basis[row, RIG_INDEX[name]] = weight
    return basis


def viseme_curves(
    spans: list[VisemeSpan], times_s: npt.NDArray[np.float64], *, smoothing_s: float = 0.018
) -> tuple[FloatArray, FloatArray]:
    """Co-articulated mouth of a viseme sequence.

    Args:
        spans: visemes that tile the clip.
        times_s: float64 [F], increasing, evenly spaced: when to evaluate.
        smoothing_s: standard deviation of the final smoothing.

    Returns:
        channels: float32 [F, C], 0..1.
        closure: float32 [F], 1 where p, b or m shut the lips.
    """
    t = times_s + _MOUTH_LEAD_S
    fps = 1.0 / float(times_s[1] - times_s[0])
    weighted = np.zeros((len(t), len(CHANNELS)))
    total = np.full((len(t), len(CHANNELS)), 1e-9)
    for span in spans:
        viseme = VISEMES[span.name]
        near = slice(*np.searchsorted(t, [span.start_s - 0.5, span.end_s + 0.5]))
        pull = _flanks(t[near], span, viseme.before_s, viseme.after_s)
        strength = np.repeat(pull[:, None] * viseme.lip_dominance, len(CHANNELS), axis=1)
        strength[:, _JAW] = pull * viseme.jaw_dominance
        strength[:, _TONGUE] = pull
        weighted[near] += strength * np.array(viseme.shape)
        total[near] += strength
    channels = gaussian_smooth(weighted / total, smoothing_s * fps)
    closure, lip_on_teeth = np.zeros(len(t)), np.zeros(len(t))
    for span in spans:
        if span.name in ("PP", "FF"):
            target = closure if span.name == "PP" else lip_on_teeth
            np.maximum(target, _plateau(t, span), out=target)
    roll = CHANNELS.index("roll_lower")
    channels[:, roll] = np.maximum(channels[:, roll], 0.75 * lip_on_teeth)
    for name, kept in (("lower_down", 0.0), ("upper_up", 0.0), ("jaw", 0.25), ("funnel", 0.6)):
        channels[:, CHANNELS.index(name)] *= 1 - (1 - kept) * closure
    for name, kept in (("lower_down", 0.2), ("jaw", 0.45)):
        channels[:, CHANNELS.index(name)] *= 1 - (1 - kept) * lip_on_teeth
    return channels.astype(np.float32), closure.astype(np.float32)


def _flanks(
    t: npt.NDArray[np.float64], span: VisemeSpan, before_s: float, after_s: float
) -> npt.NDArray[np.float64]:
    # The plateau is the inner 70 % of a phone. A long silence reaches to its ends all the same, or
    # the mouth would hang open into it.
    margin = min(0.15 * (span.end_s - span.start_s), 0.03)
    start, end = span.start_s + margin, span.end_s - margin
    return np.exp(-np.maximum(start - t, 0) / before_s - np.maximum(t - end, 0) / after_s)


def _plateau(t: npt.NDArray[np.float64], span: VisemeSpan) -> npt.NDArray[np.float64]:
    """Return 1 around the middle of the phone, at least 78 ms wide, with smooth edges.

    A picture of 25 fps samples each 40 ms: a closure that only one frame shows is what a network
    smooths away first, so it lasts for two (60-120 ms are natural for p, b and m).
    """
    end = max(span.end_s, span.start_s + 0.07)
    centre, half = span.start_s + 0.45 * (end - span.start_s), 0.38 * (end - span.start_s) + 0.0125
    w = np.clip(1.6 - 0.6 * np.abs(t - centre) / half, 0, 1)
    return w * w * (3 - 2 * w)


def rig_from_channels(channels: FloatArray, closure: FloatArray) -> FloatArray:
    """Mouth part of the rig; the rest is zero.

    Args:
        channels: float32 [F, C].
        closure: float32 [F], 0..1.

    Returns:
        float32 [F, 58]; where closure is 1, `mouthClose` undoes what the jaw opens.
    """
    rig = channels @ channel_basis()
    close_lips(rig, closure)
    return np.clip(rig, 0, 1)


def close_lips(rig: FloatArray, closure: FloatArray) -> None:
    """Shut the lips of a rig in place, where `closure` (float32 [F], 0..1) says so."""
    for name in ("mouthLowerDownLeft", "mouthLowerDownRight", "mouthUpperUpLeft"):
        rig[:, RIG_INDEX[name]] *= 1 - closure
    rig[:, RIG_INDEX["mouthUpperUpRight"]] *= 1 - closure
    rig[:, RIG_INDEX["jawOpen"]] *= 1 - 0.7 * closure
    close = RIG_INDEX["mouthClose"]
    rig[:, close] = np.maximum(rig[:, close], closure * rig[:, RIG_INDEX["jawOpen"]])
    for name, weight in _CLOSURE.items():
        rig[:, RIG_INDEX[name]] = np.maximum(rig[:, RIG_INDEX[name]], closure * weight)


def bite_lips(rig: FloatArray, channels: FloatArray, closure: FloatArray) -> None:
    """Put the lower lip of a tracked rig under the teeth in f and v, in place.

    Landmarks see that the gap is small there, not that one lip is rolled in and none is pressed.

    Args:
        rig: float32 [F, 58].
        channels: float32 [F, C], of `viseme_curves` for the same speech.
        closure: float32 [F], 0..1, where p, b or m shut the lips instead.
    """
    bitten = channels[:, CHANNELS.index("roll_lower")] * (1 - closure)
    rolled = bitten * channel_basis()[CHANNELS.index("roll_lower"), RIG_INDEX["mouthRollLower"]]
    lower = RIG_INDEX["mouthRollLower"]
    rig[:, lower] = np.maximum(rig[:, lower], rolled)
    for name in ("mouthRollUpper", "mouthPressLeft", "mouthPressRight"):
        rig[:, RIG_INDEX[name]] *= 1 - np.clip(bitten / _BITTEN, 0, 1)


def rig_from_lips(aperture: FloatArray, width: FloatArray) -> FloatArray:
    """Rig of measured lips, the counterpart of `lip_aperture` for real tracks.

    Args:
        aperture: float32 [F], 0 closed .. about 0.7 wide 'ah' (scaled as `lip_aperture`).
        width: float32 [F], mouth width as a z-score: + spread, - rounded.

    Returns:
        float32 [F, 58], mouth part only.
    """
    rig = np.zeros((len(aperture), len(RIG_NAMES)), np.float32)
    opening = np.maximum(aperture, 0)
    spread, rounded = np.clip(width, 0, 2.5), np.clip(-width - 0.3, 0, 2.2)
    channels = {
        # Small gaps come from the lips, wide ones from the jaw as well.
        "jaw": 0.72 * opening,
        "lower_down": np.minimum(0.62 * opening, 0.42),
        "upper_up": np.minimum(0.36 * opening, 0.26),
        "pucker": 0.30 * rounded,
        "funnel": 0.16 * rounded * np.minimum(1, 3 * opening),
        "stretch": 0.16 * spread * np.minimum(1, 4 * opening),
        "smile": 0.06 * spread,
    }
    basis = channel_basis()
    for name, values in channels.items():
        rig += values[:, None] * basis[CHANNELS.index(name)]
    closure = np.clip(1 - opening / 0.03, 0, 1)
    close_lips(rig, (0.3 * closure).astype(np.float32))
    return np.clip(rig, 0, 1)


_BITTEN = 0.55
"""Roll of the lower lip from which nothing is pressed any more."""
_GAP = {
    "jawOpen": 1.0, "mouthClose": -1.0,
    "mouthLowerDownLeft": 0.22, "mouthLowerDownRight": 0.22,
    "mouthUpperUpLeft": 0.125, "mouthUpperUpRight": 0.125, "mouthFunnel": 0.05,
    "mouthPucker": -0.10, "mouthRollLower": -0.12,
    "mouthPressLeft": -0.05, "mouthPressRight": -0.05,
}  # fmt: skip


def aperture_weights() -> FloatArray:
    """Return float32 [58]: `lip_aperture` before its lower bound is rig @ these weights."""
    weights = np.zeros(len(RIG_NAMES), np.float32)
    for name, weight in _GAP.items():
        weights[RIG_INDEX[name]] = weight
    return weights


def lip_aperture(rig: FloatArray) -> FloatArray:
    """Gap between the lips as one number.

    Args:
        rig: float32 [..., 58].

    Returns:
        float32 [...], 0 closed, about 0.7 for a wide 'ah'. The same linear composite serves
        prediction and target, so it needs no calibration to compare the two.
    """
    return np.maximum(rig @ aperture_weights(), 0)


def mouth_width(rig: FloatArray) -> FloatArray:
    """Mouth width as one number, + spread, - rounded; float32 [..., 58] -> float32 [...]."""

    def both(name: str) -> FloatArray:
        return 0.5 * (rig[..., RIG_INDEX[name + "Left"]] + rig[..., RIG_INDEX[name + "Right"]])

    return (
        both("mouthStretch") + 0.6 * both("mouthSmile")
        - rig[..., RIG_INDEX["mouthPucker"]] - 0.5 * rig[..., RIG_INDEX["mouthFunnel"]]
    )  # fmt: skip


def gaussian_smooth(values: npt.NDArray[np.floating], deviation: float) -> npt.NDArray[np.float64]:
    """Smooth [F, C] along time; edges repeat. `deviation` is in frames."""
    if deviation <= 0:
        return values.astype(np.float64)
    radius = int(4 * deviation) + 1
    kernel = np.exp(-0.5 * (np.arange(-radius, radius + 1) / deviation) ** 2)
    padded = np.pad(values, ((radius, radius), (0, 0)), "edge")
    kernel /= kernel.sum()
    return np.stack([np.convolve(column, kernel, "valid") for column in padded.T], 1)

"""A face that nobody talks to, and the way into speech and out of it again.

    python -m rest_bridge.training.evaluation.idle --assets DIR [--minutes 3]

The whole runtime but the pictures, as a live voice is heard: minutes of silence, of a noisy room,
of typing, and of talkers with pauses. Blinks, glances and breaths a minute, how still the mouth is,
and by how much each part of the face changes where speech begins and ends, against what it does
anyway. Shape letters: S samples at 48 kHz; F frames.
"""

import argparse
import json
import sys
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt

from rest_bridge.generator.lip_rest import LIPS
from rest_bridge.inference.package import ModelPackage
from rest_bridge.rig import RIG_INDEX
from rest_bridge.training.background_sounds import SOUNDS
from rest_bridge.training.evaluation.driving import Driver
from rest_bridge.training.evaluation.liveliness import blink_rate
from rest_bridge.training.evaluation.stillness import at_level, load, unheard_talkers
from rest_bridge.types import FRAME_RATE_HZ, VOICE_RATE_HZ

FloatArray = npt.NDArray[np.float32]

_PARTS: Final[dict[str, list[int]]] = {
    "lips": LIPS,
    "brows": [i for name, i in RIG_INDEX.items() if name.startswith("brow")],
    "head": [RIG_INDEX[name] for name in ("headYaw", "headPitch", "headRoll")],
}
"""What a voice moves; lids and gaze follow their plan."""
_GLANCE: Final = 0.1
_AROUND: Final = 5
"""Frames on each side of a border in which it would show."""


def glances(rig: FloatArray) -> float:
    """Return quick changes of the gaze a minute, of float32 [F, 58]."""
    columns = [RIG_INDEX[f"eyeLook{way}Left"] for way in ("In", "Out", "Up", "Down")]
    moved = np.linalg.norm(rig[3:, columns] - rig[:-3, columns], axis=1) > _GLANCE
    return float((moved[1:] & ~moved[:-1]).sum() / (len(rig) / FRAME_RATE_HZ / 60))


def breaths(rig: FloatArray) -> float:
    """Return how often a minute the head rises and falls, of float32 [F, 58]; 6 to 30 a minute."""
    height = rig[:, RIG_INDEX["headY"]].astype(np.float64)
    spectrum = np.abs(np.fft.rfft((height - height.mean()) * np.hanning(len(height)))) ** 2
    often_hz = np.fft.rfftfreq(len(height), 1 / FRAME_RATE_HZ)
    band = (often_hz > 0.1) & (often_hz < 0.5)
    return float(60 * often_hz[band][spectrum[band].argmax()])


def life(rig: FloatArray) -> dict[str, float]:
    """Return what lives in a rig, float32 [F, 58]."""
    jaw = rig[:, RIG_INDEX["jawOpen"]]
    return {
        "blinks a minute": round(blink_rate(rig), 1),
        "glances a minute": round(glances(rig), 1),
        "breaths a minute": round(breaths(rig), 1),
        "head yaw, sd, degrees": round(float(rig[:, RIG_INDEX["headYaw"]].std()), 2),
        "jaw, most": round(float(jaw.max()), 3),
        "jaw, 5 to 95 %": round(float(np.diff(np.percentile(jaw, (5, 95)))[0]), 3),
        "lips' change a frame": round(
            float(np.abs(np.diff(rig[:, LIPS], axis=0)).sum(1).mean()), 4
        ),
    }


def seams(rig: FloatArray, borders: list[int]) -> dict[str, float]:
    """Return the largest change of each part near the borders, against its 95 of 100 elsewhere.

    Args:
        rig: float32 [F, 58].
        borders: frames in which speech begins or ends.
    """
    found = {}
    near = np.zeros(len(rig) - 1, bool)
    for border in borders:
        near[max(0, border - _AROUND) : border + _AROUND] = True
    for name, columns in _PARTS.items():
        change = np.abs(np.diff(rig[:, columns], axis=0)).sum(1)
        usual = float(np.percentile(change[~near], 95))
        most = [
            float(change[max(0, border - _AROUND) : border + _AROUND].max()) for border in borders
        ]
        found[name] = round(float(np.median(most)) / (usual + 1e-6), 2)
    return found


def talk(assets: Path, seconds: float) -> tuple[FloatArray, list[int]]:
    """Return talkers with pauses of 4 s, float32 [S], and frames in which speech begins or ends."""
    talkers = [load(path) for path in unheard_talkers(assets)]
    parts: list[FloatArray] = []
    borders: list[int] = []
    total, turn = 0, 0
    while total < seconds * VOICE_RATE_HZ:
        voice = talkers[turn % len(talkers)]
        parts += [np.zeros(4 * VOICE_RATE_HZ, np.float32), voice]
        size = VOICE_RATE_HZ // FRAME_RATE_HZ
        count = len(voice) // size
        level = voice[: count * size].reshape(count, size).std(1)
        loud = np.flatnonzero(level > 0.05 * level.max())
        first = (total + 4 * VOICE_RATE_HZ) // size
        borders += [first + int(loud[0]), first + int(loud[-1])]
        total, turn = total + len(parts[-1]) + len(parts[-2]), turn + 1
    heard = np.concatenate(parts)[: int(seconds * VOICE_RATE_HZ)]
    most = len(heard) // (VOICE_RATE_HZ // FRAME_RATE_HZ) - _AROUND
    return heard, [border for border in borders if border < most]


def measure(assets: Path, minutes: float) -> dict[str, object]:
    """Return the lives, and the seams."""
    driver = Driver(ModelPackage.load(None, verify=False), size_px=64, seed=0)
    size = int(minutes * 60 * VOICE_RATE_HZ)
    rng = np.random.default_rng(0)
    typing = np.repeat(SOUNDS["keyboard"](size // 3, rng), 3)[:size]
    scenes: dict[str, FloatArray] = {
        "silence": np.zeros(size, np.float32),
        "a room at -45 dB": (10 ** (-45 / 20) * rng.standard_normal(size)).astype(np.float32),
        "typing": at_level(typing, -26.0),
    }
    heard, borders = talk(assets, minutes * 60)
    scenes["talkers with pauses of 4 s"] = heard
    rigs = {name: driver.rig_only(scene) for name, scene in scenes.items()}
    spoken = rigs["talkers with pauses of 4 s"]
    return {
        "minutes of each": minutes,
        "life": {name: life(rig) for name, rig in rigs.items()},
        "change at borders over the usual": seams(spoken, borders),
        "borders": len(borders),
    }


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="python -m rest_bridge.training.evaluation.idle")
    parser.add_argument("--assets", type=Path, required=True)
    parser.add_argument("--minutes", type=float, default=3.0)
    given = parser.parse_args()
    sys.stdout.write(json.dumps(measure(given.assets, given.minutes), indent=1) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())

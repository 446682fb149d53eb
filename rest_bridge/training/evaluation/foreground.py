"""What `features.foreground` leaves of a talker, of a crowd and of what lies behind a talker.

    python -m rest_bridge.training.evaluation.foreground --assets DIR

Without the motion model: a minute; `lips` and `rig` measure the lips themselves. Talkers of
`splits.is_held_out`, other languages, sounds of `background_sounds`: nothing was trained or chosen
on them. Shape letters: S samples at 16 kHz; M mel frames of 10 ms; B bins.
"""

import argparse
import json
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt

from rest_bridge.features.foreground import BLOCK_FRAMES, Foreground
from rest_bridge.features.mel import HOP_SAMPLES
from rest_bridge.training.augment_audio import reverberate
from rest_bridge.training.background_sounds import SOUNDS, babble, coloured_noise, speech_rms
from rest_bridge.training.evaluation.voicing import held_out_talkers
from rest_bridge.training.foreground import POWER_FLOOR, log_mels
from rest_bridge.types import MODEL_RATE_HZ, FloatArray

_SECONDS: Final = 8
_LEAD_S: Final = 2
_DB_PER_NAT: Final = 10 / np.log(10)
_SPEECH_DB: Final = -22.0
"""Frames this far below the loud ones, and louder, are speech."""
_CUT_DB: Final = 6.0
_ONSET_FRAMES: Final = 10
_ROOM_DB: Final = -60.0
Behind = Callable[[int, np.random.Generator], FloatArray]


def left_of(heard: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Return the log-mels of float32 [S] and what is left of them, both float32 [M, B]."""
    foreground = Foreground(POWER_FLOOR)
    mels = log_mels(heard)
    mels = mels[: len(mels) // BLOCK_FRAMES * BLOCK_FRAMES]
    state, parts = foreground.initial_state(), []
    for first in range(0, len(mels), BLOCK_FRAMES):
        part, _, state = foreground.step(mels[first : first + BLOCK_FRAMES], state)
        parts.append(part)
    return mels, np.concatenate(parts)


def speech(samples: FloatArray, num_frames: int) -> npt.NDArray[np.bool_]:
    """Return bool [M]: frames of a clean voice in which something is spoken."""
    blocks = samples[: num_frames * HOP_SAMPLES].reshape(num_frames, HOP_SAMPLES)
    level_db = 10 * np.log10(np.mean(blocks**2, axis=1) + 1e-12)
    return level_db > 20 * np.log10(speech_rms(samples)) + _SPEECH_DB


def row(voices: Sequence[FloatArray], behind: Behind | None, ratio_db: float) -> dict[str, float]:
    """Measure talkers with something behind them, which begins two seconds before them.

    Args:
        voices: float32 [S] each, clean.
        behind: what; None for a quiet room.
        ratio_db: how far the talker is above it.

    Returns:
        "change, dB": of speech against the clean voice; "cut, %": speech frames that lose more
        than 6 dB; "onsets cut": of "onsets"; "likeness" of speech to the clean voice before and
        after (correlation of log-mels); "left before, dB": of what is heard alone, against before.
    """
    change: list[float] = []
    before: list[float] = []
    after: list[float] = []
    left: list[float] = []
    cut, frames, onsets, lost = 0, 0, 0, 0
    for number, voice in enumerate(voices):
        rng = np.random.default_rng([number, round(10 * ratio_db)])
        lead = np.zeros(_LEAD_S * MODEL_RATE_HZ, np.float32)
        near = np.concatenate([lead, voice[: _SECONDS * MODEL_RATE_HZ]])
        room = coloured_noise(len(near), rng, slope_db_per_octave=-3.0)
        near = near + room * np.float32(10 ** (_ROOM_DB / 20) / room.std())
        heard = near
        if behind is not None:
            other = behind(len(near), rng)
            scale = speech_rms(voice) / other.std() * 10 ** (-ratio_db / 20)
            heard = (near + other * np.float32(scale)).astype(np.float32)
        mels, found = left_of(heard)
        truth, said = log_mels(near)[: len(mels)], speech(near, len(mels))
        lost_db = _DB_PER_NAT * (truth - found).mean(1)
        change.append(-float(lost_db[said].mean()))
        cut, frames = cut + int((lost_db[said] > _CUT_DB).sum()), frames + int(said.sum())
        for begin in np.flatnonzero(said):
            if begin >= 40 and not said[begin - 30 : begin].any():
                onsets += 1
                lost += bool(lost_db[begin : begin + _ONSET_FRAMES].mean() > _CUT_DB)
        before.append(float(np.corrcoef(mels[said].ravel(), truth[said].ravel())[0, 1]))
        after.append(float(np.corrcoef(found[said].ravel(), truth[said].ravel())[0, 1]))
        alone = slice(50, _LEAD_S * 100 - 20)
        left.append(_DB_PER_NAT * float((found - mels)[alone].mean()))
    return {
        "change, dB": round(float(np.mean(change)), 2),
        "cut, %": round(100 * cut / frames, 2),
        "onsets": onsets,
        "onsets cut": lost,
        "likeness before": round(float(np.mean(before)), 3),
        "likeness after": round(float(np.mean(after)), 3),
        "left before, dB": round(float(np.mean(left)), 1),
    }


def measure(assets: Path) -> dict[str, dict[str, float]]:
    """Return all rows."""
    talkers = held_out_talkers(assets)
    english, others = talkers.values()
    crowd, near = english[::2], english[1::2]
    rows = {f"alone: {name}": row(voices, None, 0.0) for name, voices in talkers.items()}
    echo = [
        reverberate(voice, np.random.default_rng(k), rt60_s=0.6, direct_to_reverberant_db=0.0)
        for k, voice in enumerate(near)
    ]
    soft = [voice * np.float32(0.05) for voice in near]
    rows |= {"alone: in a room": row(echo, None, 0.0), "alone: 26 dB softer": row(soft, None, 0.0)}
    behind: dict[str, Behind] = {
        "two to seven others": lambda count, rng: babble(count, crowd, rng),
        "white noise": coloured_noise,
        "a song": SOUNDS["song"],
    }
    for name, make in behind.items():
        for ratio_db in (20.0, 10.0, 5.0):
            rows[f"{ratio_db:.0f} dB above {name}"] = row(near, make, ratio_db)
    rows["10 dB above two to seven others: eight languages"] = row(
        others, behind["two to seven others"], 10.0
    )
    return rows


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="python -m rest_bridge.training.evaluation.foreground")
    parser.add_argument("--assets", type=Path, required=True)
    given = parser.parse_args()
    sys.stdout.write(json.dumps(measure(given.assets), indent=1) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""What the voice finder takes for somebody near, what it holds of voices, how soon it finds one.

    python -m rest_bridge.training.evaluation.voicing --assets DIR [--songs FOLDER]

Without the motion model: seconds, not minutes; `stillness` measures the lips themselves. Voices and
sounds that were not trained on: talkers of `splits.is_held_out`, other languages, every sound of
`background_sounds`, and music files of a folder (`sampled_songs`, or your own). On these the
thresholds were chosen; `stillness` has talkers on which nothing was.
Shape letters: S samples at 16 kHz; F frames of 40 ms.
"""

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt

from rest_bridge.features.mel import HOP_SAMPLES
from rest_bridge.features.nearness import BLOCKS_PER_FRAME
from rest_bridge.features.voicing import STEP_SAMPLES
from rest_bridge.lip_guard import LipGuard
from rest_bridge.training.augment_audio import reverberate
from rest_bridge.training.background_sounds import SOUNDS, babble, speech_rms
from rest_bridge.training.splits import is_held_out
from rest_bridge.training.voice_scenes import voiced
from rest_bridge.types import LATENT_STRIDE, MODEL_RATE_HZ

FloatArray = npt.NDArray[np.float32]

_AHEAD: Final = 4
"""Blocks that the model hears beyond a latent frame before it moves."""
_LEVEL: Final = 10 ** (-23 / 20)
_BEFORE: Final = 50
"""Frames of other sound before a voice joins it."""
SIGNAL_TO_OTHER_DB: Final = (15, 10, 5, 0)


def load(path: Path) -> FloatArray:
    """Return float32 [S] at 16 kHz."""
    from rest_bridge.audio.decode import AudioDecoder
    from rest_bridge.audio.resample import resample

    decoder = AudioDecoder(path)
    parts = list(decoder.frames())
    decoder.close()
    voice = np.concatenate([samples for samples, _ in parts])
    return resample(voice, parts[0][1], MODEL_RATE_HZ)


def shares(samples: FloatArray) -> FloatArray:
    """Return how far lips may move in each frame of a live voice, float32 [F], 0..1."""
    guard = LipGuard(voices_only=True)
    chunk = BLOCKS_PER_FRAME * LATENT_STRIDE
    found: list[float] = []
    for heard, first in enumerate(range(0, len(samples) - HOP_SAMPLES + 1, HOP_SAMPLES), 1):
        guard.hear(samples[first : first + HOP_SAMPLES])
        if heard >= chunk + _AHEAD and (heard - _AHEAD) % chunk == 0:
            found += [guard.judge(0.2)[0] for _ in range(LATENT_STRIDE)]
    return np.array(found, np.float32)


def speaks(samples: FloatArray, num_frames: int) -> npt.NDArray[np.bool_]:
    """Return bool [F]: frames of a clean voice in which somebody speaks, no hang-over."""
    steps = BLOCKS_PER_FRAME * HOP_SAMPLES // STEP_SAMPLES
    truth = voiced(samples)[: num_frames * steps]
    return truth.reshape(-1, steps).all(1)


def held_out_talkers(assets: Path) -> dict[str, list[FloatArray]]:
    """Return voices at speech level by where they are from."""
    paths = sorted((assets / "librispeech_subset").glob("*.flac"))
    english = [
        path for k, path in enumerate(paths) if is_held_out("librispeech_subset", path.name, k)
    ]
    others = [path for name in ("css10_multilingual", "picovoice_multilingual")
              for path in sorted((assets / name).glob("*.flac"))]  # fmt: skip
    return {
        "English, 26 talkers": [_at_level(load(path)) for path in english],
        "eight languages": [_at_level(load(path)) for path in others],
    }


def alone(voices: Sequence[FloatArray]) -> dict[str, float]:
    """Return what is held of voices that speak in a quiet room."""
    starts, lost, spoken, held = 0, 0, 0, 0
    room = np.random.default_rng(0)
    for voice in voices:
        quiet = np.zeros(MODEL_RATE_HZ, np.float32)
        heard = np.concatenate([quiet, voice, quiet])
        share = shares((heard + 1e-4 * room.standard_normal(len(heard))).astype(np.float32))
        truth = speaks(heard, len(share))[: len(share)]
        share = share[: len(truth)]
        begins = [k for k in np.flatnonzero(truth) if not truth[max(0, k - 12) : k].any()]
        starts += len(begins)
        lost += sum(bool((share[k : k + 5] < 0.5).any()) for k in begins)
        spoken += int(truth.sum())
        held += int((truth & (share < 0.5)).sum())
    return {"onsets": starts, "onsets cut": lost, "held, %": round(100 * held / spoken, 2)}


def over(voices: Sequence[FloatArray], other: FloatArray, ratio_db: float) -> dict[str, float]:
    """Return what is held of voices that join a sound, and how soon they are found."""
    found: list[float] = []
    spoken, held = 0, 0
    for voice in voices:
        first = _BEFORE * BLOCKS_PER_FRAME * HOP_SAMPLES
        voice = voice[: 6 * MODEL_RATE_HZ]
        clean = np.concatenate([np.zeros(first, np.float32), voice])
        under = np.resize(other, len(clean)) * np.float32(10 ** (-ratio_db / 20))
        share = shares((clean + under).astype(np.float32))
        truth = speaks(clean, len(share))[: len(share)]
        share = share[: len(truth)]
        begin = int(np.flatnonzero(truth)[0])
        free = np.flatnonzero(share[begin:] > 0.5)
        found.append(40.0 * float(free[0]) if len(free) else 9999.0)
        spoken += int(truth.sum())
        held += int((truth & (share < 0.5)).sum())
    late = sorted(found)
    return {
        "found after, ms, median": late[len(late) // 2],
        "nine of ten": late[int(0.9 * (len(late) - 1))],
        "held, %": round(100 * held / spoken, 1),
    }


def taken(sound: FloatArray) -> float:
    """Return for which part of a sound without a voice lips may move, after its first second."""
    share = shares(sound)[25:]
    return float((share > 0.5).mean())


def measure(assets: Path, songs: Path | None, seeds: int = 4) -> dict[str, object]:
    """Return all of it."""
    size = 12 * MODEL_RATE_HZ
    sounds = {
        name: [_at_level(make(size, np.random.default_rng(2000 + k))) for k in range(seeds)]
        for name, make in SOUNDS.items()
    }
    if songs is not None:
        for path in sorted(songs.iterdir()):
            sounds[path.stem] = [_at_level(load(path)[: 20 * MODEL_RATE_HZ])]
    talkers = held_out_talkers(assets)
    english = talkers["English, 26 talkers"]
    some, others = english[::2], english[1::2]
    for number in (2, 3, 5, 7):
        sounds[f"crowd of {number}"] = [
            _at_level(
                babble(size, others, np.random.default_rng(100 * k), least=number, most=number)
            )
            for k in range(2 * seeds)
        ]
    beds = {name: sounds[name][0] for name in ("music", "keyboard", "gated", "crowd of 5")}
    talkers["English, 13 talkers in a room of 0.6 s"] = [
        _at_level(
            reverberate(voice, np.random.default_rng(k), rt60_s=0.6, direct_to_reverberant_db=3.0)
        )
        for k, voice in enumerate(some)
    ]
    return {
        "voices alone": {name: alone(voices) for name, voices in talkers.items()},
        "taken for a voice, % of the time": {
            name: round(100 * float(np.mean([taken(sound) for sound in made])), 1)
            for name, made in sounds.items()
        },
        "voices that join": {
            f"{name}, voice {ratio_db} dB above": over(some, bed, ratio_db)
            for name, bed in beds.items()
            for ratio_db in SIGNAL_TO_OTHER_DB
        },
    }


def _at_level(sound: FloatArray) -> FloatArray:
    return (sound / speech_rms(sound) * _LEVEL).astype(np.float32)


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="python -m rest_bridge.training.evaluation.voicing")
    parser.add_argument("--assets", type=Path, required=True)
    parser.add_argument("--songs", type=Path)
    given = parser.parse_args()
    sys.stdout.write(json.dumps(measure(given.assets, given.songs), indent=1) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())

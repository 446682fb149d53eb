"""What moves lips that should rest, and what is cut: silence, music, typing, voices far away.

    python -m rest_bridge.training.evaluation.stillness --assets DIR [--songs FOLDER] [--json]

The whole runtime but the pictures, with `audio.nearest_db` and `audio.voices_only` off and on:
talkers, music and typing that nothing was tuned on, at the levels of a headset microphone. Spread
is how far the jaw goes, 95th percentile less 5th, 1 is wide open. An onset is cut where the mouth
opens within 0.2 s after half a second of quiet, and is held to less than half of that.
Shape letters: S samples at 48 kHz; F frames.
"""

import argparse
import json
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt

from rest_bridge.features.nearness import SOFTER_DB
from rest_bridge.flash import FlashDecoder
from rest_bridge.gallery import built_in_faces, load_avatar
from rest_bridge.generator.lip_rest import LIPS
from rest_bridge.inference.package import ModelPackage
from rest_bridge.pipeline import Pipeline
from rest_bridge.rig import RIG_INDEX
from rest_bridge.stages import Stages, load_stages
from rest_bridge.training.augment_audio import reverberate
from rest_bridge.training.background_sounds import SOUNDS, speech_rms
from rest_bridge.types import VOICE_RATE_HZ, AudioChunk

FloatArray = npt.NDArray[np.float32]

_JAW: Final = RIG_INDEX["jawOpen"]
_NEAR_DB: Final = -23.0
_FPS: Final = 25
_SECONDS: Final = 7.0
_SEEDS: Final = 1
_OPEN: Final = 0.08
_FAR_DB: Final = (-15, -20, -26)


@dataclass(frozen=True, slots=True)
class Row:
    """One kind of sound.

    Attributes:
        sound: what is heard.
        seconds: for how long in all.
        free: spread of the jaw with both off.
        held: the same with both on.
        motion_free: mean change of all lip values from frame to frame, off.
        motion_held: on.
    """

    sound: str
    seconds: float
    free: float
    held: float
    motion_free: float
    motion_held: float


def unheard_talkers(assets: Path) -> list[Path]:
    """Return talkers whom nothing was tuned on: thresholds were chosen on every tenth."""
    return sorted((assets / "librispeech_subset").glob("*.flac"))[5::40]


def load(path: Path) -> FloatArray:
    """Return float32 [S] at 48 kHz, mono, spoken at -23 dB."""
    from rest_bridge.audio.decode import AudioDecoder
    from rest_bridge.audio.resample import resample

    decoder = AudioDecoder(path)
    parts = list(decoder.frames())
    decoder.close()
    voice = np.concatenate([samples for samples, _ in parts])
    return at_level(resample(voice, parts[0][1], VOICE_RATE_HZ), _NEAR_DB)


def at_level(sound: FloatArray, level_db: float) -> FloatArray:
    """Return a sound whose loud parts have this level, dB of full scale."""
    return (sound / speech_rms(sound) * 10 ** (level_db / 20)).astype(np.float32)


def across_the_room(voice: FloatArray, softer_db: float, seed: int) -> FloatArray:
    """Return a voice as heard from some metres away: softer, with more echo than direct sound."""
    rng = np.random.default_rng(seed)
    ratio_db = float(rng.uniform(-6, 0))
    low = voice[: len(voice) // 3 * 3].reshape(-1, 3).mean(1)
    room = reverberate(
        low, rng, rt60_s=float(rng.uniform(0.3, 0.6)), direct_to_reverberant_db=ratio_db
    )
    return at_level(np.repeat(room, 3).astype(np.float32), _NEAR_DB + softer_db)


class _Both(Pipeline):
    """Keeps the rig as it was before lips were held, too: one run of the networks gives both."""

    def __init__(self, stages: Stages) -> None:
        super().__init__(stages, nearest_db=SOFTER_DB, voices_only=True)
        self.free: list[FloatArray] = []

    def _hold(
        self, rig: FloatArray, latents: FloatArray | None
    ) -> tuple[FloatArray, FloatArray | None]:
        self.free.append(rig.copy())
        return super()._hold(rig, latents)


def rigs_of(stages: Stages, voice: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Return float32 [F, 58] of a voice, free and held, after a second of a quiet room."""
    rng = np.random.default_rng(0)
    lead = np.zeros(VOICE_RATE_HZ, np.float32)
    heard = np.concatenate([lead, voice])
    heard = (heard + 1e-4 * rng.standard_normal(len(heard))).astype(np.float32)
    pipeline = _Both(stages)
    frames = pipeline.push(AudioChunk(heard, VOICE_RATE_HZ, 0, 0)) + pipeline.finish()
    held = np.array([frame.rig.values for frame in frames])
    return np.concatenate(pipeline.free)[_FPS : len(held)], held[_FPS:]


def spread(rig: FloatArray) -> float:
    """Return how far the jaw goes, without its rarest twentieths."""
    low, high = np.percentile(rig[:, _JAW], (5, 95))
    return float(high - low)


def motion(rig: FloatArray) -> float:
    """Return the mean change of all lip values together, a frame."""
    return float(np.abs(np.diff(rig[:, LIPS], axis=0)).sum(1).mean())


def row(sound: str, stages: Stages, voices: Sequence[FloatArray], skip_s: float = 0.0) -> Row:
    """Measure one kind of sound, from `skip_s` on."""
    first = round(skip_s * _FPS)
    runs = [rigs_of(stages, voice) for voice in voices]
    both = [(free[first:], held[first:]) for free, held in runs]
    return Row(
        sound,
        round(sum(len(free) for free, _ in both) / _FPS, 1),
        round(float(np.mean([spread(free) for free, _ in both])), 3),
        round(float(np.mean([spread(held) for _, held in both])), 3),
        round(float(np.mean([motion(free) for free, _ in both])), 3),
        round(float(np.mean([motion(held) for _, held in both])), 3),
    )


def onsets(voice: FloatArray, num_frames: int) -> list[int]:
    """Return the frames in which speech begins after half a second without."""
    size = VOICE_RATE_HZ // _FPS
    count = min(num_frames, len(voice) // size)
    level = np.sqrt(np.mean(voice[: count * size].reshape(count, size) ** 2, axis=1) + 1e-12)
    loud = 20 * np.log10(level) > _NEAR_DB - 25
    return [i for i in range(count) if loud[i] and not loud[max(0, i - 12) : i].any()]


def cut(stages: Stages, voice: FloatArray, only_from: int = 0) -> tuple[int, int, int, int]:
    """Return onsets, those that are cut, frames with an open mouth, and those that are held."""
    free, held = (rig[:, _JAW] for rig in rigs_of(stages, voice))
    found = [at for at in onsets(voice, len(free)) if at >= only_from]
    lost = [
        at
        for at in found
        if ((free[at : at + 5] > _OPEN) & (held[at : at + 5] < 0.5 * free[at : at + 5])).any()
    ]
    opened = free[only_from:] > 2 * _OPEN
    return (
        len(found),
        len(lost),
        int(opened.sum()),
        int((opened & (held[only_from:] < 0.5 * free[only_from:])).sum()),
    )


def seam(rig: FloatArray, voice: FloatArray) -> dict[str, float]:
    """Return how much the lips change where speech begins and ends, against inside and idle.

    Args:
        rig: float32 [F, 58] of the voice, after a second of quiet that was cut off.
        voice: float32 [S].
    """
    change = np.abs(np.diff(rig[:, LIPS], axis=0)).sum(1)
    size = VOICE_RATE_HZ // _FPS
    count = min(len(change), len(voice) // size)
    level = np.sqrt(np.mean(voice[: count * size].reshape(count, size) ** 2, axis=1) + 1e-12)
    loud = np.flatnonzero(20 * np.log10(level) > _NEAR_DB - 25)
    first, last = int(loud[0]), int(loud[-1])
    return {
        "begins": float(change[max(0, first - 2) : first + 2].max()),
        "ends": float(change[last : last + 6].max(initial=0.0)),
        "inside, 95 of 100 below": float(np.percentile(change[first + 5 : last - 5], 95)),
    }


def measure(assets: Path, songs: Path | None = None) -> dict[str, object]:
    """Return the rows, and what is cut of talkers whom nothing was tuned on."""
    package = ModelPackage.load(None, verify=False)
    avatar = load_avatar(next(iter(built_in_faces())), package)
    stages = replace(load_stages(package, avatar, size_px=64), decoder=FlashDecoder(8))
    talkers = [load(path) for path in unheard_talkers(assets)]
    size = round(_SECONDS * VOICE_RATE_HZ)
    rows = [row("silence", stages, [np.zeros(size, np.float32)])]
    rows.append(row("the nearest talker", stages, [voice[:size] for voice in talkers[:3]]))
    for name in ("music", "plucked", "gated", "keyboard", "knocks", "breath", "hum", "noise"):
        sounds = [_made(name, seed, size) for seed in range(_SEEDS)]
        rows.append(row(name, stages, sounds))
    rows += [
        row(f"song: {path.stem}", stages, [load(path)[: 2 * size]], 1.0)
        for path in (sorted(songs.iterdir()) if songs is not None else ())
    ]
    pause = np.zeros(VOICE_RATE_HZ, np.float32)
    over = talkers[:3]
    bed = _made("music", 0, 2 * size)
    for ratio_db in (10, 0):
        under = bed * np.float32(10 ** (-ratio_db / 20))
        scenes = [np.concatenate([under[:size], under[size:] + voice[:size]]) for voice in over]
        title = f"a talker {ratio_db} dB above music that was there before"
        rows.append(row(title, stages, scenes, _SECONDS))
    for softer_db in _FAR_DB:
        scenes = [
            np.concatenate(
                [
                    talkers[k][: size // 2],
                    pause,
                    across_the_room(talkers[k + 3][:size], softer_db, k),
                ]
            )
            for k in range(2)
        ]
        title = f"somebody {-softer_db} dB softer, after the nearest talker"
        rows.append(row(title, stages, scenes, _SECONDS / 2 + 1.0))
    alone = [cut(stages, voice) for voice in talkers]
    after = []
    for k in range(len(talkers) - 2):
        far = across_the_room(talkers[k + 1][: size // 2], -20, k)
        scene = np.concatenate(
            [talkers[k][: size // 2], pause, far, pause, talkers[k][size // 2 :]]
        )
        begin = (size // 2 + 2 * len(pause) + len(far)) * _FPS // VOICE_RATE_HZ
        after.append(cut(stages, scene, begin))
    pauses = [np.concatenate([pause[: len(pause) // 2], voice, pause]) for voice in talkers[:3]]
    seams = [seam(rigs_of(stages, voice)[1], voice) for voice in pauses]
    return {
        "rows": [asdict(one) for one in rows],
        "seams": {name: round(float(np.mean([s[name] for s in seams])), 3) for name in seams[0]},
        "nearest_db": SOFTER_DB,
        "talkers": len(talkers),
        "alone": _sum(alone),
        "after somebody across the room": _sum(after),
    }


def _made(name: str, seed: int, size: int) -> FloatArray:
    sound = SOUNDS[name](size // 3, np.random.default_rng(1000 + seed))
    return at_level(np.repeat(sound, 3).astype(np.float32), _NEAR_DB)


def _sum(found: Sequence[tuple[int, int, int, int]]) -> dict[str, float]:
    starts, lost, opened, held = np.array(found).sum(0).tolist()
    return {
        "onsets": starts,
        "onsets cut": lost,
        "frames with an open mouth": opened,
        "of them held, %": round(100 * held / max(1, opened), 2),
    }


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="python -m rest_bridge.training.evaluation.stillness")
    parser.add_argument("--assets", type=Path, required=True)
    parser.add_argument("--songs", type=Path, help="music files, as of `sampled_songs`")
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    found = measure(given.assets, given.songs)
    if given.json:
        sys.stdout.write(json.dumps(found, indent=1) + "\n")
        return 0
    out = sys.stdout.write
    out("sound | seconds | jaw's spread free -> held | lips' motion free -> held\n")
    for one in found["rows"]:  # type: ignore[attr-defined]
        out(
            "{sound} | {seconds} | {free} -> {held} | {motion_free} -> {motion_held}\n".format(
                **one
            )
        )
    for name in ("seams", "alone", "after somebody across the room"):
        out(f"{name}: {found[name]}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())

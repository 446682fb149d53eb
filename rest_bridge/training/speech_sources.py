"""The recorded sources of training speech -> utterances with motion.

Place in the flow: assets -> here -> `speech_sessions` (features) by `speech_prepare`. Each source
yields `Utterance`s whose mouth curves are on one scale (`curves.lip_aperture`): real tracks (GRID),
curves of a performance (FACEGOOD), rule curves from phones (all others; `synthetic_voices` has
those that are made). What is held out is decided by `splits.is_held_out` alone; see SPLITS.md.
Shape letters: S samples; F video frames at 25 fps.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt

from rest_bridge.rig import RIG_INDEX, RIG_NAMES
from rest_bridge.training import curves, tracks
from rest_bridge.training.phonemes import Alphabet, Phone
from rest_bridge.training.recordings import read_manifest, usable_audio
from rest_bridge.training.splits import is_held_out
from rest_bridge.training.visemes import VisemeSpan, to_visemes
from rest_bridge.types import FRAME_RATE_HZ, MODEL_RATE_HZ

FloatArray = npt.NDArray[np.float32]

FACEGOOD_DELAY_S: Final = 0.04
"""FACEGOOD's curves come this late against its sound (STUDY-AUDIO section 1)."""
_FACEGOOD_ROUNDING: Final[dict[str, dict[str, float]]] = {
    "jawOpen": {"mouth_oh_c": 0.25},
    "mouthFunnel": {"mouth_oh_c": 0.35, "mouth_oo_c": 0.20},
    "mouthPucker": {"mouth_oh_c": 0.70, "mouth_oo_c": 0.75},
}
"""Rounding is on shapes of its own, and each take has others: 2_02 and 2_04 pucker their o and u
(0.3-0.45) with a little oo, 2_03 and 2_05 know only oh (0.3-0.6), 2_01 both. These shares bring the
rounded vowels of all takes to the same pucker (95 % quantile 0.34-0.44); see LOG.md."""
_SPEECH_LEVEL: Final = 0.06
_GRID_APERTURE_P95: Final = 0.46
_LEAST_CONFIDENCE: Final = 0.5
"""Clips with a frame below it have lost the face (5 of 362)."""


@dataclass(slots=True)
class Utterance:
    """Speech with the motion that belongs to it.

    Attributes:
        name: unique; decides the split.
        style: a name of `generator.conditions.STYLES`.
        samples: float32 [S], 16 kHz, clean.
        mouth: float32 [F, 58], mouth part of the rig at (f + 0.5) / 25 s.
        closure: float32 [F], 1 where p, b or m shut the lips.
        rest: bool [F], inside a silence, 100 ms away from speech.
        pose: float32 [F, 6] where it was tracked, else None.
        brow: float32 [F], raised brows where tracked, else None.
        lids: float32 [F], how far the lids are shut where tracked, else None.
        phones: as found, for the metrics.
        alphabet: of the phones.
    """

    name: str
    style: str
    samples: FloatArray
    mouth: FloatArray
    closure: FloatArray
    rest: npt.NDArray[np.bool_]
    pose: FloatArray | None = None
    brow: FloatArray | None = None
    lids: FloatArray | None = None
    phones: list[Phone] = field(default_factory=list)
    alphabet: Alphabet = "arpabet"


def silent_utterance(name: str, style: str, num_frames: int) -> Utterance:
    """Return silence with a shut mouth."""
    return Utterance(
        name, style, np.zeros(num_frames * MODEL_RATE_HZ // FRAME_RATE_HZ, np.float32),
        np.zeros((num_frames, len(RIG_NAMES)), np.float32), np.zeros(num_frames, np.float32),
        np.ones(num_frames, bool),
    )  # fmt: skip


def alter_talker(
    samples: FloatArray, phones: list[Phone], factor: float
) -> tuple[FloatArray, list[Phone]]:
    """Make another talker of a voice: shorter (above 1) or longer vocal tract, pitch and tempo too.

    Args:
        samples: float32 [S], 16 kHz.
        phones: of the voice.
        factor: of all frequencies; time shrinks by it.

    Returns:
        float32 [S / factor] and its phones.
    """
    import soxr

    altered = soxr.resample(samples, MODEL_RATE_HZ * factor, MODEL_RATE_HZ)
    moved = [Phone(p.symbol, p.start_s / factor, p.end_s / factor) for p in phones]
    return altered.astype(np.float32), moved


def altered_utterance(utterance: Utterance, factor: float) -> Utterance:
    """Return the same speech by another talker, its motion at the new tempo; see `alter_talker`."""
    samples, phones = alter_talker(utterance.samples, utterance.phones, factor)
    samples = samples / np.float32(max(1.0, float(np.abs(samples).max())))
    times_s = frame_times_s(len(samples)) * factor
    own_s = (np.arange(len(utterance.mouth)) + 0.5) / FRAME_RATE_HZ

    def at(values: FloatArray) -> FloatArray:
        columns = values.reshape(len(values), -1).T
        moved = np.stack([np.interp(times_s, own_s, column) for column in columns], 1)
        return moved.reshape(len(times_s), *values.shape[1:]).astype(np.float32)

    return replace(
        utterance, name=f"{utterance.name}~", samples=samples, mouth=at(utterance.mouth),
        closure=at(utterance.closure), rest=at(utterance.rest.astype(np.float32)) > 0.99,
        pose=None if utterance.pose is None else at(utterance.pose),
        brow=None if utterance.brow is None else at(utterance.brow),
        lids=None if utterance.lids is None else at(utterance.lids), phones=phones,
    )  # fmt: skip


def still_rest(utterance: Utterance, share: float = 0.85) -> Utterance:
    """Shut a tracked mouth in silence: of its movement there only 1 - `share` is left.

    People part their lips and fidget before they speak; a network that cannot know when learns to
    fidget in every pause.
    """
    away = curves.gaussian_smooth(utterance.rest[:, None].astype(np.float64), 1.5)
    calm = np.minimum(away, utterance.rest[:, None]).astype(np.float32)
    return replace(utterance, mouth=utterance.mouth * (1 - np.float32(share) * calm))


def frame_times_s(num_samples: int) -> npt.NDArray[np.float64]:
    """Return float64 [F]: the centre of each whole video frame of a clip."""
    num_frames = num_samples * FRAME_RATE_HZ // MODEL_RATE_HZ
    return (np.arange(num_frames) + 0.5) / FRAME_RATE_HZ


def rule_utterance(
    name: str, style: str, samples: FloatArray, phones: list[Phone], alphabet: Alphabet
) -> Utterance:
    """Make an utterance whose mouth follows from its phones."""
    times_s = frame_times_s(len(samples))
    spans = to_visemes(phones, alphabet)
    channels, closure = curves.viseme_curves(spans, times_s)
    loud = float(np.sqrt(np.mean(samples**2)) + 1e-6)
    level = np.float32(min(_SPEECH_LEVEL / loud, 0.98 / (float(np.abs(samples).max()) + 1e-6)))
    return Utterance(
        name=name,
        style=style,
        samples=samples * level,
        mouth=curves.rig_from_channels(channels, closure),
        closure=closure,
        rest=rest_frames(spans, times_s),
        phones=phones,
        alphabet=alphabet,
    )


def rest_frames(spans: list[VisemeSpan], times_s: npt.NDArray[np.float64]) -> npt.NDArray[np.bool_]:
    """Return bool [F]: inside a silence and at least 100 ms away from speech."""
    rest = np.zeros(len(times_s), bool)
    for span in spans:
        if span.name == "SIL":
            before = 0.0 if span.start_s <= 0 else 0.1
            after = 0.0 if span.end_s >= float(times_s[-1]) else 0.1
            rest |= (times_s >= span.start_s + before) & (times_s <= span.end_s - after)
    return rest


def grid_utterances(
    assets: Path, landmarks: Mapping[str, FloatArray], phones: Mapping[str, list[Phone]]
) -> Iterator[tuple[Utterance, bool]]:
    """Yield (utterance, held out) of the GRID talkers, with tracked lips, brows and head.

    Lids are not taken: OpenSeeFace's model 0 hardly sees blinks (0.06 a minute found).
    """
    for folder, sub in (("grid_s1_video", "clips"), ("grid_other_talkers", "")):
        entries = read_manifest(assets / folder)
        seen = [e["file"] for e in entries if e["file"] in landmarks]
        measured = {name: tracks.measure(landmarks[name]) for name in seen}
        talkers = sorted({str(e["talker"]) for e in entries if e["file"] in measured})
        for talker in talkers:
            # Places in the whole list decide what is held out, whatever is damaged.
            own = [(i, e) for i, e in enumerate(entries) if str(e["talker"]) == talker]
            own = [x for x in own if x[1]["file"] in measured]
            own = [x for x in own if measured[x[1]["file"]].confidence.min() > _LEAST_CONFIDENCE]
            gaps = np.concatenate([measured[e["file"]].aperture for _, e in own])
            widths = np.concatenate([measured[e["file"]].width for _, e in own])
            # His resting lips stand apart by a fifth of their range; ours rest closed.
            shut = _resting_gap([(measured[e["file"]], phones.get(e["file"], [])) for _, e in own])
            scale = _GRID_APERTURE_P95 / (float(np.percentile(gaps, 95)) - shut)
            for index, entry in own:
                track = measured[entry["file"]]
                samples = usable_audio(assets / folder / sub / entry["file"])
                if samples is None:
                    continue
                found = phones.get(entry["file"], [])
                utterance = _tracked_utterance(
                    entry["file"], samples, track, found,
                    aperture=(track.aperture - shut) * scale,
                    width=(track.width - widths.mean()) / widths.std(),
                )  # fmt: skip
                yield utterance, is_held_out(folder, entry["file"], index)


def _resting_gap(clips: list[tuple[tracks.FaceTrack, list[Phone]]]) -> float:
    """Return the median lip gap while a talker is silent, in inter-ocular distances."""
    gaps = [np.percentile(np.concatenate([track.aperture for track, _ in clips]), [10])]
    for track, phones in clips:
        times_s = (np.arange(len(track.aperture)) + 0.5) / FRAME_RATE_HZ
        rest = rest_frames(to_visemes(phones, "arpabet"), times_s)
        gaps.append(track.aperture[rest])
    return float(np.median(np.concatenate(gaps)))


def _tracked_utterance(
    name: str,
    samples: FloatArray,
    track: tracks.FaceTrack,
    phones: list[Phone],
    *,
    aperture: FloatArray,
    width: FloatArray,
) -> Utterance:
    times_s = frame_times_s(len(samples))
    count = min(len(times_s), len(track.aperture))
    times_s = times_s[:count]

    def smooth(values: FloatArray, deviation: float) -> FloatArray:
        columns = values[:count].reshape(count, -1)
        return curves.gaussian_smooth(columns, deviation).astype(np.float32)

    mouth = curves.rig_from_lips(smooth(aperture, 0.5)[:, 0], smooth(width, 0.8)[:, 0])
    closure, rest = np.zeros(count, np.float32), np.zeros(count, bool)
    if phones:
        spans = to_visemes(phones, "arpabet")
        channels, closure = curves.viseme_curves(spans, times_s)
        rest = rest_frames(spans, times_s)
        # Tracked lips shut in only 57-68 % of p/b/m; the tracker's grid is too coarse for them.
        curves.close_lips(mouth, closure)
        curves.bite_lips(mouth, channels, closure)
    brow = np.clip(3 * (track.brow_height - np.median(track.brow_height)), 0, 0.8)
    return Utterance(
        name=name,
        style="grid",
        samples=samples[: count * MODEL_RATE_HZ // FRAME_RATE_HZ],
        mouth=mouth,
        closure=closure,
        rest=rest & (curves.lip_aperture(mouth) < 0.25),
        pose=smooth(track.pose, 2.0),
        brow=smooth(brow.astype(np.float32), 2.0)[:, 0],
        phones=phones,
    )


def facegood_utterances(assets: Path) -> Iterator[tuple[Utterance, bool]]:
    """Yield (utterance, held out) of the FACEGOOD takes in pieces of 20 s."""
    folder = assets / "facegood_audio2face"
    for index, entry in enumerate(read_manifest(folder)):
        if not entry.get("curves"):
            continue
        samples = usable_audio(folder / "paired" / entry["file"])
        if samples is None:
            continue
        with np.load(folder / "paired" / entry["curves"], allow_pickle=False) as archive:
            values = {
                str(n): archive["arkit"][:, i].astype(np.float32)
                for i, n in enumerate(archive["arkit_names"])
            }
            raw = {str(n): archive["raw"][:, i] for i, n in enumerate(archive["raw_names"])}
            fps = float(archive["fps"])
        times_s = frame_times_s(len(samples))
        own_times_s = np.arange(len(values["jawOpen"])) / fps - FACEGOOD_DELAY_S
        mouth = np.zeros((len(times_s), len(RIG_NAMES)), np.float32)
        extra = {name: sum(share * raw[shape] for shape, share in shapes.items())
                 for name, shapes in _FACEGOOD_ROUNDING.items()}  # fmt: skip
        for name, curve in values.items():
            whole = curve + extra.get(name, np.zeros_like(curve)).astype(np.float32)
            mouth[:, RIG_INDEX[name]] = np.interp(times_s, own_times_s, whole)
        mouth = np.clip(mouth, 0, 1)
        # She presses and sucks her lips on p, b, m; the jaw under them stays a little open.
        shut = mouth[:, RIG_INDEX["mouthPressLeft"]] + mouth[:, RIG_INDEX["mouthRollUpper"]]
        closure = np.clip(shut / 0.25, 0, 1)
        curves.close_lips(mouth, closure)
        level = _frame_level(samples, len(times_s))
        quiet = curves.gaussian_smooth(level[:, None], 2.5)[:, 0] < 0.004
        rest = quiet & (curves.lip_aperture(mouth) < 0.12)
        held_out = is_held_out("facegood_audio2face", entry["file"], index)
        for start in range(0, len(times_s) - 100, 500):
            part = slice(start, min(start + 500, len(times_s)))
            hop = MODEL_RATE_HZ // FRAME_RATE_HZ
            yield Utterance(
                name=f"{entry['file']}@{start}", style="facegood",
                samples=samples[part.start * hop : part.stop * hop], mouth=mouth[part],
                closure=closure[part], rest=rest[part],
            ), held_out  # fmt: skip


def _frame_level(samples: FloatArray, num_frames: int) -> FloatArray:
    hop = MODEL_RATE_HZ // FRAME_RATE_HZ
    return np.sqrt(np.mean(samples[: num_frames * hop].reshape(num_frames, hop) ** 2, axis=1))


def read_speech_utterances(
    assets: Path, phones: Mapping[str, list[Phone]]
) -> Iterator[tuple[Utterance, bool]]:
    """Yield (utterance, held out) of LibriSpeech and LJ Speech, as far as phones were found."""
    for folder in ("librispeech_subset", "ljspeech_samples"):
        for index, entry in enumerate(read_manifest(assets / folder)):
            name = str(entry["file"])
            if name in phones:
                samples = usable_audio(assets / folder / name)
                if samples is None:
                    continue
                held_out = is_held_out(folder, name, index)
                yield rule_utterance(name, "read", samples, phones[name], "arpabet"), held_out

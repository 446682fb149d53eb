"""Held-out speech with the lips that belong to it: real video, real curves, phonemes.

Place in the flow: assets -> here -> `lips`. What is held out `splits.is_held_out` decides alone
(SPLITS.md). Tracking and alignment take seconds a clip and do not depend on the model: they are
kept in a folder of their own. Shape letters: S samples, F video frames.
"""

import json
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import numpy as np
import soxr

from rest_bridge.errors import ConfigError
from rest_bridge.training import curves
from rest_bridge.training.evaluation.agreement import Mask, Span
from rest_bridge.training.evaluation.driving import read_pictures, read_voice
from rest_bridge.training.phonemes import Phone, align, phone_loop, recognise_words
from rest_bridge.training.recordings import load_audio, read_manifest
from rest_bridge.training.speech_sources import (
    facegood_utterances,
    frame_times_s,
    rest_frames,
)
from rest_bridge.training.splits import HELD_OUT_FACEGOOD, is_held_out
from rest_bridge.training.tracks import LandmarkTracker, measure
from rest_bridge.training.visemes import VisemeSpan, to_visemes
from rest_bridge.types import MODEL_RATE_HZ, SAMPLES_PER_FRAME, VOICE_RATE_HZ, FloatArray

ROUNDED: Final = ("WW", "UW", "OW", "UE", "OE")
SPREAD: Final = ("IY", "IH", "SS", "AE")
STRANGERS, KNOWN, CURVES, READ = "strangers", "known talker", "real curves", "read speech"
_FACEGOOD_PIECE: Final = 500


@dataclass(frozen=True, slots=True)
class HeldOut:
    """Speech that no training saw, with what the mouth should do.

    Attributes:
        name: of the clip.
        group: where it counts.
        voice: float32 [S], 48 kHz mono.
        aperture: float32 [F], lip gap at 25 fps; zeros where only silence is asked for.
        width: float32 [F], mouth width.
        sentence: bool [F], from the first to the last spoken frame.
        rest: bool [F], inside a silence and 100 ms away from speech.
        visemes: as spoken, for closures and rounding.
        real: the curves were tracked in the talker's own video by the ruler that judges us, so
            their size compares, and how real lips behave can be stated beside ours.
        first_frame: frames before it only warm the stream up.
        pose: float32 [F, 6], the real head, where it was tracked.
        video: the talker's own video, where there is one.
    """

    name: str
    group: str
    voice: FloatArray
    aperture: FloatArray
    width: FloatArray
    sentence: Mask
    rest: Mask
    visemes: tuple[VisemeSpan, ...] = ()
    real: bool = False
    first_frame: int = 0
    pose: FloatArray | None = field(default=None, repr=False)
    video: Path | None = None

    def spans(self, *names: str) -> list[Span]:
        """Return when the visemes of these names are spoken."""
        return [(v.start_s, v.end_s) for v in self.visemes if v.name in names]


class Library:
    """Reads held-out clips; keeps what took long in a folder."""

    def __init__(self, assets: Path, folder: Path) -> None:
        """Prepare.

        Args:
            assets: the data folder.
            folder: for tracks and phones; made if missing.

        Raises:
            ConfigError: the data folder is missing.
        """
        if not assets.is_dir():
            raise ConfigError(
                f"The held-out data is missing; point --assets to the data folder: {assets}"
            )
        self.assets, self.folder = assets, folder
        folder.mkdir(parents=True, exist_ok=True)
        self._tracker: LandmarkTracker | None = None

    @property
    def tracker(self) -> LandmarkTracker:
        """The ruler: OpenSeeFace's landmarks, no part of the product and trained by others."""
        if self._tracker is None:
            path = self.assets / "openseeface_models" / "lm_model0_opt.onnx"
            if not path.is_file():
                raise ConfigError(f"The landmark ruler is missing; get the data folder: {path}")
            self._tracker = LandmarkTracker(path)
        return self._tracker

    def talkers(self, num_known: int) -> list[HeldOut]:
        """Return the strangers' clips and some of the known talker's unseen ones.

        Args:
            num_known: at most, evenly spread over the held-out ones.
        """
        strangers = read_manifest(self.assets / "grid_other_talkers")
        folder = self.assets / "grid_s1_video"
        known = [
            entry
            for index, entry in enumerate(read_manifest(folder))
            if is_held_out("grid_s1_video", entry["file"], index)
        ]
        picks = np.linspace(0, len(known) - 1, min(num_known, len(known))).round().astype(int)
        clips = [self._video(e, self.assets / "grid_other_talkers", STRANGERS) for e in strangers]
        return clips + [self._video(known[i], folder / "clips", KNOWN) for i in picks]

    def real_curves(self, num_pieces: int) -> list[HeldOut]:
        """Return pieces of 20 s of the held-out performance with measured mouth curves."""
        clips: list[HeldOut] = []
        voice = read_voice(
            self.assets / "facegood_audio2face" / "paired" / f"{HELD_OUT_FACEGOOD}.flac"
        )
        for utterance, held_out in facegood_utterances(self.assets):
            if not held_out or len(clips) == num_pieces:
                continue
            first = int(utterance.name.rpartition("@")[2])
            count = len(utterance.mouth)
            own = voice[first * SAMPLES_PER_FRAME : (first + count) * SAMPLES_PER_FRAME]
            shut = _spans_of(utterance.closure > 0.9)
            clips.append(
                HeldOut(
                    name=utterance.name, group=CURVES, voice=own,
                    aperture=curves.lip_aperture(utterance.mouth),
                    width=curves.mouth_width(utterance.mouth),
                    sentence=~utterance.rest, rest=utterance.rest,
                    visemes=tuple(VisemeSpan("PP", *span) for span in shut),
                )
            )  # fmt: skip
        return clips

    def read_speech(self, num_talkers: int) -> list[HeldOut]:
        """Return held-out LibriSpeech talkers with the mouth that their phones ask for."""
        folder = self.assets / "librispeech_subset"
        entries = [
            entry
            for index, entry in enumerate(read_manifest(folder))
            if is_held_out("librispeech_subset", str(entry["file"]), index)
        ]
        picks = np.linspace(0, len(entries) - 1, min(num_talkers, len(entries)))
        chosen = [entries[i] for i in picks.round().astype(int)]
        return [self._spoken(folder / str(entry["file"]), READ) for entry in chosen]

    def recorded_languages(self) -> list[HeldOut]:
        """Return recorded people of other languages, their phones found by reading along."""
        from rest_bridge.training.recorded_languages import recorded_clips

        clips: list[HeldOut] = []
        for clip in recorded_clips(self.assets, self.folder / "recorded_languages.json"):
            visemes = to_visemes(clip.phones, "ipa")
            voice = soxr.resample(clip.samples, MODEL_RATE_HZ, VOICE_RATE_HZ).astype(np.float32)
            clips.append(from_visemes(clip.name, f"recorded: {clip.language}", voice, visemes))
        return clips

    def other_voices(self, count: int) -> list[FloatArray]:
        """Return held-out talkers for babble, float32 [S] at 16 kHz each."""
        folder = self.assets / "librispeech_subset"
        names = [
            str(entry["file"])
            for index, entry in enumerate(read_manifest(folder))
            if is_held_out("librispeech_subset", str(entry["file"]), index)
        ]
        return [load_audio(folder / name) for name in names[:count]]

    def landmarks(self, path: Path) -> FloatArray:
        """Return the ruler's points in a video, float32 [F, 66, 3]: x, y (pixels), confidence."""
        return self._kept(f"{path.stem}.npy", lambda: self.tracker.track(read_pictures(path)))

    def _spoken(self, path: Path, group: str) -> HeldOut:
        visemes = to_visemes(self._phones(path, None), "arpabet")
        return from_visemes(path.stem, group, read_voice(path), visemes)

    def _video(self, entry: dict[str, Any], folder: Path, group: str) -> HeldOut:
        path = folder / str(entry["file"])
        track = measure(self.landmarks(path))
        visemes = to_visemes(self._phones(path, str(entry["text"])), "arpabet")
        times_s = (np.arange(len(track.aperture)) + 0.5) / 25
        return HeldOut(
            name=path.stem, group=group, voice=read_voice(path), aperture=track.aperture,
            width=track.width, sentence=sentence_frames(visemes, len(times_s)),
            rest=rest_frames(visemes, times_s), visemes=tuple(visemes), real=True,
            pose=track.pose, video=path,
        )  # fmt: skip

    def _phones(self, path: Path, text: str | None) -> list[Phone]:
        kept = self.folder / f"{path.stem}.phones.json"
        if not kept.is_file():
            samples = load_audio(path)
            words = re.sub(r"[^a-z' ]", " ", text.lower()) if text else recognise_words(samples)
            found = (align(samples, words) if words else None) or phone_loop(samples)
            kept.write_text(json.dumps([[p.symbol, p.start_s, p.end_s] for p in found]))
        return [Phone(str(s), a, b) for s, a, b in json.loads(kept.read_text())]

    def _kept(self, name: str, make: Callable[[], FloatArray]) -> FloatArray:
        path = self.folder / name
        if not path.is_file():
            part = path.with_suffix(".part")
            with part.open("wb") as file:
                np.save(file, make())
            part.replace(path)
        return np.load(path)


def from_visemes(name: str, group: str, voice: FloatArray, visemes: list[VisemeSpan]) -> HeldOut:
    """Make a clip whose mouth follows from its phones by the rules of co-articulation."""
    times_s = frame_times_s(len(voice) // 3)
    channels, closure = curves.viseme_curves(visemes, times_s)
    mouth = curves.rig_from_channels(channels, closure)
    return HeldOut(
        name=name, group=group, voice=voice, aperture=curves.lip_aperture(mouth),
        width=curves.mouth_width(mouth), sentence=sentence_frames(visemes, len(times_s)),
        rest=rest_frames(visemes, times_s), visemes=tuple(visemes),
    )  # fmt: skip


def sentence_frames(visemes: list[VisemeSpan], num_frames: int) -> Mask:
    """Return bool [F]: from the first to the last frame with speech."""
    spoken = [v for v in visemes if v.name != "SIL"]
    inside = np.zeros(num_frames, bool)
    if spoken:
        inside[int(spoken[0].start_s * 25) : int(np.ceil(spoken[-1].end_s * 25))] = True
    return inside


def _spans_of(mask: Mask) -> list[Span]:
    edges = np.flatnonzero(np.diff(np.concatenate([[0], mask.astype(np.int8), [0]])))
    return [(a / 25, b / 25) for a, b in zip(edges[::2], edges[1::2], strict=True)]

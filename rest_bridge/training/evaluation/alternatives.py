"""What a user has without us, on the same held-out speech: loudness, and recognised phones.

The two mouths that streamers and games use today are a mouth that opens with the loudness (PNG
tubers, OBS filters, VTube Studio's microphone) and a phoneme recogniser with a table of visemes
(Rhubarb Lip Sync, Papagayo: here its engine, pocketsphinx, hears the whole clip, so unlike ours it
may look ahead as far as it likes). All three are judged by the same ruler on the same clips; the
two that are not ours get their best constant lag for free.

Run as `python -m rest_bridge.training.evaluation.alternatives`; the table stands in docs/rig.md.
Shape letters: S samples at 48 kHz, F video frames.
"""

import argparse
import json
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import soxr

from rest_bridge.inference.package import ModelPackage
from rest_bridge.training.curves import lip_aperture
from rest_bridge.training.evaluation import agreement
from rest_bridge.training.evaluation.driving import Driver
from rest_bridge.training.evaluation.held_out import HeldOut, Library
from rest_bridge.training.evaluation.languages import language_clips
from rest_bridge.training.phonemes import phone_loop
from rest_bridge.training.visemes import VISEMES, to_visemes
from rest_bridge.types import (
    FRAME_RATE_HZ,
    MODEL_RATE_HZ,
    SAMPLES_PER_FRAME,
    VOICE_RATE_HZ,
    FloatArray,
)

GATE_DB: Final = -40.0
"""Loudness below the loudest frame at which an amplitude-driven mouth opens."""
ATTACK: Final = 0.7
RELEASE: Final = 0.35
"""Shares by which such a mouth follows a louder and a quieter frame."""
FADE_S: Final = 0.06
"""A viseme table fades from mouth to mouth in this time."""
_LANGUAGES: Final = ("English", "German", "Spanish", "Mandarin", "Dutch (held out)")
_TITLE: Final = "Lip gap against the real one within the sentence, correlation"
_COLOURS: Final = ("#b9b9b9", "#7fa7c9", "#d9683c")
_NUMBERS: Final = ("r", "sentence", "other", "lag_ms", "closed", "still")

Mouth = Callable[[FloatArray], FloatArray]
"""Voice, float32 [S] at 48 kHz -> lip gap, float32 [F]."""


def loudness_mouth(voice: FloatArray) -> FloatArray:
    """Open the mouth with the loudness, as amplitude-driven avatars do.

    Args:
        voice: float32 [S].

    Returns:
        float32 [F], 0..1.
    """
    count = len(voice) // SAMPLES_PER_FRAME
    frames = voice[: count * SAMPLES_PER_FRAME].reshape(count, SAMPLES_PER_FRAME)
    level_db = 10 * np.log10((frames**2).mean(1) + 1e-10)
    wanted = np.clip(1 - (level_db.max() - level_db) / -GATE_DB, 0, 1)
    mouth, now = np.zeros(count, np.float32), 0.0
    for index, target in enumerate(wanted):
        now += (ATTACK if target > now else RELEASE) * (float(target) - now)
        mouth[index] = now
    return mouth


def phone_mouth(voice: FloatArray) -> FloatArray:
    """Recognise phones and fade through a table of visemes, as Rhubarb and its like do.

    Args:
        voice: float32 [S].

    Returns:
        float32 [F], lip gap of the table's shapes.
    """
    samples = soxr.resample(voice, VOICE_RATE_HZ, MODEL_RATE_HZ).astype(np.float32)
    spans = to_visemes(phone_loop(samples), "arpabet")
    centres_s = (np.arange(len(voice) // SAMPLES_PER_FRAME) + 0.5) / FRAME_RATE_HZ
    gap = np.zeros(len(centres_s), np.float32)
    total = np.full(len(centres_s), 1e-6, np.float32)
    for span in spans:
        shape = VISEMES[span.name].shape
        inside = np.minimum(centres_s - span.start_s, span.end_s - centres_s)
        weight = np.clip(0.5 + inside / FADE_S, 0, 1).astype(np.float32)
        gap += weight * np.float32(shape[0] + 0.35 * shape[4] + 0.2 * shape[5])
        total += weight
    return gap / total


@dataclass(frozen=True, slots=True)
class Score:
    """How one mouth spoke one clip; the names of the table's columns."""

    group: str
    mouth: str
    r: float
    sentence: float
    other: float
    lag_ms: float
    closed: float
    still: float


def score(name: str, made: FloatArray, clip: HeldOut, others: Sequence[HeldOut]) -> Score:
    """Judge one mouth on one clip.

    Args:
        name: of the mouth.
        made: float32 [F].
        clip: what was spoken.
        others: for the mismatched correlation.
    """
    count = min(len(made), len(clip.aperture))
    made, real, sentence = made[:count], clip.aperture[:count], clip.sentence[:count]
    mismatched = [
        agreement.other_sentence(made, sentence, other.aperture, other.sentence)
        for other in others
        if other.name != clip.name
    ]
    return Score(
        group=clip.group, mouth=name,
        r=agreement.pearson(made, real),
        sentence=agreement.pearson(made[sentence], real[sentence]),
        other=float(np.nanmean(mismatched)) if mismatched else math.nan,
        lag_ms=agreement.best_lag_ms(real, made),
        closed=agreement.closed_share(made, clip.spans("PP")),
        still=agreement.rest_spread(made, clip.rest[:count], sentence),
    )  # fmt: skip


def without_lag(made: FloatArray, real: FloatArray) -> FloatArray:
    """Return a curve moved by the constant lag that suits it best; both float32 [F]."""
    lag_ms = agreement.best_lag_ms(real[: len(made)], made[: len(real)])
    times_ms = np.arange(len(made)) * 1000.0 / FRAME_RATE_HZ
    if math.isnan(lag_ms):
        return made
    return np.interp(times_ms + lag_ms, times_ms, made).astype(np.float32)


def table(scores: Sequence[Score]) -> str:
    """Return means by group and mouth as a Markdown table."""
    lines = [
        "| speech | clips | mouth | " + " | ".join(_NUMBERS) + " |",
        "| --- " * (3 + len(_NUMBERS)) + "|",
    ]
    groups = list(dict.fromkeys((s.group, s.mouth) for s in scores))
    for group, mouth in groups:
        own = [s for s in scores if (s.group, s.mouth) == (group, mouth)]
        cells: list[str] = []
        for name in _NUMBERS:
            values = [v for s in own if not math.isnan(v := float(getattr(s, name)))]
            mean = float(np.mean(values)) if values else math.nan
            shown = f"{mean:+.0f}" if name == "lag_ms" else f"{mean:.2f}"
            cells.append("" if math.isnan(mean) else shown)
        lines.append(f"| {group} | {len(own)} | {mouth} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def plot(scores: Sequence[Score], number: str = "sentence") -> str:
    """Return means by group and mouth as an SVG picture of bars.

    Args:
        scores: of all mouths.
        number: column to show; negative means are drawn as nothing.
    """
    groups = list(dict.fromkeys(s.group for s in scores))
    mouths = list(dict.fromkeys(s.mouth for s in scores))
    bar, left, width = 13, 190, 420
    block = bar * len(mouths) + 14
    height = block * len(groups) + 60
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{left + width + 60}" height="{height}" '
        'font-family="sans-serif" font-size="12">',
        f'<rect width="100%" height="100%" fill="white"/><text x="8" y="18">{_TITLE}</text>',
    ]
    for row, group in enumerate(groups):
        top = 34 + row * block
        parts.append(f'<text x="8" y="{top + block / 2 - 4:.0f}">{group}</text>')
        for place, mouth in enumerate(mouths):
            own = [
                float(getattr(s, number)) for s in scores if (s.group, s.mouth) == (group, mouth)
            ]
            mean = float(np.nanmean(own))
            y = top + place * bar
            parts.append(
                f'<rect x="{left}" y="{y}" width="{max(0.0, mean) * width:.0f}" height="{bar - 2}" '
                f'fill="{_COLOURS[place]}"/>'
                f'<text x="{left + 4 + max(0.0, mean) * width:.0f}" y="{y + bar - 3}" '
                f'font-size="10">{mean:.2f}</text>'
            )
    for place, mouth in enumerate(mouths):
        x = left + place * 150
        parts.append(
            f'<rect x="{x}" y="{height - 18}" width="10" height="10" fill="{_COLOURS[place]}"/>'
            f'<text x="{x + 15}" y="{height - 9}">{mouth}</text>'
        )
    return "\n".join([*parts, "</svg>", ""])


def main() -> None:
    """Compare the mouths and print the table."""
    parser = argparse.ArgumentParser(description="Our lips beside loudness and recognised phones.")
    parser.add_argument("--assets", type=Path, required=True, help="the data folder")
    parser.add_argument("--package", type=Path, default=None, help="model package (shipped one)")
    parser.add_argument("--work", type=Path, required=True, help="folder for what takes long")
    parser.add_argument("--plot", type=Path, default=None, help="SVG to write")
    parser.add_argument("--known", type=int, default=12, help="clips of the known talker")
    args = parser.parse_args()
    library = Library(args.assets, args.work)
    clips = library.talkers(args.known) + library.real_curves(4)
    for language in _LANGUAGES:
        clips += language_clips(language, 3)
    driver = Driver(ModelPackage.load(args.package), size_px=64, seed=0)
    mouths: dict[str, Mouth] = {
        "loudness": loudness_mouth,
        "recognised phones": phone_mouth,
        "rest_bridge": lambda voice: lip_aperture(driver.rig_only(voice)),
    }
    scores: list[Score] = []
    for clip in clips:
        others = [c for c in clips if c.group == clip.group]
        for name, mouth in mouths.items():
            made = mouth(clip.voice)
            if name != "rest_bridge":
                made = without_lag(made, clip.aperture)
            scores.append(score(name, made, clip, others))
    scores.sort(key=lambda s: s.group)
    print(table(scores))
    if args.plot is not None:
        args.plot.write_text(plot(scores), "utf-8")
    (args.work / "alternatives.json").write_text(json.dumps([vars_of(s) for s in scores], indent=1))


def vars_of(one: Score) -> dict[str, object]:
    """Return a score as a mapping for JSON."""
    return {name: getattr(one, name) for name in ("group", "mouth", *_NUMBERS)}


if __name__ == "__main__":
    main()

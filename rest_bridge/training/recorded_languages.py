"""Recorded people of other languages with phone times, found through a synthetic reader.

Place in the flow: css10 and picovoice clips (held out, always) -> here -> `evaluation`. There is no
recogniser for these languages, but espeak-ng reads the same text and tells its phones' times: both
readings are laid over one another by dynamic time warping of their spectra, pauses left out, and
the times are carried over. Nothing here is trained on.

Shape letters: S samples at 16 kHz; M, N frames of 10 ms of the recording and of the reader.
"""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt

from rest_bridge.features.mel import HOP_SAMPLES, WINDOW_SAMPLES, mel_filters
from rest_bridge.training.curves import gaussian_smooth
from rest_bridge.training.phonemes import EspeakVoice, Phone, tile
from rest_bridge.training.recordings import load_audio, read_manifest
from rest_bridge.types import FloatArray

READERS: Final = ("m3", "f2", "m7", "klatt")
"""Voices of espeak-ng that try; the one that fits best is taken."""
_VOICES: Final = {"en": "en-us", "fr": "fr", "ja": "ja"}
_STEP_S: Final = HOP_SAMPLES / 16_000
_PAUSE_FRAMES: Final = 12
_KANA: Final = {  # espeak-ng reads no Chinese characters in Japanese
    "picovoice_ja.flac": "きゃっかんてきじつざいのはんだんてきちしきがせいりつするのである。",
}


@dataclass(frozen=True, slots=True)
class RecordedClip:
    """Somebody who reads a known text.

    Attributes:
        name: file name.
        language: two letters.
        samples: float32 [S], 16 kHz.
        phones: IPA, tiling the clip.
        cost: mean distance along the path; below 1 the two readings are alike.
    """

    name: str
    language: str
    samples: FloatArray
    phones: list[Phone]
    cost: float


def recorded_clips(assets: Path, cache: Path) -> Iterator[RecordedClip]:
    """Yield every clip of css10 and picovoice whose text can be read.

    Args:
        assets: the data folder.
        cache: JSON file in which phone times are kept.

    Yields:
        Clips in the manifests' order.
    """
    kept = json.loads(cache.read_text(encoding="utf-8")) if cache.exists() else {}
    espeak: EspeakVoice | None = None
    for folder in ("css10_multilingual", "picovoice_multilingual"):
        for entry in read_manifest(assets / folder):
            name, language = str(entry["file"]), str(entry["language"])[:2]
            samples = load_audio(assets / folder / name)
            if name not in kept:
                espeak = espeak or EspeakVoice()
                text = _KANA.get(name, str(entry["text"]))
                phones, cost = read_along(samples, text, _VOICES.get(language, language), espeak)
                kept[name] = [cost, [[p.symbol, p.start_s, p.end_s] for p in phones]]
                cache.write_text(json.dumps(kept), encoding="utf-8")
            cost, found = kept[name]
            yield RecordedClip(name, language, samples, [Phone(*p) for p in found], float(cost))


def read_along(
    samples: FloatArray, text: str, voice: str, espeak: EspeakVoice
) -> tuple[list[Phone], float]:
    """Find the phones of a recording whose text is known.

    Args:
        samples: float32 [S].
        text: in the voice's language.
        voice: of espeak-ng, without a variant.
        espeak: the reader.

    Returns:
        phones: IPA, tiling the recording.
        cost: of the best reader.
    """
    best: tuple[float, list[Phone]] | None = None
    duration_s = len(samples) / 16_000
    for reader in READERS:
        read, phones = espeak.speak(text, language=f"{voice}+{reader}", words_per_minute=160)
        path, cost = lay_over(samples, read)
        moved = [
            Phone(p.symbol, *np.interp([p.start_s, p.end_s], path[1], path[0])) for p in phones
        ]
        spoken = [p for p in moved if p.symbol != "SIL" and p.end_s > p.start_s]
        if best is None or cost < best[0]:
            best = (cost, _split_at_pauses(spoken, samples, duration_s))
    assert best is not None
    return best[1], best[0]


def lay_over(one: FloatArray, other: FloatArray) -> tuple[npt.NDArray[np.float64], float]:
    """Lay two readings of one text over one another.

    Args:
        one: float32 [S].
        other: float32 [S'], another length.

    Returns:
        path: float64 [2, P], seconds in `one` and in `other`, both rising.
        cost: mean distance along the path.
    """
    (here, at_here), (there, at_there) = (_spoken_features(x) for x in (one, other))
    distance = np.sqrt(np.maximum(
        (here**2).sum(1)[:, None] + (there**2).sum(1)[None] - 2 * here @ there.T, 0
    ) / here.shape[1])  # fmt: skip
    rows, columns, cost = warp(distance)
    return np.stack([at_here[rows] * _STEP_S, at_there[columns] * _STEP_S]), cost


def warp(
    distance: npt.NDArray[np.floating],
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64], float]:
    """Find the cheapest path from corner to corner, its slope between 1/3 and 3.

    Args:
        distance: float [M, N].

    Returns:
        rows, columns: int64 [P], rising.
        cost: mean distance on the path.
    """
    steps = ((1, 1), (1, 2), (2, 1), (1, 3), (3, 1))
    height, width = distance.shape
    total = np.full((height, width), np.inf)
    choice = np.zeros((height, width), np.int8)
    total[0, 0] = distance[0, 0]
    for row in range(1, height):
        for number, (down, right) in enumerate(steps):
            if row < down:
                continue
            before = np.full(width, np.inf)
            before[right:] = total[row - down, : width - right]
            reached = before + distance[row] * 0.5 * (down + right)
            better = reached < total[row]
            total[row, better], choice[row, better] = reached[better], number
    row, column = height - 1, width - 1
    if not np.isfinite(total[row, column]):  # too unlike in length: a straight line
        count = max(height, width)
        rows, columns = (np.linspace(0, n - 1, count).astype(np.int64) for n in (height, width))
        return rows, columns, float(distance[rows, columns].mean())
    places = [(row, column)]
    while row or column:
        down, right = steps[int(choice[row, column])]
        row, column = row - down, column - right
        places.append((row, column))
    rows, columns = np.array(places[::-1], np.int64).T
    return rows, columns, float(total[-1, -1] / (0.5 * (height + width)))


def _spoken_features(samples: FloatArray) -> tuple[FloatArray, npt.NDArray[np.float64]]:
    """Return float32 [M, D] of the frames that are no pause, and their places, float64 [M]."""
    padded = np.concatenate([np.zeros(WINDOW_SAMPLES // 2, np.float32), samples])
    windows = np.lib.stride_tricks.sliding_window_view(padded, WINDOW_SAMPLES)[::HOP_SAMPLES]
    power = np.abs(np.fft.rfft(windows * np.hanning(WINDOW_SAMPLES), 512)) ** 2
    mel = np.log(power @ mel_filters().T + 1e-6)
    spoken = ~pauses(samples)[: len(mel)]
    if spoken.sum() < 10:
        spoken[:] = True
    mel = mel[: len(spoken)][spoken]
    shape = gaussian_smooth(mel.reshape(len(mel), 20, -1).mean(2), 1.0)
    shape = (shape - shape.mean(0)) / (shape.std(0) + 1e-3)
    slope = np.gradient(gaussian_smooth(shape, 1.5), axis=0)
    slope /= slope.std(0) + 1e-3
    places = np.flatnonzero(spoken) + 0.5
    return np.concatenate([shape, 0.7 * slope], 1).astype(np.float32), places


def pauses(samples: FloatArray) -> npt.NDArray[np.bool_]:
    """Return bool [M]: quiet for 120 ms or more, by loudness against the talker's own."""
    count = len(samples) // HOP_SAMPLES
    power = (samples[: count * HOP_SAMPLES].reshape(count, HOP_SAMPLES) ** 2).mean(1)
    level_db = gaussian_smooth(10 * np.log10(power + 1e-10)[:, None], 1.5)[:, 0]
    floor_db, loud_db = np.percentile(level_db, 3), np.percentile(level_db, 95)
    quiet = level_db < max(floor_db + 0.4 * (loud_db - floor_db), loud_db - 38)
    edges = np.flatnonzero(np.diff(np.concatenate([[0], quiet.astype(np.int8), [0]])))
    out = np.zeros(count, bool)
    for first, stop in edges.reshape(-1, 2):
        if stop - first >= _PAUSE_FRAMES or first == 0 or stop == count:
            out[first:stop] = True
    return out


def _split_at_pauses(
    spoken: Sequence[Phone], samples: FloatArray, duration_s: float
) -> list[Phone]:
    """Take pauses out of phones that the path stretched over them, and tile the recording."""
    quiet = pauses(samples)
    kept: list[Phone] = []
    for phone in spoken:
        first, stop = int(phone.start_s / _STEP_S), max(int(phone.end_s / _STEP_S), 1)
        loud = np.flatnonzero(~quiet[first:stop])
        if not len(loud):
            continue
        inside = quiet[first:stop]
        if inside.sum() >= _PAUSE_FRAMES:  # the longer side of the pause keeps the phone
            runs = np.split(loud, np.flatnonzero(np.diff(loud) > 1) + 1)
            run = max(runs, key=len)
            start_s, end_s = (first + run[0]) * _STEP_S, (first + run[-1] + 1) * _STEP_S
            kept.append(Phone(phone.symbol, float(start_s), float(end_s)))
        else:
            kept.append(Phone(phone.symbol, float(phone.start_s), float(phone.end_s)))
    return tile(kept, duration_s)

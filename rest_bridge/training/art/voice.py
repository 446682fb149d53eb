"""The built-in voice: a short spoken text, synthesised, levelled and written as FLAC.

The voice is Festival's `cmu_us_slt_arctic_hts` (statistical, 32 kHz, free for any use); the text
is ours. Each sentence is spoken by itself, so that pauses are exact; a still end lets it loop.
"""

from __future__ import annotations

import json
import subprocess
import tempfile
from pathlib import Path

import numpy as np
import soundfile
import soxr
from numpy.typing import NDArray

RATE_HZ = 48_000
TARGET_LUFS = -20.0
PEAK = 10 ** (-1.5 / 20)
STRETCH = 1.06

# What is said, and the pause after it in seconds.
SENTENCES = (
    ("Hello! I am your new face.", 0.45),
    ("Give me one picture, and a voice, and I will speak for you.", 0.5),
    ("My lips move with every word: people, bubbles, maple, and moonbeams.", 0.55),
    ("Put me in your stream, your game, or your next call.", 0.5),
    ("So, pick up the microphone, and let's begin!", 1.5),
)


def _speak(text: str) -> NDArray[np.float64]:
    """Speak one sentence.

    Args:
        text: the sentence.

    Returns:
        float64 [S] at 48 kHz, without the silence around it.

    Raises:
        FileNotFoundError: Festival is not installed.
    """
    with tempfile.TemporaryDirectory() as folder:
        source, target = Path(folder) / "text.txt", Path(folder) / "speech.wav"
        source.write_text(text)
        voice = f"(begin (voice_cmu_us_slt_arctic_hts) (Parameter.set 'Duration_Stretch {STRETCH}))"
        try:
            subprocess.run(
                ["text2wave", "-eval", voice, str(source), "-o", str(target)], check=True
            )
        except FileNotFoundError as error:
            raise FileNotFoundError(
                "Festival is missing; install it: apt install festival festvox-us-slt-hts"
            ) from error
        samples, rate = soundfile.read(target)
    level = np.convolve(np.abs(samples), np.ones(400) / 400, "same")
    loud = np.flatnonzero(level > 0.02 * level.max())
    start, stop = max(loud[0] - rate // 20, 0), min(loud[-1] + rate // 12, len(samples))
    cut = samples[start:stop].copy()
    fade = np.linspace(0, 1, rate // 100)
    cut[: len(fade)] *= fade
    cut[-len(fade) :] *= fade[::-1]
    return soxr.resample(cut, rate, RATE_HZ, quality="VHQ")


def loudness(samples: NDArray[np.float64]) -> float:
    """Return the integrated loudness in LUFS (ITU-R BS.1770-4) of mono samples at 48 kHz."""
    # Coefficients of the K-weighting for 48 kHz, tables 1 and 2 of the recommendation.
    from scipy.signal import lfilter

    shelf = lfilter([1.53512485958697, -2.69169618940638, 1.19839281085285],
                    [1.0, -1.69065929318241, 0.73248077421585], samples)  # fmt: skip
    weighted = lfilter([1.0, -2.0, 1.0], [1.0, -1.99004745483398, 0.99007225036621], shelf)
    size, hop = int(0.4 * RATE_HZ), int(0.1 * RATE_HZ)
    power = np.array(
        [np.mean(weighted[i : i + size] ** 2) for i in range(0, len(weighted) - size + 1, hop)]
    )
    level = -0.691 + 10 * np.log10(power + 1e-12)
    kept = level > -70
    kept &= level > -0.691 + 10 * np.log10(power[kept].mean()) - 10
    return float(-0.691 + 10 * np.log10(power[kept].mean()))


def build_voice(out: Path) -> Path:
    """Speak the text and write voice.flac and voice.json into `out`; return the sound file."""
    pieces = [np.zeros(int(0.25 * RATE_HZ))]
    for text, pause_s in SENTENCES:
        pieces += [_speak(text), np.zeros(int(pause_s * RATE_HZ))]
    samples = np.concatenate(pieces)
    # The synthesiser's voice is boomy below its pitch; a gentle high pass at 70 Hz removes it.
    from scipy.signal import butter, sosfiltfilt

    samples = sosfiltfilt(butter(2, 70, "highpass", fs=RATE_HZ, output="sos"), samples)
    samples *= 10 ** ((TARGET_LUFS - loudness(samples)) / 20)
    over = np.abs(samples).max() / PEAK
    if over > 1:  # a soft knee keeps single peaks below -1.5 dBFS at unchanged loudness
        knee = 0.6 * PEAK
        high = np.abs(samples) > knee
        excess = (np.abs(samples[high]) - knee) / (PEAK - knee)
        samples[high] = np.sign(samples[high]) * (knee + (PEAK - knee) * np.tanh(excess))
    out.mkdir(parents=True, exist_ok=True)
    path = out / "voice.flac"
    soundfile.write(path, samples.astype(np.float32), RATE_HZ, subtype="PCM_16")
    about = {
        "text": " ".join(text for text, _ in SENTENCES),
        "language": "en-US",
        "seconds": round(len(samples) / RATE_HZ, 2),
        "rate_hz": RATE_HZ,
        "loudness_lufs": round(loudness(samples), 1),
        "made_by": "Festival 2.5, voice cmu_us_slt_arctic_hts (CMU, HTS working group; free for "
        "any use), by rest_bridge/training/art/voice.py",
        "licence": "Apache-2.0 (text and recording made for rest_bridge)",
    }
    (out / "voice.json").write_text(json.dumps(about, indent=2) + "\n")
    return path

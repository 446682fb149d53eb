"""Trains the small network that tells a voice from music, typing and noise.

    python -m rest_bridge.training.voice_finder --assets DIR --out rest_bridge/features/voicing.npz

Place in the flow: talkers, `sung`, `orchestra`, `sampled_bands`, `made_noises` -> here ->
`features.voicing`. Voices and sounds are mixed as mel powers, which adds up well enough and costs
little: five minutes of a core. Never heard: the talkers of `splits.is_held_out`, those of
`evaluation.stillness`, every sound of `background_sounds`, the bank of `evaluation.sampled_songs`.
Shape letters: N clips, F steps of 20 ms, B mel bins.
"""

import argparse
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from rest_bridge.features.mel import NUM_BINS, mel_filters
from rest_bridge.features.voicing import CONTEXT, POWER_FLOOR, STEP_SAMPLES, WINDOW_SAMPLES
from rest_bridge.training.augment_audio import microphone, reverberate, telephone
from rest_bridge.training.background_sounds import speech_rms
from rest_bridge.training.evaluation.stillness import unheard_talkers
from rest_bridge.training.made_noises import noise_of_some_kind, whispered
from rest_bridge.training.orchestra import song
from rest_bridge.training.splits import is_held_out
from rest_bridge.training.sung import sung
from rest_bridge.types import MODEL_RATE_HZ

FloatArray = npt.NDArray[np.float32]

_STEPS: Final = 260
_BATCH: Final = 48
_HIDDEN: Final = 48
_HANG: Final = 4
"""Steps for which a voice is called one after it has become soft: between two phones."""
_SOFT_DB: Final = 26.0


class Network(nn.Module):
    """What `features.voicing` computes, over whole clips."""

    def __init__(self) -> None:
        """Draw weights."""
        super().__init__()
        self.first = nn.Conv1d(NUM_BINS, _HIDDEN, CONTEXT)
        self.second = nn.Conv1d(_HIDDEN, _HIDDEN, CONTEXT)
        self.gru = nn.GRU(_HIDDEN, _HIDDEN, batch_first=True)
        self.out = nn.Linear(_HIDDEN, 1)

    def forward(self, mel_power: Tensor) -> Tensor:
        """Return the logits, float32 [N, F], of mel powers [N, F, B]."""
        mel = (torch.log(mel_power + POWER_FLOOR) * 0.25).transpose(1, 2)
        silence = float(np.log(POWER_FLOOR) * 0.25)
        mel = nn.functional.pad(mel, (CONTEXT - 1, 0), value=silence)
        low = torch.relu(self.first(mel))
        high = torch.relu(self.second(nn.functional.pad(low, (CONTEXT - 1, 0))))
        hidden, _ = self.gru(high.transpose(1, 2))
        return self.out(hidden)[..., 0]

    def take(self, path: Path) -> None:
        """Take the weights of an earlier run."""
        with np.load(path, allow_pickle=False) as archive:
            given = {name: torch.from_numpy(archive[name].astype(np.float32)) for name in archive}
        with torch.no_grad():
            for name, layer in (("first", self.first), ("second", self.second)):
                shape = layer.weight.shape
                weight = given[f"{name}.weight"].reshape(shape[0], CONTEXT, shape[1])
                layer.weight.copy_(weight.permute(0, 2, 1))
                assert layer.bias is not None, "made with one"
                layer.bias.copy_(given[f"{name}.bias"])
            self.gru.weight_ih_l0.copy_(given["gru.input"])
            self.gru.bias_ih_l0.copy_(given["gru.input_bias"])
            self.gru.weight_hh_l0.copy_(given["gru.hidden"])
            self.gru.bias_hh_l0.copy_(given["gru.hidden_bias"])
            self.out.weight[0].copy_(given["out.weight"])
            self.out.bias.copy_(given["out.bias"])

    def weights(self) -> dict[str, npt.NDArray[np.float16]]:
        """Return the arrays of `features.voicing`."""
        gru = self.gru
        found = {
            "first.weight": self.first.weight.permute(0, 2, 1).flatten(1),
            "first.bias": self.first.bias,
            "second.weight": self.second.weight.permute(0, 2, 1).flatten(1),
            "second.bias": self.second.bias,
            "gru.input": gru.weight_ih_l0,
            "gru.input_bias": gru.bias_ih_l0,
            "gru.hidden": gru.weight_hh_l0,
            "gru.hidden_bias": gru.bias_hh_l0,
            "out.weight": self.out.weight[0],
            "out.bias": self.out.bias,
        }
        return {name: value.detach().numpy().astype(np.float16) for name, value in found.items()}


@dataclass(frozen=True, slots=True)
class Clip:
    """A sound as the network sees it.

    Attributes:
        power: float32 [F, B], of a sound whose loud parts have root mean square 1.
        voiced: bool [F]; None for what is no voice.
    """

    power: FloatArray
    voiced: npt.NDArray[np.bool_] | None = None


def mel_power(samples: FloatArray) -> FloatArray:
    """Return float32 [F, B] of float32 [S], step k as `features.voicing` hears it at its end."""
    padded = np.concatenate([np.zeros(WINDOW_SAMPLES - STEP_SAMPLES, np.float32), samples])
    windows = np.lib.stride_tricks.sliding_window_view(padded, WINDOW_SAMPLES)[::STEP_SAMPLES]
    taper = np.hanning(WINDOW_SAMPLES).astype(np.float32)
    parts = []
    for first in range(0, len(windows), 2000):
        spectrum = np.fft.rfft(windows[first : first + 2000] * taper)
        parts.append((np.abs(spectrum) ** 2).astype(np.float32) @ mel_filters().T)
    return np.concatenate(parts)


def voiced(samples: FloatArray) -> npt.NDArray[np.bool_]:
    """Return bool [F]: where somebody speaks in a clean recording, and 80 ms longer."""
    count = len(samples) // STEP_SAMPLES
    power = np.mean(samples[: count * STEP_SAMPLES].reshape(count, STEP_SAMPLES) ** 2, axis=1)
    loud = 10 * np.log10(power + 1e-12) > 20 * np.log10(speech_rms(samples)) - _SOFT_DB
    held = loud.copy()
    for later in range(1, _HANG + 1):
        held[later:] |= loud[:-later]
    return held


def talker(samples: FloatArray, rng: np.random.Generator, *, plain: bool = False) -> Clip:
    """Return a voice as a clip: higher or lower, whispered, in a room, through a microphone."""
    if not plain:
        speed = float(rng.uniform(0.82, 1.25))
        places = np.arange(0, len(samples) - 1, speed)
        samples = np.interp(places, np.arange(len(samples)), samples).astype(np.float32)
        if rng.random() < 0.08:
            samples = whispered(samples, rng)
    samples = samples / np.float32(speech_rms(samples))
    truth = voiced(samples)
    if not plain:
        if rng.random() < 0.4:
            ratio_db = float(rng.uniform(-2, 12))
            rt60_s = float(rng.uniform(0.15, 0.7))
            samples = reverberate(samples, rng, rt60_s=rt60_s, direct_to_reverberant_db=ratio_db)
        if rng.random() < 0.5:
            samples = microphone(samples, rng)
        elif rng.random() < 0.2:
            samples = telephone(samples)
    power = mel_power(samples / np.float32(speech_rms(samples)))
    count = min(len(truth), len(power))
    return Clip(power[:count], truth[:count])


def no_voice(sound: FloatArray) -> Clip:
    """Return a sound that is no voice as a clip."""
    return Clip(mel_power(sound / np.float32(speech_rms(sound))))


def scene(
    voices: Sequence[Clip], others: Sequence[Clip], rng: np.random.Generator
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Mix a stream: somebody speaks at times, other things sound at times.

    Returns:
        power: float32 [F, B].
        truth: float32 [F], 1 where there is a voice.
        weight: float32 [F], how much each step counts.
    """
    power = np.zeros((_STEPS, NUM_BINS), np.float32)
    truth, weight = np.zeros(_STEPS, np.float32), np.ones(_STEPS, np.float32)
    speaks = rng.random() < 0.65
    if speaks:
        colour = _colour(rng)
        at = int(rng.integers(-50, 130))
        while at < _STEPS - 15:
            clip = voices[int(rng.integers(len(voices)))]
            assert clip.voiced is not None
            length = min(int(rng.integers(30, 250)), len(clip.power))
            begin = int(rng.integers(0, len(clip.power) - length + 1))
            first = max(at, 0)
            count = min(length, _STEPS - first)
            part = slice(begin, begin + count)
            power[first : first + count] += clip.power[part] * colour
            truth[first : first + count] = clip.voiced[part]
            at = first + count + int(rng.integers(15, 130))
    if rng.random() < (0.75 if speaks else 0.97):
        for _ in range(1 if rng.random() < 0.7 else 2):
            clip = others[int(rng.integers(len(others)))]
            level_db = float(rng.uniform(-28, 0) if speaks else rng.uniform(-28, 8))
            first = 0 if rng.random() < 0.5 else int(rng.integers(0, _STEPS - 50))
            length = _STEPS - first
            if rng.random() < 0.3:
                length = int(rng.integers(40, length + 1)) if length > 40 else length
            begin = int(rng.integers(0, max(1, len(clip.power) - length)))
            part = clip.power[begin : begin + length]
            power[first : first + len(part)] += part * _colour(rng) * 10 ** (level_db / 10)
    noise = rng.exponential(1.0, power.shape).astype(np.float32) * _NOISE
    power += noise * _colour(rng) * np.float32(10 ** (float(rng.uniform(-65, -25)) / 10))
    power *= np.float32(10 ** (float(rng.uniform(-48, -12)) / 10))
    starts = np.flatnonzero(np.diff(truth, prepend=0) > 0)
    for start in starts:  # nobody can know so soon
        weight[start : start + 2] = 0.0
    ends = np.flatnonzero(np.diff(truth, prepend=0) < 0)
    for end in ends:  # held anyway
        weight[end : end + 15] *= 0.3
    return power, truth, weight


def _colour(rng: np.random.Generator) -> FloatArray:
    """Return gains of the bins, float32 [B], smooth, within some 8 dB."""
    gain_db = np.interp(np.arange(NUM_BINS), np.linspace(0, NUM_BINS, 6), rng.normal(0, 3.5, 6))
    return (10 ** (gain_db / 10)).astype(np.float32)


_NOISE: Final = mel_power(
    np.random.default_rng(0).standard_normal(160_000).astype(np.float32)
).mean(0)


def load(path: Path) -> FloatArray:
    """Return float32 [S] at 16 kHz."""
    from rest_bridge.audio.decode import AudioDecoder
    from rest_bridge.audio.resample import resample

    decoder = AudioDecoder(path)
    parts = list(decoder.frames())
    decoder.close()
    voice = np.concatenate([samples for samples, _ in parts])
    return resample(voice, parts[0][1], MODEL_RATE_HZ)


def clips(
    assets: Path, seed: int, *, num_songs: int, num_noises: int, music: Path | None = None
) -> tuple[list[Clip], list[Clip]]:
    """Return what is trained on: voices, a tenth of them sung, and everything else.

    Args:
        assets: the data folder.
        seed: of all chance.
        num_songs: made here.
        num_noises: made here.
        music: a folder of further music without voices; see `sampled_bands`.
    """
    rng = np.random.default_rng(seed)
    paths = sorted((assets / "librispeech_subset").glob("*.flac"))
    unheard = set(unheard_talkers(assets))
    own = [
        path
        for index, path in enumerate(paths)
        if path not in unheard and not is_held_out("librispeech_subset", path.name, index)
    ]
    own += [
        path
        for index, path in enumerate(sorted((assets / "ljspeech_samples").glob("*.flac"))[:24])
        if not is_held_out("ljspeech_samples", path.stem, index)
    ]
    voices = []
    for index, path in enumerate(own):
        samples = load(path)
        voices += [talker(samples, rng, plain=index % 3 == 0), talker(samples, rng)]
        if index % 5 == 0:
            voices.append(talker(sung(samples[: 8 * MODEL_RATE_HZ], rng), rng))
    size = 12 * MODEL_RATE_HZ
    others = [no_voice(song(size, rng)) for _ in range(num_songs)]
    if music is not None:
        others += [no_voice(load(path)) for path in sorted(music.glob("*.wav"))]
    others += [no_voice(noise_of_some_kind(size, rng)) for _ in range(num_noises)]
    return voices, others


def train(
    voices: Sequence[Clip],
    others: Sequence[Clip],
    *,
    minutes: float,
    seed: int = 0,
    start: Path | None = None,
) -> Network:
    """Train for so many minutes of processor time, from weights if given; prints how it goes."""
    torch.manual_seed(seed)
    rng = np.random.default_rng(seed)
    network = Network()
    if start is not None:
        network.take(start)
    optimiser = torch.optim.AdamW(network.parameters(), 3e-3, weight_decay=1e-3)
    begun_s, step, mean = time.process_time(), 0, 0.0
    while (share := (time.process_time() - begun_s) / (60 * minutes)) < 1:
        for group in optimiser.param_groups:
            group["lr"] = 3e-3 * min(1.0, (step + 1) / 30) * (0.02 + 0.98 * (1 - share))
        scenes = [scene(voices, others, rng) for _ in range(_BATCH)]
        power, truth, weight = (
            torch.from_numpy(np.stack(part)) for part in zip(*scenes, strict=True)
        )
        loss = nn.functional.binary_cross_entropy_with_logits(network(power), truth, weight)
        optimiser.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        optimiser.step()
        mean = loss.item() if step == 0 else 0.98 * mean + 0.02 * loss.item()
        if step % 25 == 0:
            print(f"step {step} {time.process_time() - begun_s:.0f} s loss {mean:.4f}", flush=True)
        step += 1
    return network.eval()


def main() -> int:
    """Train and write the weights."""
    parser = argparse.ArgumentParser(prog="python -m rest_bridge.training.voice_finder")
    parser.add_argument("--assets", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--minutes", type=float, default=4.0)
    parser.add_argument("--songs", type=int, default=260)
    parser.add_argument("--noises", type=int, default=160)
    parser.add_argument("--music", type=Path, help="folder of further music without voices")
    parser.add_argument("--start", type=Path, help="weights of an earlier run")
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    torch.set_num_threads(1)
    voices, others = clips(
        given.assets,
        given.seed,
        num_songs=given.songs,
        num_noises=given.noises,
        music=given.music,
    )
    print(f"{len(voices)} voices, {len(others)} other sounds", flush=True)
    network = train(voices, others, minutes=given.minutes, seed=given.seed, start=given.start)
    np.savez(given.out, **network.weights())
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""Trains the small networks that tell a voice from other sounds, and somebody near from a crowd.

    python -m rest_bridge.training.voice_finder --assets DIR --out near_voice.npz
    python -m rest_bridge.training.voice_finder --assets DIR --out voicing.npz --crowds 0 --width 48

Place in the flow: `foreground_scenes.Stage` -> `voice_scenes` -> here -> `features.voicing`. Music,
typing and noise are no voice, several voices without one in front are a crowd. Never heard: the
talkers of `splits.is_held_out`, those of `evaluation.stillness`, every sound of
`background_sounds`, the bank of `evaluation.sampled_songs`.
Shape letters: N clips, F steps of 20 ms, B mel bins, H width.
"""

import argparse
import sys
import time
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from rest_bridge.features.mel import NUM_BINS
from rest_bridge.features.voicing import CONTEXT, POWER_FLOOR
from rest_bridge.training.foreground_scenes import Stage, stage
from rest_bridge.training.synthetic_voices import load_texts
from rest_bridge.training.voice_scenes import Clips, crowd, no_voice, scene, talker
from rest_bridge.types import MODEL_RATE_HZ

_BATCH: Final = 48
_WIDTH: Final = 96
_RATE: Final = 3e-3
_PLAIN: Final = 0.5
"""Share of the clips that stay as they are."""
_NEW: Final = 0.1
"""How much of the chance in its weights a new unit keeps where an earlier network grows."""


class Network(nn.Module):
    """What `features.voicing` computes, over whole clips."""

    def __init__(self, width: int = _WIDTH) -> None:
        """Draw weights."""
        super().__init__()
        self.first = nn.Conv1d(NUM_BINS, width, CONTEXT)
        self.second = nn.Conv1d(width, width, CONTEXT)
        self.gru = nn.GRU(width, width, batch_first=True)
        self.out = nn.Linear(width, 1)

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
        """Take the weights of an earlier run, of a narrower network too: new units add little."""
        with np.load(path, allow_pickle=False) as archive:
            given = {name: torch.from_numpy(archive[name].astype(np.float32)) for name in archive}
        old, width = len(given["out.weight"]), self.out.in_features
        gru = self.gru
        with torch.no_grad():
            for name, layer in (("first", self.first), ("second", self.second)):
                shape = old, CONTEXT, -1
                _fit(layer.weight, given[f"{name}.weight"].reshape(shape).permute(0, 2, 1))
                assert layer.bias is not None, "made with one"
                _fit(layer.bias, given[f"{name}.bias"])
            for gate in range(3):  # reset, update, new: `width` rows each
                rows, own = (
                    slice(gate * width, (gate + 1) * width),
                    slice(gate * old, (gate + 1) * old),
                )
                _fit(gru.weight_ih_l0[rows], given["gru.input"][own])
                _fit(gru.bias_ih_l0[rows], given["gru.input_bias"][own])
                _fit(gru.weight_hh_l0[rows], given["gru.hidden"][own])
                _fit(gru.bias_hh_l0[rows], given["gru.hidden_bias"][own])
            self.out.weight.mul_(_NEW)
            self.out.weight[0, :old] = given["out.weight"]
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


def _fit(layer: Tensor, given: Tensor) -> None:
    """Lay earlier weights into the first rows and columns, in place; other columns see nothing."""
    rows = len(given)
    layer[:rows] = 0.0
    layer[tuple(slice(size) for size in given.shape)] = given


def clips_of(scenes: Stage, seed: int, num_crowds: int) -> Clips:
    """Return what streams are made of; half of the voices were changed by `foreground_scenes`."""
    rng = np.random.default_rng(seed)
    long = {
        kind: [samples for samples in clips if len(samples) > MODEL_RATE_HZ]
        for kind, clips in scenes.kinds.items()
    }
    voices = {
        kind: [talker(samples, rng, plain=rng.random() < _PLAIN) for samples in clips]
        for kind, clips in long.items()
    }
    return Clips(
        voices,
        [no_voice(sound) for sound in (*scenes.sounds, *scenes.music)],
        [crowd(long, rng) for _ in range(num_crowds)],
    )


def train(clips: Clips, *, minutes: float, seed: int = 0, start: Path | None = None,
          width: int = _WIDTH) -> Network:  # fmt: skip
    """Train for so many minutes of processor time, from weights if given; prints how it goes."""
    torch.manual_seed(seed)
    rng = np.random.default_rng(seed)
    network = Network(width)
    if start is not None:
        network.take(start)
    optimiser = torch.optim.AdamW(network.parameters(), _RATE, weight_decay=1e-3)
    begun_s, step, mean = time.process_time(), 0, 0.0
    while (share := (time.process_time() - begun_s) / (60 * minutes)) < 1:
        for group in optimiser.param_groups:
            falling = 0.5 * (1 + np.cos(np.pi * share))
            group["lr"] = _RATE * min(1.0, (step + 1) / 50) * (0.02 + 0.98 * falling)
        streams = [scene(clips, rng) for _ in range(_BATCH)]
        power, truth, weight = (
            torch.from_numpy(np.stack(part)) for part in zip(*streams, strict=True)
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
    parser.add_argument("--texts", type=Path, default=Path("configs/train/texts.toml"))
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--crowds", type=int, default=640)
    parser.add_argument("--width", type=int, default=_WIDTH)
    parser.add_argument("--music", type=Path, help="folder of further music without voices")
    parser.add_argument("--start", type=Path, help="weights of an earlier run")
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    torch.set_num_threads(1)
    scenes = stage(given.assets, load_texts(given.texts), given.seed, more_music=given.music)
    clips = clips_of(scenes, given.seed, given.crowds)
    voices = sum(len(found) for found in clips.voices.values())
    print(f"{voices} voices, {len(clips.others)} other sounds, {given.crowds} crowds", flush=True)
    network = train(
        clips, minutes=given.minutes, seed=given.seed, start=given.start, width=given.width
    )
    np.savez(given.out, **network.weights())
    return 0


if __name__ == "__main__":
    sys.exit(main())

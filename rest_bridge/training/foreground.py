"""Trains the network that leaves the nearest talker of what is heard.

    python -m rest_bridge.training.foreground --assets DIR --out rest_bridge/features/foreground.npz

Place in the flow: `foreground_scenes` -> here -> `features.foreground`. The network hears log-mels
of the mixture and says which share of each bin's power is the near talker's; it is judged by the
log-mels that are left. Every scene begins where another one ended, at times: a stream has no
beginning. Shape letters: N scenes, M mel frames of 10 ms, J steps of 20 ms, B bins, H width.
"""

import argparse
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt
import scipy.fft
import torch
from scipy.signal import lfilter
from torch import Tensor, nn

from rest_bridge.features.foreground import BEGIN, BLOCK_FRAMES, MEAN_S, SCALE, STEP_FRAMES
from rest_bridge.features.mel import (
    FRAMES_PER_SECOND,
    HOP_SAMPLES,
    NUM_BINS,
    WINDOW_SAMPLES,
    MelConfig,
    mel_filters,
)
from rest_bridge.training.foreground_scenes import Scene, Stage, stage
from rest_bridge.training.synthetic_voices import load_texts
from rest_bridge.types import FloatArray

POWER_FLOOR: Final = MelConfig(np.zeros(0, np.float32), np.zeros(0, np.float32)).power_floor
_WIDTH: Final = 128
_DEVIATION: Final = 2.0
"""Of log-mels of speech: the unit of errors."""
_KEPT: Final = 2.5
"""How much more it counts to take something from the talker than to leave something beside him."""
_BATCH: Final = 20
_RATE: Final = 2e-3


class Network(nn.Module):
    """What `features.foreground` computes, over whole scenes."""

    def __init__(self, width: int = _WIDTH) -> None:
        """Draw weights; it begins by leaving nearly everything."""
        super().__init__()
        self.enter = nn.Linear(2 * STEP_FRAMES * NUM_BINS, width)
        self.gru = nn.GRU(width, width, batch_first=True)
        self.own = nn.Linear(width, width)
        self.last = nn.Linear(width, width, bias=False)
        self.skip = nn.Linear(width, width, bias=False)
        self.share = nn.Linear(width, STEP_FRAMES * NUM_BINS)
        self.near = nn.Linear(width, 1)
        nn.init.constant_(self.share.bias, 2.0)

    def forward(
        self, log_mel: Tensor, means: Tensor, hidden: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Judge whole blocks.

        Args:
            log_mel: float32 [N, M, B].
            means: float32 [N, M, B], running.
            hidden: float32 [1, N, H].

        Returns:
            logits of the shares, float32 [N, M, B].
            logits of a near voice, float32 [N, J].
            hidden: float32 [1, N, H].
        """
        seen = torch.cat([log_mel - BEGIN, log_mel - means], -1) * SCALE
        entered = torch.relu(self.enter(seen.unflatten(1, (-1, STEP_FRAMES)).flatten(2)))
        found, hidden = self.gru(entered, hidden)
        steps = BLOCK_FRAMES // STEP_FRAMES
        last = self.last(found[:, steps - 1 :: steps]).repeat_interleave(steps, 1)
        mixed = torch.relu(self.own(found) + last + self.skip(entered))
        return (
            self.share(mixed).unflatten(-1, (STEP_FRAMES, -1)).flatten(1, 2),
            self.near(mixed)[..., 0],
            hidden,
        )

    def weights(self) -> dict[str, npt.NDArray[np.float16]]:
        """Return the arrays of `features.foreground`."""
        gru = self.gru
        found = {
            "gru.input": gru.weight_ih_l0,
            "gru.input_bias": gru.bias_ih_l0,
            "gru.hidden": gru.weight_hh_l0,
            "gru.hidden_bias": gru.bias_hh_l0,
            "near.weight": self.near.weight[0],
            "near.bias": self.near.bias,
        }
        for name in ("enter", "own", "last", "skip", "share"):
            layer = getattr(self, name)
            found[f"{name}.weight"] = layer.weight
            if layer.bias is not None:
                found[f"{name}.bias"] = layer.bias
        return {name: value.detach().numpy().astype(np.float16) for name, value in found.items()}

    def take(self, path: Path) -> None:
        """Take the weights of an earlier run."""
        with np.load(path, allow_pickle=False) as archive:
            given = {name: torch.from_numpy(archive[name].astype(np.float32)) for name in archive}
        own = self.state_dict()
        renamed = {
            "gru.weight_ih_l0": "gru.input", "gru.bias_ih_l0": "gru.input_bias",
            "gru.weight_hh_l0": "gru.hidden", "gru.bias_hh_l0": "gru.hidden_bias",
        }  # fmt: skip
        self.load_state_dict(
            {name: given[renamed.get(name, name)].reshape(own[name].shape) for name in own}
        )


@dataclass(frozen=True, slots=True)
class Batch:
    """Scenes as log-mels.

    Attributes:
        heard, left: float32 [N, M, B].
        speaks, weight: float32 [N, J].
    """

    heard: FloatArray
    left: FloatArray
    speaks: FloatArray
    weight: FloatArray


def batch_of(scenes: list[Scene]) -> Batch:
    """Return scenes as log-mels, in whole blocks."""
    steps = min(len(scene.speaks) for scene in scenes) // 4 * 4
    frames = steps * STEP_FRAMES
    return Batch(
        np.stack([log_mels(scene.heard)[:frames] for scene in scenes]),
        np.stack([log_mels(scene.near)[:frames] for scene in scenes]),
        np.stack([scene.speaks[:steps] for scene in scenes]),
        np.stack([scene.weight[:steps] for scene in scenes]),
    )


def log_mels(samples: FloatArray) -> FloatArray:
    """Return float32 [M, 80] of float32 [S], as `features.mel` hears them, not normalised."""
    padded = np.concatenate([np.zeros(WINDOW_SAMPLES - HOP_SAMPLES, np.float32), samples])
    windows = np.lib.stride_tricks.sliding_window_view(padded, WINDOW_SAMPLES)[::HOP_SAMPLES]
    spectra = scipy.fft.rfft(windows * np.hanning(WINDOW_SAMPLES).astype(np.float32), 512)
    power = spectra.real**2 + spectra.imag**2
    return np.log(power @ mel_filters().T + np.float32(POWER_FLOOR)).astype(np.float32)


def running_means(log_mel: FloatArray, begin: FloatArray) -> FloatArray:
    """Return float32 [N, M, B]: the running mean after each frame.

    Args:
        log_mel: float32 [N, M, B].
        begin: float32 [N, B], before the first.
    """
    alpha = 1.0 / (MEAN_S * FRAMES_PER_SECOND)
    means, _ = lfilter([alpha], [1, alpha - 1], log_mel, axis=1, zi=(1 - alpha) * begin[:, None])
    return means.astype(np.float32)


def left_of(log_mel: Tensor, logits: Tensor) -> Tensor:
    """Return log-mels of which a share is left; both [N, M, B]."""
    power = (log_mel.exp() - POWER_FLOOR).clamp(min=0)
    return torch.log(power * torch.sigmoid(logits) + POWER_FLOOR)


def losses(network: Network, batch: Batch, hidden: Tensor, begin: FloatArray
           ) -> tuple[Tensor, Tensor, Tensor]:  # fmt: skip
    """Return the error of log-mels, that of who speaks, and the hidden state after the scenes."""
    heard, left = torch.from_numpy(batch.heard), torch.from_numpy(batch.left)
    means = torch.from_numpy(running_means(batch.heard, begin))
    logits, near, hidden = network(heard, means, hidden)
    error = (left_of(heard, logits) - left) / _DEVIATION
    weight = torch.from_numpy(batch.weight)
    each = nn.functional.smooth_l1_loss(error, torch.zeros(()).expand_as(error), reduction="none")
    # What is taken from the talker is gone; what is left beside him the networks behind can bear.
    speaks = torch.from_numpy(batch.speaks).repeat_interleave(STEP_FRAMES, 1)[..., None]
    each = each * torch.where(error < 0, 1 + (_KEPT - 1) * speaks, 1.0)
    each = each.mean(-1).unflatten(1, (-1, STEP_FRAMES)).mean(-1)
    told = nn.functional.binary_cross_entropy_with_logits(
        near, torch.from_numpy(batch.speaks), reduction="none"
    )
    return (each * weight).mean(), (told * weight).mean(), hidden.detach()


def train(
    scenes: Stage, *, minutes: float, seed: int, out: Path, start: Path | None = None,
    width: int = _WIDTH, save_every_s: float = 120.0,
) -> Network:  # fmt: skip
    """Train for so many minutes of processor time; writes `out` now and then.

    Args:
        scenes: what to learn from.
        minutes: of processor time.
        seed: of all chance.
        out: the weights.
        start: weights of an earlier run.
        width: H.
        save_every_s: seconds between two savings.
    """
    torch.manual_seed(seed)
    rng = np.random.default_rng(seed)
    network = Network(width)
    if start is not None:
        network.take(start)
    optimiser = torch.optim.AdamW(network.parameters(), _RATE, weight_decay=1e-3)
    hidden = torch.zeros(1, _BATCH, width)
    begin = np.full((_BATCH, NUM_BINS), BEGIN, np.float32)
    begun_s, saved_s, step, mean = time.process_time(), 0.0, 0, np.zeros(2)
    while (share := (time.process_time() - begun_s) / (60 * minutes)) < 1:
        for group in optimiser.param_groups:
            falling = 0.5 * (1 + np.cos(np.pi * max(0.0, (share - 0.3) / 0.7)))
            group["lr"] = _RATE * min(1.0, (step + 1) / 50) * (0.03 + 0.97 * falling)
        batch = batch_of([scenes.scene(rng) for _ in range(_BATCH)])
        error, told, after = losses(network, batch, hidden, begin)
        optimiser.zero_grad()
        (error + 0.1 * told).backward()
        nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        optimiser.step()
        order, goes_on = rng.permutation(_BATCH), rng.random(_BATCH) < 0.5
        hidden = after[:, order] * torch.from_numpy(goes_on.astype(np.float32))[None, :, None]
        tail = running_means(batch.heard, begin)[order, -1]
        begin = np.where(goes_on[:, None], tail, np.float32(BEGIN)).astype(np.float32)
        told_now = np.array([error.item(), told.item()])
        mean = told_now if step == 0 else 0.98 * mean + 0.02 * told_now
        used_s = time.process_time() - begun_s
        if step % 25 == 0:
            print(f"step {step} {used_s:.0f} s error {mean[0]:.4f} near {mean[1]:.4f}", flush=True)
        if used_s - saved_s > save_every_s:
            np.savez(out, **network.weights())
            saved_s = used_s
        step += 1
    np.savez(out, **network.weights())
    return network.eval()


def main() -> int:
    """Train and write the weights."""
    parser = argparse.ArgumentParser(prog="python -m rest_bridge.training.foreground")
    parser.add_argument("--assets", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--texts", type=Path, default=Path("configs/train/texts.toml"))
    parser.add_argument("--music", type=Path, help="folder of further music without voices")
    parser.add_argument("--minutes", type=float, default=20.0)
    parser.add_argument("--start", type=Path, help="weights of an earlier run")
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    torch.set_num_threads(1)
    scenes = stage(given.assets, load_texts(given.texts), given.seed, more_music=given.music)
    print("scenes are ready", flush=True)
    train(scenes, minutes=given.minutes, seed=given.seed, out=given.out, start=given.start)
    return 0


if __name__ == "__main__":
    sys.exit(main())

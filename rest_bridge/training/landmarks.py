"""Trains and exports the face detector and the landmark net.

`python -m rest_bridge.training.landmarks detector|landmarks --pools DIR --shards DIR
--checkpoint FILE --seconds N` trains one net on the CPU; `... export --package DIR` checks both
against ONNX Runtime and writes them into a model package.
"""

import argparse
import math
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from rest_bridge.model.landmark_net import (
    DETECTOR_STRIDE,
    FaceDetector,
    LandmarkNet,
)
from rest_bridge.training.face_pools import PortraitPool, load_pool, shard_pool
from rest_bridge.training.face_samples import SCENE_PX, Sampler, Source, detector_targets
from rest_bridge.training.landmarks_export import export_detector, export_landmarks
from rest_bridge.training.package_writer import write_package_part

BATCH: Final = 32
BANK: Final = 3000
"""Samples kept and shown several times: making one costs more than learning from it."""
NEW_PER_STEP: Final = 8
_POINT_WEIGHTS: Final = torch.tensor([0.6] * 17 + [0.8] * 10 + [0.8] * 9 + [1.6] * 12 + [1.3] * 18)
Samples = list[tuple[np.ndarray, Any]]


def train_sources(pools: Path, shards: Path) -> list[Source]:
    """Return what both nets learn from, with its shares."""
    rendered = sorted(shards.glob("train_*.npz"))
    return [
        Source(shard_pool(rendered, every=2), chance=0.3, painted=0.25),
        Source(PortraitPool(0, 270), chance=0.22, painted=0.3),
        Source(load_pool(pools / "drawn_train.npz"), chance=0.38, painted=0.1),
        Source(load_pool(pools / "heads_train.npz"), chance=0.1, painted=0.25),
    ]


class Bank:
    """A store of samples that is renewed a little at every step."""

    def __init__(self, make: Callable[[int], Samples], seed: int, *, size: int = BANK) -> None:
        self._make, self._size = make, size
        self._rng = np.random.default_rng(seed)
        self._items = make(size // 3)
        self._next = 0

    def batch(self) -> Samples:
        """Renew some samples and return BATCH random ones."""
        for item in self._make(NEW_PER_STEP):
            if len(self._items) < self._size:
                self._items.append(item)
            else:
                self._items[self._next] = item
                self._next = (self._next + 1) % self._size
        return [self._items[i] for i in self._rng.integers(0, len(self._items), BATCH)]


def landmark_loss(net: LandmarkNet, samples: Samples) -> Tensor:
    """Weighted distance of the points, plus the likelihood of that distance for the doubt."""
    points, log_error = net(_pictures(samples))
    true = torch.from_numpy(np.stack([points for _, points in samples]))
    inside = ((true > -0.04) & (true < 1.04)).all(-1).float()
    error = (points - true).square().sum(-1).add(1e-8).sqrt()
    weights = _POINT_WEIGHTS * inside
    # Small errors still pull: a logarithm flattens the large ones of wrongly read crops.
    distance = (weights * 0.05 * torch.log1p(error / 0.05)).sum() / weights.sum()
    # Laplace likelihood; the points are not moved by it.
    doubt = (error.detach() / log_error.exp() + log_error) * inside
    return 20 * distance + 0.02 * doubt.mean()


def detector_loss(net: FaceDetector, samples: Samples) -> Tensor:
    """Focal loss of centres (Eq. 1 of arXiv:1904.07850) and absolute error of the boxes."""
    logit, box = net(_pictures(samples))
    cells = SCENE_PX // DETECTOR_STRIDE
    targets = [detector_targets(faces, cells, stride=DETECTOR_STRIDE) for _, faces in samples]
    heat, true, where = (torch.from_numpy(np.stack(part)) for part in zip(*targets, strict=True))
    logit, box = logit.float()[:, 0], box.float()
    found = heat >= 0.999
    score = logit.sigmoid()
    hit = -F.logsigmoid(logit) * (1 - score) ** 2 * found
    miss = -F.logsigmoid(-logit) * score**2 * (1 - heat) ** 4 * ~found
    focal = (hit.sum() + miss.sum()) / found.sum().clamp(min=1)
    off = ((box - true).abs() * torch.tensor([1.0, 1.0, 2.0])[:, None, None]).sum(1)
    return focal + 0.5 * (off * where).sum() / where.sum().clamp(min=1)


def train(
    net: nn.Module,
    loss_of: Callable[[Any, Samples], Tensor],
    make: Callable[[int], Samples],
    *,
    seconds: float,
    checkpoint: Path,
    rate: float = 2.5e-3,
    seed: int = 0,
) -> float:
    """Train for some wall-clock seconds; the rate falls along a cosine. Returns the last loss."""
    torch.manual_seed(seed)
    bank = Bank(make, seed)
    net.train().to(memory_format=torch.channels_last)  # pyright: ignore
    optimiser = torch.optim.AdamW(net.parameters(), lr=rate, weight_decay=1e-3)
    started, step, mean, shown = time.monotonic(), 0, math.nan, 0.0
    while (elapsed := time.monotonic() - started) < seconds:
        warm = min(1.0, (step + 1) / 50)
        share = 0.5 + 0.5 * math.cos(math.pi * elapsed / seconds)
        for group in optimiser.param_groups:
            group["lr"] = rate * warm * max(share, 0.003)
        with torch.autocast("cpu", torch.bfloat16):
            loss = loss_of(net, bank.batch())
        optimiser.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(net.parameters(), 2.0)
        optimiser.step()
        value = float(loss.detach())
        mean = value if math.isnan(mean) else 0.98 * mean + 0.02 * value
        step += 1
        if elapsed - shown > 30:
            shown = elapsed
            print(f"{elapsed:.0f} s step {step} loss {mean:.4f}", flush=True)
            torch.save(net.state_dict(), checkpoint)
    net.eval()
    torch.save(net.state_dict(), checkpoint)
    print(f"done: {step} steps, loss {mean:.4f}", flush=True)
    return mean


def _pictures(samples: Samples) -> Tensor:
    pictures = torch.from_numpy(np.stack([picture for picture, _ in samples]))
    return pictures.permute(0, 3, 1, 2).float().div(255)


def _pairs(batch: tuple[np.ndarray, Any]) -> Samples:
    return list(zip(*batch, strict=True))


def load_nets(detector: Path, landmarks: Path) -> tuple[FaceDetector, LandmarkNet]:
    """Read both checkpoints."""
    nets = FaceDetector(), LandmarkNet()
    for net, path in zip(nets, (detector, landmarks), strict=True):
        net.load_state_dict(torch.load(path, weights_only=True))
        net.eval()
    return nets


def main() -> None:
    """Train or export, as the command line says."""
    parser = argparse.ArgumentParser(description="Train the face detector and the landmark net.")
    parser.add_argument("what", choices=("detector", "landmarks", "export"))
    parser.add_argument("--pools", type=Path)
    parser.add_argument("--shards", type=Path)
    parser.add_argument("--checkpoint", type=Path)
    parser.add_argument("--init", type=Path, help="checkpoint to start from")
    parser.add_argument("--seconds", type=float, default=1200)
    parser.add_argument("--rate", type=float, default=2.5e-3)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--detector", type=Path, help="export: detector checkpoint")
    parser.add_argument("--landmarks", type=Path, help="export: landmark checkpoint")
    parser.add_argument("--package", type=Path, help="export: model package folder")
    args = parser.parse_args()
    torch.set_num_threads(1)
    if args.what == "export":
        detector, landmarks = load_nets(args.detector, args.landmarks)
        files = {
            "face_detector.onnx": export_detector(detector),
            "landmarks.onnx": export_landmarks(landmarks),
        }
        write_package_part(args.package, files=files, sections={})
        print({name: len(data) for name, data in files.items()})
        return
    sampler = Sampler(train_sources(args.pools, args.shards), args.seed)
    net, loss, make = {
        "detector": (FaceDetector, detector_loss, sampler.detector_batch),
        "landmarks": (LandmarkNet, landmark_loss, sampler.landmark_batch),
    }[args.what]
    built = net()
    if args.init is not None:
        built.load_state_dict(torch.load(args.init, weights_only=True))
    train(
        built, loss, lambda size: _pairs(make(size)), seconds=args.seconds,
        checkpoint=args.checkpoint, rate=args.rate, seed=args.seed,
    )  # fmt: skip


if __name__ == "__main__":
    main()

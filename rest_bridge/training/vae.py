"""Trains the video VAE on rendered samples with true flow, and exports its graphs.

Stages by share of the time: first encoder and decoder apart (the decoder reads latents made from
the true rig), then jointly (half of the decoder's latents come from the encoder, with noise on the
free part). From scratch through a noisy latent nothing starts (STUDY-DECODER, section 2).

Place in the flow: shards of `faces_data` -> here -> reference_encoder.onnx, decoder.onnx,
vae_encoder.onnx in the model package. Shape letters as in `model.vae`.
"""

import argparse
import json
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from rest_bridge.model.vae import VaeParams, VideoVae, base_grid, crop_parts, warp
from rest_bridge.rig import RIG_INDEX
from rest_bridge.training.latent_space import build_maps

Batch = dict[str, Tensor]
JOINT_FROM: Final = 0.6
"""Share of the training time after which encoder and decoder train jointly."""
PICTURE_FROM: Final = 0.35
"""Share of the time after which the picture loss joins: flow must be roughly right before."""
RIG_GROUPS: Final = {
    "yaw": ("headYaw",),
    "pitch": ("headPitch",),
    "roll": ("headRoll",),
    "blink": ("eyeBlink",),
    "gaze": ("eyeLook",),
    "brow": ("brow",),
    "jaw": ("jawOpen",),
    "mouth": ("mouth",),
}


class Shards:
    """Rendered samples in memory: uint8 pictures, float16 flows; batches come as float32."""

    def __init__(self, paths: list[Path]) -> None:
        parts = [dict(np.load(path)) for path in sorted(paths)]
        if not parts:
            raise SystemExit("No shards found; run `python -m rest_bridge.training.faces_data`.")
        self.arrays = {k: np.concatenate([p[k] for p in parts]) for k in parts[0]}
        maps = build_maps()
        self._mean, self._scale = maps["rig_mean"], maps["rig_scale"]

    def __len__(self) -> int:
        return len(self.arrays["ref"])

    def batch(self, rows: np.ndarray, times: np.ndarray) -> Batch:
        """Return two video frames a sample, flattened to B = 2 * len(rows).

        Args:
            rows: int [N] samples.
            times: int [N, 2] frames of each sample.
        """
        a, pick = self.arrays, (rows[:, None], times)
        frames = _image(a["frames"][pick].reshape(-1, 128, 128, 3))
        relative = a["rig"][pick].copy()
        # The latent's pose is relative to the reference's, as everywhere at run time.
        relative[..., :6] -= a["rig_ref"][rows][:, None, :6]
        rig = (relative - self._mean) / self._scale
        boxes = a["boxes"][pick].reshape(-1, 3, 3)
        boxes_ref = np.repeat(a["boxes_ref"][rows], 2, axis=0)
        return {
            "ref": _image(a["ref"][rows]),
            "frames": frames,
            "flow": _flow(a["flow"][pick].reshape(-1, 64, 64, 2)),
            "base": _flow(a["base"][pick].reshape(-1, 64, 64, 2)),
            "vis": torch.from_numpy(a["vis"][pick].reshape(-1, 1, 64, 64).astype(np.float32) / 255),
            "rig": torch.from_numpy(rig.astype(np.float32)),
            "boxes": torch.from_numpy(boxes.astype(np.float32)),
            "boxes_ref": torch.from_numpy(boxes_ref.astype(np.float32)),
        }

    def epochs(self, size: int, rng: np.random.Generator) -> Iterator[Batch]:
        """Yield random batches of `size` samples without end."""
        num_times = self.arrays["frames"].shape[1]
        while True:
            rows = rng.integers(0, len(self), size)
            times = np.stack([rng.permutation(num_times)[:2] for _ in range(size)])
            yield augment_colour(self.batch(rows, np.sort(times, axis=1)), rng)


def augment_colour(batch: Batch, rng: np.random.Generator) -> Batch:
    """Give frames and reference of a sample the same random gain, offset and channel order."""
    n = len(batch["ref"])
    gain = torch.from_numpy(np.exp(rng.normal(0, 0.15, (n, 3, 1, 1))).astype(np.float32))
    offset = torch.from_numpy(rng.normal(0, 0.04, (n, 3, 1, 1)).astype(np.float32))
    batch["ref"] = (batch["ref"] * gain + offset).clamp(0, 1)
    twice = gain.repeat_interleave(2, 0), offset.repeat_interleave(2, 0)
    batch["frames"] = (batch["frames"] * twice[0] + twice[1]).clamp(0, 1)
    return batch


def encode(vae: VideoVae, batch: Batch) -> tuple[Float[Tensor, "B 58"], Float[Tensor, "B 128"]]:
    """Run the motion encoder on a batch."""
    ref = batch["ref"].repeat_interleave(2, 0)
    parts = torch.cat(
        [crop_parts(batch["frames"], batch["boxes"]), crop_parts(ref, batch["boxes_ref"])], 1
    )
    offsets = (batch["boxes"] - batch["boxes_ref"]).flatten(1) * 8
    boxes = torch.cat([offsets, (batch["boxes_ref"].flatten(1) - 0.5) * 2], 1)
    return vae.encoder(batch["frames"], ref, parts, boxes)


def decode(vae: VideoVae, latent: Float[Tensor, "N 16 4 4"], batch: Batch) -> tuple[Tensor, ...]:
    """Run reference encoder and decoder on both video frames of each latent frame."""
    features = [f.repeat_interleave(2, 0) for f in vae.reference_encoder(batch["ref"])]
    which = torch.eye(2).repeat(len(latent), 1)
    return vae.decoder(latent.repeat_interleave(2, 0), which, batch["base"], *features)


def flow_loss(flows: tuple[Tensor, ...], batch: Batch) -> Tensor:
    """L1 on visible cells, four times as heavy around eyes and mouth, at 16, 32 and 64 cells."""
    total = torch.zeros(())
    for flow, weight in zip(flows, (1.0, 0.5, 0.5), strict=True):
        size = flow.shape[-1]
        vis = F.adaptive_avg_pool2d(batch["vis"], size)
        true = F.adaptive_avg_pool2d(batch["flow"] * batch["vis"], size) / (vis + 1e-3)
        weights = vis * (1 + 3 * part_map(batch["boxes"], size))
        total = total + weight * ((flow - true).abs().sum(1, keepdim=True) * weights).mean()
    return total * 10


def part_map(boxes: Float[Tensor, "B 3 3"], size: int) -> Float[Tensor, "B 1 S S"]:
    """Return soft spots over both eyes and the mouth."""
    grid = base_grid(size).permute(0, 3, 1, 2) * 0.5 + 0.5
    away = (grid[:, None] - boxes[:, :, :2, None, None]) / boxes[:, :, 2:, None, None].clamp(
        min=0.05
    )
    return torch.exp(-2 * (away**2).sum(2)).amax(1, keepdim=True)


def picture_loss(flow: Tensor, residual: Tensor, batch: Batch) -> Tensor:
    """L1 of the composed picture at 64 px where the reference shows the point."""
    ref = F.avg_pool2d(batch["ref"], 2).repeat_interleave(2, 0)
    true = F.avg_pool2d(batch["frames"], 2)
    made = warp(ref, flow, base_grid(64)) + residual
    weights = batch["vis"] * (1 + 3 * part_map(batch["boxes"], 64))
    return ((made - true).abs() * weights).mean() + 0.05 * residual.abs().mean()


def rig_loss(predicted: Float[Tensor, "B 58"], true: Float[Tensor, "B 58"]) -> Tensor:
    """Squared error of normalised rig values; pose and lids count more."""
    weights = torch.ones(predicted.shape[1])
    weights[:6] = 3.0
    for name, index in RIG_INDEX.items():
        if name.startswith(("eyeBlink", "jawOpen")):
            weights[index] = 3.0
    return ((predicted - true) ** 2 * weights).mean()


def train_step(
    vae: VideoVae, batch: Batch, progress: float, generator: torch.Generator
) -> dict[str, Tensor]:
    """Return the losses of one step.

    Args:
        vae: the networks.
        batch: two video frames a sample.
        progress: share of the training time that has passed, 0..1.
        generator: source of the latent noise.
    """
    rig, free = encode(vae, batch)
    true_rig = batch["rig"].flatten(0, 1)
    losses = {"rig": rig_loss(rig, true_rig)}
    pairs = batch["rig"]
    code = free.view(len(pairs), -1)
    losses["kl"] = 5e-4 * 0.5 * (code**2).mean()
    if progress >= JOINT_FROM:
        own = torch.rand(len(pairs), 1, 1, generator=generator) < 0.5
        pairs = torch.where(own, rig.view_as(pairs), pairs)
    else:
        code = torch.zeros_like(code)
    latent = vae.latent_of(pairs, vae.sample_free(code, generator))
    flow, residual, flow_16, flow_32 = decode(vae, latent, batch)
    losses["flow"] = flow_loss((flow, flow_16, flow_32), batch)
    if progress >= PICTURE_FROM:
        losses["picture"] = 2 * picture_loss(flow, residual, batch)
    return losses


@torch.no_grad()
def evaluate(vae: VideoVae, shards: Shards) -> dict[str, float]:
    """Return end-point errors (px at 128), picture errors and R2 of the encoder on a held-out set.

    `own` decodes the true rig, `encoded` the encoder's latent.
    """
    vae.eval()
    sums: dict[str, list[float]] = {}
    predicted, true = [], []
    for start in range(0, len(shards), 24):
        rows = np.arange(start, min(start + 24, len(shards)))
        batch = shards.batch(rows, np.tile([1, 3], (len(rows), 1)))
        rig, free = encode(vae, batch)
        predicted.append(rig)
        true.append(batch["rig"].flatten(0, 1))
        vis, ref = batch["vis"], F.avg_pool2d(batch["ref"], 2).repeat_interleave(2, 0)
        frames = F.avg_pool2d(batch["frames"], 2)
        parts = part_map(batch["boxes"], 64)
        free = free.view(len(rows), -1)
        results = {
            "still": (torch.zeros_like(batch["base"]), 0.0),
            "base": (batch["base"], 0.0),
            "own": decode(vae, vae.latent_of(batch["rig"]), batch)[:2],
            "encoded": decode(vae, vae.latent_of(rig.view_as(batch["rig"]), free), batch)[:2],
        }
        for name, (flow, residual) in results.items():
            error = (flow - batch["flow"]).norm(dim=1, keepdim=True) * 64
            made = warp(ref, flow, base_grid(64)) + residual
            worth = {
                "px": (error * vis).sum() / vis.sum(),
                "px_parts": (error * vis * parts).sum() / (vis * parts).sum(),
                "l1": ((made - frames).abs() * vis).sum() / vis.sum() / 3,
            }
            for key, value in worth.items():
                sums.setdefault(f"{name}_{key}", []).append(float(value))
    vae.train()
    scores = {name: float(np.mean(values)) for name, values in sums.items()}
    return scores | _r2(torch.cat(predicted), torch.cat(true))


def _r2(predicted: Tensor, true: Tensor) -> dict[str, float]:
    out: dict[str, float] = {}
    for group, prefixes in RIG_GROUPS.items():
        index = [i for name, i in RIG_INDEX.items() if name.startswith(prefixes)]
        rest = ((predicted - true)[:, index] ** 2).sum()
        out[f"r2_{group}"] = float(1 - rest / ((true - true.mean(0))[:, index] ** 2).sum())
    return out


def run_training(args: argparse.Namespace) -> None:
    """Train until `--seconds` have passed, resuming from the checkpoint if there is one."""
    torch.set_num_threads(args.threads)
    torch.set_flush_denormal(True)
    torch.manual_seed(args.seed)
    shards, held_out = Shards(_glob(args.data, "train")), Shards(_glob(args.data, "val"))
    maps = build_maps()
    params = VaeParams(width=args.width)
    vae = VideoVae(
        params, torch.from_numpy(maps["readout"]), torch.from_numpy(maps["rig_to_latent"])
    )
    optimiser = torch.optim.AdamW(vae.parameters(), args.lr, weight_decay=1e-2, betas=(0.9, 0.98))
    step, spent = _resume(args.checkpoint, vae, optimiser)
    rng, noise = np.random.default_rng(args.seed + step), torch.Generator().manual_seed(step)
    print(f"{len(shards)} samples, {len(held_out)} held out; step {step}", flush=True)
    started, saved = time.monotonic(), time.monotonic()
    for batch in shards.epochs(args.batch, rng):
        elapsed = spent + time.monotonic() - started
        progress = elapsed / args.seconds
        if time.monotonic() - saved > args.save_every or progress >= 1:
            scores = evaluate(vae, held_out)
            print(step, json.dumps({k: round(v, 4) for k, v in scores.items()}), flush=True)
            _save(args.checkpoint, vae, optimiser, step, elapsed, scores)
            saved = time.monotonic()
        if progress >= 1:
            return
        rate = min(1, step / 50) * (0.5 + 0.5 * np.cos(np.pi * min(1.0, progress)))
        for group in optimiser.param_groups:
            group["lr"] = float(args.lr * (0.03 + 0.97 * rate))
        with torch.autocast("cpu", torch.bfloat16, enabled=args.bf16):
            losses = train_step(vae, batch, progress, noise)
        optimiser.zero_grad()
        torch.stack(list(losses.values())).sum().backward()
        torch.nn.utils.clip_grad_norm_(vae.parameters(), 1.0)
        optimiser.step()
        step += 1
        if step % 50 == 0:
            print(step, {k: round(v.item(), 4) for k, v in losses.items()}, flush=True)


def _resume(path: Path, vae: VideoVae, optimiser: torch.optim.Optimizer) -> tuple[int, float]:
    if not path.is_file():
        return 0, 0.0
    saved: Mapping[str, Any] = torch.load(path, weights_only=True)
    vae.load_state_dict(saved["vae"])
    optimiser.load_state_dict(saved["optimiser"])
    return int(saved["step"]), float(saved["elapsed"])


def _save(
    path: Path,
    vae: VideoVae,
    optimiser: torch.optim.Optimizer,
    step: int,
    elapsed: float,
    scores: dict[str, float],
) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    scratch = path.with_suffix(".part")
    content = {
        "vae": vae.state_dict(),
        "optimiser": optimiser.state_dict(),
        "step": step,
        "elapsed": elapsed,
        "scores": scores,
        "width": vae.params.width,
    }
    torch.save(content, scratch)
    scratch.replace(path)


def _glob(folder: Path, split: str) -> list[Path]:
    return sorted(folder.glob(f"{split}_*.npz"))


def _image(pixels: np.ndarray) -> Tensor:
    return torch.from_numpy(pixels).movedim(-1, 1).float().div(255).contiguous()


def _flow(flow: np.ndarray) -> Tensor:
    return torch.from_numpy(flow.astype(np.float32)).movedim(-1, 1).contiguous()


def main() -> None:
    """Parse the command line and train."""
    parser = argparse.ArgumentParser(description="Train the video VAE.")
    parser.add_argument("--data", type=Path, required=True, help="folder of train_*, val_* shards")
    parser.add_argument("--checkpoint", type=Path, required=True)
    parser.add_argument("--seconds", type=float, default=1800.0)
    parser.add_argument("--save-every", type=float, default=180.0, help="seconds")
    parser.add_argument("--batch", type=int, default=16, help="samples; twice as many frames")
    parser.add_argument("--lr", type=float, default=2e-3)
    parser.add_argument("--width", type=int, default=VaeParams().width)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--bf16", action=argparse.BooleanOptionalAction, default=True)
    run_training(parser.parse_args())


if __name__ == "__main__":
    main()

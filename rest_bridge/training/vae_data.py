"""Shards of rendered faces as batches for the video VAE.

Place in the flow: shards of `base_flows` -> here -> `vae`. A batch follows from its number alone.
Shape letters: N samples, T frames taken of each sample (pairs of one latent frame), B = N * T.
"""

import logging
import zipfile
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from rest_bridge.errors import ConfigError
from rest_bridge.generator.head_refinement import reference_input
from rest_bridge.model.vae import base_grid
from rest_bridge.training.latent_space import build_maps
from rest_bridge.training.mirrored_faces import mirror

log = logging.getLogger(__name__)

Batch = dict[str, Tensor]
BOX_NOISE: Final = 0.003
"""Standard deviation of the noise on part boxes, in widths of the picture."""
MIRRORED: Final = 0.5
"""Share of training samples that are shown in a mirror."""
MISJUDGED: Final = {"yaw": 0.035, "pitch": 0.06, "away": 0.03, "size": 0.04, "pivot": 0.03,
                    "shape": 0.045}  # fmt: skip
"""How far a head fitted to found landmarks is off, as standard deviations (measured on 46 unseen
people): slopes of its depth, its distance, its relief (relative), where its neck turns, and what is
left of the depth. Eye distances but for slopes and relief."""
_LEVER: Final = 1.5
"""Eye distances from the lids back to the neck: a wrong yaw puts the neck aside."""
_REACH: Final = (2.5, 2.8)
"""Eye distances from the eyes over which the head's depth is that of the fit."""
NEEDED: Final = (
    "ref", "frames", "flow", "vis", "alpha_ref", "alpha", "rig_rel", "landmarks_ref", "boxes",
    "boxes_ref", "parts", "parts_ref", "kind", "skin", "depth", "weight", "person", "pivot",
    "eye_distance", "bare",
)  # fmt: skip


class Shards:
    """Samples in memory: uint8 pictures, float16 flows; batches come as float32."""

    def __init__(self, paths: list[Path]) -> None:
        """Read shards; a damaged one is skipped with its name and the reason.

        Args:
            paths: .npz files of `base_flows`.

        Raises:
            ConfigError: not one could be read.
        """
        parts = [part for part in map(read_shard, sorted(paths)) if part is not None]
        if not parts:
            raise ConfigError(
                "There are no shards to train the video VAE on; write them with `python -m "
                "rest_bridge.training.faces_data` and then `... base_flows`, and name the latter's "
                "folder (`data`)."
            )
        self.arrays = {name: np.concatenate([p[name] for p in parts]) for name in NEEDED}
        a = self.arrays
        a["maps"] = np.stack([self._maps(row) for row in range(len(self))])
        maps = build_maps()
        self._mean, self._scale = maps["rig_mean"], maps["rig_scale"]

    def __len__(self) -> int:
        return len(self.arrays["ref"])

    @property
    def num_frames(self) -> int:
        """Frames of each sample."""
        return int(self.arrays["frames"].shape[1])

    def _maps(self, row: int) -> np.ndarray:
        a = self.arrays
        return reference_input(
            a["depth"][row].astype(np.float32), a["weight"][row].astype(np.float32),
            a["person"][row].astype(np.float32) / 255, a["landmarks_ref"][row],
            float(a["eye_distance"][row]),
        ).astype(np.float16)  # fmt: skip

    def batch(self, rows: np.ndarray, times: np.ndarray) -> Batch:
        """Return frames of samples, flattened to B = N * T.

        Args:
            rows: int [N] samples.
            times: int [N, T] frames of each sample, T even.
        """
        a, pick = self.arrays, (rows[:, None], times)
        count = times.shape[1]
        relative = a["rig_rel"][pick].reshape(-1, a["rig_rel"].shape[-1])
        reference = _image(a["ref"][rows])
        bare = torch.from_numpy(a["bare"][rows].astype(np.float32)).view(-1, 1, 1, 1)
        cover = torch.from_numpy(a["alpha_ref"][rows][:, None].astype(np.float32) / 255)
        cover = 1 - bare * (1 - cover)
        return {
            "ref": reference * cover + 0.5 * (1 - cover),
            "whole_ref": reference,
            "frames": _image(a["frames"][pick].reshape(-1, *a["frames"].shape[2:])),
            "flow": _planes(a["flow"][pick]),
            "skin": _planes(a["skin"][pick]) * 2,
            "vis": torch.from_numpy(a["vis"][pick].reshape(-1, 1, 64, 64).astype(np.float32) / 255),
            "alpha": torch.from_numpy(
                a["alpha"][pick].reshape(-1, 1, 64, 64).astype(np.float32) / 255
            ),
            "pose": torch.from_numpy(relative[:, :6].astype(np.float32)),
            "rig": torch.from_numpy(((relative - self._mean) / self._scale).astype(np.float32)),
            "boxes": torch.from_numpy(a["boxes"][pick].reshape(-1, 3, 3)),
            "boxes_ref": torch.from_numpy(np.repeat(a["boxes_ref"][rows], count, 0)),
            "parts": _image(a["parts"][pick].reshape(-1, *a["parts"].shape[3:])),
            "parts_ref": _image(a["parts_ref"][rows].reshape(-1, *a["parts_ref"].shape[2:])),
            "maps": torch.from_numpy(a["maps"][rows].astype(np.float32)),
            "pivot": torch.from_numpy(a["pivot"][rows].astype(np.float32)),
            "eye_distance": torch.from_numpy(a["eye_distance"][rows].astype(np.float32)),
            "kind": torch.from_numpy(a["kind"][rows].astype(np.int64)),
        }

    def batch_at(self, number: int, size: int, frames: int, seed: int) -> Batch:
        """Return a random training batch that follows from its number.

        Args:
            number: of the batch.
            size: N.
            frames: T.
            seed: of the run.
        """
        rng = np.random.default_rng([seed, number, 7])
        rows = rng.integers(0, len(self), size)
        times = np.stack([rng.permutation(self.num_frames)[:frames] for _ in range(size)])
        batch = augment_colour(self.batch(rows, times), rng)
        eyes = np.asarray(self.arrays["landmarks_ref"][rows], np.float32)[:, 36:48].mean(1)
        other = rng.random(size) < MIRRORED
        mirror(batch, other, self._mean, self._scale)
        eyes[other, 0] = 1 - eyes[other, 0]
        misjudge(batch, eyes, rng)
        for name in ("boxes", "boxes_ref"):  # in use they come from a network
            noise = rng.normal(0, BOX_NOISE, batch[name].shape).astype(np.float32)
            batch[name] = batch[name] + torch.from_numpy(noise)
        return batch


def read_shard(path: Path) -> dict[str, np.ndarray] | None:
    """Read one shard; None, with a warning, if it is damaged or of another kind."""
    try:
        with path.open("rb") as file, np.load(file) as archive:
            missing = [name for name in NEEDED if name not in archive.files]
            if missing:
                raise KeyError(f"it lacks {', '.join(missing)}")
            part = {name: archive[name] for name in NEEDED}
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
        log.warning("shard skipped (%s): %s", error, path)
        return None
    finite = all(
        np.isfinite(part[n]).all() for n in ("flow", "skin", "depth", "weight", "rig_rel", "pivot")
    )
    if not finite:
        log.warning("shard skipped (it holds values that are no numbers): %s", path)
        return None
    return part


def misjudge(batch: Batch, eyes: np.ndarray, rng: np.random.Generator) -> None:
    """Let the fitted heads err as they do with landmarks that a network found, in place.

    The shards are imported with true landmarks. A reference encoder that never saw a wrong yaw
    believes it: nine tenths of what found landmarks cost lie in the head's depth and pivot.

    Args:
        batch: of `Shards.batch`; its maps and pivots are replaced.
        eyes: float32 [N, 2], middle of the eyes, shares of the canvas.
        rng: chance.
    """
    count, size = len(eyes), batch["maps"].shape[-1]
    unit = batch["eye_distance"][:, None, None]
    middle = torch.from_numpy(eyes)[:, :, None, None]
    line = (torch.arange(size) + 0.5) / size
    x, y = (line[None, None] - middle[:, 0]) / unit, (line[None, :, None] - middle[:, 1]) / unit

    def off(name: str, *shape: int) -> Tensor:
        return torch.from_numpy(rng.normal(0, MISJUDGED[name], (count, *shape)).astype(np.float32))

    yaw, depth = off("yaw", 1, 1), batch["maps"][:, 0]
    rough = F.interpolate(off("shape", 1, 10, 10), size=(size, size), mode="bicubic")[:, 0]
    change = off("away", 1, 1) + off("size", 1, 1) * depth + rough
    change = change - yaw * x - off("pitch", 1, 1) * y
    near = torch.exp(-((x / _REACH[0]) ** 2 + (y / _REACH[1]) ** 2))
    batch["maps"] = batch["maps"].clone()
    batch["maps"][:, 0] = depth + change * near
    aside = off("pivot", 2)
    aside[:, 0] -= _LEVER * yaw[:, 0, 0]
    batch["pivot"] = batch["pivot"] + aside * batch["eye_distance"][:, None]


def augment_colour(batch: Batch, rng: np.random.Generator) -> Batch:
    """Give frames and reference of a sample the same random gain and offset a channel."""
    n = len(batch["ref"])
    gain = torch.from_numpy(np.exp(rng.normal(0, 0.15, (n, 3, 1, 1))).astype(np.float32))
    offset = torch.from_numpy(rng.normal(0, 0.04, (n, 3, 1, 1)).astype(np.float32))
    for name in ("ref", "whole_ref", "frames", "parts", "parts_ref"):
        times = len(batch[name]) // n
        stretch, shift = gain.repeat_interleave(times, 0), offset.repeat_interleave(times, 0)
        batch[name] = (batch[name] * stretch + shift).clamp(0, 1)
    return batch


def part_map(boxes: Tensor, size: int) -> Tensor:
    """Return soft spots over both eyes and the mouth: boxes [B, 3, 3] -> [B, 1, S, S]."""
    grid = base_grid(size).permute(0, 3, 1, 2) * 0.5 + 0.5
    away = (grid[:, None] - boxes[:, :, :2, None, None]) / boxes[:, :, 2:, None, None].clamp(
        min=0.05
    )
    return torch.exp(-2 * (away**2).sum(2)).amax(1, keepdim=True)


def person_cells(batch: Batch, person: Tensor) -> Tensor:
    """Return how much each cell of the frames counts: seen in the reference, and the person.

    Args:
        batch: of `Shards`.
        person: [N, 1, 64, 64], the importer's coverage of each reference.

    Returns:
        [B, 1, 64, 64]. A photo's true coverage is not known: the importer's is read where the true
        flow points.
    """
    frames = len(batch["frames"]) // len(person)
    where = base_grid(64) + batch["flow"].permute(0, 2, 3, 1)
    theirs = F.grid_sample(person.repeat_interleave(frames, 0), where, align_corners=False)
    photo = (batch["kind"] == 1).repeat_interleave(frames).view(-1, 1, 1, 1)
    cover = torch.where(photo, theirs, batch["alpha"])
    within = where.abs().amax(-1)[:, None] < 1  # beyond the picture there is nothing to show
    return batch["vis"] * (cover > 0.7) * within


def _image(pixels: np.ndarray) -> Tensor:
    return torch.from_numpy(pixels).movedim(-1, 1).float().div(255).contiguous()


def _planes(flow: np.ndarray) -> Tensor:
    flat = flow.reshape(-1, *flow.shape[2:]).astype(np.float32)
    return torch.from_numpy(flat).movedim(-1, 1).contiguous()


def shard_paths(folder: Path, split: str) -> list[Path]:
    """Return the shards of a split in order."""
    return sorted(folder.glob(f"{split}_*.npz"))


def about(shards: Shards) -> dict[str, Any]:
    """Say how much data there is."""
    return {"samples": len(shards), "frames": len(shards) * shards.num_frames}

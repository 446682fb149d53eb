"""Shows samples of the video VAE's training in a mirror: everybody has two sides to learn from.

Place in the flow: a batch of `vae_data` -> here -> the same batch, some of its people mirrored in
all that is known of them. Portraits are few and most of them look one way.
Shape letters: N samples, T frames of each, B = N * T.
"""

import numpy as np
import torch
from torch import Tensor

from rest_bridge.generator.head_refinement import MAP_ACROSS, MIRRORED_MAPS
from rest_bridge.rig import mirror_rig

_PART_ORDER = [1, 0, 2]
"""The image's left eye, right eye and mouth, as the mirror shows them."""


def mirror(
    batch: dict[str, Tensor], which: np.ndarray, mean: np.ndarray, scale: np.ndarray
) -> None:
    """Mirror some samples of a batch, in place.

    Args:
        batch: of `vae_data.Shards.batch`.
        which: bool [N], whom.
        mean: float32 [58], of the normalised rig.
        scale: float32 [58], likewise.
    """
    mine = torch.from_numpy(np.flatnonzero(which))
    frames = torch.from_numpy(np.flatnonzero(np.repeat(which, len(batch["pose"]) // len(which))))
    for name, rows in (
        *((name, mine) for name in ("ref", "whole_ref", "maps")),
        *((name, frames) for name in ("frames", "flow", "skin", "vis", "alpha")),
    ):
        batch[name][rows] = batch[name][rows].flip(-1)
    for name in ("flow", "skin"):
        batch[name][frames, 0] *= -1
    maps = batch["maps"][mine][:, MIRRORED_MAPS]
    maps[:, MAP_ACROSS] *= -1
    batch["maps"][mine] = maps
    batch["pivot"][mine, 0] = 1 - batch["pivot"][mine, 0]
    rig = mirror_rig(batch["rig"][frames].numpy() * scale + mean)
    batch["rig"][frames] = torch.from_numpy(((rig - mean) / scale).astype(np.float32))
    batch["pose"][frames] = torch.from_numpy(rig[:, :6].astype(np.float32))
    for name in ("boxes", "boxes_ref"):
        boxes = batch[name][frames][:, _PART_ORDER]
        boxes[..., 0] = 1 - boxes[..., 0]
        batch[name][frames] = boxes
    for name, rows in (("parts", frames), ("parts_ref", mine)):
        crops = batch[name].view(-1, len(_PART_ORDER), *batch[name].shape[1:])
        crops[rows] = crops[rows][:, _PART_ORDER].flip(-1)

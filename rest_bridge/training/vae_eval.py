"""What the video VAE achieves on held-out people: flow errors by place, and the encoder's reading.

Place in the flow: `vae` and `export_vae` call it. End-point errors are px at 128 px, on cells that
the reference shows and that belong to the person. Nothing here is used for choosing weights but the
validation split.
"""

from collections.abc import Sequence
from typing import Final

import numpy as np
import torch
from torch import Tensor

from rest_bridge.model.head_motion import read
from rest_bridge.model.vae import VideoVae, base_grid
from rest_bridge.rig import RIG_INDEX
from rest_bridge.training.face_subjects import KINDS
from rest_bridge.training.latent_space import ARKIT_SCALE
from rest_bridge.training.vae_data import Batch, Shards, part_map
from rest_bridge.training.vae_losses import Decoded, decode, encode, induced

PX: Final = 64.0
"""Pixels at 128 px in one unit of flow."""
RIG_GROUPS: Final = {
    "yaw": ("headYaw",),
    "pitch": ("headPitch",),
    "roll": ("headRoll",),
    "blink": ("eyeBlink",),
    "brow": ("brow",),
    "jaw": ("jawOpen",),
    "mouth": ("mouth",),
    "gaze": ("eyeLook",),
}
_BATCH: Final = 16


@torch.no_grad()
def evaluate(
    vae: VideoVae, shards: Shards, *, parts: Sequence[str] = ("decoder", "encoder")
) -> dict[str, float]:
    """Score networks on a held-out set.

    Args:
        vae: in evaluation mode.
        shards: held-out samples.
        parts: "decoder" for flow errors, "encoder" (or "joint") for the encoder's R2 and the flow
            that its latents make.

    Returns:
        `still`, `imported` (the importer's head), `posed` (refined), `own` (decoded from the true
        rig), `encoded`: px, overall, on eyes and mouth (`_parts`), by kind (`_head`, ...); `r2_*`
        by group of weights and, for what they move together, `r2_gaze_x`, `r2_gaze_y` (eyes at
        least half open), `r2_moved_mouth`, `r2_moved_eyes`.
    """
    with_encoder = "encoder" in parts or "joint" in parts
    sums: dict[str, Tensor] = {}
    predicted: list[Tensor] = []
    true: list[Tensor] = []
    count = shards.num_frames // 2 * 2
    for start in range(0, len(shards), _BATCH):
        rows = np.arange(start, min(start + _BATCH, len(shards)))
        batch = shards.batch(rows, np.tile(np.arange(count), (len(rows), 1)))
        pairs = batch["rig"].view(-1, 2, batch["rig"].shape[1])
        encoded = None
        if with_encoder:
            rig, _ = encode(vae, batch)
            predicted.append(rig.float())
            true.append(batch["rig"])
            encoded = decode(vae, vae.latent_of(rig.float().view_as(pairs)), batch)
        _add(sums, decode(vae, vae.latent_of(pairs), batch), encoded, batch, count)
    scores = {name: float(total[0] / total[1].clamp(min=1e-6)) for name, total in sums.items()}
    return scores | (_reading(torch.cat(predicted), torch.cat(true)) if predicted else {})


def _add(
    sums: dict[str, Tensor], own: Decoded, encoded: Decoded | None, batch: Batch, count: int
) -> None:
    flows = {"still": torch.zeros_like(own.flow), "imported": own.imported, "posed": own.posed,
             "own": own.flow}  # fmt: skip
    if encoded is not None:
        flows["encoded"] = encoded.flow
    kinds = batch["kind"].repeat_interleave(count)
    spots = part_map(batch["boxes"], own.flow.shape[-1])
    for name, flow in flows.items():
        error = (flow - batch["flow"]).norm(dim=1, keepdim=True) * PX
        cells = {"px": own.cells, "px_parts": own.cells * spots}
        for index, kind in enumerate(KINDS):
            cells[f"px_{kind}"] = own.cells * (kinds == index).view(-1, 1, 1, 1)
        for key, weight in cells.items():
            entry = torch.stack([(error * weight).sum(), weight.sum()])
            sums[f"{name}_{key}"] = sums.get(f"{name}_{key}", torch.zeros(2)) + entry
    # The whole picture, the background at rest included.
    person = batch["maps"][:, 2:3].repeat_interleave(count, 0)
    seen = own.flow * read(person, own.flow, base_grid(own.flow.shape[-1]))
    known = batch["vis"] * (kinds != KINDS.index("photo")).view(-1, 1, 1, 1)
    error = (seen - batch["flow"]).norm(dim=1, keepdim=True) * PX
    entry = torch.stack([(error * known).sum(), known.sum()])
    sums["own_px_picture"] = sums.get("own_px_picture", torch.zeros(2)) + entry


def _reading(predicted: Tensor, true: Tensor) -> dict[str, float]:
    out: dict[str, float] = {}
    for group, prefixes in RIG_GROUPS.items():
        index = [i for name, i in RIG_INDEX.items() if name.startswith(prefixes)]
        out[f"r2_{group}"] = _r2(predicted[:, index], true[:, index])
    rows = induced()
    gaze_x, gaze_y = rows[-10:-6:2], rows[-9:-6:2]
    lids = [RIG_INDEX["eyeBlinkLeft"], RIG_INDEX["eyeBlinkRight"]]
    awake = true[:, lids].amax(1) < 0.5 / ARKIT_SCALE  # behind shut lids there is nothing to read
    for name, part in (("gaze_x", gaze_x), ("gaze_y", gaze_y)):
        out[f"r2_{name}"] = _r2(predicted[awake] @ part.T, true[awake] @ part.T)
    shapes = rows[:-10]
    regions = {"moved_mouth": ("jaw", "mouth", "cheek"), "moved_eyes": ("eye", "brow")}
    for name, starts in regions.items():
        only = torch.tensor([key.startswith(starts) for key in RIG_INDEX], dtype=torch.float32)
        out[f"r2_{name}"] = _r2((predicted * only) @ shapes.T, (true * only) @ shapes.T)
    return out


def _r2(predicted: Tensor, true: Tensor) -> float:
    return float(1 - ((predicted - true) ** 2).sum() / ((true - true.mean(0)) ** 2).sum())

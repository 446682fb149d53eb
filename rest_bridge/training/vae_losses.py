"""How the video VAE decodes a batch, and what it is told about it.

Place in the flow: `vae_data` -> here -> `vae`. Flow errors count where the person is seen, more on
eyes and mouth. The encoder's rig is compared by what it would move, not weight by weight: many
weights make the same lips (STUDY-DECODER, section 3).
Shape letters: N references, T frames of each, B = N * T, G = 64 cells.
"""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from rest_bridge.generator.head_refinement import BORDER
from rest_bridge.inference.package import DEFAULT_PACKAGE, ModelPackage
from rest_bridge.model.head_motion import forward_motion, invert, read
from rest_bridge.model.vae import VideoVae, base_grid
from rest_bridge.rig import ARKIT_NAMES, RIG_INDEX
from rest_bridge.training.latent_space import ARKIT_SCALE, RIG_SCALE
from rest_bridge.training.vae_data import Batch, part_map, person_cells
from rest_bridge.types import LATENT_STRIDE

MOVES = (0.0008, 0.008)
"""Canvas units of base flow from which a correction counts, as in the compositor."""
GAZE, POSE = 10.0, 1.7
"""Weights of the eyes' direction (full to one side is 1) and of the normalised pose."""
_PARTS = 0.7
"""Further weight of eyes and mouth; at run time they only go along with the face around them."""
_SMOOTH, _SMALL = 0.2, 0.01
"""Costs of steps in the maps and of their changes. Behind a turned portrait's far cheek its hair
lies a whole eye distance deeper: what costs 0.5 stays too smooth for that."""
CORRECTED = 0.15
"""Share of the canvas over which the compositor fades corrections out."""


@dataclass(frozen=True, slots=True)
class Decoded:
    """What came of a batch; flows [B, 2, G, G], of the person.

    Attributes:
        imported: by the importer's head.
        posed: by the refined head.
        flow: with the decoder's correction.
        coarse, middle: corrections at 16 and 32 cells.
        cells: [B, 1, G, G], how much each cell counts.
        refined: [N, 2, G, G], changes of the maps.
    """

    imported: Tensor
    posed: Tensor
    flow: Tensor
    coarse: Tensor
    middle: Tensor
    cells: Tensor
    refined: Tensor


def head_flow(
    batch: Batch, pose: Tensor, refined: Tensor | None = None, pivot: Tensor | None = None
) -> Tensor:
    """Return the flow of pose and skin [B, 2, G, G], by the importer's or the refined head.

    Args:
        batch: of `Shards`.
        pose: [B, 6], relative to the references.
        refined: [N, 2, G, G] of the reference encoder.
        pivot: [N, 3] of the reference encoder.
    """
    unit = batch["eye_distance"]
    depth = batch["maps"][:, :1] * unit[:, None, None, None]
    weight, centre = batch["maps"][:, 1:2], batch["pivot"]
    if refined is not None and pivot is not None:
        shift = pivot.float() * unit[:, None]
        depth = depth + refined[:, :1].float() * unit[:, None, None, None]
        depth = depth - shift[:, 2, None, None, None]
        weight = (weight + refined[:, 1:].float() * border(BORDER)).clamp(0, 1)
        centre = centre + shift[:, :2]
    frames = len(pose) // len(unit)
    depth, weight, centre, unit = (
        value.repeat_interleave(frames, 0) for value in (depth, weight, centre, unit)
    )
    grid = base_grid(depth.shape[-1])
    back = invert(forward_motion(depth, weight, centre, unit, pose), grid)
    return back + read(batch["skin"], back, grid)


@lru_cache(maxsize=4)
def border(share: float, size: int = 64) -> Tensor:
    """Return [1, 1, S, S], 0 at the canvas's border, 1 from `share` of its width inwards."""
    grid = base_grid(size) * 0.5 + 0.5
    t = (torch.minimum(grid, 1 - grid).amin(-1)[:, None] / share).clamp(0, 1)
    return t * t * (3 - 2 * t)


def decode(vae: VideoVae, latent: Tensor, batch: Batch) -> Decoded:
    """Run reference encoder and decoder on all frames; pose and rig are read off the latent.

    Args:
        vae: the networks.
        latent: [B / 2, 16, 4, 4].
        batch: of `Shards`.
    """
    frames = len(batch["pose"]) // len(batch["ref"])
    refined, pivot, *features = vae.reference_encoder(batch["ref"], batch["maps"])
    with torch.autocast("cpu", enabled=False):
        rig = (latent.float().flatten(1) @ vae.readout).view(len(batch["pose"]), -1)
        pose = rig[:, :6] * torch.tensor(list(RIG_SCALE.values()))
        posed = head_flow(batch, pose, refined, pivot)
        with torch.no_grad():
            imported = head_flow(batch, batch["pose"])
        person = batch["maps"][:, 2:3]
        theirs = person.repeat_interleave(frames, 0)
        base = (posed * read(theirs, posed, base_grid(64))).detach()
        gate = moving(base) * border(CORRECTED)
    which = torch.eye(LATENT_STRIDE).repeat(len(latent), 1)
    features = [feature.repeat_interleave(frames, 0) for feature in features]
    delta, coarse, middle = vae.decoder(
        latent.repeat_interleave(LATENT_STRIDE, 0), which, base, *features
    )
    flow = posed + delta.float() * gate
    return Decoded(imported, posed, flow, coarse, middle, person_cells(batch, person), refined)


def moving(base: Tensor) -> Tensor:
    """Return [B, 1, G, G], 0 where the base flow rests (the compositor's rule)."""
    t = ((base.norm(dim=1, keepdim=True) / 2 - MOVES[0]) / (MOVES[1] - MOVES[0])).clamp(0, 1)
    return F.avg_pool2d(t * t * (3 - 2 * t), 3, 1, 1)


def flow_losses(out: Decoded, batch: Batch) -> dict[str, Tensor]:
    """Return L1 errors of the refined head, of the corrected flow and its coarse steps.

    Eyes and mouth count a little more; changes of the maps cost a little, so that what no pixel
    asks for stays as it was imported.
    """
    weights = out.cells * (1 + _PARTS * part_map(batch["boxes"], 64))
    total = weights.sum().clamp(min=1)

    def error(flow: Tensor) -> Tensor:
        return ((flow - batch["flow"]).abs().sum(1, keepdim=True) * weights).sum() / total

    missing = ((batch["flow"] - out.posed) * out.cells).detach()
    steps = torch.zeros(())
    for delta in (out.coarse.float(), out.middle.float()):
        size = delta.shape[-1]
        mass = F.adaptive_avg_pool2d(out.cells, size)
        true = F.adaptive_avg_pool2d(missing, size) / (mass + 1e-3)
        steps = steps + ((delta - true).abs() * (mass > 0.5)).mean()
    rough = out.refined[..., 1:, :] - out.refined[..., :-1, :]
    rougher = out.refined[..., 1:] - out.refined[..., :-1]
    return {
        "posed": 10 * error(out.posed),
        "flow": 10 * error(out.flow),
        "steps": 2 * steps,
        "smooth": _SMOOTH * (rough.abs().mean() + rougher.abs().mean())
        + _SMALL * out.refined.square().mean(),
    }


def encode(vae: VideoVae, batch: Batch) -> tuple[Tensor, Tensor]:
    """Run the motion encoder: normalised rig [B, 58] and free code [B, 128]."""
    frames = len(batch["frames"]) // len(batch["ref"])
    reference = batch["whole_ref"].repeat_interleave(frames, 0)
    size = batch["parts"].shape[-1]
    mine = batch["parts"].view(-1, 3, 3, size, size)
    theirs = batch["parts_ref"].view(-1, 3, 3, size, size).repeat_interleave(frames, 0)
    offsets = (batch["boxes"] - batch["boxes_ref"]).flatten(1) * 8
    boxes = torch.cat([offsets, (batch["boxes_ref"].flatten(1) - 0.5) * 2], 1)
    return vae.encoder(batch["frames"], reference, torch.cat([mine, theirs], 1), boxes)


@lru_cache(maxsize=1)
def induced() -> Tensor:
    """Return [Q, 58]: normalised rig differences -> what they move, so that 1 is plainly visible.

    Rows: how the mean head's points move (ARKit shapes, seen from the front, points around eyes and
    mouth heavier), turned to their principal directions; gaze of each eye; the six pose values.
    """
    head = ModelPackage.load(DEFAULT_PACKAGE, verify=False).arrays("head")
    shapes = head["expression"].astype(np.float64)
    marks = head["mean"][head["landmarks"].astype(np.int64)]
    fine = np.concatenate([marks[36:48], marks[48:66]])
    near = np.linalg.norm(head["mean"][:, None] - fine[None], axis=2).min(1)
    weight = 1 + 3 * np.exp(-((near / 1.2) ** 2))
    unit = np.linalg.norm(marks[36:42].mean(0) - marks[42:48].mean(0))
    moved = shapes * (np.sqrt(weight / weight.sum())[:, None] * [1, 1, 0.3]) / unit
    left, size, right = np.linalg.svd(moved.reshape(len(shapes), -1).T, full_matrices=False)
    del left
    rows = np.zeros((len(size) + 4 + 6, len(RIG_INDEX)))
    rows[: len(size), 6:] = 60 * ARKIT_SCALE * size[:, None] * right
    for k, (side, plus, minus) in enumerate(
        (s, p, m) for s in ("Left", "Right") for p, m in (("Out", "In"), ("Up", "Down"))
    ):
        row = len(size) + k
        rows[row, 6 + ARKIT_NAMES.index(f"eyeLook{plus}{side}")] = GAZE * ARKIT_SCALE
        rows[row, 6 + ARKIT_NAMES.index(f"eyeLook{minus}{side}")] = -GAZE * ARKIT_SCALE
    rows[-6:, :6] = np.eye(6) * POSE
    return torch.from_numpy(rows.astype(np.float32))


def rig_losses(predicted: Tensor, true: Tensor) -> dict[str, Tensor]:
    """Compare rigs by what they move; a little also by weight, where several would do."""
    gap = predicted.float() - true
    moved = F.smooth_l1_loss(gap @ induced().T, torch.zeros(()).expand(len(gap), len(induced())),
                             beta=0.5)  # fmt: skip
    return {"rig": 3 * moved, "weights": 0.05 * gap.square().mean()}

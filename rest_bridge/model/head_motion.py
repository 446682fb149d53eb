"""How a head's pose moves a portrait: the runtime's geometry, differentiable in its maps.

Place in the flow: depth and weight of every place, as the reference encoder refines them, and a
pose -> here -> backward flow. The same movement as `generator.base_flow.BaseFlow.pose`.

Shape letters: B frames, S cells. Places are shares of the canvas, x right, y DOWN; depth towards
the viewer. Flows are in units of half the width, channel 0 is x.
"""

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

_ROUNDS = 7
_STEP = 0.72


def rotation(degrees: Float[Tensor, "B 3"]) -> Float[Tensor, "B 3 3"]:
    """Return Rz(roll) Rx(pitch) Ry(yaw), y up, z to the viewer."""
    yaw, pitch, roll = torch.deg2rad(degrees).unbind(1)
    zero, one = torch.zeros_like(yaw), torch.ones_like(yaw)

    def matrix(*rows: Tensor) -> Tensor:
        return torch.stack(rows, 1).view(-1, 3, 3)

    turn_y = matrix(yaw.cos(), zero, yaw.sin(), zero, one, zero, -yaw.sin(), zero, yaw.cos())
    turn_x = matrix(one, zero, zero, zero, pitch.cos(), -pitch.sin(), zero, pitch.sin(),
                    pitch.cos())  # fmt: skip
    turn_z = matrix(roll.cos(), -roll.sin(), zero, roll.sin(), roll.cos(), zero, zero, zero, one)
    return turn_z @ turn_x @ turn_y


def forward_motion(
    depth: Float[Tensor, "B 1 S S"],
    weight: Float[Tensor, "B 1 S S"],
    pivot: Float[Tensor, "B 2"],
    eye_distance: Float[Tensor, "B"],
    pose: Float[Tensor, "B 6"],
) -> Float[Tensor, "B 2 S S"]:
    """Return where each place of the portrait goes.

    Args:
        depth: from the pivot.
        weight: how much each place follows.
        pivot: x and y.
        eye_distance: unit of the shifts.
        pose: yaw, pitch, roll in degrees, x, y (up), relative size.
    """
    size = depth.shape[-1]
    line = (torch.arange(size, dtype=depth.dtype, device=depth.device) + 0.5) / size
    y, x = torch.meshgrid(line, line, indexing="ij")
    across = x[None] - pivot[:, 0, None, None]
    up = pivot[:, 1, None, None] - y[None]
    place = torch.stack([across, up, depth[:, 0]], 1).flatten(2)
    turned = (1 + pose[:, 5, None, None]) * (rotation(pose[:, :3]) @ place)
    moved = turned[:, :2] - place[:, :2] + (pose[:, 3:5] * eye_distance[:, None])[:, :, None]
    flip = torch.tensor([2.0, -2.0], dtype=depth.dtype, device=depth.device)[:, None, None]
    return moved.view(-1, 2, size, size) * flip * weight


def read(
    field: Float[Tensor, "B C S S"], flow: Float[Tensor, "B 2 T T"], grid: Float[Tensor, "1 T T 2"]
) -> Float[Tensor, "B C T T"]:
    """Read a field where a backward flow points; beyond the border its cells continue."""
    where = grid + flow.permute(0, 2, 3, 1)
    return F.grid_sample(field, where, padding_mode="border", align_corners=False)


def invert(
    forward: Float[Tensor, "B 2 S S"], grid: Float[Tensor, "1 S S 2"]
) -> Float[Tensor, "B 2 S S"]:
    """Turn a forward motion into the backward flow.

    The fixed point is found without gradients; the last reading carries them to `forward`.
    """
    with torch.no_grad():
        backward = -forward
        for _ in range(_ROUNDS):
            backward = backward - _STEP * (backward + read(forward, backward, grid))
    return -read(forward, backward, grid)

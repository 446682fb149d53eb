"""The fixed linear map between rig values and the motion latent.

A latent [16, 4, 4] holds 256 numbers for two video frames. The read-out takes the 2 x 58 normalised
rig values off it; `rig_to_latent` is its right inverse, so rig -> latent -> rig is exact. What the
latent carries beyond the rig (the free part) lies in the null space of the read-out.

The map is structured, not learned: each group of rig values owns cells of the 4x4 grid, so that
the latent keeps the picture's layout (brows and eyes above, mouth and jaw below, pose everywhere).
Within its cells a group is spread by a random orthonormal basis with a fixed seed. Anchoring the
latent so lets decoder, encoder and DiT be trained apart (STUDY-DECODER, section 0, point 5).
"""

from pathlib import Path
from typing import Final

import numpy as np

from rest_bridge.rig import ARKIT_NAMES, POSE_NAMES, RIG_NAMES
from rest_bridge.training.package_writer import npz_bytes, write_package_part
from rest_bridge.types import LATENT_SHAPE, LATENT_STRIDE, FloatArray

SEED: Final = 20251211

RIG_SCALE: Final[dict[str, float]] = {
    "headYaw": 8.0,
    "headPitch": 5.0,
    "headRoll": 4.0,
    "headX": 0.08,
    "headY": 0.08,
    "headZ": 0.04,
}
ARKIT_SCALE: Final = 0.3
"""Roughly the standard deviation of an active weight; the same for all keeps the read-out even."""


def rig_groups() -> dict[str, tuple[list[int], list[int]]]:
    """Return group -> (rig indices, grid cells); cells count row by row from the top left."""
    pose = [RIG_NAMES.index(n) for n in POSE_NAMES]
    eyes = [RIG_NAMES.index(n) for n in ARKIT_NAMES if n.startswith(("eye", "brow", "noseSneer"))]
    mouth = [
        RIG_NAMES.index(n) for n in ARKIT_NAMES if n.startswith(("jaw", "mouth", "cheek", "tongue"))
    ]
    return {
        "pose": (pose, list(range(16))),
        "eyes": (eyes, list(range(8))),
        "mouth": (mouth, list(range(8, 16))),
    }


def build_maps() -> dict[str, FloatArray]:
    """Return rig_mean [58], rig_scale [58], readout [256, 116] and rig_to_latent [116, 256]."""
    rng = np.random.default_rng(SEED)
    num_rig = len(RIG_NAMES)
    scale = np.array([RIG_SCALE.get(name, ARKIT_SCALE) for name in RIG_NAMES], np.float32)
    channels, rows, columns = LATENT_SHAPE
    flat = np.arange(channels * rows * columns).reshape(channels, rows * columns)
    to_latent = np.zeros((LATENT_STRIDE * num_rig, flat.size))
    taken = np.zeros((0, flat.size))
    for indices, cells in rig_groups().values():
        positions = flat[:, cells].ravel()
        basis = np.zeros((LATENT_STRIDE * len(indices), flat.size))
        basis[:, positions] = rng.standard_normal((len(basis), len(positions)))
        if len(taken):  # later groups stay orthogonal to what earlier ones use of their cells
            basis -= basis @ taken.T @ taken
        basis = np.linalg.qr(basis.T)[0].T
        taken = np.concatenate([taken, basis])
        for frame in range(LATENT_STRIDE):
            rows_of_frame = [frame * num_rig + i for i in indices]
            to_latent[rows_of_frame] = basis[frame * len(indices) : (frame + 1) * len(indices)]
    return {
        "rig_mean": np.zeros(num_rig, np.float32),
        "rig_scale": scale,
        "readout": np.ascontiguousarray(to_latent.T).astype(np.float32),
        "rig_to_latent": to_latent.astype(np.float32),
    }


def write_latent_space(package_dir: Path) -> None:
    """Write motion.npz and the manifest's `latent` section."""
    write_package_part(
        package_dir,
        files={"motion.npz": npz_bytes(build_maps())},
        sections={
            "latent": {
                "shape": list(LATENT_SHAPE),
                "temporal_stride": LATENT_STRIDE,
                "rig_names": list(RIG_NAMES),
                "free_part_std": 0.0,
            }
        },
    )


if __name__ == "__main__":
    from rest_bridge.inference.package import DEFAULT_PACKAGE

    write_latent_space(DEFAULT_PACKAGE)

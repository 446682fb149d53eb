"""Where the training assets lie, and how their meshes, morph targets and textures are read."""

import os
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Final

import numpy as np
from PIL import Image

from rest_bridge.errors import RestBridgeError
from rest_bridge.training.render.raster import Array

DEFAULT_ASSETS: Final = Path("/work/shared/assets")


def assets_path(*parts: str) -> Path:
    """Return a path inside the assets (environment REST_BRIDGE_ASSETS, else the shared folder).

    Raises:
        RestBridgeError: nothing is there.
    """
    root = Path(os.environ.get("REST_BRIDGE_ASSETS", str(DEFAULT_ASSETS)))
    path = root.joinpath(*parts)
    if not path.exists():
        raise RestBridgeError(
            f"Training asset not found; set REST_BRIDGE_ASSETS to the assets folder: {path}"
        )
    return path


@dataclass(frozen=True, slots=True)
class Targets:
    """Sparse morph targets: name -> (int64 [n] vertices, float32 [n, 3] offsets)."""

    items: dict[str, tuple[Array, Array]]

    @staticmethod
    def load(path: Path) -> "Targets":
        """Read an .npz with names, offsets, index and delta."""
        with np.load(path) as data:
            offsets, index = data["offsets"], data["index"].astype(np.int64)
            delta = data["delta"].astype(np.float32)
            return Targets(
                {
                    str(name): (index[start:stop], delta[start:stop])
                    for name, start, stop in zip(
                        data["names"], offsets[:-1], offsets[1:], strict=True
                    )
                }
            )

    def add(self, vertices: Array, name: str, weight: float) -> None:
        """Move `vertices` (float32 [V, 3], in place) along a target."""
        if abs(weight) > 1e-3:
            index, delta = self.items[name]
            vertices[index] += np.float32(weight) * delta


def triangulate(quads: Array, quads_uv: Array) -> tuple[Array, Array]:
    """Cut quads [Q, 4] into int32 triangles, dropping degenerate ones."""
    triangles = np.concatenate([quads[:, [0, 1, 2]], quads[:, [0, 2, 3]]]).astype(np.int32)
    triangles_uv = np.concatenate([quads_uv[:, [0, 1, 2]], quads_uv[:, [0, 2, 3]]])
    whole = (triangles[:, 0] != triangles[:, 2]) & (triangles[:, 1] != triangles[:, 2])
    return triangles[whole], triangles_uv[whole].astype(np.int32)


@lru_cache(maxsize=160)
def texture(path: Path, max_px: int) -> Array:
    """Read a picture as uint8 [h, w, 4], at most `max_px` on its longer side; do not modify."""
    with Image.open(path) as image:
        rgba = image.convert("RGBA")
    scale = max_px / max(rgba.size)
    if scale < 1:
        size = (round(rgba.width * scale), round(rgba.height * scale))
        rgba = rgba.resize(size, Image.Resampling.BOX)
    return np.ascontiguousarray(np.asarray(rgba))

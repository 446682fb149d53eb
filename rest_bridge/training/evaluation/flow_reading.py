"""Reads off finished pictures which part of the portrait is shown where: the flow that counts.

The portrait is repainted with its own coordinates and drawn like any other, while the networks go
on seeing the true one; what comes out is the flow, whatever was computed inside, rounding included.
Three steep ramps an axis instead of one give it to 1/1500 of the width.
Shape letters: S output pixels, N canvas pixels, C cells.
"""

from dataclasses import fields, replace
from typing import Any, Final

import cv2
import numpy as np

from rest_bridge.avatar import Avatar
from rest_bridge.generator.correction import FlowDecoder
from rest_bridge.generator.decoder import FaceDecoder
from rest_bridge.inference.package import ModelPackage
from rest_bridge.types import ByteArray, FloatArray

_RAMPS: Final = 3
_FULL: Final = 0.99


class FlowReader:
    """Draws the coordinates of an avatar's portrait in place of its colours."""

    def __init__(self, package: ModelPackage, avatar: Avatar, size_px: int) -> None:
        """Prepare.

        Args:
            package: under test.
            avatar: its portrait is 1 wide.
            size_px: of the frames.
        """
        # The networks look at the true portrait, once.
        flow_decoder = FlowDecoder(package, avatar) if package.has("decoder.onnx") else None
        self._decoders = [
            FaceDecoder(package, repainted(avatar, axis), size_px, flow_decoder=flow_decoder)
            for axis in (0, 1)
        ]

    def read(self, rig: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Draw one frame and read its flow.

        Args:
            rig: float32 [58], as for `FaceDecoder.render`.

        Returns:
            places: float32 [S, S, 2], where in the portrait each pixel was taken from, x then y,
                0..1.
            cover: float32 [S, S], 0..1, alpha of the frame.
        """
        frames = [decoder.render(rig).astype(np.float32) for decoder in self._decoders]
        places = np.stack([frame[..., :3].sum(-1) / (255.0 * _RAMPS) for frame in frames], -1)
        return places, frames[0][..., 3] / 255.0


def repainted(avatar: Avatar, axis: int) -> Avatar:
    """Return an avatar whose canvas pictures show x (axis 0) or y (axis 1) of each pixel."""

    def painted(picture: ByteArray) -> ByteArray:
        ramps = coordinate_picture(*picture.shape[:2], axis)
        ramps[..., 3] = picture[..., 3]
        return ramps

    layers: dict[str, Any] = {
        f.name: painted(getattr(avatar.backdrop, f.name)) for f in fields(avatar.backdrop)
    }
    return replace(
        avatar, picture=painted(avatar.picture), backdrop=replace(avatar.backdrop, **layers)
    )


def coordinate_picture(height: int, width: int, axis: int) -> ByteArray:
    """Paint x (axis 0) or y (axis 1) of each pixel's centre as three ramps, one a channel.

    Args:
        height: in pixels.
        width: in pixels.
        axis: which coordinate.

    Returns:
        uint8 [height, width, 4], opaque; the channels' sum over 765 is the coordinate.
    """
    count = (width, height)[axis]
    place = (np.arange(count) + 0.5) / count
    ramps = np.clip(_RAMPS * place[:, None] - np.arange(_RAMPS), 0, 1)
    line = np.concatenate([np.rint(255 * ramps), np.full((count, 1), 255)], 1).astype(np.uint8)
    whole = line[None] if axis == 0 else line[:, None]
    return np.ascontiguousarray(np.broadcast_to(whole, (height, width, 4)))


def flow_error_px(
    places: FloatArray, cover: FloatArray, true_flow: FloatArray, weight: FloatArray
) -> tuple[float, float]:
    """Compare a flow that was read with the true one, in pixels of a picture 128 wide.

    Args:
        places: float32 [S, S, 2], as `FlowReader.read`; S a multiple of C.
        cover: float32 [S, S].
        true_flow: float32 [C, C, 2], backward, in units of half the width, x then y.
        weight: float32 [C, C], how much each cell counts (0 where the reference does not show it).

    Returns:
        The weighted mean end-point error, and that of a portrait which does not move.
    """
    cells = true_flow.shape[0]
    small = cv2.resize(places, (cells, cells), interpolation=cv2.INTER_AREA)
    covered = cv2.resize(cover, (cells, cells), interpolation=cv2.INTER_AREA) > _FULL
    centres = (np.arange(cells) + 0.5) / cells
    own = np.stack(np.meshgrid(centres, centres), -1)
    made = 2 * (small - own)
    counted = weight * covered
    total = max(float(counted.sum()), 1e-6)

    def mean(error: FloatArray) -> float:
        return float((np.linalg.norm(error, axis=-1) * counted).sum() / total * 64)

    return mean(made - true_flow), mean(true_flow)

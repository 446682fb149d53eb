"""Reads off finished pictures which part of the portrait is shown where: the flow that counts.

The portrait is repainted with its own coordinates and drawn like any other, while the networks go
on seeing the true one; what comes out is the flow, whatever was computed inside, rounding included.
Three steep ramps an axis instead of one give it to 1/1500 of the width. What was painted at import
(teeth, tongue) has no place in the portrait: two more drawings, with a black and a white portrait,
say how much of each pixel is the portrait's, so that paint is not mistaken for a place. Until
2026-11-22 21:00 it was: one frame in three showed a shut eye or teeth, and their colours counted as
flow (3.08 px instead of 1.9, LOG.md). A shut eye's picture covers the skin around it: it holds
coordinates, too.
Shape letters: S output pixels, N canvas pixels, C cells.
"""

from collections.abc import Callable
from dataclasses import fields, replace
from typing import Any, Final

import cv2
import numpy as np

from rest_bridge.avatar import Avatar
from rest_bridge.generator.base_flow import FULL_BOX
from rest_bridge.generator.correction import FlowDecoder
from rest_bridge.generator.decoder import FaceDecoder
from rest_bridge.inference.package import ModelPackage
from rest_bridge.types import Array, ByteArray, FloatArray

_RAMPS: Final = 3
_FULL: Final = 0.97
Paint = Callable[[ByteArray, Array], ByteArray]
"""(picture [H, W, 4], its box) -> another picture of its size."""


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
        paints = [lambda picture, _, level=level: _plain(picture, level) for level in (0, 255)]
        paints += [lambda picture, box, axis=axis: _ramps(picture, box, axis) for axis in (0, 1)]
        self._decoders = [
            FaceDecoder(package, repainted(avatar, paint), size_px, flow_decoder=flow_decoder)
            for paint in paints
        ]

    def read(self, rig: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Draw one frame and read its flow.

        Args:
            rig: float32 [58], as for `FaceDecoder.render`.

        Returns:
            places: float32 [S, S, 2], where in the portrait each pixel was taken from, x then y,
                0..1; means nothing where `cover` is small.
            cover: float32 [S, S], 0..1, how much of each pixel was taken from the portrait; the
                rest is transparent or painted.
        """
        frames = [decoder.render(rig).astype(np.float32) for decoder in self._decoders]
        paint, white, *axes = (frame[..., :3].sum(-1) / 255.0 for frame in frames)
        share = np.clip(white - paint, 0, _RAMPS)
        places = [(axis - paint) / np.maximum(share, 0.1) for axis in axes]
        return np.stack(places, -1), share / _RAMPS * (frames[0][..., 3] / 255.0)


def repainted(avatar: Avatar, paint: Paint) -> Avatar:
    """Return an avatar with other colours wherever a colour belongs to a place of the portrait."""

    def eye(layer: Any) -> Any:
        return replace(layer, shut=paint(layer.shut, layer.box))

    layers: dict[str, Any] = {
        f.name: paint(getattr(avatar.backdrop, f.name), FULL_BOX) for f in fields(avatar.backdrop)
    }
    return replace(
        avatar, picture=paint(avatar.picture, FULL_BOX),
        backdrop=replace(avatar.backdrop, **layers),
        mouth=replace(avatar.mouth, own=paint(avatar.mouth.own, avatar.mouth.inside_box)),
        left_eye=eye(avatar.left_eye), right_eye=eye(avatar.right_eye),
    )  # fmt: skip


def _plain(picture: ByteArray, level: int) -> ByteArray:
    out = np.full_like(picture, level)
    out[..., 3] = picture[..., 3]
    return out


def _ramps(picture: ByteArray, box: Array, axis: int) -> ByteArray:
    out = coordinate_picture(*picture.shape[:2], axis, box)
    out[..., 3] = picture[..., 3]
    return out


def coordinate_picture(height: int, width: int, axis: int, box: Array = FULL_BOX) -> ByteArray:
    """Paint x (axis 0) or y (axis 1) of each pixel's centre as three ramps, one a channel.

    Args:
        height: in pixels.
        width: in pixels.
        axis: which coordinate.
        box: float32 [4], what the picture covers of the canvas.

    Returns:
        uint8 [height, width, 4], opaque; the channels' sum over 765 is the coordinate.
    """
    count = (width, height)[axis]
    place = box[axis] + (np.arange(count) + 0.5) / count * (box[2 + axis] - box[axis])
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
        cover: float32 [S, S]; painted and transparent cells do not count.
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


def painted_share(cover: FloatArray, weight: FloatArray) -> float:
    """Return how much of what should be seen of the portrait is painted or transparent instead.

    Args:
        cover: float32 [S, S], as `FlowReader.read`.
        weight: float32 [C, C], as for `flow_error_px`.
    """
    covered = cv2.resize(cover, weight.shape[::-1], interpolation=cv2.INTER_AREA)
    return float((weight * (1 - covered.clip(0, 1))).sum() / max(float(weight.sum()), 1e-6))

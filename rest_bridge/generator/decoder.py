"""The decoder: motion latents or rig values to frames of one avatar.

Place in the flow: DiT -> latents -> here -> frames. The base is the avatar's own geometry
(`base_flow`, `compositor`); where the model package brings a `decoder.onnx`, its flow correction is
added to the base flow before the picture is read, so that it can never bring in foreign pixels.
Shape letters: T latent frames, S output pixels, G cells of the correction.
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import partial
from typing import Final

import numpy as np

from rest_bridge.avatar import Avatar
from rest_bridge.errors import AvatarError
from rest_bridge.generator.compositor import Compositor, Motion
from rest_bridge.generator.correction import FlowDecoder
from rest_bridge.generator.latent import LatentSpace
from rest_bridge.inference.package import ModelPackage
from rest_bridge.rig import RIG_NAMES
from rest_bridge.trace import span
from rest_bridge.types import LATENT_STRIDE, ByteArray, FloatArray

MIN_SIZE_PX: Final = 64
MAX_SIZE_PX: Final = 2160
_REMEMBERED: Final = 4
"""Frames at 25 Hz whose motion output frames of another rate lie between."""


class FaceDecoder:
    """Draws one avatar at one size. Every frame depends only on its own rig values.

    Attributes:
        flow_decoder: the trained part, the same at every size; None without one.
    """

    def __init__(
        self,
        package: ModelPackage,
        avatar: Avatar,
        size_px: int,
        *,
        flow_decoder: FlowDecoder | None = None,
        threads: int = 1,
        provider: str = "cpu",
    ) -> None:
        """Prepare an avatar for drawing.

        Args:
            package: the model package; its `motion.npz` reads the rig off latents, its
                `decoder.onnx`, where it has one, corrects the base flow.
            avatar: whom to draw.
            size_px: width and height of the frames, 64 to 2160.
            flow_decoder: to be used instead of the package's, with its refined head.
            threads: CPU threads of the trained part.
            provider: what computes the trained part, a name of `inference.session.PROVIDERS`.

        Raises:
            AvatarError: the size is outside the allowed range.
        """
        if not MIN_SIZE_PX <= size_px <= MAX_SIZE_PX:
            raise AvatarError(
                f"A frame of {size_px} pixels is not possible; choose a size from "
                f"{MIN_SIZE_PX} to {MAX_SIZE_PX}."
            )
        self.size_px = size_px
        self._space = LatentSpace(package)
        if flow_decoder is None and package.has("decoder.onnx"):
            flow_decoder = FlowDecoder(package, avatar, threads=threads, provider=provider)
        self.flow_decoder = flow_decoder
        if flow_decoder is not None and flow_decoder.head is not None:
            avatar = replace(avatar, head=flow_decoder.head)
        self._compositor = Compositor(avatar, size_px)
        self._moved: dict[bytes, Motion] = {}

    def render(self, rig: FloatArray) -> ByteArray:
        """Draw one frame.

        Args:
            rig: float32 [58], see `rest_bridge.rig`. The head pose adds to the portrait's own, so
                zero keeps the pose in which the person was portrayed.

        Returns:
            uint8 [S, S, 4], straight alpha, top row first, C-contiguous.
        """
        values = np.asarray(rig, np.float32)
        if values.shape != (len(RIG_NAMES),):
            raise ValueError(f"a rig vector has {len(RIG_NAMES)} values, not {values.shape}")
        latent = self._space.from_rig(np.repeat(values[None], LATENT_STRIDE, 0))[0]
        return self._draw(values, latent, 0)

    def decode(
        self, latents: FloatArray, wanted: Sequence[bool] | None = None
    ) -> Iterator[ByteArray | None]:
        """Draw the frames of motion latents one after the other.

        Args:
            latents: float32 [T, 16, 4, 4].
            wanted: which of the 2T frames to draw; all if None.

        Yields:
            ByteArray | None: 2T times uint8 [S, S, 4], as `render`; None for a frame that is not
                wanted.
        """
        for index, values in enumerate(self._space.to_rig(latents)):
            if wanted is None or wanted[index]:
                yield self._draw(values, latents[index // LATENT_STRIDE], index % LATENT_STRIDE)
            else:
                yield None

    def decode_between(
        self,
        latents: FloatArray,
        second: Sequence[bool],
        below: Sequence[int],
        above: Sequence[int],
        share: Sequence[float],
        wanted: Sequence[bool] | None = None,
    ) -> Iterator[ByteArray | None]:
        """Draw frames at another rate: what moves is found at 25 Hz and interpolated.

        A picture between two frames is drawn from the portrait through the flow between theirs, so
        it is as sharp as they are and has edges of its own; no two pictures are mixed.

        Args:
            latents: float32 [N, 16, 4, 4], of each known frame at 25 Hz.
            second: whether it is the second frame of its latent.
            below: index of the known frame before each output frame.
            above: index of the one after it.
            share: of the way between the two, 0..1.
            wanted: which to draw; all if None.

        Yields:
            ByteArray | None: as many as `below`, like `decode`.
        """
        rig = self._space.to_rig(latents)
        for place, (one, other, part) in enumerate(zip(below, above, share, strict=True)):
            if wanted is not None and not wanted[place]:
                yield None
                continue
            ends = [
                self._moving(rig[2 * k + int(second[k])], latents[k], int(second[k]))
                for k in (one, other)
            ]
            yield self._compositor.compose(self._compositor.between(*ends, share=float(part)))

    def _moving(self, values: FloatArray, latent: FloatArray, frame: int) -> Motion:
        """Return what moves in a frame; the last few are remembered."""
        key = values.tobytes() + latent.tobytes() + bytes([frame])
        found = self._moved.pop(key, None)
        if found is None:
            found = self._motion(values, latent, frame)
        self._moved[key] = found  # the newest last
        while len(self._moved) > _REMEMBERED:
            del self._moved[next(iter(self._moved))]
        return found

    def _motion(self, values: FloatArray, latent: FloatArray, frame: int) -> Motion:
        decoder = self.flow_decoder
        correct = None if decoder is None else partial(decoder, latent, frame)
        with span("fields"):
            return self._compositor.motion(values[:6], np.clip(values[6:], 0.0, 1.0), correct)

    def _draw(self, values: FloatArray, latent: FloatArray, frame: int) -> ByteArray:
        return self._compositor.compose(self._motion(values, latent, frame))

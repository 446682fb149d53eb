"""What draws pictures, as the pipeline knows it: protocols, wrappers, and how decoders are made.

Place in the flow: latents -> here -> pictures. The decoder itself is `generator.decoder`.
Shape letters: T latent frames, H/W pixels.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np

from rest_bridge.avatar import Avatar
from rest_bridge.inference.package import ModelPackage
from rest_bridge.types import LATENT_STRIDE, ByteArray, FloatArray


class PictureStage(Protocol):
    """Latents in, pictures out."""

    def decode(
        self, latents: FloatArray, wanted: Sequence[bool] | None = None
    ) -> Iterable[ByteArray | None]:
        """Return 2T pictures, uint8 [H, W, 4]; None for those that are not wanted."""
        ...


@runtime_checkable
class BetweenStage(Protocol):
    """A picture stage that also draws between the model's frames, for other frame rates."""

    def decode_between(
        self,
        latents: FloatArray,
        second: Sequence[bool],
        below: Sequence[int],
        above: Sequence[int],
        share: Sequence[float],
        wanted: Sequence[bool] | None = None,
    ) -> Iterable[ByteArray | None]:
        """Return a picture for each place; see `generator.decoder.FaceDecoder`."""
        ...


@dataclass(frozen=True, slots=True)
class Drawing:
    """How decoders are made.

    Attributes:
        threads: CPU threads of the trained part.
        provider: what computes it.
    """

    threads: int = 1
    provider: str = "cpu"

    def decoder(
        self,
        package: ModelPackage,
        avatar: Avatar,
        size_px: int,
        *,
        like: PictureStage | None = None,
    ) -> PictureStage:
        """Load the decoder of an avatar at a size; `like` another of its decoders, if there is."""
        from rest_bridge.generator.decoder import FaceDecoder

        return FaceDecoder(
            package,
            avatar,
            size_px,
            flow_decoder=like.flow_decoder if isinstance(like, FaceDecoder) else None,
            threads=self.threads,
            provider=self.provider,
        )

    def smaller(
        self, package: ModelPackage, avatar: Avatar, size_px: int, like: PictureStage
    ) -> Callable[[float], PictureStage]:
        """Return what makes decoders of smaller pictures that come out enlarged."""

        def make(scale: float) -> PictureStage:
            from rest_bridge.generator.decoder import MIN_SIZE_PX

            small_px = max(MIN_SIZE_PX, round(size_px * scale))
            return EnlargedPictures(self.decoder(package, avatar, small_px, like=like), size_px)

        return make


class NoPictures:
    """Stands where the decoder stands and draws nothing: one transparent pixel a frame."""

    def decode(
        self, latents: FloatArray, wanted: Sequence[bool] | None = None
    ) -> Iterable[ByteArray | None]:
        """Return a pixel for each frame of float32 [T, 16, 4, 4]."""
        del wanted
        return [np.zeros((1, 1, 4), np.uint8)] * (LATENT_STRIDE * len(latents))


class WrappedPictures:
    """A decoder whose pictures are changed, or waited for, on their way: `_each` says how."""

    def __init__(self, decoder: PictureStage) -> None:
        """Wrap a decoder.

        Args:
            decoder: draws.
        """
        self._decoder = decoder

    def decode(
        self, latents: FloatArray, wanted: Sequence[bool] | None = None
    ) -> Iterable[ByteArray | None]:
        """Draw like `PictureStage.decode`."""
        return self._each(self._decoder.decode(latents, wanted))

    def decode_between(
        self,
        latents: FloatArray,
        second: Sequence[bool],
        below: Sequence[int],
        above: Sequence[int],
        share: Sequence[float],
        wanted: Sequence[bool] | None = None,
    ) -> Iterable[ByteArray | None]:
        """Draw like `BetweenStage.decode_between`."""
        decoder = self._decoder
        assert isinstance(decoder, BetweenStage), "asked of such decoders only"
        return self._each(decoder.decode_between(latents, second, below, above, share, wanted))

    def _each(self, pictures: Iterable[ByteArray | None]) -> Iterable[ByteArray | None]:
        raise NotImplementedError


class EnlargedPictures(WrappedPictures):
    """A decoder of small pictures, enlarged to the size of the stream."""

    def __init__(self, decoder: PictureStage, size_px: int) -> None:
        """Wrap a decoder.

        Args:
            decoder: draws.
            size_px: width and height of what comes out.
        """
        super().__init__(decoder)
        self._size = (size_px, size_px)

    def _each(self, pictures: Iterable[ByteArray | None]) -> Iterable[ByteArray | None]:
        import cv2

        for picture in pictures:
            if picture is None:
                yield None
            else:
                enlarged = cv2.resize(picture, self._size, interpolation=cv2.INTER_LINEAR)
                yield np.asarray(enlarged, np.uint8)

"""Reads picture files of any common kind into straight-alpha RGBA, and refuses the rest clearly.

EXIF rotation is honoured; grayscale, palette, CMYK and 16-bit pictures are converted; of an
animated picture the first frame is taken.
"""

import warnings
from pathlib import Path
from typing import Final

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from rest_bridge.errors import AvatarError
from rest_bridge.types import ByteArray

MIN_SIDE_PX: Final = 64
MAX_SIDE_PX: Final = 16_384
MAX_PIXELS: Final = 100_000_000
"""More are refused before anything is decoded; a phone takes 50 million."""
_WORKING_SIDE_PX: Final = 4096
"""Larger pictures are scaled down: the canvas keeps at most 1536 pixels of them."""


def read_picture(path: Path) -> ByteArray:
    """Read a picture.

    Args:
        path: a picture file.

    Returns:
        uint8 [H, W, 4], straight alpha, upright, neither side longer than 4096.

    Raises:
        AvatarError: missing, not a picture, too small, too large or damaged.
    """
    if not path.is_file():
        raise AvatarError(f"The picture does not exist: {path}")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # our own limits apply, and say more
            with Image.open(path) as image:
                _check_size(image, path)
                image.draft("RGB", (_WORKING_SIDE_PX, _WORKING_SIDE_PX))
                rgba = _rgba(ImageOps.exif_transpose(image))
    except UnidentifiedImageError as error:
        raise AvatarError(
            f"This is not a picture that can be read (PNG, JPEG, WebP, ...): {path}"
        ) from error
    except Image.DecompressionBombError as error:
        raise AvatarError(
            f"The picture has far more than {MAX_PIXELS // 1_000_000} million pixels, which is the "
            f"most that is read, so scale it down: {path}"
        ) from error
    except (OSError, ValueError, SyntaxError) as error:
        raise AvatarError(f"The picture is damaged ({error}): {path}") from error
    if max(rgba.size) > _WORKING_SIDE_PX:
        rgba.thumbnail((_WORKING_SIDE_PX, _WORKING_SIDE_PX), Image.Resampling.LANCZOS)
    return np.ascontiguousarray(np.asarray(rgba))


def _check_size(image: Image.Image, path: Path) -> None:
    width, height = image.size
    if min(width, height) < MIN_SIDE_PX:
        raise AvatarError(
            f"The picture is only {width} x {height} pixels; at least {MIN_SIDE_PX} on each side "
            f"are needed to make a face of it: {path}"
        )
    if max(width, height) > MAX_SIDE_PX or width * height > MAX_PIXELS:
        raise AvatarError(
            f"The picture has {width} x {height} pixels; up to {MAX_SIDE_PX} on a side and "
            f"{MAX_PIXELS // 1_000_000} million in all are read, so scale it down: {path}"
        )


def _rgba(image: Image.Image) -> Image.Image:
    if image.mode.startswith("I;16") or image.mode in ("I", "F"):
        values = np.asarray(image, np.float64)
        top = 65535.0 if values.max() > 255 else 255.0
        grey = np.clip(values / top * 255 + 0.5, 0, 255).astype(np.uint8)
        return Image.fromarray(grey).convert("RGBA")
    if image.mode == "CMYK":
        return image.convert("RGB").convert("RGBA")
    return image.convert("RGBA")

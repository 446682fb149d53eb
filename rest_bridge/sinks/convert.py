"""From straight-alpha RGBA frames to what an output wants: size, background, pixel format.

Every sink converts once, at its own edge (DESIGN.md section 4). This module knows pictures only:
nothing of time, devices or messages.

Shape letters: H/W pixels of the picture handed in, Ho/Wo pixels of the output.
All pictures are uint8, top row first.
"""

from pathlib import Path
from typing import Final, Literal, NamedTuple

import cv2
import numpy as np

from rest_bridge.errors import ConfigError
from rest_bridge.sinks.alpha import over, premultiply
from rest_bridge.sinks.blur import BlurredSelf
from rest_bridge.types import ByteArray

Fit = Literal["contain", "cover", "stretch"]
"""`contain` shows the whole picture with bars, `cover` fills and crops, `stretch` distorts."""

COLOURS: Final[dict[str, tuple[int, int, int]]] = {
    "black": (0, 0, 0),
    "white": (255, 255, 255),
    "grey": (128, 128, 128),
    "gray": (128, 128, 128),
    "green": (0, 177, 64),  # the broadcast chroma green, which keys better than pure green
    "blue": (0, 71, 187),
    "magenta": (255, 0, 255),
}


BLUR: Final = "blur"
"""The background that is made of the picture itself, out of focus."""
_BEFORE_BLUR: Final = "#202428"


class Placement(NamedTuple):
    """Where a scaled picture lies on the output, in output pixels; may reach over the edges."""

    x: int
    y: int
    width: int
    height: int


def place(width: int, height: int, out_width: int, out_height: int, fit: Fit) -> Placement:
    """Scale a picture into an output as `fit` says and centre it.

    Args:
        width: picture width in pixels.
        height: picture height in pixels.
        out_width: output width in pixels.
        out_height: output height in pixels.
        fit: how to treat a different aspect ratio.

    Returns:
        The rectangle that the whole picture covers, with even offsets (4:2:0 chroma stays whole).
    """
    if fit == "stretch":
        return Placement(0, 0, out_width, out_height)
    scales = (out_width / width, out_height / height)
    scale = min(scales) if fit == "contain" else max(scales)
    scaled_width, scaled_height = round(width * scale), round(height * scale)
    x = (out_width - scaled_width) // 2
    y = (out_height - scaled_height) // 2
    return Placement(x - x % 2, y - y % 2, max(1, scaled_width), max(1, scaled_height))


def parse_background(text: str) -> tuple[int, int, int] | Path | Literal["blur"]:
    """Read a background given by a user: a colour name, `#RRGGBB`, a picture's path, or "blur".

    Args:
        text: what the user wrote.

    Returns:
        The colour as (red, green, blue), the path of an existing file, or "blur".

    Raises:
        ConfigError: none of these.
    """
    word = text.strip().lower()
    if word == BLUR:
        return BLUR
    if word in COLOURS:
        return COLOURS[word]
    digits = word.removeprefix("#")
    if len(digits) == 6 and word.startswith("#"):
        try:
            red, green, blue = bytes.fromhex(digits)
        except ValueError:
            pass
        else:
            return red, green, blue
    path = Path(text.strip()).expanduser()
    if path.is_file():
        return path
    raise ConfigError(
        f"background {text!r} is neither a colour nor a picture file: give #RRGGBB, one of "
        f"{', '.join(sorted(COLOURS))}, the path of a picture, or {BLUR}"
    )


def load_background(path: Path, width: int, height: int) -> ByteArray:
    """Read a picture and crop it to fill the output.

    Args:
        path: any picture that OpenCV reads.
        width: output width in pixels.
        height: output height in pixels.

    Returns:
        RGB uint8 [height, width, 3].

    Raises:
        ConfigError: the file is no picture that can be read.
    """
    data = np.fromfile(path, np.uint8)  # imread cannot open non-ASCII paths on Windows
    picture = cv2.imdecode(data, cv2.IMREAD_COLOR) if data.size else None
    if picture is None:
        raise ConfigError(
            f"the background is not a picture that can be read; use PNG or JPEG: {path}"
        )
    canvas = np.zeros((height, width, 3), np.uint8)
    source = np.asarray(cv2.cvtColor(picture, cv2.COLOR_BGR2RGB), np.uint8)
    _paste(source, canvas, place(source.shape[1], source.shape[0], width, height, "cover"))
    return canvas


def make_background(text: str, width: int, height: int) -> ByteArray:
    """Make the background that a user asked for (`parse_background`) in the output's size.

    Args:
        text: what the user wrote.
        width: output width in pixels.
        height: output height in pixels.

    Returns:
        RGB uint8 [height, width, 3].

    Raises:
        ConfigError: neither a colour nor a picture; "blur" follows its pictures (`FrameFitter`).
    """
    background = parse_background(text)
    if isinstance(background, Path):
        return load_background(background, width, height)
    if background == BLUR:
        raise ConfigError(f"the background {BLUR!r} is for cameras; give a colour or a picture")
    return np.full((height, width, 3), background, np.uint8)


def is_opaque(rgba: ByteArray) -> bool:
    """Whether every pixel of uint8 [H, W, 4] has full alpha."""
    return cv2.minMaxLoc(cv2.extractChannel(rgba, 3))[0] == 255


class FrameFitter:
    """Brings straight-alpha frames to a fixed size on a fixed background.

    Bars take the background. Keeps its scratch buffers, so one object serves one thread.

    Args:
        width: output width in pixels.
        height: output height in pixels.
        background: see `parse_background`.
        fit: how to treat a different aspect ratio.
        mirror: swap left and right of the picture; a background picture stays as it is.

    Raises:
        ConfigError: the background is neither a colour nor a picture.
    """

    def __init__(
        self,
        width: int,
        height: int,
        *,
        background: str = "black",
        fit: Fit = "contain",
        mirror: bool = False,
    ) -> None:
        self.width = width
        self.height = height
        self._fit: Fit = fit
        self._mirror = mirror
        self._blur: BlurredSelf | None = None
        if parse_background(background) == BLUR:
            self._blur, background = BlurredSelf(width, height), _BEFORE_BLUR
        self._set_background(make_background(background, width, height))
        self._canvas = self._background.copy()

    def _set_background(self, background: ByteArray) -> None:
        self._background = background
        self._is_plain = bool((background == background[0, 0]).all())
        self._placement: Placement | None = None

    def rgb(self, rgba: ByteArray) -> ByteArray:
        """Scale and composite one frame.

        Args:
            rgba: uint8 [H, W, 4], straight alpha.

        Returns:
            uint8 [height, width, 3], RGB; overwritten by the next call.
        """
        if self._mirror:
            rgba = np.asarray(cv2.flip(rgba, 1), np.uint8)
        if self._blur is not None:
            fresh = self._blur.of(rgba)
            if fresh is not None:
                self._set_background(fresh)
        where = place(rgba.shape[1], rgba.shape[0], self.width, self.height, self._fit)
        if where != self._placement:  # the bars moved; otherwise they still hold
            np.copyto(self._canvas, self._background)
            self._placement = where
        if is_opaque(rgba):
            rgb = np.asarray(cv2.cvtColor(rgba, cv2.COLOR_RGBA2RGB), np.uint8)
            _paste(rgb, self._canvas, where)
        elif self._is_plain:  # one colour everywhere: composite at the smaller size, then scale
            plain = np.full((*rgba.shape[:2], 3), self._background[0, 0], np.uint8)
            _paste(over(premultiply(rgba), plain), self._canvas, where)
        else:
            premultiplied = _scaled(premultiply(rgba), self._canvas, where)
            behind = np.ascontiguousarray(_covered(self._background, where))
            _covered(self._canvas, where)[:] = over(np.ascontiguousarray(premultiplied), behind)
        return self._canvas


def composite(rgba: ByteArray, background: ByteArray) -> ByteArray:
    """Lay a straight-alpha picture over an opaque one of the same size.

    Args:
        rgba: uint8 [H, W, 4], straight alpha.
        background: RGB uint8 [H, W, 3].

    Returns:
        RGB uint8 [H, W, 3].
    """
    if is_opaque(rgba):
        return np.asarray(cv2.cvtColor(rgba, cv2.COLOR_RGBA2RGB), np.uint8)
    return over(premultiply(rgba), background)


def to_bgra(rgba: ByteArray) -> ByteArray:
    """Swap red and blue of uint8 [H, W, 4]; alpha stays straight (OBS, Unreal)."""
    return np.asarray(cv2.cvtColor(rgba, cv2.COLOR_RGBA2BGRA), np.uint8)


def to_i420(rgb: ByteArray) -> ByteArray:
    """Convert RGB to planar 4:2:0, BT.601 limited range (what webcams deliver).

    Args:
        rgb: uint8 [H, W, 3], H and W even.

    Returns:
        uint8 [H * 3 // 2, W]: the Y rows, then U and V at half size, packed.
    """
    return np.asarray(cv2.cvtColor(rgb, cv2.COLOR_RGB2YUV_I420), np.uint8)


def _paste(picture: ByteArray, canvas: ByteArray, where: Placement) -> None:
    np.copyto(_covered(canvas, where), _scaled(picture, canvas, where))


def _covered(canvas: ByteArray, where: Placement) -> ByteArray:
    """The part of a canvas that a placement covers, as a view."""
    bottom, right = where.y + where.height, where.x + where.width
    return canvas[max(0, where.y) : max(0, bottom), max(0, where.x) : max(0, right)]


def _scaled(picture: ByteArray, canvas: ByteArray, where: Placement) -> ByteArray:
    """Scale a picture for a placement and cut off what lies outside the canvas."""
    size = (where.width, where.height)
    if size != (picture.shape[1], picture.shape[0]):
        shrinks = where.width * where.height < picture.shape[0] * picture.shape[1]
        # Averaging areas has no aliasing when shrinking; it would be blocky when growing.
        method = cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
        picture = np.asarray(cv2.resize(picture, size, interpolation=method), np.uint8)
    left, top = max(0, -where.x), max(0, -where.y)
    right = min(where.width, canvas.shape[1] - where.x)
    bottom = min(where.height, canvas.shape[0] - where.y)
    return picture[top:bottom, left:right]

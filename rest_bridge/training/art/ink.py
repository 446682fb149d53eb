"""Vector drawing for the built-in faces: curves, tapered ink lines, gradients and soft shading.

A thin layer over skia that speaks the language of an illustrator. It knows nothing of faces.
All coordinates are canvas pixels, x to the right, y down; the sheet is drawn at `OVERSAMPLING`
times its size and area-averaged, so that hair-thin lines stay even.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import cv2
import numpy as np

try:
    import skia
except ImportError as error:
    raise ImportError("Drawing needs skia-python; install it: pip install skia-python") from error
from numpy.typing import ArrayLike, NDArray

OVERSAMPLING = 2

Points = NDArray[np.float64]
Ink = str | skia.Shader
Curve = ArrayLike | str


def points(values: Curve) -> Points:
    """Return `values` as float64 [N, 2] canvas points.

    A text lists points as SVG does, "x y, x y, ...".
    """
    if isinstance(values, str):
        values = [float(number) for number in values.replace(",", " ").split()]
    return np.asarray(values, np.float64).reshape(-1, 2)


def mirror(values: Curve, axis_x: float) -> Points:
    """Reflect points [N, 2] at the vertical line x = `axis_x`, keeping their order."""
    return points(values) * (-1, 1) + (2 * axis_x, 0)


def colour(code: str, alpha: float = 1.0) -> skia.Color4f:
    """Turn '#rrggbb' or '#rrggbbaa' into a colour, its alpha multiplied by `alpha` (0..1)."""
    digits = code.lstrip("#")
    values = [int(digits[i : i + 2], 16) / 255 for i in range(0, len(digits), 2)]
    opacity = values[3] if len(values) == 4 else 1.0
    return skia.Color4f(values[0], values[1], values[2], opacity * alpha)


def mix(first: str, second: str, amount: float) -> str:
    """Blend two '#rrggbb' colours; `amount` 0 gives the first, 1 the second."""
    a, b = (np.array([int(c[i : i + 2], 16) for i in (1, 3, 5)]) for c in (first, second))
    return "#" + "".join(f"{int(v):02x}" for v in np.round(a + (b - a) * amount))


def linear(start: ArrayLike, end: ArrayLike, colours: Sequence[str], stops: Sequence[float] = ()):
    """Return a linear gradient shader from `start` to `end`."""
    return skia.GradientShader.MakeLinear(
        points=[tuple(map(float, start)), tuple(map(float, end))],
        colors=[colour(c).toColor() for c in colours],
        positions=list(stops) or None,
    )


def radial(centre: ArrayLike, radius: float, colours: Sequence[str], stops: Sequence[float] = ()):
    """Return a radial gradient shader, first colour in the middle."""
    return skia.GradientShader.MakeRadial(
        center=tuple(map(float, centre)),
        radius=float(radius),
        colors=[colour(c).toColor() for c in colours],
        positions=list(stops) or None,
    )


def smooth(values: Curve, num_points: int = 64, *, closed: bool = False) -> Points:
    """Sample a centripetal Catmull-Rom curve through `values` at `num_points` even steps.

    Args:
        values: float [N, 2] points the curve passes through, N >= 2.
        num_points: how many samples to return.
        closed: join the last point to the first.

    Returns:
        float64 [num_points, 2], evenly spaced (closed: the first is not repeated).
    """
    p = points(values)
    if closed:
        p = np.concatenate([p[-1:], p, p[:2]])
    else:
        p = np.concatenate([2 * p[:1] - p[1:2], p, 2 * p[-1:] - p[-2:-1]])
    knots = np.concatenate(
        [[0], np.cumsum(np.linalg.norm(np.diff(p, axis=0), axis=1) ** 0.5 + 1e-6)]
    )
    pieces = []
    for i in range(1, len(p) - 2):
        t = np.linspace(knots[i], knots[i + 1], 24, endpoint=False)[:, None]
        k = knots[i - 1 : i + 3]
        a = [
            p[i - 1 + j] * (k[j + 1] - t) / (k[j + 1] - k[j])
            + p[i + j] * (t - k[j]) / (k[j + 1] - k[j])
            for j in range(3)
        ]
        b = [
            a[j] * (k[j + 2] - t) / (k[j + 2] - k[j]) + a[j + 1] * (t - k[j]) / (k[j + 2] - k[j])
            for j in range(2)
        ]
        pieces.append((b[0] * (k[2] - t) + b[1] * (t - k[1])) / (k[2] - k[1]))
    dense = np.concatenate([*pieces, p[-2:-1]])
    return resample(dense, num_points + 1)[:-1] if closed else resample(dense, num_points)


def resample(polyline: Curve, num_points: int) -> Points:
    """Return `num_points` points evenly spaced along a polyline [N, 2]."""
    p = points(polyline)
    along = np.concatenate([[0], np.cumsum(np.linalg.norm(np.diff(p, axis=0), axis=1))])
    at = np.linspace(0, along[-1], num_points)
    return np.stack([np.interp(at, along, p[:, 0]), np.interp(at, along, p[:, 1])], 1)


def normals(polyline: Curve) -> Points:
    """Return the unit normals [N, 2] of a polyline (tangent turned by +90 degrees on screen)."""
    tangent = np.gradient(points(polyline), axis=0)
    tangent /= np.linalg.norm(tangent, axis=1, keepdims=True) + 1e-9
    return np.stack([-tangent[:, 1], tangent[:, 0]], 1)


def polygon(values: Curve) -> skia.Path:
    """Return the closed path through points [N, 2] with straight edges (dense ones look smooth)."""
    path = skia.Path()
    path.addPoly([skia.Point(float(x), float(y)) for x, y in points(values)], True)
    return path


def blob(values: Curve) -> skia.Path:
    """Return a smooth closed path through points [N, 2]."""
    return polygon(smooth(values, max(96, 12 * len(points(values))), closed=True))


def ellipse(centre: ArrayLike, radii: ArrayLike, degrees: float = 0.0) -> skia.Path:
    """Return an ellipse with half axes `radii`, turned by `degrees` (clockwise on screen)."""
    t = np.linspace(0, 2 * np.pi, 129)[:-1]
    p = np.stack([np.cos(t), np.sin(t)], 1) * points(radii)
    c, s = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    return polygon(p @ np.array([[c, s], [-s, c]]) + points(centre))


def ribbon(spine: Curve, widths: ArrayLike) -> Points:
    """Return the outline [2N, 2] of a band around `spine` [N, 2] with full width `widths` [N]."""
    p = points(spine)
    offset = normals(p) * (np.broadcast_to(np.asarray(widths, float), len(p)) / 2)[:, None]
    return np.concatenate([p + offset, (p - offset)[::-1]])


def taper(num_points: int, width: float, start: float, end: float, bulge: float = 0.5) -> Points:
    """Make stroke widths that grow from `start` * width to width and shrink to `end` * width.

    Args:
        num_points: N.
        width: greatest width, px.
        start: relative width at the first point, 0..1.
        end: relative width at the last point, 0..1.
        bulge: where the stroke is widest, 0..1.

    Returns:
        float64 [N], px.
    """
    t = np.linspace(0, 1, num_points)
    rise = start + (1 - start) * np.sin(np.clip(t / max(bulge, 1e-6), 0, 1) * np.pi / 2)
    fall = end + (1 - end) * np.sin(np.clip((1 - t) / max(1 - bulge, 1e-6), 0, 1) * np.pi / 2)
    return width * np.minimum(rise, fall)


def union(paths: Sequence[skia.Path]) -> skia.Path:
    """Return the union of filled paths."""
    builder = skia.OpBuilder()
    for path in paths:
        builder.add(path, skia.PathOp.kUnion_PathOp)
    return builder.resolve()


class Sheet:
    """A transparent picture to draw on.

    Args:
        size: width and height, px.
    """

    def __init__(self, size: int) -> None:
        self.size = size
        self._surface = skia.Surface(size * OVERSAMPLING, size * OVERSAMPLING)
        self._canvas = self._surface.getCanvas()
        self._canvas.clear(skia.ColorTRANSPARENT)
        self._canvas.scale(OVERSAMPLING, OVERSAMPLING)

    def fill(
        self,
        path: skia.Path | Curve,
        ink: Ink,
        *,
        alpha: float = 1.0,
        blur: float = 0.0,
        mode: skia.BlendMode = skia.BlendMode.kSrcOver,
        offset: tuple[float, float] = (0.0, 0.0),
    ) -> None:
        """Fill a path (or the polygon through points [N, 2]).

        Args:
            path: what to fill.
            ink: '#rrggbb[aa]' or a gradient.
            alpha: opacity 0..1.
            blur: softness of the edge, px (Gaussian sigma).
            mode: how the ink combines with what is there.
            offset: shift of the shape, px.
        """
        shape = path if isinstance(path, skia.Path) else polygon(path)
        paint = skia.Paint(AntiAlias=True, BlendMode=mode)
        if isinstance(ink, str):
            paint.setColor4f(colour(ink, alpha))
        else:
            paint.setShader(ink)
            paint.setAlphaf(alpha)
        if blur:
            paint.setMaskFilter(skia.MaskFilter.MakeBlur(skia.kNormal_BlurStyle, blur))
        self._canvas.save()
        self._canvas.translate(*offset)
        self._canvas.drawPath(shape, paint)
        self._canvas.restore()

    def line(
        self,
        values: Curve,
        width: float,
        ink: Ink,
        *,
        start: float = 0.15,
        end: float = 0.15,
        bulge: float = 0.5,
        alpha: float = 1.0,
        blur: float = 0.0,
        straight: bool = False,
        mode: skia.BlendMode = skia.BlendMode.kSrcOver,
    ) -> None:
        """Draw a pen stroke through points [N, 2], thin at the ends as `taper` says."""
        p = points(values) if straight else smooth(values, 96)
        outline = ribbon(p, taper(len(p), width, start, end, bulge))
        self.fill(polygon(outline), ink, alpha=alpha, blur=blur, mode=mode)

    @contextmanager
    def clip(self, path: skia.Path) -> Iterator[None]:
        """Keep everything drawn inside the block within `path`."""
        self._canvas.save()
        self._canvas.clipPath(path, skia.ClipOp.kIntersect, True)
        try:
            yield
        finally:
            self._canvas.restore()

    @contextmanager
    def layer(
        self, alpha: float = 1.0, mode: skia.BlendMode = skia.BlendMode.kSrcOver
    ) -> Iterator[None]:
        """Draw the block on a layer of its own, then lay it over the sheet."""
        self._canvas.saveLayer(None, skia.Paint(Alphaf=alpha, BlendMode=mode))
        try:
            yield
        finally:
            self._canvas.restore()

    def pixels(self) -> NDArray[np.uint8]:
        """Return the picture: uint8 [size, size, 4], straight-alpha RGBA."""
        big = self._surface.toarray(colorType=skia.kRGBA_8888_ColorType).astype(np.float32)
        premultiplied = big.copy()
        premultiplied[..., :3] *= big[..., 3:] / 255
        small = cv2.resize(premultiplied, (self.size, self.size), interpolation=cv2.INTER_AREA)
        opacity = np.maximum(small[..., 3:], 1e-3) / 255
        straight = np.concatenate([small[..., :3] / opacity, small[..., 3:]], 2)
        straight[small[..., 3] < 0.5] = 0
        return np.clip(np.round(straight), 0, 255).astype(np.uint8)

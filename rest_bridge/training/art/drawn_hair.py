"""Hair for drawn characters: locks with cel shading, a broken ring of light and fine strands.

A lock is a spine and a width. Everything else (shade side, highlights, strands, outline) follows
from it, so that a whole head of hair keeps one light. Light comes from the upper left.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import skia

from rest_bridge.training.art.ink import (
    Curve,
    Points,
    Sheet,
    linear,
    normals,
    points,
    polygon,
    ribbon,
    smooth,
)

_SAMPLES = 80


@dataclass(frozen=True)
class HairColours:
    """Colours ('#rrggbb') of one head of hair, dark to light."""

    line: str
    deep: str
    shade: str
    base: str
    light: str
    tip: str


@dataclass(frozen=True)
class Lock:
    """One lock of hair.

    Attributes:
        spine: float [N, 2], root to tip, canvas px.
        width: greatest width, px.
        root: relative width at the root, 0..1.
        belly: where the lock is widest, 0..1 along the spine.
        point: how sharp the tip is; larger is sharper.
    """

    spine: Points
    width: float
    root: float = 0.55
    belly: float = 0.5
    point: float = 0.9

    def curve(self) -> Points:
        """Return the spine as a smooth curve, float64 [80, 2]."""
        return smooth(self.spine, _SAMPLES)

    def widths(self) -> Points:
        """Return the width along the curve, float64 [80], px."""
        t = np.linspace(0, 1, _SAMPLES)
        rise = self.root + (1 - self.root) * np.sin(np.clip(t / self.belly, 0, 1) * np.pi / 2)
        fall = np.clip((1 - t) / (1 - self.belly), 0, 1) ** self.point
        return self.width * np.minimum(rise, 1) * np.minimum(fall * (2 - fall) ** 0.5, 1)

    def outline(self) -> skia.Path:
        """Return the closed shape of the lock."""
        return polygon(ribbon(self.curve(), self.widths()))


def lock(spine: Curve, width: float, **shape: float) -> Lock:
    """Build a `Lock` from any array-like spine."""
    return Lock(points(spine), width, **shape)


def draw_lock(
    sheet: Sheet,
    item: Lock,
    colours: HairColours,
    *,
    rng: np.random.Generator,
    ring: Callable[[float], float] | None = None,
    tip_span: tuple[float, float] = (520.0, 760.0),
    line_from: float = 0.12,
    line_width: float = 3.4,
) -> None:
    """Paint one lock over what is on the sheet.

    Args:
        sheet: where to paint.
        item: the lock.
        colours: palette.
        rng: for the strands; the same seed paints the same hair.
        ring: height y of the ring of light at x, or None for none.
        tip_span: heights (y) between which the base colour turns into the tip colour.
        line_from: where along the lock its outline fades in, 0..1 (roots blend into the head).
        line_width: px.
    """
    curve, widths, outline = item.curve(), item.widths(), item.outline()
    side = normals(curve)
    start = int(line_from * _SAMPLES)
    ramp = linear(
        (0, tip_span[0] - 260),
        (0, tip_span[1]),
        [colours.base, colours.base, colours.tip],
        [0.0, 260 / (tip_span[1] - tip_span[0] + 260), 1.0],
    )
    sheet.fill(outline, ramp)
    with sheet.clip(outline):
        # The normal points to screen left of a downward stroke; shade the side away from the light.
        away = np.where(side[:, :1] > 0, -1.0, 1.0) * side
        shade = curve + away * (widths * 0.36)[:, None]
        sheet.fill(ribbon(shade, widths * 0.36), colours.shade, alpha=0.85)
        sheet.fill(
            ribbon(shade + away * (widths * 0.1)[:, None], widths * 0.16), colours.deep, alpha=0.45
        )
        glow = curve - away * (widths * 0.3)[:, None]
        sheet.fill(ribbon(glow, widths * 0.22), colours.light, alpha=0.35, blur=4)
        if ring is not None:
            _draw_ring(sheet, curve, widths, side, colours, ring, rng)
        for _ in range(max(2, int(item.width / 13))):
            across = rng.uniform(-0.42, 0.42)
            a, b = sorted(rng.integers(start, _SAMPLES, 2))
            if b - a > 10:
                strand = (curve + side * (widths * across)[:, None])[a:b]
                tone = colours.light if rng.random() < 0.35 else colours.line
                sheet.line(
                    strand, rng.uniform(1.0, 2.0), tone, alpha=0.5, start=0, end=0, straight=True
                )
    for sign in (-1, 1):
        edge = (curve + side * (widths * 0.5 * sign)[:, None])[start:]
        sheet.line(edge, line_width, colours.line, start=0.0, end=0.5, bulge=0.75, straight=True)


def _draw_ring(
    sheet: Sheet,
    curve: Points,
    widths: Points,
    side: Points,
    colours: HairColours,
    ring: Callable[[float], float],
    rng: np.random.Generator,
) -> None:
    """Lay the ring of light over one lock as a row of spindles along the flow of the hair."""
    height = np.array([y - ring(x) for x, y in curve])
    crossing = np.nonzero(np.diff(np.sign(height)) > 0)[0]
    if len(crossing) == 0:
        return
    middle = int(crossing[0])
    step = float(np.linalg.norm(np.diff(curve, axis=0), axis=1).mean())
    for across in np.arange(-0.46, 0.47, 0.08):
        reach = rng.uniform(9, 27) / step
        shift = rng.uniform(-5, 5) / step
        a = int(np.clip(middle + shift - reach, 0, _SAMPLES - 2))
        b = int(np.clip(middle + shift + reach * 0.9, a + 2, _SAMPLES))
        spindle = (curve + side * (widths * across)[:, None])[a:b]
        if len(spindle) > 4:
            sheet.line(
                spindle, float(widths[middle]) * 0.13, colours.light, start=0, end=0, straight=True
            )

"""Draws latency as a picture: how often each value came, and what it is made of (SVG, no library).

For `rest-bridge bench --picture`; the figures themselves are in the report.
"""

from collections.abc import Callable, Mapping, Sequence
from html import escape
from typing import Final

import numpy as np

_WIDTH, _HEIGHT, _MARGIN = 860, 470, 60
_BARS_HEIGHT: Final = 230
_BIN_MS: Final = 5.0
_MOST_BINS: Final = 120
_INK, _FAINT, _BAR, _GOAL = "#1f2933", "#9aa5b1", "#4c78a8", "#c0392b"
_SHADES: Final = (
    "#4c78a8", "#72a0c9", "#f2a541", "#7a9e7e", "#54857a", "#8e6c8a", "#c9b6c6", "#b56576",
)  # fmt: skip


def latency_svg(
    title: str,
    latencies_ms: Sequence[float],
    stages_ms: Mapping[str, float],
    *,
    goals_ms: Mapping[str, float],
) -> str:
    """Return a histogram above a bar that is divided into the stages' medians.

    Args:
        title: what was measured, where.
        latencies_ms: one value for each frame.
        stages_ms: median by stage, in the order of a frame's way.
        goals_ms: lines to draw, by their name.

    Returns:
        An SVG document.
    """
    values = np.asarray(latencies_ms, np.float64)
    top_ms = max([200.0, *goals_ms.values(), float(values.max(initial=0.0))]) + 2 * _BIN_MS
    width_ms = max(_BIN_MS, top_ms / _MOST_BINS)
    counts, edges = np.histogram(values, np.arange(0.0, top_ms + width_ms, width_ms))
    top_ms = float(edges[-1])
    plot = _WIDTH - 2 * _MARGIN

    def x(ms: float) -> float:
        return _MARGIN + plot * ms / top_ms

    base = 60 + _BARS_HEIGHT
    parts = [_text(_MARGIN, 28, title, size=15, weight="bold")]
    highest = max(1, int(counts.max(initial=0)))
    for count, left in zip(counts, edges, strict=False):
        if count:
            height = _BARS_HEIGHT * count / highest
            parts.append(_box(x(left), base - height, plot * width_ms / top_ms - 1, height, _BAR))
    parts += _axis(x, base, top_ms)
    for name, goal in goals_ms.items():
        parts.append(_line(x(goal), 52, x(goal), base, _GOAL, dash="5 4"))
        parts.append(_text(x(goal) + 4, 50, f"{name} {goal:.0f}", colour=_GOAL, size=11))
    if len(values):
        p50, p95 = np.percentile(values, (50, 95))
        facts = f"median {p50:.0f} ms, p95 {p95:.0f} ms, most {values.max():.0f} ms"
        facts = f"{facts}, {len(values)} frames"
        parts.append(_text(_WIDTH - _MARGIN, 28, facts, anchor="end"))
    parts += _stages(stages_ms, x, base + 66)
    body = "\n".join(parts)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {_HEIGHT}" '
        f'font-family="Helvetica, Arial, sans-serif" font-size="12">\n'
        f'<rect width="{_WIDTH}" height="{_HEIGHT}" fill="white"/>\n{body}\n</svg>\n'
    )


def stages_svg(
    title: str, times_ms: Mapping[str, float], floors_ms: Mapping[str, float], *, note: str = ""
) -> str:
    """Return horizontal bars: what each stage takes, and the floor under it.

    Args:
        title: what was measured, where.
        times_ms: milliseconds by stage.
        floors_ms: least possible milliseconds by stage; missing ones have none.
        note: a line below.

    Returns:
        An SVG document.
    """
    top = max([1e-3, *times_ms.values()])
    left, plot = _MARGIN + 70, _WIDTH - 2 * _MARGIN - 150
    height = 70 + 26 * len(times_ms) + 30
    parts = [_text(_MARGIN, 28, title, size=15, weight="bold")]
    for number, (name, took) in enumerate(times_ms.items()):
        y, floor = 50 + 26 * number, floors_ms.get(name, 0.0)
        parts.append(_text(left - 8, y + 14, name, anchor="end"))
        parts.append(_box(left, y, plot * took / top, 18, _BAR))
        parts.append(_box(left, y, max(1.0, plot * floor / top), 18, _GOAL))
        facts = f"{took:.2f} ms" + (f", floor {floor:.3f}" if floor else "")
        parts.append(_text(left + plot * took / top + 6, y + 14, facts))
    parts.append(_text(_MARGIN, height - 14, note, colour=_FAINT, size=11))
    body = "\n".join(parts)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {height}" '
        f'font-family="Helvetica, Arial, sans-serif" font-size="12">\n'
        f'<rect width="{_WIDTH}" height="{height}" fill="white"/>\n{body}\n</svg>\n'
    )


def _axis(x: Callable[[float], float], base: float, top_ms: float) -> list[str]:
    step = 50 if top_ms <= 600 else 200
    parts = [_line(x(0), base, x(top_ms), base, _INK)]
    for ms in range(0, int(top_ms) + 1, step):
        parts.append(_line(x(ms), base, x(ms), base + 5, _INK))
        parts.append(_text(x(ms), base + 20, str(ms), anchor="middle"))
    label = "milliseconds from a microphone's sample to its frame at the outputs"
    parts.append(_text(x(top_ms), base + 38, label, anchor="end", colour=_FAINT))
    return parts


def _stages(stages_ms: Mapping[str, float], x: Callable[[float], float], top: float) -> list[str]:
    parts = [_text(_MARGIN, top - 8, "where it goes (medians)", weight="bold")]
    begin = 0.0
    for number, (name, length) in enumerate(stages_ms.items()):
        shade = _SHADES[number % len(_SHADES)]
        parts.append(_box(x(begin), top, max(0.0, x(begin + length) - x(begin)), 22, shade))
        left = _MARGIN + (number % 4) * (_WIDTH - 2 * _MARGIN) / 4
        line = top + 48 + (number // 4) * 22
        parts.append(_box(left, line - 10, 11, 11, shade))
        parts.append(_text(left + 17, line, f"{name.replace('_', ' ')} {length:.1f} ms"))
        begin += length
    return parts


def _text(
    x: float,
    y: float,
    text: str,
    *,
    size: int = 12,
    colour: str = _INK,
    anchor: str = "start",
    weight: str = "normal",
) -> str:
    return (
        f'<text x="{x:.1f}" y="{y:.1f}" font-size="{size}" fill="{colour}" '
        f'text-anchor="{anchor}" font-weight="{weight}">{escape(text)}</text>'
    )


def _box(x: float, y: float, width: float, height: float, colour: str) -> str:
    return (
        f'<rect x="{x:.1f}" y="{y:.1f}" width="{width:.1f}" height="{height:.1f}" fill="{colour}"/>'
    )


def _line(x: float, y: float, x2: float, y2: float, colour: str, *, dash: str = "") -> str:
    dashed = f' stroke-dasharray="{dash}"' if dash else ""
    return (
        f'<line x1="{x:.1f}" y1="{y:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" stroke="{colour}"{dashed}/>'
    )

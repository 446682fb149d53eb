"""Large anime eyes and brows, in a local frame: u outwards from the eye's middle, v down (px).

The right eye (image right) is drawn as given, the left one mirrored; the catch lights are not
mirrored, because both eyes see the same lamp.
"""

from __future__ import annotations

import numpy as np
import skia

from rest_bridge.training.art.ink import (
    Curve,
    Points,
    Sheet,
    ellipse,
    linear,
    points,
    polygon,
    radial,
    ribbon,
    smooth,
)

AXIS, EYE_X, EYE_Y, SCALE = 512.0, 99.0, 438.0, 1.15

UPPER_LID = points("-52 11, -45 -12, -22 -37, 10 -45, 40 -32, 58 3")
LOWER_LID = points("58 3, 53 26, 37 45, 8 52, -22 45, -43 29, -52 11")
CLOSED_LID = points("-54 20, -34 34, -4 42, 28 38, 49 26, 60 12")
CREASE = points("-32 -36, -10 -51, 18 -56, 42 -47, 58 -32")
BROW = points("-43 -75, -14 -85, 22 -88, 52 -77, 68 -62")
IRIS, IRIS_RADII = (0.0, 2.0), (45.0, 57.0)

LASH, LASH_WARM = "#2b1836", "#7a3350"
IRIS_COLOURS = ["#1d1247", "#4a2aa0", "#8a5bea", "#6fd7ff", "#d4fff4"]


def _place(values: Curve, left: bool) -> Points:
    sign = -1.0 if left else 1.0
    return points(values) * (sign * SCALE, SCALE) + (AXIS + sign * EYE_X, EYE_Y)


def _opening(left: bool) -> skia.Path:
    return polygon(
        np.concatenate([smooth(_place(UPPER_LID, left), 60), smooth(_place(LOWER_LID, left), 60)])
    )


def draw(sheet: Sheet, *, left: bool, closed: bool, skin: tuple[str, str, str]) -> None:
    """Draw one eye.

    Args:
        sheet: where to draw.
        left: the eye on the image's left.
        closed: draw the lid down instead.
        skin: base, shade and line colour of the skin.
    """

    def place(values: Curve) -> Points:
        return _place(values, left)

    if closed:
        _draw_closed(sheet, left, skin)
        return
    eye = _opening(left)
    sheet.fill(eye, linear((0, EYE_Y - 46), (0, EYE_Y + 40), ["#c9bfe0", "#fbf8ff", "#ffffff"]))
    with sheet.clip(eye):
        _draw_iris(sheet, place([IRIS])[0])
        shadow = ribbon(smooth(place(UPPER_LID), 60), 34)
        sheet.fill(shadow, "#3a2a6a", alpha=0.45, blur=2.5, offset=(0, 3))
    _draw_catch_lights(sheet, place([IRIS])[0], eye)
    lid = smooth(place(UPPER_LID), 90)
    width = np.interp(np.linspace(0, 1, 90), [0, 0.15, 0.55, 0.9, 1], [3, 7, 14, 19, 15])
    inner, outer = place([(-52, 0)])[0], place([(62, 0)])[0]
    ink = linear(inner, outer, [LASH_WARM, LASH, LASH, LASH_WARM], [0, 0.2, 0.8, 1])
    sheet.fill(ribbon(lid, width), ink)
    wings = [
        [(38, -35), (54, -27), (64, -27)],
        [(46, -24), (59, -14), (68, -12)],
        [(50, -11), (60, 0), (67, 2)],
    ]
    for i, wing in enumerate(wings):
        sheet.line(place(wing), 13 - 2 * i, LASH, start=0.9, end=0.0, bulge=0.2)
    sheet.line(place([(-47, -2), (-55, 10), (-60, 17)]), 5, LASH_WARM, start=0.6, end=0.0)
    sheet.line(
        place("57 12, 52 28, 38 45.5, 10 53.5, -14 50"), 4, LASH_WARM, start=0.7, end=0.0, bulge=0.3
    )
    for spike in ([(46, 38), (54, 48)], [(30, 49), (35, 60)]):
        sheet.line(place(spike), 4, LASH_WARM, start=0.9, end=0, bulge=0.1)
    sheet.line(place(CREASE), 3.6, skin[2], start=0, end=0.1, alpha=0.85)
    sheet.line(place([(-20, 61), (6, 65), (28, 61)]), 2.4, skin[1], start=0, end=0, alpha=0.8)


def _draw_iris(sheet: Sheet, centre: Points) -> None:
    x, y = centre
    rx, ry = IRIS_RADII
    disc = ellipse(centre, IRIS_RADII)
    sheet.fill(disc, linear((x, y - ry), (x, y + ry), IRIS_COLOURS, [0.0, 0.25, 0.5, 0.82, 1.0]))
    with sheet.clip(disc):
        for i, angle in enumerate(np.linspace(0.12, np.pi - 0.12, 23)):
            reach = 0.55 if i % 2 else 0.42
            a = (x + rx * reach * np.cos(angle), y + ry * reach * np.sin(angle))
            b = (x + rx * 0.97 * np.cos(angle), y + ry * 0.97 * np.sin(angle))
            sheet.line([a, b], 3.2, "#f4ffff" if i % 2 else "#3b2a9a", start=0, end=0.4, alpha=0.32)
        sheet.fill(
            ellipse((x, y + ry * 0.62), (rx * 0.62, ry * 0.3)), "#eafff6", alpha=0.75, blur=7
        )
        sheet.fill(
            ellipse((x, y - ry * 0.75), (rx * 1.1, ry * 0.55)), "#140a38", alpha=0.75, blur=9
        )
        sheet.fill(ellipse(centre, (rx * 0.4, ry * 0.42)), "#160b3a", blur=1.5)
        sheet.fill(ellipse((x, y + ry * 0.1), (rx * 0.2, ry * 0.2)), "#5a3cc0", alpha=0.6, blur=4)
    t = np.linspace(0, 2 * np.pi, 129)
    rim = np.stack([x + (rx - 2) * np.cos(t), y + (ry - 2) * np.sin(t)], 1)
    sheet.fill(ribbon(rim, 5.0), radial((x, y), ry, ["#2a1a6a", "#1b1048"]), alpha=0.95)


def _draw_catch_lights(sheet: Sheet, centre: Points, eye: skia.Path) -> None:
    x, y = centre
    with sheet.clip(eye):
        sheet.fill(ellipse((x - 16, y - 22), (14.5, 17), 12), "#ffffff", blur=0.6)
        sheet.fill(ellipse((x + 18, y + 26), (7.5, 9), 15), "#ffffff", alpha=0.95, blur=0.6)
        sheet.fill(ellipse((x - 23, y + 18), (3.6, 4.4)), "#ffffff", alpha=0.9)
        sheet.fill(ellipse((x + 17, y - 22), (8, 13), -20), "#9fd0ff", alpha=0.55, blur=3)


def _draw_closed(sheet: Sheet, left: bool, skin: tuple[str, str, str]) -> None:
    lid = smooth(_place(CLOSED_LID, left), 90)
    sheet.fill(ribbon(lid, 12), skin[1], alpha=0.7, blur=4, offset=(0, 5))
    width = np.interp(np.linspace(0, 1, 90), [0, 0.15, 0.5, 0.85, 1], [2, 6, 9, 10, 4])
    inner, outer = _place(points([(-54, 0)]), left)[0], _place(points([(62, 0)]), left)[0]
    sheet.fill(
        ribbon(lid, width),
        linear(inner, outer, [LASH_WARM, LASH, LASH, LASH_WARM], [0, 0.2, 0.8, 1]),
    )
    for lash in (
        [(26, 39), (36, 50), (40, 58)],
        [(42, 30), (56, 38), (62, 45)],
        [(53, 20), (66, 26), (74, 29)],
    ):
        sheet.line(_place(points(lash), left), 7, LASH, start=0.9, end=0, bulge=0.15)
    sheet.line(
        _place(points("-40 4, -8 16, 24 14, 48 0"), left), 3.2, skin[2], start=0, end=0, alpha=0.6
    )


def draw_brows(sheet: Sheet, ink: str) -> None:
    """Draw both brows, `ink` '#rrggbb'."""
    for left in (True, False):
        sheet.line(_place(BROW, left), 9.5, ink, start=0.4, end=0.0, bulge=0.35)


def brow_landmarks() -> Points:
    """Return the 10 brow points, float64 [10, 2], image left to right."""
    right = smooth(_place(BROW, False), 5)
    return np.concatenate([smooth(_place(BROW, True), 5)[::-1], right])


def eye_landmarks(*, closed: bool) -> Points:
    """Return the 12 eye points, float64 [12, 2], order of `face_states`."""
    upper = CLOSED_LID if closed else UPPER_LID
    lower = CLOSED_LID[::-1] if closed else LOWER_LID
    found = []
    for left in (True, False):
        top, bottom = smooth(_place(upper, left), 61), smooth(_place(lower, left), 61)
        if left:
            top, bottom = top[::-1], bottom[::-1]
        found.append(np.stack([top[0], top[20], top[40], top[60], bottom[20], bottom[40]]))
    return np.concatenate(found)

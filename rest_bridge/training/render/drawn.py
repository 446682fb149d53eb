"""Drawn characters in several manners, moved by a rig, with their true 66 points.

Place: training pictures for detector and landmarks (and whoever needs drawn faces). The face is
curves on a shallow relief that turns with the pose; features are drawn flat on it, as a 2-D
artist does. Units as in `drawn_style`: half face widths, y DOWN, origin between the eyes.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Final

import cv2
import numpy as np

from rest_bridge.training.render.drawn_sheet import (
    BACK_HAIR,
    BODY,
    FACE,
    FRACTION_BITS,
    FRONT_HAIR,
    IRIS_LEFT,
    IRIS_RIGHT,
    LASH_LEFT,
    LASH_RIGHT,
    MOUTH_INSIDE,
    WHITE_LEFT,
    WHITE_RIGHT,
    Sheet,
    ellipse,
    fixed,
    smooth,
)
from rest_bridge.training.render.drawn_style import Style
from rest_bridge.training.render.raster import Array

_EYE_STEPS: Final = np.array([0.0, 0.2, 0.8, 1.0])
_UPPER_OUTER: Final = np.array([0.2, 0.42, 0.5, 0.58, 0.8])
_LOWER_OUTER: Final = np.array([0.86, 0.68, 0.5, 0.32, 0.14])


@dataclass(frozen=True, slots=True)
class Drawn:
    """One drawing, with what moves it (see `drawn_sheet` for layers).

    Attributes:
        rgba: float32 [H, W, 4], premultiplied.
        landmarks: float32 [66, 2], pixels.
        layers: uint8 [H * supersample, W * supersample].
        nodes: layer -> float32 [N, 2], pixels of the finer grid.
    """

    rgba: Array
    landmarks: Array
    layers: Array
    nodes: Mapping[int, Array]


def draw_character(
    style: Style, rig: Array, *, size_px: int, supersample: int = 2, eye_share: float = 0.22
) -> Drawn:
    """Draw a character.

    Args:
        style: who.
        rig: float32 [58].
        size_px: height and width.
        supersample: samples along each side of a pixel.
        eye_share: eye distance over picture width.
    """
    return _Drawing(style, rig, size_px * supersample, eye_share).finish(supersample)


class _Drawing(Sheet):
    def finish(self, supersample: int) -> Drawn:
        parts: tuple[tuple[int, Callable[[], None]], ...] = (
            (BACK_HAIR, self._back_hair), (BODY, self._body), (FACE, self._face),
            (FACE, self._nose), (FACE, self._mouth), (FACE, partial(self._eye, -1)),
            (FACE, partial(self._eye, 1)), (FRONT_HAIR, self._front_hair),
            (FACE, partial(self._brow, -1)), (FACE, partial(self._brow, 1)),
        )  # fmt: skip
        for number, (layer, draw) in enumerate(parts):
            # Each part has chances of its own: an open mouth must not change the hair.
            self.layer, self.rng = layer, np.random.default_rng([self.style.seed, number])
            draw()
        self.layer = FACE
        self.follow(self.points)
        small = (self.size // supersample, self.size // supersample)
        rgba = cv2.resize(self.canvas, small, interpolation=cv2.INTER_AREA)
        rgba = rgba.astype(np.float32) / 255
        nodes = {layer: np.concatenate(curves).astype(np.float32)
                 for layer, curves in self.nodes.items()}  # fmt: skip
        points = (self.points / supersample).astype(np.float32)
        return Drawn(rgba, points, self.layers, nodes)

    def _back_hair(self) -> None:
        s = self.style
        width, top = 1 + s.hair_side, -s.hair_top
        low = max(0.2, s.hair_length) * s.chin
        outline = np.array(
            [[-width, low], [-width * 1.03, 0], [-width * 0.8, top * 0.75], [0, top],
             [width * 0.8, top * 0.75], [width * 1.03, 0], [width, low], [0, low * 0.9]]
        )  # fmt: skip
        pixels = np.array([self.place(p, -0.3, share=0.6 if p[1] > s.chin else 1.0)[0]
                           for p in smooth(outline)])  # fmt: skip
        self.shape(self.follow(pixels), s.hair * 0.8)

    def _body(self) -> None:
        s = self.style
        neck, base, broad = 0.42, s.chin + 0.45, 1.5 + 0.3 * (s.manner in ("semi", "comic"))
        skin = s.shadow if s.cel else s.skin
        column = np.array([[-neck, s.chin * 0.6], [neck, s.chin * 0.6], [neck, base + 0.3],
                           [-neck, base + 0.3]])  # fmt: skip
        self.shape(self.follow(self.place(column, 0.0, share=np.array([1.0, 1.0, 0.0, 0.0]))), skin)
        body = np.array([[-neck, base], [-broad, base + 0.4], [-broad * 1.1, base + 4],
                         [broad * 1.1, base + 4], [broad, base + 0.4], [neck, base],
                         [0, base + 0.3]])  # fmt: skip
        self.shape(self.follow(self.place(body, 0.0, share=0.0)), s.cloth)

    def _contour(self) -> Array:
        """Return the face's outline [N, 2] from the left ear over the chin to the right ear."""
        s = self.style
        drop = 0.16 * self.value("jawOpen") * (1 if s.manner in ("semi", "comic") else 0.6)
        chin, jaw = s.chin + drop, s.jaw_height * s.chin + 0.5 * drop
        side = np.array([[1.0, -0.12], [0.99, 0.12 * s.chin], [0.93, 0.36 * s.chin],
                         [s.jaw_width, jaw], [s.chin_width, chin - 0.04 * s.chin]])  # fmt: skip
        middle = np.array([[0.0, chin]])
        return smooth(np.concatenate([side * [-1, 1], middle, side[::-1]]), closed=False)

    def _face(self) -> None:
        s = self.style
        contour = self._contour()
        if s.ears:
            for side in (-1, 1):
                ear = np.array([side * 1.02, 0.12]) + ellipse(0.13, 0.2)
                self.shape(self.place(ear, -0.05), s.skin)
        skull = np.array([[0.98, -0.45], [0.7, -0.85], [0, -1.0], [-0.7, -0.85], [-0.98, -0.45]])
        outline = np.concatenate([contour, skull])
        pixels = self.place(outline, 0.08)
        self.shape(pixels, s.skin)
        self.follow(pixels[len(contour) :])
        along = np.concatenate(
            [[0], np.cumsum(np.linalg.norm(np.diff(pixels[: len(contour)], axis=0), axis=1))]
        )
        steps = np.linspace(0, along[-1], 17)
        for axis in (0, 1):
            self.points[:17, axis] = np.interp(steps, along, pixels[: len(contour), axis])
        if s.cel:
            side = self.rng.choice([-1, 1])
            half = len(contour) // 2
            edge = contour[:half] if side < 0 else contour[half:]
            inner = edge * [0.86, 0.97] - [0, 0.02]
            shade = np.concatenate([edge, inner[::-1]])
            self.fill(self.place(shade, 0.08), s.shadow)
        if s.blush:
            for side in (-1, 1):
                spot = np.array([side * 0.55, s.nose_y]) + ellipse(0.16, 0.08)
                self.fill(self.place(spot), s.skin * [0.98, 0.78, 0.78])

    def _nose(self) -> None:
        s = self.style
        jut = s.depth + 0.06 + (0.22 if s.manner in ("semi", "comic", "cartoon") else 0.08)
        top, tip, base = 0.02, s.nose_y - 0.05, s.nose_y
        ridge = np.stack([np.zeros(4), np.linspace(top, tip, 4)], 1)
        self.points[27:31] = self.place(ridge, np.linspace(s.depth, jut, 4))
        across = np.linspace(-1, 1, 5)
        wings = np.stack([across * s.nose_width, base - 0.02 * across**2], 1)
        self.points[31:36] = self.place(wings, jut - 0.08 - 0.08 * np.abs(across))
        weight, where = max(s.line, 0.012), self.points
        if s.nose_kind == "dot":
            self.fill(where[33] + ellipse(0.02, 0.02) * self.unit, s.ink * 0.7 + s.shadow * 0.3)
        elif s.nose_kind == "tick":
            self.stroke(np.stack([where[30], where[33]]), s.ink, weight)
        elif s.nose_kind == "wedge":
            corner = where[35] if self.rng.random() < 0.5 else where[31]
            self.stroke(np.stack([where[28], corner, where[33]]), s.ink, weight)
        elif s.nose_kind == "shadow":
            self.fill(np.stack([where[30], where[31], where[33], where[35]]), s.shadow)
        elif s.nose_kind == "nostrils":
            for corner in (31, 35):
                hole = where[33] * 0.45 + where[corner] * 0.55
                self.fill(hole + ellipse(0.035, 0.018) * self.unit, s.ink * 0.6 + s.shadow * 0.4)
            self.stroke(where[31:36], s.shadow * 0.8, weight)

    def _mouth(self) -> None:
        s, value = self.style, self.value
        narrow = 0.55 * value("mouthPucker") + 0.35 * value("mouthFunnel")
        wide = 0.25 * (value("mouthStretchLeft") + value("mouthStretchRight")) / 2
        wide += 0.3 * (value("mouthSmileLeft") + value("mouthSmileRight")) / 2
        half = s.mouth_width * (1 - narrow + wide)
        opening = 0.34 * s.chin * value("jawOpen") + 0.06 * value("mouthFunnel")
        upper = 0.04 * (value("mouthUpperUpLeft") + value("mouthUpperUpRight"))
        lower = 0.05 * (value("mouthLowerDownLeft") + value("mouthLowerDownRight"))
        lift = np.array([value("mouthSmileRight"), value("mouthSmileLeft")]) * 0.45
        lift -= np.array([value("mouthFrownRight"), value("mouthFrownLeft")]) * 0.35
        sideways = 0.15 * (value("mouthLeft") - value("mouthRight"))
        u = np.linspace(0, 1, 21)
        x = (2 * u - 1) * half + sideways * half / s.mouth_width
        bow = np.where(u < 0.5, lift[0], lift[1]) * -(np.abs(2 * u - 1) ** 2) * half
        arch = np.clip(1 - (2 * u - 1) ** 2, 0, 1) ** 0.6
        y_upper = s.mouth_y + bow - (0.25 * opening + upper) * arch
        y_lower = s.mouth_y + bow + (0.75 * opening + lower) * arch
        lip = s.lip * (1 - 0.5 * value("mouthRollLower")) * (1 + 0.5 * narrow)
        dip = 1 - 0.25 * np.exp(-(((u - 0.5) / 0.06) ** 2)) if s.mouth_kind == "lips" else 1.0
        outer_upper, outer_lower = y_upper - lip * arch * dip, y_lower + 1.3 * lip * arch
        edge = [np.stack([x, y], 1) for y in (y_upper, y_lower, outer_upper, outer_lower)]
        inner_up, inner_low, outer_up, outer_low = (self.place(line) for line in edge)
        self._mouth_points(u, inner_up, inner_low, outer_up, outer_low)
        is_open = opening + upper + lower > 0.025
        if s.mouth_kind == "lips":
            ring = np.concatenate([outer_up, outer_low[::-1]])
            self.fill(ring, s.lip_colour)
        if is_open:
            hole = np.concatenate([inner_up, inner_low[::-1]])
            self.layer = MOUTH_INSIDE
            self.follow(hole)
            self.fill(hole, np.array([0.35, 0.1, 0.12]) if s.skin.mean() > 0.3 else s.ink)
            self._inside_mouth(u, edge[0], edge[1])
            self.layer = FACE
            if s.line > 0 or s.mouth_kind == "line":
                self.stroke(hole, s.ink, max(s.line, 0.012), closed=True)
        else:
            colour = s.ink if s.mouth_kind == "line" else s.lip_colour * 0.5
            shown = slice(0, 21) if self.rng.random() < 0.8 else slice(4, 17)
            self.stroke(inner_up[shown], colour, max(s.line, 0.014))

    def _inside_mouth(self, u: Array, upper: Array, lower: Array) -> None:
        tall = lower[10, 1] - upper[10, 1]
        if tall < 0.05:
            return
        if self.rng.random() < 0.6:
            strip = np.minimum(upper[3:18, 1] + min(0.07, 0.3 * tall), lower[3:18, 1])
            teeth = np.concatenate([upper[3:18], np.stack([upper[3:18, 0], strip], 1)[::-1]])
            self.fill(self.place(teeth), np.array([0.97, 0.96, 0.93]))
        if self.rng.random() < 0.7:
            arch = np.clip(1 - ((u[4:17] - 0.5) / 0.3) ** 2, 0, 1)
            top = lower[4:17, 1] - 0.42 * tall * arch
            tongue = np.concatenate([lower[4:17], np.stack([lower[4:17, 0], top], 1)[::-1]])
            self.fill(self.place(tongue), np.array([0.85, 0.42, 0.42]))

    def _mouth_points(
        self, u: Array, inner_up: Array, inner_low: Array, outer_up: Array, outer_low: Array
    ) -> None:
        def at(line: Array, steps: Array) -> Array:
            return np.stack([np.interp(steps, u, line[:, axis]) for axis in (0, 1)], 1)

        self.points[48:53] = at(outer_up, _UPPER_OUTER)
        self.points[53:58] = at(outer_low, _LOWER_OUTER)
        self.points[58:63] = at(inner_up, np.array([0, 0.28, 0.5, 0.72, 1]))
        self.points[63:66] = at(inner_low, np.array([0.72, 0.5, 0.28]))

    def _eye(self, side: int) -> None:
        """Draw one eye; side -1 is the image's left, the person's right."""
        s = self.style
        which = "Right" if side < 0 else "Left"
        closed = self.value(f"eyeBlink{which}")
        opened = (1 - closed) * (
            1 - 0.4 * self.value(f"eyeSquint{which}") + 0.2 * self.value(f"eyeWide{which}")
        )
        u = np.linspace(0, 1, 25)
        x = side * s.eye_x + (2 * u - 1) * s.eye_width
        slant = -s.eye_slant * side * (2 * u - 1) * s.eye_width
        shape = {"anime": 0.35, "almond": 0.8, "round": 0.5, "dot": 0.5}[s.eye_kind]
        arch = np.clip(1 - (2 * u - 1) ** 2, 0, 1) ** shape
        up_high, low_high = 0.62 * s.eye_height, 0.38 * s.eye_height
        if s.eye_kind in ("round", "dot"):
            up_high = low_high = 0.5 * s.eye_height
        low = low_high * arch * (1 - 0.35 * self.value(f"eyeSquint{which}"))
        up = -up_high * arch
        if s.seed % 3 == 0:
            # Laughing: closed eyes arch upwards.
            low = low * min(opened, 1.0) - 0.45 * up_high * arch * (1 - min(opened, 1.0))
        upper = np.stack([x, slant + low * (1 - opened) + up * opened], 1)
        lower = np.stack([x, slant + low], 1)
        top, bottom = self.place(upper), self.place(lower)
        order = (36, 37, 38, 39, 40, 41) if side < 0 else (42, 43, 44, 45, 46, 47)
        for index, step in zip(order[:4], _EYE_STEPS, strict=True):
            self.points[index] = [np.interp(step, u, top[:, axis]) for axis in (0, 1)]
        for index, step in zip(order[4:], (0.8, 0.2), strict=True):
            self.points[index] = [np.interp(step, u, bottom[:, axis]) for axis in (0, 1)]
        if s.eye_kind == "dot":
            self.fill(np.concatenate([top, bottom[::-1]]), s.ink)
            if opened < 0.25:
                self.stroke(top, s.ink, 0.03)
            return
        if opened > 0.12:
            self._iris(side, which, top, bottom, slant.mean())
        lash = {"anime": 0.06, "almond": 0.025, "round": 0.015}[s.eye_kind]
        weight = max(lash * self.rng.uniform(0.6, 1.3), s.line)
        self.layer = LASH_RIGHT if side < 0 else LASH_LEFT
        self.stroke(self.follow(top), s.ink, weight)
        self.layer = FACE
        if s.eye_kind == "round" or self.rng.random() < 0.5:
            shown = slice(0, 25) if s.eye_kind == "round" else slice(5, 20)
            self.stroke(bottom[shown], s.ink, max(0.012, 0.4 * weight))
        if s.glasses:
            rim = ellipse(s.eye_width * 1.35, s.eye_height * 0.9)
            frame = np.array([side * s.eye_x, 0.02]) + rim
            self.stroke(self.place(frame), s.ink, 0.03, closed=True)

    def _iris(self, side: int, which: str, top: Array, bottom: Array, slant: float) -> None:
        """Paint white, iris, pupil and lights, clipped to the opening."""
        s = self.style
        outer = self.value(f"eyeLookOut{which}") - self.value(f"eyeLookIn{which}")
        down = self.value(f"eyeLookDown{which}") - self.value(f"eyeLookUp{which}")
        radius = s.iris * min(s.eye_height * 0.55, s.eye_width)
        tall = radius * (1.25 if s.eye_kind == "anime" else 1.0)
        if s.eye_kind == "anime":
            tall = max(tall, 0.46 * s.eye_height)
        free = max(s.eye_width - 0.6 * radius, 0.02)
        centre = np.array([side * (s.eye_x + 0.5 * outer * free),
                           slant - 0.06 * s.eye_height + 0.4 * down * s.eye_height])  # fmt: skip
        opening = np.concatenate([top, bottom[::-1]])
        low = np.clip(opening.min(0).astype(int) - 2, 0, self.size)
        high = np.clip(opening.max(0).astype(int) + 3, 0, self.size)
        if (high - low).min() < 1:
            return
        # Only the eye's own window is painted apart and blended in by the opening's mask.
        canvas, origin = self.canvas, self.origin
        window = canvas[low[1] : high[1], low[0] : high[0]]
        mask = np.zeros(window.shape[:2], np.uint8)
        cv2.fillPoly(mask, [fixed(opening - low)], 255, cv2.LINE_AA, shift=FRACTION_BITS)
        layers, kept = self.layers, self.layer
        self.canvas = np.full(window.shape, (250, 250, 248, 255), np.uint8)
        self.layer = WHITE_RIGHT if side < 0 else WHITE_LEFT
        self.follow(opening)
        self.layers = np.full(window.shape[:2], self.layer, np.uint8)
        self.layer = IRIS_RIGHT if side < 0 else IRIS_LEFT
        self.follow(self.place(centre + ellipse(radius, tall)))
        self.origin = origin - low
        self.fill(self.place(centre + ellipse(radius, tall)), s.iris_colour * 0.6)
        self.fill(self.place(centre + ellipse(radius * 0.86, tall * 0.88)), s.iris_colour)
        if s.seed % 2:
            glow = centre + np.array([0, 0.35 * tall])
            bright = np.clip(s.iris_colour * 1.4 + 0.15, 0, 1)
            self.fill(self.place(glow + ellipse(radius * 0.6, tall * 0.45)), bright)
        self.fill(self.place(centre + ellipse(radius * 0.42, tall * 0.45)), s.ink)
        light = centre - np.array([0.3 * radius, 0.4 * tall])
        self.fill(self.place(light + ellipse(radius * 0.25, tall * 0.22)), np.ones(3))
        share = mask[..., None].astype(np.float32) / 255
        window[:] = (self.canvas * share + window * (1 - share) + 0.5).astype(np.uint8)
        shown = layers[low[1] : high[1], low[0] : high[0]]
        shown[mask > 127] = self.layers[mask > 127]
        self.canvas, self.origin, self.layers, self.layer = canvas, origin, layers, kept

    def _brow(self, side: int) -> None:
        s = self.style
        which = "Right" if side < 0 else "Left"
        base = -0.62 * s.eye_height - s.brow_gap
        down, inner = 0.1 * self.value(f"browDown{which}"), 0.13 * self.value("browInnerUp")
        outer = 0.1 * self.value(f"browOuterUp{which}")
        u = np.linspace(0, 1, 5)
        # u runs from the nose outwards.
        x = side * (s.eye_x + (2 * u - 1) * s.eye_width * 1.1)
        bend = -0.07 * np.sin(np.pi * (0.25 + 0.7 * u))
        y = base + bend + down * (1.4 - u) - inner * (1 - u) - outer * u
        line = self.place(np.stack([x, y], 1))
        self.points[17:22] = line[::-1] if side < 0 else self.points[17:22]
        if side > 0:
            self.points[22:27] = line
        colour = s.hair * 0.6 if s.manner != "sketch" else s.ink
        thick = np.array([1.0, 1.0, 0.9, 0.7, 0.25])[:, None] * s.brow_weight * self.unit * [0, 1]
        shape = smooth(np.concatenate([line - thick / 2, (line + thick / 2)[::-1]]))
        self.fill(shape, np.clip(colour, 0, 1))
        self.stroke(line, np.clip(colour, 0, 1), 0.012)

    def _front_hair(self) -> None:
        s = self.style
        if s.hair_length < -0.1:
            return
        width, top = 1 + 0.7 * s.hair_side, -s.hair_top * 1.02
        brow = -0.62 * s.eye_height - s.brow_gap
        edge = -1 + (1 + min(brow + 0.12, 0.0)) * s.bang_edge / 0.6
        arc = np.linspace(np.pi, 0, 13)
        cap = np.stack([width * np.cos(arc), top * np.sin(arc) ** 0.8], 1)
        lock = np.clip(s.hair_length, 0.0, 1.0) * s.chin * self.rng.uniform(0.2, 0.9)
        fringe: list[list[float]] = [[width, lock], [0.9, 0.1 - 0.3 * self.rng.random()]]
        num = max(s.bangs, 1)
        for k in range(num):
            middle = 0.85 - 1.7 * (k + 0.5) / num
            deep = edge + 0.18 * self.rng.random() if s.bangs else edge - 0.2
            fringe += [[middle, deep], [0.85 - 1.7 * (k + 1) / num, edge - 0.2 * self.rng.random()]]
        fringe += [[-0.9, 0.1 - 0.3 * self.rng.random()], [-width, lock]]
        pixels = self.follow(self.place(np.concatenate([cap, np.array(fringe)]), 0.2))
        self.shape(pixels if s.bangs > 3 else smooth(pixels), s.hair)
        self._strands(top)
        self._hair_lines(cap)
        if s.cel:
            shine = np.stack([0.7 * np.cos(arc), top * 0.7 * np.sin(arc) ** 0.8 + 0.05], 1)[3:10]
            self.stroke(self.place(shine, 0.3), np.clip(s.hair * 1.3 + 0.08, 0, 1), 0.06)

    def _hair_lines(self, cap: Array) -> None:
        """Draw lines from the crown along the hair, darker or lighter than it."""
        s = self.style
        tone = s.hair * (0.6 if self.rng.random() < 0.7 else 1.35)
        crown = np.array([self.rng.normal(0, 0.2), -s.hair_top * 0.95])
        for _ in range(int(self.rng.integers(0, 9))):
            end = cap[self.rng.integers(1, len(cap) - 1)] * self.rng.uniform(0.5, 0.95)
            bend = (crown + end) / 2 + self.rng.normal(0, 0.08, 2)
            line = smooth(np.stack([crown, bend, end]), closed=False)
            self.stroke(self.place(line, 0.25), tone.clip(0, 1), self.rng.uniform(0.008, 0.02))

    def _strands(self, top: float) -> None:
        """Draw a few single locks over forehead and eyes, as drawn hair has them."""
        s = self.style
        for _ in range(int(self.rng.integers(0, 6))):
            x = self.rng.uniform(-0.9, 0.9)
            end = np.array([x + self.rng.normal(0, 0.25), self.rng.uniform(-0.7, 0.25)])
            middle = np.array([x, (top + end[1]) / 2])
            wide = self.rng.uniform(0.02, 0.09)
            half, root = np.array([wide, 0]), np.array([x * 0.6, top * 0.7])
            lock = np.stack([root - half, middle - half, end, middle + half, root + half])
            self.shape(smooth(self.place(lock, 0.25)), s.hair)

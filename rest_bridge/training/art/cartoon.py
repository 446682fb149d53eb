"""Theo: a soft vector portrait (no outlines, painterly gradients) with a transparent background.

Warm key light from the upper left, cool rim light from the right. Features of the right half are
given in canvas pixels and mirrored at the axis. Eyes and mouth are in `cartoon_features`.
"""

from __future__ import annotations

import numpy as np
import skia
from numpy.typing import NDArray

from rest_bridge.training.art import cartoon_features
from rest_bridge.training.art.cartoon_palette import SKIN
from rest_bridge.training.art.face_states import FaceState
from rest_bridge.training.art.ink import (
    Curve,
    Points,
    Sheet,
    blob,
    ellipse,
    linear,
    mirror,
    points,
    polygon,
    resample,
    ribbon,
    smooth,
    union,
)

SIZE = 1024
AXIS = 512.0
_SCREEN, _MULTIPLY = skia.BlendMode.kScreen, skia.BlendMode.kMultiply

CONTOUR = points("706 380, 711 440, 709 510, 700 584, 684 652, 654 708, 604 748, 556 764, 512 767")
# Hair silhouette, left temple over the crown to the right temple.
HAIR = points(
    "318 408, 306 330, 306 250, 344 172, 414 124, 512 106, 610 124, "
    "680 172, 718 250, 718 330, 706 408"
)
HAIRLINE = points(
    "697 418, 690 370, 678 322, 668 288, 640 266, 580 255, 512 252, "
    "444 255, 384 266, 356 288, 346 322, 334 370, 327 418"
)


def _contour() -> Points:
    """The jaw from the left temple over the chin to the right temple, float64 [160, 2]."""
    return smooth(np.concatenate([mirror(CONTOUR, AXIS)[:-1], CONTOUR[::-1]]), 160)


def _face() -> skia.Path:
    top = smooth("706 380, 694 290, 620 210, 512 190, 404 210, 330 290, 318 380", 80)
    return polygon(np.concatenate([_contour(), top]))


def _ears(sheet: Sheet) -> None:
    for left in (True, False):

        def side(values: Curve, flip: bool = left) -> Points:
            return mirror(values, AXIS) if flip else points(values)

        ear = blob(side("700 420, 722 398, 746 404, 754 438, 744 486, 726 526, 704 534, 698 480"))
        near, far = (SKIN.light, SKIN.shade) if left else (SKIN.shade, SKIN.deep)
        sheet.fill(ear, linear(side([(700, 400)])[0], side([(756, 520)])[0], [near, far]))
        with sheet.clip(ear):
            sheet.fill(
                blob(side("704 432, 724 416, 738 428, 736 464, 718 502, 704 506")),
                SKIN.deep,
                alpha=0.6,
                blur=6,
            )
            sheet.line(side("712 414, 736 414, 742 448, 732 488"), 9, SKIN.light, alpha=0.4, blur=3)
            if not left:
                sheet.line(
                    side("722 398, 748 404, 755 440, 744 488, 724 528"),
                    10,
                    "#7fd8ff",
                    alpha=0.85,
                    blur=3,
                )


def _body(sheet: Sheet) -> None:
    neck = polygon(
        smooth(
            "402 660, 404 780, 388 850, 330 890, 330 1030, 694 1030, 694 890, "
            "636 850, 620 780, 622 660",
            200,
        )
    )
    sheet.fill(neck, linear((410, 0), (630, 0), [SKIN.base, SKIN.shade, SKIN.deep]))
    with sheet.clip(neck):
        sheet.fill(
            blob("400 640, 624 640, 622 770, 570 812, 512 822, 452 806, 404 760"),
            SKIN.dark,
            alpha=0.8,
            blur=14,
        )
        sheet.fill(ellipse((448, 850), (26, 60), 24), SKIN.light, alpha=0.35, blur=16)
        sheet.line(
            [(620, 770), (624, 820), (646, 858)], 12, "#7fd8ff", alpha=0.5, blur=5, mode=_SCREEN
        )


def _hoodie(sheet: Sheet) -> skia.Path:
    body = polygon(
        smooth(
            "390 862, 300 884, 196 920, 128 980, 104 1060, 920 1060, 896 980, "
            "828 920, 724 884, 634 862, 600 930, 512 966, 424 930",
            300,
            closed=True,
        )
    )
    sheet.fill(body, linear((150, 880), (880, 1040), ["#f2b04b", "#dc8b2f", "#a85a22"]))
    with sheet.clip(body):
        sheet.fill(
            blob("300 884, 196 920, 140 980, 240 960, 360 930"), "#ffd68a", alpha=0.75, blur=20
        )
        for fold in (
            [(300, 920), (320, 980), (310, 1030)],
            [(724, 920), (700, 980), (716, 1030)],
            [(228, 950), (256, 1000), (250, 1040)],
            [(806, 950), (776, 1000), (782, 1040)],
        ):
            sheet.line(fold, 22, "#8a4519", alpha=0.45, blur=7)
        sheet.line("724 888, 828 922, 894 980, 916 1050", 16, "#8fe0ff", alpha=0.75, blur=5)
    for left in (True, False):

        def side(values: Curve, flip: bool = left) -> Points:
            return mirror(values, AXIS) if flip else points(values)

        collar = polygon(
            smooth(
                side(
                    "620 806, 666 812, 702 850, 690 914, 632 966, 570 1010, 530 1050, "
                    "500 976, 580 936, 616 880"
                ),
                200,
                closed=True,
            )
        )
        tones = ["#ffc76b", "#e39a3a"] if left else ["#c9772c", "#94501f"]
        sheet.fill(collar, linear(side([(560, 820)])[0], side([(640, 1000)])[0], tones))
        with sheet.clip(collar):
            sheet.line(side("614 812, 612 880, 572 938, 512 972"), 26, "#5f2d14", alpha=0.6, blur=8)
            sheet.line(
                side("700 850, 690 914, 632 966, 560 1002"),
                10,
                "#fff0c4" if left else "#8fe0ff",
                alpha=0.55,
                blur=4,
            )
        string = side([(566, 962), (570, 1000), (564, 1040)])
        sheet.line(string, 13, "#6d3515", alpha=0.5, blur=3, start=0.9, end=0.9)
        sheet.line(
            string, 9, linear((0, 955), (0, 1040), ["#fff6e2", "#d9c9ad"]), start=0.9, end=0.9
        )
        sheet.fill(ellipse(string[0], (9, 8)), "#5f4a3a")
    zipper = polygon("501 962, 512 968, 523 962, 524 1040, 500 1040")
    sheet.fill(zipper, "#5f2d14", alpha=0.5, blur=5)
    sheet.fill(zipper, linear((500, 0), (524, 0), ["#8f979f", "#d9dee3", "#6b727a"]))
    for y in range(972, 1030, 7):
        sheet.line([(505, y), (519, y)], 2.6, "#4a4f57", straight=True, start=1, end=1)
    sheet.fill(
        blob("504 966, 520 966, 519 992, 512 1000, 505 992"),
        linear((504, 0), (520, 0), ["#f4f6f8", "#8b929a"]),
    )
    return body


def _headband(sheet: Sheet) -> None:
    """The band of the headset, passing behind the neck."""
    band = smooth("314 880, 330 822, 380 776, 512 756, 644 776, 694 822, 710 880", 120)
    sheet.fill(ribbon(band, 34), linear((320, 0), (710, 0), ["#6a7282", "#3a404d", "#20242d"]))
    sheet.fill(ribbon(band - (0, 11), 7), "#aab4c4", alpha=0.5, blur=2)


def _headphones(sheet: Sheet, under: skia.Path) -> None:
    """A headset resting around the neck: the band behind it, a cup on each side."""
    for left in (True, False):

        def side(values: Curve, flip: bool = left) -> Points:
            return mirror(values, AXIS) if flip else points(values)

        centre = side([(704, 898)])[0]
        tilt = -14 if left else 14
        with sheet.clip(under):
            sheet.fill(
                ellipse(centre, (64, 76), tilt), "#3a1d10", alpha=0.5, blur=10, offset=(4, 10)
            )
        sheet.fill(
            ellipse(centre - (12 if not left else -12, 0), (56, 74), tilt),
            linear(centre - 70, centre + 70, ["#3d4350", "#1c2028"]),
        )
        cup = ellipse(centre, (52, 66), tilt)
        sheet.fill(cup, linear(centre - 60, centre + 60, ["#6fe3d8", "#2aa6a6", "#17646f"]))
        with sheet.clip(cup):
            sheet.fill(ellipse(centre - (16, 26), (30, 26), tilt), "#e6fffb", alpha=0.7, blur=12)
        sheet.fill(
            ellipse(centre, (30, 40), tilt),
            linear(centre - 40, centre + 40, ["#1f7f86", "#2fb8b4"]),
        )
        sheet.fill(ellipse(centre, (13, 17), tilt), "#dffcf7", alpha=0.9)
        if not left:
            rim = centre + np.stack(
                [50 * np.cos(np.linspace(-1.3, 1.2, 40)), 64 * np.sin(np.linspace(-1.3, 1.2, 40))],
                1,
            )
            sheet.line(rim, 7, "#c4f4ff", alpha=0.9, blur=2, straight=True)


def _skin(sheet: Sheet) -> None:
    face = _face()
    sheet.fill(face, linear((330, 260), (710, 700), [SKIN.light, SKIN.base, SKIN.shade]))
    with sheet.clip(face):

        def soft(values: Curve, tone: str, alpha: float, blur: float) -> None:
            sheet.fill(blob(values), tone, alpha=alpha, blur=blur)

        # Planes turned away: temple, cheek and jaw on the right, under the cheekbones, eye sockets.
        soft(
            "720 300, 668 340, 672 440, 662 540, 634 620, 600 690, 540 765, 740 765",
            SKIN.deep,
            0.62,
            24,
        )
        soft("310 470, 340 520, 362 600, 400 670, 452 730, 330 740, 300 560", SKIN.shade, 0.55, 22)
        for x, tone in ((404, 0.5), (620, 0.65)):
            sheet.fill(ellipse((x, 418), (66, 40)), SKIN.deep, alpha=tone, blur=17)
        soft("470 596, 554 596, 548 616, 476 616", SKIN.shade, 0.5, 8)
        soft("470 680, 556 680, 548 700, 478 700", SKIN.deep, 0.62, 9)
        # Stubble along the jaw, warm cheeks, and the light.
        soft(
            "330 600, 390 660, 470 668, 512 672, 560 668, 640 660, 694 590, 700 780, 330 780",
            "#2c1a18",
            0.3,
            24,
        )
        soft("360 520, 420 520, 424 566, 366 572", "#d8603c", 0.3, 18)
        soft("604 524, 666 520, 660 570, 606 566", "#b84c34", 0.28, 18)
        soft("390 290, 480 272, 540 290, 500 336, 420 338", SKIN.glow, 0.55, 26)
        soft("362 500, 430 508, 440 530, 388 540", SKIN.glow, 0.5, 15)
        soft("596 508, 640 500, 646 520, 600 530", SKIN.light, 0.45, 12)
        soft("480 716, 520 712, 530 734, 490 740", SKIN.glow, 0.4, 12)
        edge = CONTOUR[:-1] + np.array([2, 0])
        sheet.line(
            edge, 26, "#66ccff", alpha=0.55, blur=8, mode=_SCREEN, start=0.2, end=0.0, bulge=0.3
        )
        sheet.line(
            edge, 9, "#a8ebff", alpha=0.8, blur=2.5, mode=_SCREEN, start=0.2, end=0.0, bulge=0.3
        )


def _curls(rng: np.random.Generator, outline: Points, spacing: float) -> list[tuple[Points, float]]:
    """Scatter curl centres (with radii) inside a polygon, bottom rows last."""
    mask = skia.Path()
    mask.addPoly([skia.Point(*map(float, p)) for p in outline], True)
    found = []
    low, high = outline.min(0), outline.max(0)
    for y in np.arange(low[1], high[1], spacing * 0.8):
        for x in np.arange(low[0], high[0], spacing):
            p = np.array([x, y]) + rng.uniform(-0.45, 0.45, 2) * spacing
            if mask.contains(float(p[0]), float(p[1])):
                found.append((p, rng.uniform(0.6, 1.0) * spacing))
    return found


def _hair(sheet: Sheet, rng: np.random.Generator) -> None:
    outline = np.concatenate([smooth(HAIR, 160), smooth(HAIRLINE, 120)])
    bumps = resample(smooth(HAIR, 160), 120)
    mass = union(
        [
            polygon(outline),
            *(ellipse(p, (r, r)) for p, r in zip(bumps, rng.uniform(5, 12, 120), strict=True)),
        ]
    )
    with sheet.clip(_face()):
        sheet.fill(mass, "#3a1d16", alpha=0.5, blur=8, offset=(0, 8))
    sheet.fill(mass, linear((330, 120), (700, 400), ["#4a3029", "#2c1b1c", "#1a1015"]))
    with sheet.clip(mass):
        sheet.fill(ellipse((430, 176), (120, 52), -22), "#8a5a3f", alpha=0.5, blur=24)
        for centre, radius in _curls(rng, outline, 12.5):
            turn = rng.uniform(0, 2 * np.pi)
            t = np.linspace(0, 1.55 * np.pi, 24)
            spiral = (
                centre
                + np.stack([np.cos(t + turn), np.sin(t + turn)], 1)
                * (radius * (1 - 0.4 * t / t[-1]))[:, None]
                * 0.62
            )
            lit = np.clip(1.15 - np.hypot((centre[0] - 410) / 230, (centre[1] - 150) / 170), 0, 1)
            sheet.line(spiral, 4.2, "#120b10", alpha=0.5, straight=True, start=0.2, end=0.1)
            sheet.line(
                spiral - (1.6, 2.0),
                2.0,
                "#b98560" if lit > 0.45 else "#7c5446",
                alpha=0.2 + 0.5 * lit,
                straight=True,
                start=0.1,
                end=0.1,
            )
        rim = smooth(HAIR, 160)[88:156]
        sheet.line(rim, 16, "#7fd8ff", alpha=0.55, blur=5, straight=True, mode=_SCREEN)
    # Fade at the temples: short hair thinning into skin.
    for left in (True, False):
        sign = -1 if left else 1
        for _ in range(170):
            y = rng.uniform(330, 436)
            x = AXIS + sign * (rng.uniform(172, 193) - max(0.0, y - 400) * 0.12)
            sheet.line(
                [(x, y), (x - sign * 2, y + rng.uniform(5, 10))],
                1.8,
                "#1a1015",
                alpha=0.5 * float(np.clip((440 - y) / 80, 0, 1)),
                straight=True,
            )
    for x in np.linspace(352, 672, 120):
        y = float(np.interp(x, HAIRLINE[::-1, 0], HAIRLINE[::-1, 1])) + rng.uniform(-4, 5)
        sheet.line(
            [(x, y - 6), (x + rng.uniform(-3, 3), y + 5)], 2.6, "#1a1015", alpha=0.6, straight=True
        )


def draw(state: FaceState) -> NDArray[np.uint8]:
    """Draw Theo.

    Args:
        state: which parts differ from the rest pose (mouth open, eyes closed).

    Returns:
        uint8 [1024, 1024, 4], straight-alpha RGBA.
    """
    sheet = Sheet(SIZE)
    _headband(sheet)
    _body(sheet)
    _headphones(sheet, _hoodie(sheet))
    _ears(sheet)
    _skin(sheet)
    cartoon_features.draw_nose(sheet)
    cartoon_features.draw_mouth(sheet, opened=state.mouth_open)
    for left in (True, False):
        cartoon_features.draw_eye(sheet, left=left, closed=state.eyes_closed)
    _hair(sheet, np.random.default_rng(11))
    cartoon_features.draw_brows(sheet, np.random.default_rng(5))
    return sheet.pixels()


def landmarks(state: FaceState) -> Points:
    """Return Theo's 66 landmarks, float64 [66, 2], canvas px (order of `face_states`)."""
    return np.concatenate(
        [
            resample(_contour()[_contour()[:, 1] >= cartoon_features.EYE_Y], 17),
            cartoon_features.brow_landmarks(),
            cartoon_features.NOSE_LANDMARKS,
            cartoon_features.eye_landmarks(closed=state.eyes_closed),
            cartoon_features.mouth_landmarks(opened=state.mouth_open),
        ]
    )

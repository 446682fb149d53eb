"""Eyes, brows, nose and mouth of the soft vector portrait, with their landmarks."""

from __future__ import annotations

import numpy as np

from rest_bridge.training.art.cartoon_palette import SKIN
from rest_bridge.training.art.ink import (
    Curve,
    Points,
    Sheet,
    blob,
    ellipse,
    linear,
    points,
    polygon,
    ribbon,
    smooth,
)

AXIS, EYE_X, EYE_Y = 512.0, 101.0, 434.0
LINE = "#1d0f10"

# One eye: u outwards from its middle, v down.
UPPER_LID = points("-50 12, -36 -10, -12 -26, 14 -28, 38 -15, 54 4")
LOWER_LID = points("54 4, 40 19, 12 27, -16 25, -38 18, -50 12")
CLOSED_LID = points("-50 13, -30 23, 0 28, 30 22, 54 7")
BROW = points("-60 -58, -30 -69, 8 -77, 46 -72, 74 -52")

NOSE_LANDMARKS = points(
    "512 436, 512 478, 512 520, 510 560, 466 582, 488 591, 512 597, 536 591, 558 582"
)

MOUTH_LINE = points("434 645, 466 653, 494 652, 512 654, 530 652, 558 653, 590 645")
UPPER_EDGE = points("434 645, 466 637, 496 628, 512 632, 528 628, 558 637, 590 645")
LOWER_EDGE = points("434 645, 462 664, 490 679, 512 682, 534 679, 562 664, 590 645")
OPEN_TOP = points("436 648, 466 642, 494 640, 512 643, 530 640, 558 642, 588 648")
OPEN_BOTTOM = points("436 648, 452 674, 480 700, 512 708, 544 700, 572 674, 588 648")
OPEN_UPPER_EDGE = points("428 647, 464 629, 496 619, 512 623, 528 619, 560 629, 596 647")
OPEN_LOWER_EDGE = points("428 648, 446 686, 478 724, 512 733, 546 724, 578 686, 596 648")


def _place(values: Curve, left: bool) -> Points:
    sign = -1.0 if left else 1.0
    return points(values) * (sign, 1) + (AXIS + sign * EYE_X, EYE_Y)


def draw_eye(sheet: Sheet, *, left: bool, closed: bool) -> None:
    """Draw one eye; `left` is the image's left, `closed` puts the lid down."""
    lid_tone = SKIN.base if left else SKIN.shade
    upper = smooth(_place(UPPER_LID, left), 80)
    if closed:
        line = smooth(_place(CLOSED_LID, left), 80)
        crease = smooth(_place("-44 -4, -14 -24, 16 -26, 46 -8", left), 80)
        lid = polygon(np.concatenate([line, crease[::-1]]))
        sheet.fill(
            lid,
            linear((0, EYE_Y - 28), (0, EYE_Y + 28), [SKIN.shade, lid_tone, SKIN.light]),
            blur=2,
        )
        sheet.fill(ribbon(line, 12), SKIN.deep, alpha=0.7, blur=5, offset=(0, 4))
        sheet.fill(
            ribbon(line, np.interp(np.linspace(0, 1, 80), [0, 0.3, 0.85, 1], [3, 7, 8, 3])), LINE
        )
        for u in (28, 40):
            root = _place([(u, 27 - (u - 10) ** 2 * 0.011)], left)[0]
            sheet.line(
                [root, root + np.array([-5 if left else 5, 6])],
                4,
                LINE,
                start=1,
                end=0,
                bulge=0.1,
                straight=True,
            )
        sheet.line(crease, 3.4, SKIN.deep, alpha=0.7, blur=1)
        return
    crease = smooth(_place("-46 -8, -34 -26, -8 -42, 20 -42, 44 -27, 58 -6", left), 80)
    sheet.fill(
        polygon(np.concatenate([upper, crease[::-1]])),
        linear((0, EYE_Y - 44), (0, EYE_Y), [SKIN.shade, lid_tone]),
        blur=2.5,
    )
    sheet.line(crease, 5, SKIN.dark, alpha=0.75, blur=1.2)
    opening = polygon(np.concatenate([upper, smooth(_place(LOWER_LID, left), 80)]))
    sheet.fill(
        opening,
        linear((0, EYE_Y - 28), (0, EYE_Y + 26), ["#a79a9c", "#efe9e3", "#fffaf4"], [0, 0.5, 1]),
    )
    x, y = _place([(0, -2)], left)[0]
    with sheet.clip(opening):
        sheet.fill(ellipse(_place([(-48, 12)], left)[0], (11, 9)), "#c4675a", alpha=0.8, blur=3)
        sheet.fill(ellipse((x, y), (28, 28)), "#1b0f0c", blur=1.2)
        sheet.fill(
            ellipse((x, y), (26, 26)),
            linear((0, y - 26), (0, y + 26), ["#1f0e08", "#55290f", "#a8652a"]),
        )
        for angle in np.linspace(0, 2 * np.pi, 28, endpoint=False):
            direction = np.array([np.cos(angle), np.sin(angle)])
            sheet.line(
                [direction * 12 + (x, y), direction * 24 + (x, y)],
                1.8,
                "#ffcf7e",
                start=0,
                end=0.2,
                alpha=0.3 + 0.2 * direction[1],
                straight=True,
            )
        sheet.fill(ellipse((x, y + 15), (14, 7)), "#f0a850", alpha=0.55, blur=4)
        sheet.fill(ellipse((x, y), (12, 12)), "#0c0608", blur=0.8)
        sheet.fill(ribbon(upper, 26), "#1a0d14", alpha=0.55, blur=5, offset=(0, 2))
        sheet.fill(ellipse((x - 9, y - 9), (6.5, 7.5)), "#ffffff", blur=0.5)
        sheet.fill(ellipse((x + 10, y + 10), (3.2, 3.6)), "#d8f4ff", alpha=0.9)
    lower = smooth(_place(LOWER_LID, left), 80)
    sheet.fill(ribbon(lower, 3.2), "#d79a86" if left else "#a86a5c", alpha=0.75, offset=(0, 1.5))
    sheet.fill(ribbon(lower[4:50], 3), LINE, alpha=0.5, blur=1, offset=(0, 3.5))
    width = np.interp(np.linspace(0, 1, 80), [0, 0.2, 0.6, 0.9, 1], [2, 4, 7, 8, 5])
    sheet.fill(ribbon(upper, width), LINE)
    sheet.line(_place([(44, -10), (56, 2), (63, 8)], left), 7, LINE, start=0.9, end=0, bulge=0.2)
    sheet.line(
        _place([(-34, 38), (0, 46), (34, 38)], left),
        5,
        SKIN.deep,
        alpha=0.4,
        blur=2,
        start=0,
        end=0,
    )
    sheet.line(
        _place([(-24, 34), (4, 39), (32, 31)], left),
        7,
        SKIN.glow,
        alpha=0.35 if left else 0.2,
        blur=3,
        start=0,
        end=0,
    )


def draw_brows(sheet: Sheet, rng: np.random.Generator) -> None:
    """Draw both brows: a soft mass and single hairs over it."""
    for left in (True, False):
        spine = smooth(_place(BROW, left), 90)
        width = np.interp(np.linspace(0, 1, 90), [0, 0.12, 0.5, 1], [15, 25, 23, 4])
        sheet.fill(ribbon(spine, width), "#20120f", alpha=0.9, blur=1.8)
        for i in rng.integers(0, 84, 150):
            across = rng.uniform(-0.5, 0.5) * width[i]
            root = spine[i] + (0, across)
            lean = np.array([(-1 if left else 1) * rng.uniform(8, 16), -7 + 13 * i / 90])
            sheet.line(
                [root, root + lean],
                2.4,
                "#140b0a" if rng.random() < 0.7 else "#5a3a2c",
                start=0.6,
                end=0,
                alpha=0.8,
                straight=True,
            )


def draw_nose(sheet: Sheet) -> None:
    """Draw the nose by its planes."""
    sheet.fill(
        blob("526 430, 548 452, 546 520, 562 560, 566 586, 530 560, 526 500"),
        SKIN.deep,
        alpha=0.5,
        blur=10,
    )
    sheet.fill(blob("476 440, 484 470, 480 520, 464 556, 472 500"), SKIN.shade, alpha=0.5, blur=7)
    sheet.fill(
        blob("466 590, 512 600, 560 590, 552 612, 512 618, 474 612"), SKIN.deep, alpha=0.55, blur=8
    )
    sheet.line(
        [(505, 440), (503, 490), (503, 535)], 16, SKIN.glow, alpha=0.55, blur=7, start=0.2, end=0.4
    )
    sheet.fill(ellipse((507, 562), (29, 23)), SKIN.light, alpha=0.7, blur=9)
    sheet.fill(ellipse((500, 552), (12, 8), -12), "#ffe2c2", alpha=0.75, blur=5)
    for sign in (-1, 1):
        x = 512 + sign * 38
        sheet.fill(
            ellipse((x, 575), (16, 17)), SKIN.base if sign < 0 else SKIN.shade, alpha=0.8, blur=5
        )
        sheet.line(
            [(512 + sign * 46, 556), (512 + sign * 58, 576), (512 + sign * 48, 594)],
            6,
            SKIN.dark,
            alpha=0.7,
            blur=2,
            start=0,
            end=0.2,
        )
        sheet.fill(
            blob(
                [
                    (512 + sign * 16, 590),
                    (512 + sign * 30, 583),
                    (512 + sign * 43, 589),
                    (512 + sign * 30, 595),
                ]
            ),
            SKIN.dark,
            alpha=0.95,
            blur=1.6,
        )
    sheet.line(
        [(496, 595), (512, 600), (528, 595)], 5, SKIN.dark, alpha=0.6, blur=2, start=0, end=0
    )
    sheet.line([(506, 612), (508, 626)], 8, SKIN.light, alpha=0.4, blur=3)


def draw_mouth(sheet: Sheet, *, opened: bool) -> None:
    """Draw the lips, closed in a faint smile or wide open with teeth and tongue."""
    upper_tone, lower_tone, lit = "#6f3a31", "#94564a", "#b97867"
    if not opened:
        upper = polygon(np.concatenate([smooth(UPPER_EDGE, 80), smooth(MOUTH_LINE[::-1], 80)]))
        lower = polygon(np.concatenate([smooth(MOUTH_LINE, 80), smooth(LOWER_EDGE[::-1], 80)]))
        sheet.fill(upper, linear((440, 0), (590, 0), [upper_tone, "#6a322f", "#55282a"]), blur=1.4)
        sheet.fill(lower, linear((440, 650), (590, 690), [lit, lower_tone, "#713a38"]), blur=1.6)
        with sheet.clip(lower):
            sheet.fill(ellipse((496, 667), (30, 6), 3), "#ffd9c4", alpha=0.45, blur=4)
        sheet.line(UPPER_EDGE[1:-1], 3, SKIN.glow, alpha=0.5, blur=1.6, start=0, end=0)
        sheet.line(MOUTH_LINE, 6, "#32110f", start=0.35, end=0.35, blur=0.7)
        _corners(sheet)
        return
    lips = polygon(np.concatenate([smooth(OPEN_UPPER_EDGE, 80), smooth(OPEN_LOWER_EDGE[::-1], 80)]))
    hole = polygon(np.concatenate([smooth(OPEN_TOP, 80), smooth(OPEN_BOTTOM[::-1], 80)]))
    sheet.fill(lips, linear((440, 620), (580, 735), [upper_tone, lower_tone, "#713a38"]), blur=1.5)
    with sheet.clip(lips):
        sheet.line(
            [(470, 712), (506, 722), (546, 714)], 9, "#ffd0bc", alpha=0.6, blur=4, start=0, end=0
        )
        sheet.line("446 646, 480 632, 512 634, 544 632, 578 646", 8, "#5c2b2b", alpha=0.5, blur=3)
    sheet.fill(hole, linear((0, 640), (0, 708), ["#230a10", "#4a141d"]))
    with sheet.clip(hole):
        tongue = blob("462 716, 474 690, 500 683, 524 683, 550 690, 562 716")
        sheet.fill(tongue, linear((0, 680), (0, 712), ["#b64a52", "#dd7a78"]), blur=1.5)
        sheet.line([(512, 688), (512, 712)], 5, "#8f343f", alpha=0.7, blur=1.5, start=0, end=0.4)
        teeth = polygon(
            np.concatenate(
                [
                    smooth([(446, 636), (512, 634), (578, 636)], 20),
                    smooth("572 654, 548 663, 512 666, 476 663, 452 654", 60),
                ]
            )
        )
        sheet.fill(teeth, linear((0, 640), (0, 666), ["#b8a89e", "#fbf3e6"]))
        for x in (474, 493, 512, 531, 550):
            sheet.line([(x, 646), (x, 664)], 1.4, "#a89486", alpha=0.45, straight=True)
        sheet.fill(ribbon(smooth(OPEN_TOP, 60), 14), "#1a070b", alpha=0.55, blur=4)
    _corners(sheet)


def _corners(sheet: Sheet) -> None:
    for x, lean in ((432, -5), (592, 5)):
        sheet.line(
            [(x + lean, 636), (x, 646), (x + lean * 0.2, 656)],
            6,
            SKIN.deep,
            alpha=0.75,
            blur=2,
            start=0,
            end=0,
        )


def brow_landmarks() -> Points:
    """Return the 10 brow points, float64 [10, 2], image left to right."""
    return np.concatenate([smooth(_place(BROW, True), 5)[::-1], smooth(_place(BROW, False), 5)])


def eye_landmarks(*, closed: bool) -> Points:
    """Return the 12 eye points, float64 [12, 2], order of `face_states`."""
    found = []
    for left in (True, False):
        top = smooth(_place(CLOSED_LID if closed else UPPER_LID, left), 61)
        bottom = smooth(_place(CLOSED_LID[::-1] if closed else LOWER_LID, left), 61)
        if left:
            top, bottom = top[::-1], bottom[::-1]
        found.append(np.stack([top[0], top[20], top[40], top[60], bottom[20], bottom[40]]))
    return np.concatenate(found)


def mouth_landmarks(*, opened: bool) -> Points:
    """Return the 18 mouth points, float64 [18, 2], order of `face_states`."""
    if opened:
        top, bottom, upper, lower = OPEN_TOP, OPEN_BOTTOM, OPEN_UPPER_EDGE, OPEN_LOWER_EDGE
    else:
        top, bottom, upper, lower = MOUTH_LINE, MOUTH_LINE, UPPER_EDGE, LOWER_EDGE
    outer_top, outer_bottom = (
        smooth(upper, 61)[[10, 22, 30, 38, 50]],
        smooth(lower, 61)[[10, 21, 30, 39, 50]],
    )
    inner_top, inner_bottom = smooth(top, 61), smooth(bottom, 61)
    return np.concatenate(
        [outer_top, outer_bottom[::-1], inner_top[[0, 15, 30, 45, 60]], inner_bottom[[45, 30, 15]]]
    )

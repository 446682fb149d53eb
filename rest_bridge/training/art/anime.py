"""Luna: an anime-style character with a transparent background (line art and cel shading).

Drawn from scratch with `ink`; every landmark is known because it is where we drew it. Right-hand
features are given in canvas pixels and mirrored at the axis; light comes from the upper left.
"""

from __future__ import annotations

import numpy as np
import skia
from numpy.typing import NDArray

from rest_bridge.training.art import anime_eye
from rest_bridge.training.art.drawn_hair import HairColours, Lock, draw_lock, lock
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
    smooth,
    union,
)

SIZE = 1024
AXIS = 512.0

SKIN, SKIN_SHADE, SKIN_DEEP = "#ffe9dd", "#f6bfb4", "#e08f93"
BLUSH, SKIN_LINE = "#ff8f95", "#8a4350"
HAIR = HairColours("#3d3272", "#5b52a6", "#7a76c9", "#a3a6ea", "#e6ecff", "#f3a8d0")
BACK_HAIR = HairColours("#352b66", "#453b86", "#574f9f", "#6f6bbd", "#9a9be0", "#d77fb6")

CAP = points("284 420, 274 320, 306 200, 392 114, 512 84, 632 114, 718 200, 750 320, 740 420")

# The right half of the face's contour, temple to chin.
CONTOUR = points("702 385, 704 440, 700 498, 687 554, 663 604, 628 648, 587 684, 547 709, 512 717")


def _contour() -> Points:
    """The jaw from the left temple over the chin to the right temple, float64 [160, 2]."""
    return smooth(np.concatenate([mirror(CONTOUR, AXIS)[:-1], CONTOUR[::-1]]), 160)


def _face() -> skia.Path:
    top = smooth("702 385, 690 280, 620 200, 512 180, 404 200, 334 280, 322 385", 80)
    return polygon(np.concatenate([_contour(), top]))


def _ring(x: float) -> float:
    return 208 + 105 * ((x - AXIS) / 225) ** 2


BANGS = [
    lock("496 104, 400 150, 338 235, 314 325, 326 392", 84, root=0.12, belly=0.4, point=1.1),
    lock("528 104, 624 150, 688 235, 711 325, 699 392", 84, root=0.12, belly=0.4, point=1.1),
    lock("500 103, 418 155, 362 235, 340 300, 346 346", 96, root=0.1, belly=0.45, point=1.0),
    lock("524 103, 606 155, 662 235, 682 296, 674 340", 96, root=0.1, belly=0.45, point=1.0),
    lock("520 102, 580 160, 624 228, 642 278, 628 322", 96, root=0.1, belly=0.45, point=1.0),
    lock("504 102, 444 160, 398 228, 378 280, 386 326", 96, root=0.1, belly=0.45, point=1.0),
    lock("516 102, 552 160, 584 226, 594 272, 574 316", 98, root=0.1, belly=0.45, point=1.0),
    lock("506 102, 462 160, 430 226, 424 274, 446 320", 98, root=0.1, belly=0.45, point=1.0),
    lock("511 102, 506 165, 504 230, 502 280, 520 338", 104, root=0.1, belly=0.45, point=1.0),
    lock("505 110, 440 190, 412 252, 404 290, 418 334", 26, root=0.1, belly=0.5),
    lock("512 110, 546 190, 560 246, 558 286, 540 330", 26, root=0.1, belly=0.5),
    lock("520 110, 612 190, 652 250, 660 290, 652 332", 22, root=0.1, belly=0.5),
]
SIDE_LOCKS = [
    lock("470 106, 346 190, 298 310, 287 430, 302 560, 316 650, 296 770", 68, root=0.1, belly=0.4),
    lock("554 106, 678 190, 726 310, 737 430, 722 560, 708 650, 728 770", 68, root=0.1, belly=0.4),
    lock("460 106, 326 200, 276 340, 264 470, 272 610, 256 720, 214 806", 72, root=0.1, belly=0.5),
    lock("564 106, 698 200, 748 340, 760 470, 752 610, 768 720, 810 806", 72, root=0.1, belly=0.5),
    lock("312 330, 292 470, 306 590, 322 690, 338 736", 22, root=0.2, belly=0.5),
    lock("712 330, 732 470, 718 590, 702 690, 686 736", 22, root=0.2, belly=0.5),
    lock("330 180, 254 330, 226 470, 210 600, 180 672", 15, root=0.1, belly=0.5),
    lock("694 180, 770 330, 798 470, 814 600, 844 672", 15, root=0.1, belly=0.5),
    lock("300 260, 250 420, 236 560, 218 700, 186 762", 12, root=0.1, belly=0.5),
    lock("724 260, 774 420, 788 560, 806 700, 838 762", 12, root=0.1, belly=0.5),
]
BACK_LOCKS = [
    lock("370 150, 272 300, 246 480, 244 640, 228 770, 168 872", 120, root=0.3, belly=0.5),
    lock("654 150, 752 300, 778 480, 780 640, 796 770, 856 872", 120, root=0.3, belly=0.5),
    lock("300 420, 262 560, 256 700, 226 800, 204 836", 60, root=0.3, belly=0.5),
    lock("724 420, 762 560, 768 700, 798 800, 820 836", 60, root=0.3, belly=0.5),
    lock("390 250, 306 420, 296 600, 304 760, 270 912", 140, belly=0.6),
    lock("634 250, 718 420, 728 600, 720 760, 754 912", 140, belly=0.6),
    lock("420 300, 360 500, 362 680, 376 800, 352 920", 150, belly=0.6),
    lock("604 300, 664 500, 662 680, 648 800, 672 920", 150, belly=0.6),
]


def _draw_back_hair(sheet: Sheet, rng: np.random.Generator) -> None:
    dome = blob(
        "512 92, 630 112, 722 200, 764 340, 770 520, 748 700, 512 760, "
        "276 700, 254 520, 260 340, 302 200, 394 112"
    )
    sheet.fill(dome, linear((0, 120), (0, 760), [BACK_HAIR.base, BACK_HAIR.deep]))
    sheet.fill(blob("400 640, 624 640, 660 800, 620 890, 404 890, 364 800"), BACK_HAIR.line)
    for item in BACK_LOCKS:
        draw_lock(sheet, item, BACK_HAIR, rng=rng, tip_span=(690, 900))
    with sheet.clip(union([dome, *(item.outline() for item in BACK_LOCKS)])):
        sheet.fill(ellipse((512, 640), (190, 270)), BACK_HAIR.line, alpha=0.8, blur=30)


def _draw_body(sheet: Sheet) -> None:
    neck = polygon(
        smooth(
            "450 640, 453 750, 446 826, 400 872, 300 905, 300 1030, 724 1030, "
            "724 905, 624 872, 578 826, 571 750, 574 640",
            200,
        )
    )
    sheet.fill(neck, linear((0, 720), (0, 960), ["#fbd3c6", SKIN]))
    with sheet.clip(neck):
        shadow = blob("440 640, 590 640, 594 750, 575 788, 540 818, 512 826, 474 812, 446 770")
        sheet.fill(shadow, SKIN_DEEP, alpha=0.9, blur=2.0)
        sheet.fill(shadow, "#b25a78", alpha=0.35, blur=26, offset=(0, -36))
        for x, lean in ((474, 18), (550, -18)):
            sheet.line(
                [(x - lean, 800), (x, 860), (x + lean * 0.8, 905)], 5, SKIN_SHADE, start=0, end=0
            )
        sheet.line([(400, 900), (455, 915), (496, 912)], 3.4, SKIN_DEEP, start=0, end=0.1)
        sheet.line([(624, 900), (569, 915), (528, 912)], 3.4, SKIN_DEEP, start=0, end=0.1)
    for x in (1, -1):
        side = points("571 700, 572 770, 584 836, 630 874, 700 896")
        sheet.line(side if x > 0 else mirror(side, AXIS), 4, SKIN_LINE, start=0.1, end=0.1)


def _draw_jacket(sheet: Sheet) -> None:
    shirt = blob("360 905, 430 925, 512 972, 594 925, 664 905, 700 1060, 324 1060")
    sheet.fill(shirt, linear((0, 920), (0, 1024), ["#ffffff", "#d9dcf2"]))
    sheet.line("372 902, 432 928, 512 974, 592 928, 652 902", 4, "#5a5f94")
    for left in (True, False):

        def side(values: Curve, flip: bool = left) -> Points:
            return mirror(values, AXIS) if flip else points(values)

        shoulder = polygon(
            smooth(
                side("640 868, 720 888, 806 914, 866 958, 896 1040, 600 1040, 574 1000, 600 950"),
                160,
                closed=True,
            )
        )
        sheet.fill(shoulder, linear((0, 870), (0, 1024), ["#3b4474", "#242a52"]))
        with sheet.clip(shoulder):
            if left:
                sheet.fill(
                    polygon(smooth(side("800 905, 880 960, 900 1040, 820 1040, 806 970"), 80)),
                    "#5a67a6",
                    alpha=0.8,
                    blur=3,
                )
            sheet.fill(
                polygon(smooth(side("620 880, 690 900, 668 960, 640 1040, 570 1040"), 80)),
                "#191d40",
                alpha=0.65,
                blur=6,
            )
            sheet.line(
                side([(742, 900), (748, 960), (738, 1030)]), 4, "#191d40", start=0.2, end=0.4
            )
            sheet.line(
                side([(800, 916), (842, 960), (858, 1030)]), 9, "#5fe3e6", start=0.8, end=0.8
            )
        sheet.line(side("640 868, 720 888, 806 914, 866 958, 890 1030"), 4.5, "#1b1f44")
        collar = polygon(
            smooth(
                side("622 852, 664 846, 690 872, 672 930, 628 990, 588 1010, 560 985, 596 930"),
                160,
                closed=True,
            )
        )
        sheet.fill(collar, linear((0, 850), (0, 1010), ["#54609f", "#333b6c"]))
        with sheet.clip(collar):
            sheet.line(side("670 866, 660 920, 622 970, 580 998"), 7, "#5fe3e6", start=0.6, end=0.3)
        sheet.line(side("622 852, 664 846, 690 872, 672 930, 628 990, 588 1010"), 4.2, "#1b1f44")
        sheet.line(side("622 852, 600 925, 562 985, 588 1010"), 4.2, "#1b1f44")
    choker = polygon(
        np.concatenate(
            [
                smooth("450 796, 478 811, 512 816, 546 811, 574 796", 60),
                smooth("578 814, 548 830, 512 836, 476 830, 446 814", 60),
            ]
        )
    )
    sheet.fill(choker, linear((448, 0), (578, 0), ["#3d447c", "#262b56", "#171a3a"]))
    gem = polygon("512 820, 524 836, 512 856, 500 836")
    sheet.fill(gem, linear((504, 820), (520, 856), ["#d8ffff", "#5fe3e6", "#1f8fb5"]))
    sheet.line("512 818, 526 836, 512 858, 498 836, 512 818", 2.4, "#1b1f44", straight=True)


def _draw_skin(sheet: Sheet, state: FaceState) -> None:
    face = _face()
    sheet.fill(face, linear((330, 300), (690, 720), ["#fff1e7", SKIN, "#fddccf"]))
    with sheet.clip(face):
        # Cel shadow on the side away from the light, its edge warm as if light came through.
        rim = smooth("706 380, 684 460, 680 540, 650 606, 602 664, 548 706, 506 734", 80)
        shade = polygon(np.concatenate([rim, points([(540, 780), (760, 740), (770, 380)])]))
        sheet.fill(shade, "#ff9a8a", alpha=0.55, blur=7, offset=(-3, -2))
        sheet.fill(shade, SKIN_SHADE, alpha=0.95, blur=1.6)
        hair = union([item.outline() for item in [*BANGS, *SIDE_LOCKS[:2]]])
        sheet.fill(hair, "#ff9a8a", alpha=0.5, blur=6, offset=(5, 17))
        sheet.fill(hair, SKIN_SHADE, alpha=0.95, blur=1.2, offset=(5, 15))
        sheet.fill(hair, SKIN_DEEP, alpha=0.5, blur=6, offset=(3, 4))
        for x in (398, 626):
            sheet.fill(ellipse((x, 556), (40, 17)), BLUSH, alpha=0.55, blur=15)
            for i in range(3):
                sheet.line(
                    [(x - 15 + 15 * i + 5, 548), (x - 15 + 15 * i - 5, 564)],
                    2.8,
                    "#f0757f",
                    alpha=0.55,
                )
    _draw_nose(sheet)
    _draw_mouth(sheet, state)
    for left in (True, False):
        anime_eye.draw(
            sheet, left=left, closed=state.eyes_closed, skin=(SKIN, SKIN_SHADE, SKIN_LINE)
        )
    contour = _contour()
    sheet.line(contour[8:-8], 4.2, SKIN_LINE, start=0.2, end=0.2, straight=True)


def _draw_nose(sheet: Sheet) -> None:
    sheet.fill(blob("515 566, 524 578, 527 590, 512 594, 505 588"), SKIN_SHADE, blur=1.6)
    sheet.line([(505, 588), (513, 594), (523, 590)], 3.2, SKIN_LINE, start=0, end=0)
    sheet.fill(ellipse((508, 568), (4.5, 9), 8), "#ffffff", alpha=0.85, blur=1.6)


# The mouth at rest: corners, line between the lips, and the lips' outer edges, left to right.
MOUTH_LINE = points("458 627, 484 638, 512 637, 540 638, 566 627")
UPPER_EDGE = points("458 627, 484 625.5, 502 622, 512 624, 522 622, 540 625.5, 566 627")
LOWER_EDGE = points("458 627, 480 645, 512 654, 544 645, 566 627")
# The mouth open: inner upper edge, inner lower edge, outer edges.
OPEN_TOP = points("459 632, 480 628, 502 626, 512 627.5, 522 626, 544 628, 565 632")
OPEN_BOTTOM = points("459 632, 468 654, 488 678, 512 685, 536 678, 556 654, 565 632")
OPEN_UPPER_EDGE = points("454 631, 484 619, 502 614.5, 512 616.5, 522 614.5, 540 619, 570 631")
OPEN_LOWER_EDGE = points("454 632, 466 664, 488 691, 512 699, 536 691, 558 664, 570 632")


def _draw_mouth(sheet: Sheet, state: FaceState) -> None:
    lip, lip_line = "#f28c93", "#a13b4d"
    if not state.mouth_open:
        upper = polygon(np.concatenate([smooth(UPPER_EDGE, 60), smooth(MOUTH_LINE[::-1], 60)]))
        lower = polygon(np.concatenate([smooth(MOUTH_LINE, 60), smooth(LOWER_EDGE[::-1], 60)]))
        sheet.fill(upper, lip, alpha=0.75, blur=1.8)
        sheet.fill(lower, linear((0, 634), (0, 658), [lip, "#ffb9b4"]), alpha=0.7, blur=2.2)
        sheet.fill(ellipse((506, 645), (13, 3.2)), "#ffffff", alpha=0.75, blur=1.6)
        sheet.line([(490, 659), (512, 662), (534, 659)], 3, SKIN_SHADE, start=0, end=0)
        sheet.line(MOUTH_LINE, 4.6, lip_line, start=0.45, end=0.45)
        return
    lips = polygon(np.concatenate([smooth(OPEN_UPPER_EDGE, 60), smooth(OPEN_LOWER_EDGE[::-1], 60)]))
    hole = polygon(np.concatenate([smooth(OPEN_TOP, 60), smooth(OPEN_BOTTOM[::-1], 60)]))
    sheet.fill(lips, linear((0, 616), (0, 699), [lip, lip, "#ffb0ae"]), alpha=0.85, blur=1.4)
    sheet.fill(ellipse((504, 691), (14, 3)), "#ffffff", alpha=0.7, blur=1.6)
    sheet.line([(486, 703), (512, 707), (538, 703)], 3, SKIN_SHADE, start=0, end=0)
    sheet.fill(hole, linear((0, 624), (0, 686), ["#5c1730", "#8a2743"]))
    with sheet.clip(hole):
        sheet.fill(
            ellipse((512, 683), (36, 24)), linear((0, 658), (0, 690), ["#f0798a", "#ff9aa2"])
        )
        sheet.line([(512, 666), (512, 686)], 3, "#cf5570", start=0, end=0.3)
        teeth = polygon(
            np.concatenate(
                [
                    smooth([(466, 620), (512, 620), (558, 620)], 20),
                    smooth("556 643, 534 650.5, 512 652, 490 650.5, 468 643", 40),
                ]
            )
        )
        sheet.fill(teeth, linear((0, 624), (0, 650), ["#e4d6e2", "#ffffff"]))
    sheet.line(np.concatenate([OPEN_TOP, OPEN_BOTTOM[::-1][1:]]), 3.6, lip_line, start=0.6, end=0.6)


def _draw_hairpins(sheet: Sheet) -> None:
    star = [
        (666 + r * np.sin(a), 244 - r * np.cos(a))
        for a, r in zip(np.arange(10) * np.pi / 5 + 0.25, [31, 14] * 5, strict=True)
    ]
    star_path = polygon(star)
    sheet.fill(star_path, HAIR.line, alpha=0.5, blur=3, offset=(3, 6))
    sheet.fill(star_path, linear((642, 217), (688, 272), ["#fff6c4", "#ffd25e", "#f2903c"]))
    with sheet.clip(star_path):
        sheet.fill(ellipse((657, 234), (15, 9), -30), "#ffffff", alpha=0.6, blur=3)
    for i in range(10):
        sheet.line([star[i], star[(i + 1) % 10]], 4, "#7d3b2b", start=0.8, end=0.8)


def _draw_front_hair(sheet: Sheet, rng: np.random.Generator) -> None:
    for item in SIDE_LOCKS[2:]:
        draw_lock(sheet, item, HAIR, rng=rng, ring=_ring, line_from=0.3)
    cap = polygon(
        np.concatenate(
            [
                smooth([*CAP], 120),
                smooth("716 330, 676 240, 600 205, 512 195, 424 205, 348 240, 308 330", 80),
            ]
        )
    )
    sheet.fill(cap, linear((0, 84), (0, 330), [HAIR.shade, HAIR.base]))
    sheet.line(CAP, 4.6, HAIR.line, start=0.2, end=0.2)
    with sheet.clip(cap):
        sheet.fill(ellipse((420, 170), (150, 60), -28), HAIR.light, alpha=0.35, blur=26)
        for t in np.linspace(-1, 1, 25):
            tip = (AXIS + 250 * t, 330 - 60 * (1 - abs(t)))
            strand = [(AXIS + 22 * t, 104), (AXIS + 140 * t, 130 + 40 * abs(t)), tip]
            sheet.line(strand, rng.uniform(1.2, 2.6), HAIR.shade, start=0, end=0, alpha=0.8)
    for item in [*SIDE_LOCKS[:2], *BANGS]:
        draw_lock(sheet, item, HAIR, rng=rng, ring=_ring, line_from=0.36)
    _draw_hairpins(sheet)
    for spine, width in (
        ("508 100, 520 58, 566 40, 604 62", 20),
        ("512 100, 500 70, 474 56, 452 66", 12),
    ):
        draw_lock(
            sheet, Lock(points(spine), width, root=0.7, belly=0.35), HAIR, rng=rng, line_from=0.0
        )


def draw(state: FaceState) -> NDArray[np.uint8]:
    """Draw Luna.

    Args:
        state: which parts differ from the rest pose (mouth open, eyes closed).

    Returns:
        uint8 [1024, 1024, 4], straight-alpha RGBA.
    """
    sheet = Sheet(SIZE)
    rng = np.random.default_rng(7)
    _draw_back_hair(sheet, rng)
    _draw_body(sheet)
    _draw_jacket(sheet)
    _draw_skin(sheet, state)
    _draw_front_hair(sheet, rng)
    anime_eye.draw_brows(sheet, "#54469a")
    return sheet.pixels()


def landmarks(state: FaceState) -> Points:
    """Return Luna's 66 landmarks, float64 [66, 2], canvas px (order of `face_states`)."""
    jaw = resample(_contour()[_contour()[:, 1] >= anime_eye.EYE_Y], 17)
    nose = points("512 436, 512 480, 512 528, 510 576, 488 590, 500 594, 512 597, 524 594, 536 590")
    mouth = _mouth_landmarks(state)
    return np.concatenate(
        [
            jaw,
            anime_eye.brow_landmarks(),
            nose,
            anime_eye.eye_landmarks(closed=state.eyes_closed),
            mouth,
        ]
    )


def _mouth_landmarks(state: FaceState) -> Points:
    if state.mouth_open:
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

"""What a drawn character looks like: proportions, line, colours and kinds of features.

Lengths are in half face widths at eye level (y down, 0 at the eyes); the drawing is `drawn`'s.
"""

from dataclasses import dataclass
from typing import Final, Literal

import numpy as np

from rest_bridge.training.render.raster import Array

EyeKind = Literal["anime", "almond", "round", "dot"]
MouthKind = Literal["line", "lips"]
NoseKind = Literal["none", "dot", "tick", "wedge", "nostrils", "shadow"]
Manner = Literal["anime", "chibi", "cartoon", "flat", "sketch", "semi", "comic"]
TRAIN_MANNERS: Final[tuple[Manner, ...]] = ("anime", "chibi", "cartoon", "flat", "sketch", "semi")
TEST_MANNERS: Final[tuple[Manner, ...]] = ("comic",)
"""Held out: heavy ink, hatching, square jaws, almond eyes under strong brows."""


@dataclass(frozen=True, slots=True)
class Style:
    """One character. Colours are RGB 0..1; `line` 0 draws no outlines."""

    manner: Manner
    chin: float
    jaw_width: float
    jaw_height: float
    chin_width: float
    depth: float
    eye_x: float
    eye_width: float
    eye_height: float
    eye_slant: float
    iris: float
    brow_gap: float
    brow_weight: float
    nose_y: float
    nose_width: float
    mouth_y: float
    mouth_width: float
    lip: float
    line: float
    eye_kind: EyeKind
    mouth_kind: MouthKind
    nose_kind: NoseKind
    skin: Array
    shadow: Array
    hair: Array
    iris_colour: Array
    lip_colour: Array
    cloth: Array
    ink: Array
    cel: bool
    blush: bool
    glasses: bool
    ears: bool
    hair_top: float
    hair_side: float
    hair_length: float
    bangs: int
    bang_edge: float
    seed: int


# (low, high) a length: chin, jaw_width, jaw_height, chin_width, eye_width, eye aspect, iris,
# nose_y share, mouth_y share, mouth_width
_RANGES: Final[dict[Manner, tuple[tuple[float, float], ...]]] = {
    "anime": ((0.85, 1.45), (0.55, 0.8), (0.5, 0.65), (0.04, 0.15), (0.2, 0.39), (0.7, 2.4),
              (0.72, 1.05), (0.42, 0.58), (0.62, 0.8), (0.1, 0.34)),
    "chibi": ((0.62, 0.9), (0.75, 0.95), (0.45, 0.6), (0.15, 0.4), (0.2, 0.36), (0.8, 2.2),
              (0.75, 1.0), (0.4, 0.52), (0.6, 0.76), (0.1, 0.26)),
    "cartoon": ((0.95, 1.6), (0.6, 0.98), (0.5, 0.8), (0.15, 0.55), (0.14, 0.32), (0.5, 1.25),
                (0.3, 0.7), (0.36, 0.55), (0.6, 0.78), (0.25, 0.6)),
    "flat": ((0.95, 1.5), (0.65, 0.95), (0.5, 0.75), (0.2, 0.5), (0.1, 0.24), (0.4, 1.1),
             (0.5, 1.0), (0.36, 0.52), (0.58, 0.76), (0.2, 0.45)),
    "sketch": ((1.1, 1.6), (0.6, 0.88), (0.55, 0.75), (0.12, 0.35), (0.17, 0.3), (0.32, 0.9),
               (0.5, 0.85), (0.4, 0.54), (0.62, 0.74), (0.25, 0.48)),
    "semi": ((1.15, 1.55), (0.62, 0.85), (0.55, 0.75), (0.14, 0.34), (0.18, 0.28), (0.35, 0.65),
             (0.6, 0.85), (0.42, 0.54), (0.62, 0.73), (0.28, 0.45)),
    "comic": ((1.2, 1.65), (0.72, 0.92), (0.6, 0.8), (0.25, 0.42), (0.17, 0.26), (0.32, 0.6),
              (0.5, 0.8), (0.42, 0.54), (0.62, 0.72), (0.3, 0.5)),
}  # fmt: skip
_EYES: Final[dict[Manner, tuple[EyeKind, ...]]] = {
    "anime": ("anime", "anime", "anime", "almond"),
    "chibi": ("anime", "anime", "dot", "round"),
    "cartoon": ("round", "round", "almond", "dot"),
    "flat": ("dot", "round", "almond", "dot"),
    "sketch": ("almond", "anime", "almond"),
    "semi": ("almond", "anime"),
    "comic": ("almond",),
}
_NOSES: Final[dict[Manner, tuple[NoseKind, ...]]] = {
    "anime": ("none", "dot", "tick", "shadow", "tick"),
    "chibi": ("none", "dot", "tick"),
    "cartoon": ("wedge", "nostrils", "shadow", "tick"),
    "flat": ("shadow", "wedge", "tick", "none"),
    "sketch": ("nostrils", "wedge", "tick"),
    "semi": ("shadow", "nostrils"),
    "comic": ("nostrils", "wedge"),
}
_SKINS: Final = np.array(
    [[1.0, 0.9, 0.82], [0.98, 0.84, 0.72], [0.9, 0.72, 0.56], [0.72, 0.5, 0.36], [0.45, 0.3, 0.22]]
)


def sample_style(rng: np.random.Generator, manner: Manner | None = None) -> Style:
    """Draw a character; `manner` None takes any of the training manners, or between."""
    share, other = 0.0, manner
    if manner is None:
        manner = TRAIN_MANNERS[rng.choice(6, p=[0.3, 0.12, 0.18, 0.12, 0.12, 0.16])]
        # Half of them have proportions between two manners: more kinds of faces.
        other = TRAIN_MANNERS[rng.integers(6)]
        share = rng.uniform(0, 0.8) * (rng.random() < 0.5)
    low, high = ((1 - share) * np.array(_RANGES[manner]) + share * np.array(_RANGES[other])).T
    (chin, jaw_width, jaw_height, chin_width, eye_width, aspect, iris, nose, mouth, mouth_width) = (
        rng.uniform(low, high)
    )
    skin = _SKINS[rng.integers(len(_SKINS))] * np.exp(rng.normal(0, 0.04, 3))
    if rng.random() < 0.1:
        skin = rng.uniform(0.3, 1, 3)
    if manner == "sketch" and rng.random() < 0.6:
        skin = np.ones(3) * rng.uniform(0.85, 1)
    skin = skin.clip(0, 1)
    dark = rng.random() < 0.75
    cel = bool(rng.random() < (0.2 if manner in ("flat", "sketch") else 0.7))
    line = 0.0 if manner == "flat" and rng.random() < 0.6 else rng.uniform(0.01, 0.035)
    if manner == "semi":
        line = rng.choice([0.0, rng.uniform(0.006, 0.016)])
    with_lips = {"semi": 0.9, "comic": 0.7, "sketch": 0.6, "cartoon": 0.35}.get(manner, 0.1)
    lips = rng.random() < with_lips
    eye_kind = _EYES[manner][rng.integers(len(_EYES[manner]))]
    if eye_kind == "dot":
        eye_width, aspect = rng.uniform(0.05, 0.12), rng.uniform(0.8, 1.8)
    nose_width = rng.uniform(0.05, 0.12) if manner in ("anime", "chibi") else rng.uniform(0.1, 0.22)
    brown = np.array([0.25, 0.16, 0.1]) * rng.uniform(0.2, 3.2)
    lip_colour = skin * np.array([0.92, 0.62, 0.62]) * rng.uniform(0.8, 1.05)
    return Style(
        manner=manner,
        chin=chin,
        jaw_width=jaw_width,
        jaw_height=jaw_height,
        chin_width=min(chin_width, jaw_width - 0.1),
        depth=rng.uniform(0.35, 0.6),
        eye_x=float(np.clip(rng.uniform(0.4, 0.52), eye_width + 0.06, 0.93 - eye_width)),
        eye_width=eye_width,
        eye_height=min(eye_width * aspect, 0.75 * chin * nose),
        eye_slant=rng.normal(0, 0.1),
        iris=iris,
        brow_gap=rng.uniform(0.08, 0.24),
        brow_weight=rng.uniform(0.012, 0.06) * (1.6 if manner == "comic" else 1),
        nose_y=chin * nose,
        nose_width=nose_width,
        mouth_y=chin * mouth,
        mouth_width=mouth_width,
        lip=rng.uniform(0.03, 0.075) if lips else 0.012,
        line=line * (1.5 if manner == "comic" else 1),
        eye_kind=eye_kind,
        mouth_kind="lips" if lips else "line",
        nose_kind=_NOSES[manner][rng.integers(len(_NOSES[manner]))],
        skin=skin,
        shadow=(skin * rng.uniform(0.7, 0.9) * np.array([1, 0.93, 0.94])).clip(0, 1),
        hair=rng.random(3) if rng.random() < 0.55 else brown.clip(0, 1),
        iris_colour=rng.random(3) * 0.9,
        lip_colour=lip_colour.clip(0, 1),
        cloth=rng.random(3),
        ink=np.zeros(3) if dark else skin * rng.uniform(0.2, 0.5),
        cel=cel,
        blush=bool(rng.random() < 0.25),
        glasses=bool(rng.random() < 0.08),
        ears=bool(rng.random() < 0.6),
        hair_top=rng.uniform(1.0, 1.5),
        hair_side=rng.uniform(0.05, 0.35),
        hair_length=rng.uniform(-0.2, 2.4),
        bangs=int(rng.integers(0, 9)),
        bang_edge=rng.uniform(0.12, 0.6),
        seed=int(rng.integers(1 << 31)),
    )

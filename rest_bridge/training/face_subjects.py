"""The people of the video VAE's training data: whoever can be drawn in any state, with true motion.

Place: `faces_data` draws samples from them. A subject renders a state once; the geometry that comes
with the picture leads from any of its pictures to any other, so any frame can be the reference.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final, Literal

import numpy as np
from PIL import Image

from rest_bridge.training.render import drawn_flow, makehuman
from rest_bridge.training.render.assets import assets_path
from rest_bridge.training.render.augment import paint_over, recolour, reshape
from rest_bridge.training.render.background import sample_background
from rest_bridge.training.render.drawn_style import TEST_MANNERS, sample_style
from rest_bridge.training.render.landmarks66 import inter_ocular, mirror_points
from rest_bridge.training.render.makehuman import Rendered, Split
from rest_bridge.training.render.photo import PhotoHead
from rest_bridge.training.render.raster import Array
from rest_bridge.training.states import sample_reference

Kind = Literal["head", "photo", "drawn"]
KINDS: Final[tuple[Kind, ...]] = ("head", "photo", "drawn")
PHOTOS: Final = {"train": (0, 270), "test": (270, 300)}
"""Which AI portraits (manifest order) each split may use; 300 and above are for final tests."""


@dataclass(frozen=True, slots=True)
class Subject:
    """Somebody with a camera, a light and a background.

    Attributes:
        draw: rig float32 [58] -> picture (colour over the background, coverage kept), without
            flow; all at one size without supersampling.
        flow: (geometry of a frame, geometry of a reference) -> flow [H, W, 2], visible [H, W].
        references: float32 [2, 58], states in which this subject would sit for a portrait.
        turning: how far it may turn: factor on the motion's angles.
    """

    draw: Callable[[Array], Rendered]
    flow: Callable[[Any, Any], tuple[Array, Array]]
    references: Array
    turning: float


@lru_cache(maxsize=1)
def portraits() -> list[dict[str, Any]]:
    """Return the AI portraits' manifest: file and landmarks66 of each."""
    return json.loads(assets_path("t2i_synthetic_faces", "manifest.json").read_text())


@lru_cache(maxsize=400)
def portrait(index: int) -> tuple[Array, Array]:
    """Return picture uint8 [H, W, 3] and landmarks float [66, 2] of one AI portrait."""
    entry = portraits()[index]
    with Image.open(assets_path("t2i_synthetic_faces", "images", entry["file"])) as image:
        return np.asarray(image.convert("RGB")), np.array(entry["landmarks66"], np.float64)


def sample_subject(
    rng: np.random.Generator, kind: Kind, size_px: int, split: Split, *, far: bool = False
) -> Subject:
    """Draw somebody at random.

    Args:
        rng: source of chance; the same state gives the same subject.
        kind: 3-D head, animated portrait or drawn character.
        size_px: height and width of its pictures.
        split: "test" uses held-out parts, portraits and manners of drawing.
        far: they turn far, and sit for most portraits turned.
    """
    return _SAMPLERS[kind](rng, size_px, split, far)


def _head(rng: np.random.Generator, size_px: int, split: Split, far: bool) -> Subject:
    head = makehuman.Head(makehuman.sample_description(rng, split=split))
    camera = makehuman.Camera(
        view_height_dm=rng.uniform(2.5, 3.6),
        offset_dm=(rng.normal(0, 0.06), -0.28 + rng.normal(0, 0.1)),
        distance_dm=rng.uniform(9, 18),
    )
    background = sample_background(rng, size_px)

    def draw(rig: Array) -> Rendered:
        shown = head.render(rig, size_px=size_px, supersample=1, camera=camera)
        shown.rgba[..., :3] += (1 - shown.rgba[..., 3:]) * background
        return shown

    references = np.stack([sample_reference(rng, far=far) for _ in range(2)])
    return Subject(draw, head.flow, references, 1.0)


def _photo(rng: np.random.Generator, size_px: int, split: Split, far: bool) -> Subject:
    """Take a portrait; it turns less, as its sides are not shown."""
    picture, landmarks = portrait(int(rng.integers(*PHOTOS[split])))
    if rng.random() < 0.5:
        picture, landmarks = picture[:, ::-1], mirror_points(landmarks, picture.shape[1])
    if split == "train":
        picture, landmarks = reshape(np.ascontiguousarray(picture), landmarks, rng)
    picture = recolour(np.ascontiguousarray(picture), rng)
    if rng.random() < 0.2:
        picture = paint_over(picture, rng)
    # Not so wide that much of the picture would be invented border.
    narrowest = max(0.19, 0.9 * float(inter_ocular(landmarks)) / picture.shape[1])
    head = PhotoHead(
        picture, landmarks, size_px=size_px, supersample=1,
        eye_share=rng.uniform(min(narrowest, 0.27), 0.28), rng=rng,
    )  # fmt: skip
    other = head.rig.copy()
    change = sample_reference(rng, far=far)
    other[:3] += 0.5 * change[:3]
    other[6:] = np.maximum(other[6:], change[6:])
    return Subject(lambda rig: head.render(rig), head.flow, np.stack([head.rig, other]),
                   0.85 if far else 0.7)  # fmt: skip


def _drawn(rng: np.random.Generator, size_px: int, split: Split, far: bool) -> Subject:
    style = sample_style(rng, TEST_MANNERS[0] if split == "test" else None)
    sheet = drawn_flow.Character(style, size_px=size_px, eye_share=rng.uniform(0.17, 0.26))
    background = sample_background(rng, size_px)

    def draw(rig: Array) -> Rendered:
        shown = sheet.render(rig)
        shown.rgba[..., :3] += (1 - shown.rgba[..., 3:]) * background
        return shown

    references = np.stack([sample_reference(rng, far=far) for _ in range(2)])
    return Subject(draw, sheet.flow, references, 0.8)


_SAMPLERS: Final = {"head": _head, "photo": _photo, "drawn": _drawn}

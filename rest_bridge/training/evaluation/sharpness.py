"""Eyes and mouth of the moving picture against the still portrait: as sharp, and no seam in time.

Place in the flow: speaking portraits -> boxes by the ruler's landmarks -> gradient energy, energy
of the change from frame to frame at chunk borders and inside. Shape letters: F frames, H/W pixels.
"""

import math
from collections.abc import Callable
from typing import Final

import numpy as np

from rest_bridge.loader import portrait_at
from rest_bridge.rig import RIG_INDEX
from rest_bridge.training import curves
from rest_bridge.training.evaluation.driving import on_grey
from rest_bridge.training.evaluation.fidelity import gradient_energy, luma
from rest_bridge.training.evaluation.held_out import HeldOut
from rest_bridge.training.evaluation.jobs import Job, Row
from rest_bridge.training.evaluation.workshop import Workshop
from rest_bridge.types import LATENT_STRIDE, ByteArray, FloatArray

SUBSET: Final = "picture"
_PORTRAITS: Final = (
    "t2i_302",
    "t2i_311",
    "raphael",
    "pencil",
    "vera",
    "maya",
    "theo",
    "luna",
    "sylvie",
)
_QUICK: Final = ("t2i_302", "raphael", "luna")
_OPEN_EYES: Final = 0.1
_SHUT_LIPS: Final = 0.04
_LEFT_EYE, _RIGHT_EYE, _MOUTH = slice(36, 42), slice(42, 48), slice(48, 66)
# Mean squared change a frame under which nothing moves (values of 0..1).
_MOVES: Final = 1e-9
_EYE_BOX: Final = (0.34, 0.22)
_MOUTH_BOX: Final = (0.5, 0.3)
"""Half width and half height of the boxes in eye distances."""


def jobs(shop: Workshop) -> list[Job]:
    """Return what is to be done."""
    clips = shop.library.talkers(2)
    names = _QUICK if shop.quick else _PORTRAITS
    chosen = clips[:1] if shop.quick else clips[:2]
    made = [
        Job(f"picture/sharpness/{name}/{clip.name}", _job(shop, name, clip))
        for name in names
        for clip in chosen
    ]
    chunks = (1,) if shop.quick else (1, 2, 3)
    voices = shop.library.talkers(6 if shop.quick else 14)
    # Each clip lives a life of its own: one blink's place against the latents decides much.
    made += [
        Job(f"picture/seams/{chunk}/{clip.name}", _seam_job(shop, clip, chunk, shop.seed + life))
        for chunk in chunks
        for life, clip in enumerate(voices)
    ]
    return made


def _job(shop: Workshop, name: str, clip: HeldOut) -> Callable[[], list[Row]]:
    def work() -> list[Row]:
        avatar = shop.shelf.avatar(name)
        frames, rig = [], []
        for frame in shop.driver.pictures(avatar, name, clip.voice):
            frames.append(on_grey(frame.rgba))
            rig.append(frame.rig.values)
        still = on_grey(portrait_at(avatar, shop.driver.size_px))
        values = sharpness(frames, np.stack(rig), still, avatar.landmarks * shop.driver.size_px)
        return [Row(SUBSET, "sharpness", f"{name}/{clip.name}", name, values)]

    return work


def sharpness(
    frames: list[ByteArray], rig: FloatArray, still: ByteArray, landmarks: FloatArray
) -> dict[str, float]:
    """Return gradient energy of eyes and mouth over that of the still.

    The boxes follow the head by its pose values alone (they move by pixels while the head turns by
    degrees); eyes count while they are open, the mouth while it is shut as in the portrait, so
    that like is compared with like. `mouth_speaking` takes all frames.

    Args:
        frames: uint8 [H, W, 3] each.
        rig: float32 [F, 58].
        still: uint8 [H, W, 3], the portrait at the same size.
        landmarks: float32 [66, 2], pixels of the still.

    Returns:
        eyes, mouth, mouth_speaking; NaN where no frame qualifies.
    """
    planes = [luma(frame) for frame in frames]
    reference = luma(still)
    unit = float(np.linalg.norm(landmarks[_RIGHT_EYE].mean(0) - landmarks[_LEFT_EYE].mean(0)))
    lids = rig[:, [RIG_INDEX["eyeBlinkLeft"], RIG_INDEX["eyeBlinkRight"]]].max(1)
    gap = curves.lip_aperture(rig)
    masks = {
        "eyes": lids < _OPEN_EYES,
        "mouth": gap < _SHUT_LIPS,
        "mouth_speaking": gap >= _SHUT_LIPS,
    }
    boxes = {"eyes": ((_LEFT_EYE, _EYE_BOX), (_RIGHT_EYE, _EYE_BOX))}
    boxes |= dict.fromkeys(("mouth", "mouth_speaking"), ((_MOUTH, _MOUTH_BOX),))
    values: dict[str, float] = {}
    for name, mask in masks.items():
        ratios: list[float] = []
        for part, half in boxes[name]:
            middle = landmarks[part].mean(0)
            own = gradient_energy(_cut(reference, middle, half, unit))
            for index in np.flatnonzero(mask):
                moved = middle + unit * np.array([rig[index, 3], -rig[index, 4]])
                ratios.append(gradient_energy(_cut(planes[index], moved, half, unit)) / own)
        values[name] = float(np.median(ratios)) if ratios else math.nan
    return values


def _cut(
    plane: FloatArray, middle: FloatArray, half: tuple[float, float], unit: float
) -> FloatArray:
    low = np.maximum(middle - np.array(half) * unit, 0).astype(int)
    high = (middle + np.array(half) * unit).astype(int) + 3
    return plane[low[1] : high[1], low[0] : high[0]]


def _seam_job(shop: Workshop, clip: HeldOut, chunk: int, seed: int) -> Callable[[], list[Row]]:
    def work() -> list[Row]:
        name, driver = "t2i_302", shop.driver
        avatar = shop.shelf.avatar(name)
        pictures, rig = [], []
        for frame in driver.pictures(avatar, name, clip.voice, chunk=chunk, seed=seed):
            pictures.append(frame.rgba[::4, ::4, :3].astype(np.float32))
            rig.append(frame.rig.values)
        scale = np.asarray(driver.package.arrays("motion")["rig_scale"])
        values = {"border_latent": border_share(np.stack(pictures), 1)}
        for kind, sequence in (("pictures", np.stack(pictures)), ("rig", np.stack(rig) / scale)):
            at_border, inside = change_energy(sequence, chunk)
            values |= {
                f"border_{kind}": border_share(sequence, chunk),
                f"energy_border_{kind}": at_border,
                f"energy_inside_{kind}": inside,
            }
        return [Row(SUBSET, f"seams, chunks of {chunk}", clip.name, name, values)]

    return work


def border_share(sequence: FloatArray, chunk_latents: int) -> float:
    """Return the energy of change at chunk borders over that inside chunks.

    Args:
        sequence: float32 [F, ...], frames or rig values; the first frame begins a chunk.
        chunk_latents: latent frames a chunk.

    Returns:
        1 where borders cannot be told; NaN for fewer than two chunks, and where nothing moves
        inside them (one glance in a clip, just at a border: a ratio would say nothing).
    """
    at_border, inside = change_energy(sequence, chunk_latents)
    return at_border / inside if inside > _MOVES else math.nan


def change_energy(sequence: FloatArray, chunk_latents: int) -> tuple[float, float]:
    """Return the mean squared change from frame to frame, at chunk borders and inside.

    Args:
        sequence: float32 [F, ...], frames or rig values; the first frame begins a chunk.
        chunk_latents: latent frames a chunk.

    Returns:
        Both NaN for fewer than two chunks.
    """
    change = np.diff(sequence.reshape(len(sequence), -1), axis=0)
    energy = (change.astype(np.float64) ** 2).mean(1)
    length = chunk_latents * LATENT_STRIDE
    at_border = (np.arange(1, len(sequence)) % length) == 0
    if not at_border.any() or at_border.all():
        return math.nan, math.nan
    return float(energy[at_border].mean()), float(energy[~at_border].mean())

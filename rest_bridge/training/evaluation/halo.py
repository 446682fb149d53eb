"""Edges of transparent portraits: no fringe of a foreign colour, no holes, no leaks.

A frame has straight alpha, so a half-covered pixel must have the person's colour. The fringe is how
far its colour lies from the nearest fully covered one; what the portrait itself has is the measure.
Shape letters: H/W pixels.
"""

from collections.abc import Callable
from typing import Final

import cv2
import numpy as np

from rest_bridge.loader import portrait_at
from rest_bridge.training.evaluation.held_out import HeldOut
from rest_bridge.training.evaluation.jobs import Job, Row
from rest_bridge.training.evaluation.workshop import Workshop
from rest_bridge.types import ByteArray

SUBSET: Final = "halo"
_STEP: Final = 5
_SOLID: Final = 250
_VISIBLE: Final = 12
_REACH_PX: Final = 6.0


def jobs(shop: Workshop) -> list[Job]:
    """Return what is to be done."""
    clip = shop.library.talkers(0)[0]
    names = ("luna",) if shop.quick else ("luna", "theo", "sylvie")
    return [Job(f"halo/{name}", _job(shop, name, clip)) for name in names]


def _job(shop: Workshop, name: str, clip: HeldOut) -> Callable[[], list[Row]]:
    def work() -> list[Row]:
        avatar = shop.shelf.avatar(name)
        frames = [f.rgba for f in shop.driver.pictures(avatar, name, clip.voice)][::_STEP]
        still = portrait_at(avatar, shop.driver.size_px)
        own, own_holes = fringe(still), holes(still)
        values = {
            "fringe": float(np.mean([fringe(f) for f in frames])),
            "fringe_still": own,
            "holes": float(np.mean([holes(f) for f in frames])) - own_holes,
        }
        values["fringe_ratio"] = values["fringe"] / max(own, 1e-6)
        return [Row(SUBSET, "transparent portraits", name, name, values)]

    return work


def fringe(frame: ByteArray) -> float:
    """Return how foreign the colours of half-covered pixels are.

    Args:
        frame: uint8 [H, W, 4], straight alpha.

    Returns:
        Mean distance in RGB (0..255 a channel) from the nearest fully covered pixel's colour, over
        pixels that are visible but not fully covered, no more than 6 pixels from one; 0 without.
    """
    alpha = frame[..., 3]
    solid = alpha >= _SOLID
    edge = (alpha > _VISIBLE) & ~solid
    if not solid.any() or not edge.any():
        return 0.0
    distance, labels = cv2.distanceTransformWithLabels(
        (~solid).astype(np.uint8), cv2.DIST_L2, 5, labelType=cv2.DIST_LABEL_PIXEL
    )
    colours = np.zeros((int(labels.max()) + 1, 3), np.float32)
    colours[labels[solid]] = frame[solid][:, :3]
    near = edge & (distance <= _REACH_PX)
    if not near.any():
        return 0.0
    error = frame[near][:, :3].astype(np.float32) - colours[labels[near]]
    return float(np.sqrt((error**2).sum(-1)).mean())


def holes(frame: ByteArray) -> float:
    """Return the share of the person's pixels that are see-through although enclosed.

    Args:
        frame: uint8 [H, W, 4].

    Returns:
        0..1: transparent pixels that no path connects with the border, over the person's pixels.
    """
    clear = (frame[..., 3] < _SOLID // 2).astype(np.uint8)
    count, labels = cv2.connectedComponents(clear, connectivity=4)
    border = np.unique(np.concatenate([labels[0], labels[-1], labels[:, 0], labels[:, -1]]))
    enclosed = clear.astype(bool) & ~np.isin(labels, border)
    del count
    return float(enclosed.sum() / max(int((~clear.astype(bool)).sum()), 1))

"""Straight alpha over an opaque picture: the arithmetic that all outputs without alpha share.

All pictures are uint8, top row first. Shape letters: H/W pixels.
"""

import cv2
import numpy as np

from rest_bridge.types import ByteArray


def premultiply(rgba: ByteArray) -> ByteArray:
    """Multiply colour by alpha, so that scaling does not smear hidden colours into edges.

    Args:
        rgba: uint8 [H, W, 4], straight alpha.

    Returns:
        uint8 [H, W, 4], premultiplied, rounded.
    """
    alpha = cv2.extractChannel(rgba, 3)
    factors = cv2.merge((alpha, alpha, alpha, np.full_like(alpha, 255)))
    # cv2.multiply rounds and runs in SIMD: 1 ms for 720² where numpy's uint16 takes 12 ms.
    return np.asarray(cv2.multiply(rgba, factors, scale=1 / 255), np.uint8)


def over(premultiplied: ByteArray, background: ByteArray) -> ByteArray:
    """Lay a premultiplied picture over an opaque one.

    Args:
        premultiplied: uint8 [H, W, 4].
        background: RGB uint8 [H, W, 3].

    Returns:
        RGB uint8 [H, W, 3].
    """
    rest = cv2.cvtColor(255 - cv2.extractChannel(premultiplied, 3), cv2.COLOR_GRAY2RGB)
    behind = cv2.multiply(background, rest, scale=1 / 255)
    return np.asarray(cv2.add(cv2.cvtColor(premultiplied, cv2.COLOR_RGBA2RGB), behind), np.uint8)

"""Pictures scaled in bytes: as near to exact arithmetic as bytes allow, and without false edges."""

import cv2
import numpy as np
import pytest

from rest_bridge.generator.base_flow import FULL_BOX
from rest_bridge.generator.textures import scaled, straight
from rest_bridge.types import ByteArray


def _picture(size_px: int, *, opaque: bool) -> ByteArray:
    """Return a smooth picture with grain, uint8 [N, N, 4]; a disc of it unless opaque."""
    rng = np.random.default_rng(3)
    noise = cv2.GaussianBlur(rng.uniform(0, 255, (size_px, size_px, 3)), (0, 0), 1.5)
    y, x = (np.mgrid[:size_px, :size_px] + 0.5) / size_px - 0.5
    alpha = np.clip((0.35 - np.hypot(x, y)) * 60, 0, 1) * 255
    picture = np.dstack([noise, np.full_like(alpha, 255) if opaque else alpha])
    return np.rint(np.clip(picture, 0, 255)).astype(np.uint8)


def _exact(picture: ByteArray, size_px: int) -> np.ndarray:
    """Premultiply and scale in float64."""
    whole = picture.astype(np.float64)
    whole[..., :3] *= whole[..., 3:] / 255
    shrinking = size_px < len(picture)
    mode = cv2.INTER_AREA if shrinking else cv2.INTER_CUBIC
    whole = np.clip(cv2.resize(whole, (size_px, size_px), interpolation=mode), 0, 255)
    whole[..., :3] = np.minimum(whole[..., :3], whole[..., 3:])
    return whole


@pytest.mark.parametrize("opaque", [True, False])
@pytest.mark.parametrize("size_px", [90, 128, 200])
def test_scaling_in_bytes_is_exact_to_a_level(opaque: bool, size_px: int) -> None:
    picture = _picture(128, opaque=opaque)
    before = picture.copy()
    pixels = scaled(picture, FULL_BOX, size_px).pixels
    assert pixels.shape == (size_px, size_px, 4)
    assert np.abs(pixels - _exact(picture, size_px)).max() <= 1.6
    assert (pixels[..., :3] <= pixels[..., 3:]).all()
    assert (picture == before).all()


def test_colours_go_on_beyond_an_edge() -> None:
    flat = _picture(128, opaque=False)
    flat[..., :3] = (200, 120, 40)
    flat[flat[..., 3] == 0] = 0  # an empty pixel has no colour of its own
    pixels = straight(flat, FULL_BOX, 160).pixels
    beside = cv2.dilate((pixels[..., 3] > 0).astype(np.uint8), np.ones((3, 3), np.uint8)) > 0
    assert (pixels[..., 3][beside] == 0).any()
    assert np.abs(pixels[beside][:, :3].astype(int) - (200, 120, 40)).max() <= 12
    assert not pixels[0, 0].any()

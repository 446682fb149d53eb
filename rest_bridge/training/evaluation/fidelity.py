"""Full-reference likeness of two pictures: PSNR, SSIM, VIF in the pixel domain.

Only for frames that should be equal (reconstruction); a talking head made from a voice is free to
move otherwise, so these numbers mean nothing there. Shape letters: H/W pixels.
"""

from typing import Final

import cv2
import numpy as np
import numpy.typing as npt

from rest_bridge.types import ByteArray

_PEAK: Final = 255.0
_MOST_PSNR_DB: Final = 100.0
_SSIM_WINDOW, _SSIM_DEVIATION = 11, 1.5
_VIF_NOISE: Final = 2.0
_VIF_SCALES: Final = 4
_TINY: Final = 1e-10
Plane = npt.NDArray[np.float64]


def psnr_db(real: ByteArray, made: ByteArray, mask: npt.NDArray[np.bool_] | None = None) -> float:
    """Return the peak signal-to-noise ratio in dB.

    Args:
        real: uint8 [H, W, C].
        made: uint8 [H, W, C].
        mask: bool [H, W], the pixels that count; all if None.

    Returns:
        Decibels; 100 for equal pictures.
    """
    error = (real.astype(np.float64) - made.astype(np.float64)) ** 2
    mean = float(error.mean() if mask is None else error[mask].mean())
    if mean == 0:
        return _MOST_PSNR_DB
    return min(_MOST_PSNR_DB, 10 * float(np.log10(_PEAK**2 / mean)))


def ssim(real: ByteArray, made: ByteArray) -> float:
    """Return the mean structural similarity of the luma.

    Wang, Bovik, Sheikh, Simoncelli, IEEE TIP 13(4), 2004: Gaussian window of 11 pixels, deviation
    1.5, K1 = 0.01, K2 = 0.03, only where the window lies inside the picture.

    Args:
        real: uint8 [H, W, 3] RGB.
        made: uint8 [H, W, 3] RGB.
    """
    x, y = luma(real), luma(made)
    first, second = (0.01 * _PEAK) ** 2, (0.03 * _PEAK) ** 2

    def blur(plane: Plane) -> Plane:
        return _filter(plane, _SSIM_WINDOW, _SSIM_DEVIATION)

    mean_x, mean_y = blur(x), blur(y)
    var_x, var_y = blur(x * x) - mean_x**2, blur(y * y) - mean_y**2
    joint = blur(x * y) - mean_x * mean_y
    structure = (2 * joint + second) / (var_x + var_y + second)
    light = (2 * mean_x * mean_y + first) / (mean_x**2 + mean_y**2 + first)
    return float((structure * light).mean())


def vif_p(real: ByteArray, made: ByteArray) -> float:
    """Return the visual information fidelity, pixel-domain variant, of the luma.

    Sheikh and Bovik, "Image information and visual quality", IEEE TIP 15(2), 2006, Eq. 20 with a
    scalar Gaussian scale mixture at four scales, as their `vifp_mscale` release computes it. 1 for
    equal pictures, 0 for unrelated ones, above 1 where contrast was raised without noise.

    Args:
        real: uint8 [H, W, 3] RGB, at least 41 pixels high and wide.
        made: uint8 [H, W, 3] RGB.
    """
    x, y = luma(real), luma(made)
    kept = whole = 0.0
    for scale in range(_VIF_SCALES):
        window = 2 ** (_VIF_SCALES - scale) + 1
        if scale:
            x, y = (_filter(p, window, window / 5)[::2, ::2] for p in (x, y))
        information = _information(x, y, window)
        kept, whole = kept + information[0], whole + information[1]
    return kept / whole if whole > _TINY else 1.0


def _information(x: Plane, y: Plane, window: int) -> tuple[float, float]:
    """Return what the made plane tells of the real one, and what the real one holds."""
    mean_x, mean_y = (_filter(p, window, window / 5) for p in (x, y))
    var_x = np.maximum(_filter(x * x, window, window / 5) - mean_x**2, 0)
    var_y = np.maximum(_filter(y * y, window, window / 5) - mean_y**2, 0)
    joint = _filter(x * y, window, window / 5) - mean_x * mean_y
    gain = joint / (var_x + _TINY)
    noise = var_y - gain * joint
    flat = var_x < _TINY
    gain[flat], noise[flat], var_x[flat] = 0, var_y[flat], 0
    lost = var_y < _TINY
    gain[lost], noise[lost] = 0, 0
    negative = gain < 0
    noise[negative], gain[negative] = var_y[negative], 0
    noise = np.maximum(noise, _TINY)
    seen = np.log10(1 + gain**2 * var_x / (noise + _VIF_NOISE)).sum()
    return float(seen), float(np.log10(1 + var_x / _VIF_NOISE).sum())


def gradient_energy(plane: Plane) -> float:
    """Return the mean squared gradient of a plane, the measure of sharpness; float64 [H, W]."""
    across, down = plane[:, 2:] - plane[:, :-2], plane[2:] - plane[:-2]
    return float((across**2).mean() + (down**2).mean()) / 4


def luma(picture: ByteArray) -> Plane:
    """Return the BT.601 luma of an RGB picture, float64 [H, W], 0..255."""
    return picture[..., :3].astype(np.float64) @ np.array([0.299, 0.587, 0.114])


def _filter(plane: Plane, window: int, deviation: float) -> Plane:
    """Blur; only the places where the window lies inside ("valid")."""
    kernel = cv2.getGaussianKernel(window, deviation, cv2.CV_64F)
    blurred = cv2.sepFilter2D(plane, cv2.CV_64F, kernel, kernel)
    edge = window // 2
    return blurred[edge : plane.shape[0] - edge, edge : plane.shape[1] - edge]

"""Rectified flow: schedule, Euler step and noise, as pure functions of arrays.

t = 1 is noise, t = 0 is data: x_t = (1 - t) x_0 + t noise, velocity = noise - x_0. Works on numpy
arrays and torch tensors alike, so that training and runtime share the formulas.
"""

from typing import Any, TypeVar

import numpy as np

from rest_bridge.types import LATENT_SHAPE, FloatArray

Value = TypeVar("Value", bound=Any)
"""A numpy array or a torch tensor."""


def schedule(num_steps: int) -> list[float]:
    """Return num_steps + 1 flow times from 1 to 0, evenly spaced.

    Args:
        num_steps: denoising steps, at least 1.

    Raises:
        ValueError: fewer than one step.
    """
    if num_steps < 1:
        raise ValueError(f"at least one denoising step is needed, not {num_steps}")
    return [1.0 - step / num_steps for step in range(num_steps + 1)]


def euler_step(x: Value, velocity: Value, t: float, t_next: float) -> Value:
    """Advance x from t to t_next along the velocity; exact where the path is straight."""
    return x + (t_next - t) * velocity


def latent_noise(
    seed: int, first_latent: int, num_latents: int, temperature: float = 1.0
) -> FloatArray:
    """Noise that depends on the seed and the latent index only, whatever the chunking.

    Args:
        seed: of the stream.
        first_latent: index of the chunk's first latent frame.
        num_latents: T.
        temperature: standard deviation; below 1 motion is more typical.

    Returns:
        float32 [T, 16, 4, 4].
    """
    # The index is the counter's highest word: in the lowest, the noise of one latent frame would be
    # the noise of the one before, moved on by four draws.
    frames = [
        np.random.Generator(
            np.random.Philox(key=[seed & 0xFFFF_FFFF_FFFF_FFFF, 0], counter=[0, 0, 0, index])
        ).standard_normal(LATENT_SHAPE, dtype=np.float32)
        for index in range(first_latent, first_latent + num_latents)
    ]
    return np.stack(frames) * np.float32(temperature)

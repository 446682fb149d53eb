"""Streams the torch DiT chunk by chunk, as the runtime does; for validation and parity tests.

Place in the flow: SpeechAE tokens + conditions -> here -> latents -> `speech_metrics`.
Shape letters: B batch, T latent frames of the whole clip.
"""

from itertools import pairwise

import torch
from torch import Tensor

from rest_bridge.generator.sampler import euler_step, schedule
from rest_bridge.model.dit import StreamingDit


@torch.no_grad()
def stream(
    model: StreamingDit,
    reference: Tensor,
    tokens: Tensor,
    conditions: Tensor,
    noise: Tensor,
    *,
    num_steps: int,
    chunk_latents: int,
) -> Tensor:
    """Generate a clip: denoise each chunk, then commit it at t = 0.

    Args:
        model: the DiT.
        reference: [B, 16, 4, 4].
        tokens: [B, T, 2, D].
        conditions: [B, T, C].
        noise: [B, T, 16, 4, 4].
        num_steps: denoising steps a chunk.
        chunk_latents: latent frames a chunk.

    Returns:
        [B, T, 16, 4, 4].
    """
    cache = model.empty_cache(reference)
    times = schedule(num_steps)
    done: list[Tensor] = []
    for first in range(0, tokens.shape[1], chunk_latents):
        part = slice(first, first + chunk_latents)
        x, audio, rows = noise[:, part], tokens[:, part], conditions[:, part]
        position = torch.tensor([first])
        for t, t_next in pairwise(times):
            flow_time = torch.full(x.shape[:2], t)
            velocity, _ = model(x, flow_time, audio, rows, cache, position)
            x = euler_step(x, velocity, t, t_next)
        _, cache = model(x, torch.zeros(x.shape[:2]), audio, rows, cache, position)
        done.append(x)
    return torch.cat(done, 1)

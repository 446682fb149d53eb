"""Streams the torch DiT chunk by chunk, as the runtime does; for validation, distillation, parity.

Place in the flow: SpeechAE tokens + conditions -> here -> latents -> `speech_metrics`.
Shape letters: B batch, T latent frames of the whole clip.
"""

from itertools import pairwise

import torch
from torch import Tensor

from rest_bridge.generator.sampler import euler_step, schedule
from rest_bridge.model.cache import Cache
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
    keep_sink: bool = True,
    keep_context: bool = True,
) -> Tensor:
    """Generate a clip: denoise each chunk, then remember it as the model's `context` says.

    "clean" commits the finished chunk at t = 0, "last" keeps what the last denoising step wrote,
    "level" keeps one cache for each denoising step, which only that step reads.

    Args:
        model: the DiT.
        reference: [B, 16, 4, 4].
        tokens: [B, T, 2, D].
        conditions: [B, T, C].
        noise: [B, T, 16, 4, 4].
        num_steps: denoising steps a chunk.
        chunk_latents: latent frames a chunk.
        keep_sink: False takes the ID-Sink away (ablation).
        keep_context: False takes the Context-Cache away (ablation).

    Returns:
        [B, T, 16, 4, 4].
    """
    empty = model.empty_cache(reference)
    empty = empty._replace(sink_known=empty.sink_known & keep_sink)
    caches = [empty] * (num_steps if model.config.context == "level" else 1)
    done: list[Tensor] = []
    for first in range(0, tokens.shape[1], chunk_latents):
        part = slice(first, first + chunk_latents)
        x, after = _denoise(
            model, noise[:, part], tokens[:, part], conditions[:, part], caches, first, num_steps
        )
        done.append(x)
        if keep_context:
            caches = after
    return torch.cat(done, 1)


def _denoise(
    model: StreamingDit,
    x: Tensor,
    audio: Tensor,
    rows: Tensor,
    caches: list[Cache],
    first: int,
    num_steps: int,
) -> tuple[Tensor, list[Cache]]:
    """Return a finished chunk and the caches that hold it."""
    position, after = torch.tensor([first], device=x.device), []
    for step, (t, t_next) in enumerate(pairwise(schedule(num_steps))):
        flow_time = torch.full(x.shape[:2], t, device=x.device)
        cache = caches[step % len(caches)]
        velocity, written = model(x, flow_time, audio, rows, cache, position)
        x = euler_step(x, velocity, t, t_next)
        after.append(written)
    if model.config.context == "level":
        return x, after
    if model.config.context == "last":
        return x, after[-1:]
    clean = torch.zeros(x.shape[:2], device=x.device)
    return x, [model(x, clean, audio, rows, caches[0], position)[1]]

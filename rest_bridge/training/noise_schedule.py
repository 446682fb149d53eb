"""Flow times of training clips: REST's chunk-wise asynchronous noise scheduler.

Place in the flow: here -> `motion_losses`. A clip of K chunks either has one time for all of them
or times that grow from chunk to chunk, each inside its own 1/K of [0, 1] (arXiv:2512.11229; the
parameters of the logit-normal are not given there: mean 0, deviation 1, see REST.md section 8).
Shape letters: B batch, T latent frames, K chunks.
"""

import torch
from torch import Tensor


def fixed_chunks(num_frames: int, chunk_latents: int) -> Tensor:
    """Return int64 [T]: chunk numbers of chunks of one length."""
    return torch.arange(num_frames) // chunk_latents


def random_chunks(num_frames: int, chance: torch.Generator) -> Tensor:
    """Return int64 [T]: chunk numbers, each chunk 1 to 4 latent frames long (1 most often)."""
    if float(torch.rand((), generator=chance)) < 0.4:
        return torch.arange(num_frames)
    lengths = torch.randint(1, 5, (num_frames,), generator=chance)
    numbers = torch.repeat_interleave(torch.arange(num_frames), lengths)
    return numbers[:num_frames]


def draw_chunks(num_frames: int, chunk_latents: int, chance: torch.Generator) -> Tensor:
    """Return int64 [T]: chunks of `chunk_latents`, or of random lengths if that is 0."""
    if chunk_latents:
        return fixed_chunks(num_frames, chunk_latents)
    return random_chunks(num_frames, chance)


def asynchronous_times(
    batch_size: int,
    chunk: Tensor,
    chance: torch.Generator,
    *,
    synchronous: float = 0.5,
    full_noise: float = 0.0,
) -> Tensor:
    """Draw flow times.

    Args:
        batch_size: B.
        chunk: int64 [T], number of the chunk of each frame.
        chance: source of chance.
        synchronous: share of clips with one time for the whole clip (motion-prior dropout).
        full_noise: share of chunks set to exactly 1 (of clips, where they are synchronous): a
            sampler of one or two steps begins there, and a logit-normal hardly ever does.

    Returns:
        float32 [B, T], in (0, 1].
    """
    num_chunks = int(chunk[-1]) + 1
    inside = torch.randn(batch_size, num_chunks, generator=chance).sigmoid()
    growing = (torch.arange(num_chunks) + inside) / num_chunks
    at_once = torch.rand(batch_size, 1, generator=chance) < synchronous
    t = torch.where(at_once, inside[:, :1], growing)
    full = torch.rand(batch_size, num_chunks, generator=chance) < full_noise
    t = torch.where(torch.where(at_once, full[:, :1], full), 1.0, t)
    return t[:, chunk]

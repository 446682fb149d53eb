"""Attention of the streaming A2V-DiT: sink and window in one softmax, positions by slot.

Keys are kept un-rotated and rotated by their distance inside the window, so a day's position is
as good as the first (STYLE section 6, rule 2). Keys of the attention sink carry no time unless they
are given a place: their score uses un-rotated queries and keys. Shape letters: B batch, H heads,
N tokens, D head width.
"""

import math

import torch
from torch import Tensor


def rotation_frequencies(head_width: int) -> Tensor:
    """Return [D / 2] radians a latent frame, from 1 down to 1/50.

    The window holds some ten frames: slower frequencies would not tell them apart, faster ones
    would wrap around.
    """
    steps = torch.arange(head_width // 2, dtype=torch.float32)
    return torch.exp(-math.log(50.0) * steps / max(head_width // 2 - 1, 1))


def rotate(x: Tensor, position: Tensor) -> Tensor:
    """Rotate queries or keys by their position (RoPE, arXiv:2104.09864).

    Args:
        x: [..., N, D].
        position: float [..., N] (broadcastable), in latent frames; only differences matter.
    """
    angles = position[..., None] * rotation_frequencies(x.shape[-1]).to(x.device)
    cos, sin = angles.cos().to(x.dtype), angles.sin().to(x.dtype)
    first, second = x.chunk(2, -1)
    return torch.cat([first * cos - second * sin, first * sin + second * cos], -1)


def attend(
    queries: Tensor,
    keys: Tensor,
    values: Tensor,
    query_position: Tensor,
    key_position: Tensor,
    *,
    sink_keys: Tensor,
    sink_values: Tensor,
    mask: Tensor,
    sink_position: Tensor | None = None,
) -> Tensor:
    """Attend to [attention sink | timed keys] in one softmax.

    Args:
        queries: [B, H, Nq, D], un-rotated.
        keys: [B, H, Nk, D], un-rotated.
        values: [B, H, Nk, D].
        query_position: float [Nq], latent frames.
        key_position: float [Nk].
        sink_keys: [B, H, Ns, D].
        sink_values: [B, H, Ns, D].
        mask: bool, broadcastable to [B, 1, Nq, Ns + Nk]; True where a key may be seen.
        sink_position: float, broadcastable to [Nq], place of the sink in latent frames as each
            query sees it; None for no place in time.

    Returns:
        [B, H, Nq, D].
    """
    scale = queries.shape[-1] ** -0.5
    timed = rotate(queries, query_position) @ rotate(keys, key_position).transpose(-1, -2)
    # Only the distance counts: the queries are rotated by theirs, the sink's keys stay.
    placed = queries if sink_position is None else rotate(queries, query_position - sink_position)
    scores = torch.cat([placed @ sink_keys.transpose(-1, -2), timed], -1) * scale
    # Finite instead of -inf: a row without any key (dropped reference, empty window) stays finite.
    weights = scores.masked_fill(~mask, -1e4).softmax(-1)
    return weights @ torch.cat([sink_values, values], -2)

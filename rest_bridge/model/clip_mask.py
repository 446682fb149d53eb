"""Who sees whom when a whole clip runs in one pass: each chunk sees what streaming shows it.

Place in the flow: chunk numbers -> here -> `dit.StreamingDit`. Queries are the frames
[reference | copies], keys [reference | stand-ins for context before the clip | copies]. The first
copy is what chunks remember of one another; the last one is denoised. Shape letters: B batch,
T latent frames of the clip, W window.
"""

import torch
from torch import Tensor


def clip_mask(
    chunk: Tensor,
    window: int,
    sink_known: Tensor,
    context_known: Tensor,
    *,
    num_copies: int,
    before: bool,
) -> Tensor:
    """Build the block-causal mask of a clip.

    Args:
        chunk: int64 [T], number of the chunk of each frame, not decreasing.
        window: W, latent frames before a chunk that it remembers.
        sink_known: bool [B], False hides the reference.
        context_known: bool [B], False hides everything before a chunk.
        num_copies: 2 for [context | noisy], 1 where a clip remembers itself.
        before: there are W stand-in keys for frames -W..-1.

    Returns:
        bool [B, 1 + num_copies T, 1 + W (if `before`) + num_copies T], True where a key is seen.
    """
    num_frames, device = len(chunk), chunk.device
    num_before = window if before else 0
    index = torch.arange(-num_before, num_frames, device=device)
    start = torch.searchsorted(chunk, chunk)  # first frame of each frame's chunk
    age = start[:, None] - index[None]
    remembered = (age > 0) & (age <= window)
    past = remembered[None] & context_known[:, None, None]
    same = chunk[:, None] == chunk[None]
    shape = (len(sink_known), 1 + num_copies * num_frames, 1 + num_before + num_copies * num_frames)
    mask = torch.zeros(shape, dtype=torch.bool, device=device)
    mask[:, 0, 0] = True
    mask[:, 1:, 0] = sink_known[:, None]
    for copy in range(num_copies):
        rows = slice(1 + copy * num_frames, 1 + (copy + 1) * num_frames)
        own = slice(rows.start + num_before, rows.stop + num_before)
        mask[:, rows, 1 : 1 + num_before + num_frames] = past
        mask[:, rows, own] |= same
    return mask

"""What decoding in chunks costs: the error against decoding the whole clip at once.

The published decoder looks ahead and back. For each number of known frames before a chunk and of
held-back frames after it, the chunks' frames are compared with the whole clip's; the seam is the
same at the borders alone. With random weights the figures show the reach of the convolutions, not
what a person sees; with published weights (`--vae FILE`) they are the real ones.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from rest_bridge.paper.stream import ChunkDecoder
from rest_bridge.paper.vae import LtxVae


@dataclass(frozen=True, slots=True)
class Seam:
    """One choice.

    Attributes:
        known: latent frames before a chunk that are decoded again.
        held: latent frames that wait for the next chunk: delay of 0.32 s each.
        error: root mean square error over the deviation of the whole clip's frames.
        border: the same of the four frames on each side of a chunk's border.
        cost: latent frames decoded for each new one.
    """

    known: int
    held: int
    error: float
    border: float
    cost: float


@torch.no_grad()
def measure(
    vae: LtxVae, latents: Tensor, *, chunk: int = 3, most_known: int = 3, most_held: int = 1
) -> list[Seam]:
    """Compare choices.

    Args:
        vae: the VAE.
        latents: [1, C, T, h, w], T a multiple of the chunk.
        chunk: latent frames of a chunk.
        most_known: up to so many known frames.
        most_held: up to so many held ones.
    """
    time = torch.full((1,), 0.05, device=latents.device) if vae.sizes.timed else None
    before = latents[:, :, :1]
    # In float32: means of squares in bfloat16 have two digits.
    whole = vae.decode(torch.cat([before, latents], 2), time)[:, :, 1:].float()
    return [
        _one(vae, latents, whole, chunk, known, held, time)
        for held in range(most_held + 1)
        for known in range(most_known + 1)
    ]


def _one(
    vae: LtxVae, latents: Tensor, whole: Tensor, chunk: int, known: int, held: int,
    time: Tensor | None,
) -> Seam:  # fmt: skip
    decoder = ChunkDecoder(vae, known=known, held=held)
    parts = [decoder.decode(part, time) for part in latents.split(chunk, 2)]
    frames = torch.cat(parts, 2).float()
    truth = whole[:, :, : frames.shape[2]]
    # The beginning of a stream is a beginning in both ways; borders come later.
    wrong = (frames - truth).square().mean((0, 1, 3, 4))[8 * chunk :]
    scale = float(truth.std())
    places = torch.arange(len(wrong)) % (8 * chunk)
    shift = 8 * held
    near = ((places + shift) % (8 * chunk) < 4) | ((places + shift) % (8 * chunk) >= 8 * chunk - 4)
    return Seam(
        known, held, float(wrong.mean().sqrt()) / scale,
        float(wrong[near.to(wrong.device)].mean().sqrt()) / scale,
        (chunk + known + held + 1) / chunk,
    )  # fmt: skip

"""Streams chunks at the paper's size: caches prepared once, graphs captured, decoding beside.

    audio chunk ─► K steps (guided ones as a batch of two) ─► 3 latent frames ─► decode ─► 24 frames
                    keys of reference and of the chunk before, rotated when they were cached

What never changes is computed once: the text's keys and values in every block, the reference's, the
modulation of each step's time, the places. The keys and values of the last step become the context
of the next chunk, which costs nothing (REST.md, section 2, choice A); before the first chunk the
reference stands for them. `plain` computes all of that anew in every pass, for comparison.
Shape letters: F faces, B branches of them (2 F where guided), N tokens of a chunk, K steps.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor

from rest_bridge.generator.sampler import schedule
from rest_bridge.paper.dit import DitSizes, Known, LtxDit, Places, grid, places_of
from rest_bridge.paper.vae import LtxVae

SCALE = (8 / 25, 32.0, 32.0)
"""Of a latent frame, row and column: 8 frames at 25 a second, 32 pixels."""
_WARM_UP = 3


@dataclass(frozen=True, slots=True)
class Recipe:
    """How a chunk is generated.

    Attributes:
        steps: denoising steps.
        guidance: scale of classifier-free guidance; 1 for none, as after distillation.
    """

    steps: int = 8
    guidance: float = 6.0

    @property
    def branches(self) -> int:
        """Passes in a step."""
        return 1 if self.guidance == 1.0 else 2


def slots(sizes: DitSizes, device: torch.device) -> dict[str, Places]:
    """Return the places of reference (slot 0), context (then) and chunk (after that)."""
    rows, columns, chunk = sizes.rows, sizes.columns, sizes.chunk
    starts = {"reference": (0, 1), "context": (1, chunk), "chunk": (1 + chunk, chunk)}
    return {
        name: places_of(grid(first, count, rows, columns, SCALE).to(device), sizes.width)
        for name, (first, count) in starts.items()
    }


class ChunkStream:
    """One stream, or some that move together; holds their caches."""

    def __init__(
        self, dit: LtxDit, recipe: Recipe, reference: Tensor, text: Tensor, *, plain: bool = False
    ) -> None:
        """Prepare what never changes.

        Args:
            dit: the transformer, on its device, in its dtype.
            recipe: steps and guidance.
            reference: [F, P, channels], tokens of the latent of each face's portrait.
            text: [1, M, text_width], embeddings of the one prompt.
            plain: compute text, times and both branches anew and apart in every pass.
        """
        self._dit, self._recipe, self._plain = dit, recipe, plain
        self._text, self._reference = text, reference
        self._branches, self._faces = recipe.branches, len(reference)
        self._places = slots(dit.sizes, reference.device)
        times = [1000.0 * t for t in schedule(recipe.steps)]
        self._times = [
            torch.full((1, 1), t, device=reference.device, dtype=torch.float32) for t in times
        ]
        batch = self._faces * (1 if plain else self._branches)
        with torch.no_grad():
            self._known_text = self._per_branch(dit.know_text(text), batch)
            self._known_time = [dit.know_time(t) for t in self._times]
            self._sink = self._keep(reference, "reference", batch)
            rows = reference.repeat(1, dit.sizes.chunk, 1)
            first = self._keep(rows, "context", batch)
        self._before = [
            [_join(s, c) for s, c in zip(self._sink, first, strict=True)]
            for _ in range(self._branches if plain else 1)
        ]

    @torch.no_grad()
    def generate(self, noise: Tensor, audio: Tensor) -> Tensor:
        """Generate a chunk and remember it.

        Args:
            noise: [F, N, channels].
            audio: [F, T, 2, audio_width].

        Returns:
            [F, N, channels], the latents' tokens.
        """
        tokens, own = noise, []
        for number, (t, after) in enumerate(pairwise(schedule(self._recipe.steps))):
            velocity, own = self._velocity(tokens, number, audio)
            tokens = tokens + (after - t) * velocity
        self._remember(own)
        return tokens

    def _velocity(
        self, tokens: Tensor, number: int, audio: Tensor
    ) -> tuple[Tensor, list[list[Known]]]:
        if self._plain:
            found = [self._alone(tokens, number, audio * (1 - branch), branch)
                     for branch in range(self._branches)]  # fmt: skip
            parts, own = [one[0] for one in found], [one[1] for one in found]
        else:
            count = self._branches
            heard = torch.cat([audio, torch.zeros_like(audio)]) if count > 1 else audio
            both, mine = self._dit(
                tokens.repeat(count, 1, 1), self._known_time[number], self._places["chunk"],
                self._known_text, before=self._before[0], audio=heard,
            )  # fmt: skip
            parts, own = list(both.split(self._faces)), [mine]
        if len(parts) == 1:
            return parts[0], own
        return parts[1] + self._recipe.guidance * (parts[0] - parts[1]), own

    def _alone(
        self, tokens: Tensor, number: int, audio: Tensor, branch: int
    ) -> tuple[Tensor, list[Known]]:
        dit = self._dit
        places = slots(dit.sizes, tokens.device)["chunk"]
        return dit(
            tokens, dit.know_time(self._times[number]), places, dit.know_text(self._text),
            before=self._before[branch], audio=audio,
        )  # fmt: skip

    def _keep(self, tokens: Tensor, name: str, batch: int) -> list[Known]:
        """Return rotated keys and values of clean tokens at their slot."""
        silence = tokens.new_zeros(len(tokens), tokens.shape[1] // self._dit.sizes.tokens, 2,
                                   max(1, self._dit.sizes.audio_width))  # fmt: skip
        audio = silence if self._dit.sizes.audio_width else None
        one = [Known(k[: len(tokens)], v[: len(tokens)]) for k, v in self._known_text]
        _, own = self._dit(tokens, self._known_time[-1], self._places[name], one, audio=audio)
        return self._per_branch(own, batch)

    def _per_branch(self, known: Sequence[Known], batch: int) -> list[Known]:
        return [Known(*(x.repeat(batch // len(x), 1, 1, 1) for x in one)) for one in known]

    def _remember(self, own: list[list[Known]]) -> None:
        """Put a chunk's keys where the context's are, in place: a captured graph reads them there.

        They were rotated for the chunk's slot; the context's lies three latent frames before, and
        turning by a difference is a rotation as well.
        """
        start = self._dit.sizes.tokens
        for before, mine in zip(self._before, own, strict=True):
            for kept, fresh in zip(before, mine, strict=True):
                kept.keys[:, :, start:] = self._turned_back(fresh.keys)
                kept.values[:, :, start:] = fresh.values

    def _turned_back(self, keys: Tensor) -> Tensor:
        heads, width = keys.shape[1], keys.shape[1] * keys.shape[3]
        flat = keys.transpose(1, 2).flatten(2)
        if not hasattr(self, "_back"):
            shift = slots_shift(self._dit.sizes, keys.device)
            self._back = shift
        first, second = flat.float().unflatten(-1, (-1, 2)).unbind(-1)
        turned = torch.stack([-second, first], -1).flatten(-2)
        out = (flat.float() * self._back.cos + turned * self._back.sin).to(keys.dtype)
        return out.view(*flat.shape[:2], heads, width // heads).transpose(1, 2)


def slots_shift(sizes: DitSizes, device: torch.device) -> Places:
    """Return the rotation from a chunk's slot back to the context's, for every token."""
    places = slots(sizes, device)
    before, now = places["context"], places["chunk"]
    cos = before.cos * now.cos + before.sin * now.sin
    sin = before.sin * now.cos - before.cos * now.sin
    return Places(cos, sin)


def _join(one: Known, other: Known) -> Known:
    return Known(*(torch.cat([a, b], 2) for a, b in zip(one, other, strict=True)))


def captured(
    run: Callable[[Tensor, Tensor], Tensor], noise: Tensor, audio: Tensor
) -> Callable[[Tensor, Tensor], Tensor]:
    """Return a function replayed as one CUDA graph: no launches by Python between kernels.

    Args:
        run: takes tensors of these shapes; must not synchronise, and leaves what it remembers where
            it was, since the graph reads and writes the same memory each time.
        noise: example.
        audio: example.
    """
    static = (noise.clone(), audio.clone())
    before, side = torch.cuda.current_stream(), torch.cuda.Stream()
    graph = torch.cuda.CUDAGraph()
    try:
        side.wait_stream(before)
        with torch.cuda.stream(side):
            for _ in range(_WARM_UP):  # allocations, plans and compiling happen here
                run(*static)
        before.wait_stream(side)
        with torch.cuda.graph(graph, stream=side):
            out = run(*static)
    finally:
        torch.cuda.set_stream(before)  # PyTorch stays on the other one where capturing fails

    def replay(noise: Tensor, audio: Tensor) -> Tensor:
        static[0].copy_(noise)
        static[1].copy_(audio)
        graph.replay()
        return out

    return replay


def latents_of(tokens: Tensor, sizes: DitSizes) -> Tensor:
    """[1, N, C] -> [1, C, T, rows, columns]."""
    return tokens.unflatten(1, (-1, sizes.rows, sizes.columns)).permute(0, 4, 1, 2, 3).contiguous()


class ChunkDecoder:
    """Decodes a chunk with its neighbours before it, and keeps the frames that are new.

    Without them the first frames of a chunk would be decoded like the beginning of a clip, which
    shows as a seam; the published decoder also looks ahead, so `held` latent frames may be kept
    back until their successors are known. `seam.measure` says what each choice costs in error.
    """

    def __init__(self, vae: LtxVae, *, known: int = 2, held: int = 0) -> None:
        """Begin a stream.

        Args:
            vae: the VAE.
            known: latent frames before the new ones that are decoded again.
            held: newest latent frames that wait for the next chunk.
        """
        self._vae, self._known, self._held = vae, known, held
        self._past: Tensor | None = None

    @torch.no_grad()
    def decode(self, latents: Tensor, time: Tensor | None = None) -> Tensor:
        """Return the frames that are new: [1, 3, 8 T, H, W], fewer at first where some are held.

        Args:
            latents: [1, C, T, h, w], the next ones.
            time: [1], how noisy they are said to be; where the decoder is timed.
        """
        if self._past is None:  # the first latent of a clip stands for one frame only: repeat it
            self._past = latents[:, :, :1].repeat(1, 1, self._known + 1, 1, 1)
            fresh = latents.shape[2] - self._held
        else:
            fresh = latents.shape[2]
        known = torch.cat([self._past, latents], 2)
        self._past = known[:, :, -(self._known + 1 + self._held) :]
        frames = self._vae.decode(known, time)
        end = frames.shape[2] - 8 * self._held
        return frames[:, :, end - 8 * fresh : end]

"""Streaming A2V-DiT: motion latents from audio tokens by rectified flow, with ID-Context Cache.

REST (arXiv:2512.11229) at nano size. Place in the flow: SpeechAE tokens + conditions + state ->
velocity of a latent chunk. It knows nothing of pictures or of the rig.

Differences from the paper: AdaLN carries conditions beside t; the network predicts the clean
latent and the velocity follows from it (predicting noise through a narrow network wastes its
width: the latent's data lies in 116 of 256 dimensions); the attention sink is scored without
rotation, so it has no distance in time. `DitConfig` holds what the paper leaves open as switches.

Shape letters: B batch, T latent frames of a chunk, W window (frames of the Context-Cache), P tokens
a latent frame, N = T P tokens, H heads, L blocks, D width, C conditions.
"""

import torch
from torch import Tensor, nn

from rest_bridge.model.attention import attend
from rest_bridge.model.cache import UNWRITTEN, Cache
from rest_bridge.model.clip_mask import clip_mask
from rest_bridge.model.dit_block import DitBlock, DitConfig
from rest_bridge.model.layers import RmsNorm, TimeEmbedding

LEAST_T = 0.05
"""Velocity is (x_t - x_0) / t; below this t the division is limited."""


class StreamingDit(nn.Module):
    """The whole network; `forward` is one streamed chunk, `forward_training` a whole clip."""

    def __init__(self, config: DitConfig) -> None:
        super().__init__()
        self.config = config
        channels = config.latent_shape[0] * config.patch**2
        width = config.width
        self.enter = nn.Linear(channels, width)
        self.place = nn.Parameter(0.02 * torch.randn(config.tokens_per_latent, width))
        self.reference_mark = nn.Parameter(0.02 * torch.randn(width))
        self.time = TimeEmbedding(width)
        self.condition = nn.Sequential(
            nn.Linear(config.num_conditions, width), nn.SiLU(), nn.Linear(width, width)
        )
        # AdaLN-single (arXiv:2310.00426): one map for all blocks, a small table in each.
        self.modulation = nn.Linear(width, 6 * width)
        self.final_modulation = nn.Linear(width, 2 * width)
        for layer in (self.modulation, self.final_modulation):
            nn.init.normal_(layer.weight, std=0.02)
            nn.init.zeros_(layer.bias)
        self.null_audio = nn.Parameter(torch.zeros(2, config.audio_width))
        self.blocks = nn.ModuleList([DitBlock(config) for _ in range(config.num_blocks)])
        self.norm = RmsNorm(width, learned=False)
        self.leave = nn.Linear(width, channels)
        # Lids, gaze, slow pose and smile follow their plan almost linearly: a straight way from
        # the conditions to the latent leaves the transformer what the voice adds to them, and
        # takes the tremble out of the head.
        self.obey = nn.Linear(config.num_conditions, config.latent_size, bias=False)
        for layer in (self.leave, self.obey):
            nn.init.zeros_(layer.weight)
        nn.init.zeros_(self.leave.bias)

    # --- streaming ----------------------------------------------------------------------------

    def prefill(self, reference: Tensor) -> tuple[Tensor, Tensor]:
        """Write the identity: keys and values of the reference at t = 0 in every block.

        Args:
            reference: [B, 16, 4, 4].

        Returns:
            sink_keys, sink_values: [B, L, H, P, D / H].
        """
        x, modulation, audio = self._reference_tokens(reference)
        keys, values = [], []
        for block in self.blocks:
            own = block.modulate(modulation)
            x, q, k, v = block.project(x, audio, own)
            keys.append(k)
            values.append(v)
            weights = (q @ k.transpose(-1, -2) * q.shape[-1] ** -0.5).softmax(-1)
            x = block.finish(x, weights @ v, audio, own)
        return torch.stack(keys, 1), torch.stack(values, 1)

    def forward(
        self,
        latents: Tensor,
        t: Tensor,
        audio: Tensor,
        conditions: Tensor,
        cache: Cache,
        position: Tensor,
    ) -> tuple[Tensor, Cache]:
        """Run one chunk: the velocity, and the cache as it is after this chunk.

        Args:
            latents: [B, T, 16, 4, 4], at flow time t.
            t: [B, T], flow time of each latent frame; 0 in the commit pass.
            audio: [B, T, 2, audio_width].
            conditions: [B, T, C].
            cache: the state.
            position: int64 [1], latent index of the chunk's first frame.

        Returns:
            velocity: [B, T, 16, 4, 4], noise - x_0.
            cache: to keep if this was the commit pass (t = 0 on finished latents), or as the
                `context` of the configuration wants.
        """
        config = self.config
        num_frames, per_frame = latents.shape[1], config.tokens_per_latent
        x = self._tokens(latents)
        modulation, final = self._modulate(t, conditions)
        own_index = torch.arange(num_frames, device=latents.device)
        # Distances fit float32 whatever the age of the stream: the difference is taken in int64.
        distance = (cache.position - position).to(torch.float32)
        query_position = own_index.to(torch.float32).repeat_interleave(per_frame)
        key_position = torch.cat([distance.repeat_interleave(per_frame), query_position])
        written = (cache.position > UNWRITTEN // 2).repeat_interleave(per_frame)
        if config.first_chunk == "zeros":
            written = torch.ones_like(written)
        seen = torch.cat([written, torch.ones_like(query_position, dtype=torch.bool)])
        sink = cache.sink_known[:, None].expand(-1, per_frame)
        mask = torch.cat([sink, seen[None].expand(len(sink), -1)], 1)[:, None, None]
        keys, values = [], []
        for index, block in enumerate(self.blocks):
            own = block.modulate(modulation)
            x, q, k, v = block.project(x, audio, own)
            keys.append(torch.cat([cache.keys[:, index], k], 2))
            values.append(torch.cat([cache.values[:, index], v], 2))
            attended = attend(
                q, keys[-1], values[-1], query_position, key_position,
                sink_keys=cache.sink_keys[:, index], sink_values=cache.sink_values[:, index],
                mask=mask, sink_position=self._sink_position(position),
            )  # fmt: skip
            x = block.finish(x, attended, audio, own)
        clean = self._latents(x, final, conditions)
        scale = t.clamp(min=LEAST_T)[:, :, None, None, None]
        kept = config.window * per_frame
        next_cache = cache._replace(
            keys=torch.stack(keys, 1)[:, :, :, -kept:],
            values=torch.stack(values, 1)[:, :, :, -kept:],
            position=torch.cat([cache.position, position + own_index])[-config.window :],
        )
        return (latents - clean) / scale, next_cache

    def empty_cache(self, reference: Tensor, first_position: int = 0) -> Cache:
        """Return the cache before the first chunk: the reference prefilled, nothing else.

        Args:
            reference: [B, 16, 4, 4].
            first_position: latent index that the first chunk will have.
        """
        config, batch = self.config, len(reference)
        sink_keys, sink_values = self.prefill(reference)
        shape = (batch, config.num_blocks, config.num_heads,
                 config.window * config.tokens_per_latent, config.head_width)  # fmt: skip
        keys, values = sink_keys.new_zeros(shape), sink_keys.new_zeros(shape)
        position = torch.full((config.window,), UNWRITTEN, device=reference.device)
        if config.first_chunk == "reference":
            keys, values = (x.repeat(1, 1, 1, config.window, 1) for x in (sink_keys, sink_values))
            position = first_position + torch.arange(-config.window, 0, device=reference.device)
        known = torch.ones(batch, dtype=torch.bool, device=reference.device)
        return Cache(sink_keys, sink_values, keys, values, position, known)

    # --- training -----------------------------------------------------------------------------

    def forward_training(
        self,
        reference: Tensor,
        context: Tensor,
        noisy: Tensor,
        t: Tensor,
        audio: Tensor,
        conditions: Tensor,
        *,
        chunk: Tensor,
        sink_known: Tensor,
        context_known: Tensor,
        context_t: Tensor | None = None,
    ) -> Tensor:
        """Predict x_0 of a whole clip in one pass, each chunk as if it were streamed.

        The sequence is [reference | context copy | noisy copy]; masks let each copy see exactly
        what it sees when chunks are streamed one by one. With `context` = "level" chunks see the
        noisy latents of those before them, and there is no context copy.

        Args:
            reference: [B, 16, 4, 4].
            context: [B, T, 16, 4, 4], finished latents (or the network's own), at flow time
                `context_t`; ignored with "level".
            noisy: [B, T, 16, 4, 4], at flow time t.
            t: [B, T].
            audio: [B, T, 2, audio_width].
            conditions: [B, T, C].
            chunk: int64 [T], number of the chunk of each frame, not decreasing.
            sink_known: bool [B], False drops the reference.
            context_known: bool [B], False drops the whole Context-Cache.
            context_t: [B, T], flow time of the context; 0 if None.

        Returns:
            [B, T, 16, 4, 4], predicted x_0.
        """
        copies = [(noisy, t)]
        if self.config.context != "level":
            copies.insert(0, (context, torch.zeros_like(t) if context_t is None else context_t))
        mask = clip_mask(
            chunk, self.config.window, sink_known, context_known, num_copies=len(copies),
            before=self.config.first_chunk != "masked",
        )  # fmt: skip
        start = torch.searchsorted(chunk, chunk)
        return self._clip_pass(reference, copies, audio, conditions, mask, start)

    def forward_bidirectional(
        self,
        reference: Tensor,
        noisy: Tensor,
        t: Tensor,
        audio: Tensor,
        conditions: Tensor,
        *,
        sink_known: Tensor,
    ) -> Tensor:
        """Predict x_0 of a whole clip whose frames all see one another: the teacher.

        Args:
            reference: [B, 16, 4, 4].
            noisy: [B, T, 16, 4, 4], at flow time t.
            t: [B, T].
            audio: [B, T, 2, audio_width].
            conditions: [B, T, C].
            sink_known: bool [B], False drops the reference.

        Returns:
            [B, T, 16, 4, 4], predicted x_0.
        """
        one = torch.zeros(noisy.shape[1], dtype=torch.int64, device=noisy.device)
        mask = clip_mask(
            one, self.config.window, sink_known, torch.zeros_like(sink_known), num_copies=1,
            before=self.config.first_chunk != "masked",
        )  # fmt: skip
        return self._clip_pass(reference, [(noisy, t)], audio, conditions, mask, one)

    def _clip_pass(
        self,
        reference: Tensor,
        copies: list[tuple[Tensor, Tensor]],
        audio: Tensor,
        conditions: Tensor,
        mask: Tensor,
        start: Tensor,
    ) -> Tensor:
        """Run [reference | copies] through the blocks; x_0 of the last copy.

        Args:
            reference: [B, 16, 4, 4].
            copies: (latents [B, T, 16, 4, 4], flow times [B, T]) of each.
            audio: [B, T, 2, audio_width].
            conditions: [B, T, C].
            mask: bool [B, frames of the queries, frames of the keys], from `clip_mask`.
            start: int64 [T], first frame of each frame's chunk.
        """
        config, per_frame, num_frames = self.config, self.config.tokens_per_latent, len(start)
        x, modulation, heard = self._reference_tokens(reference)
        parts = [self._modulate(t, conditions) for _, t in copies]
        x = torch.cat([x, *(self._tokens(latents) for latents, _ in copies)], 1)
        modulation = torch.cat([modulation, *(own for own, _ in parts)], 1)
        audio = torch.cat([heard, *[audio] * len(copies)], 1)
        index = torch.arange(num_frames, dtype=torch.float32, device=x.device)
        clip = index.repeat(len(copies))
        queries = torch.cat([index.new_zeros(1), clip]).repeat_interleave(per_frame)
        before = torch.arange(-config.window, 0, device=x.device).to(index)
        padded = config.first_chunk != "masked"
        places = torch.cat([before, clip]) if padded else clip
        starts = torch.cat([start.new_zeros(1), start.repeat(len(copies))])
        sink_position = self._sink_position(starts.repeat_interleave(per_frame), relative=False)
        mask = mask.repeat_interleave(per_frame, 1).repeat_interleave(per_frame, 2)[:, None]
        for block in self.blocks:
            own = block.modulate(modulation)
            x, q, k, v = block.project(x, audio, own)
            (sink_k, k), (sink_v, v) = (y.split([per_frame, y.shape[2] - per_frame], 2)
                                        for y in (k, v))  # fmt: skip
            if padded:
                share = 1.0 if config.first_chunk == "reference" else 0.0
                k = torch.cat([share * sink_k.repeat(1, 1, config.window, 1), k], 2)
                v = torch.cat([share * sink_v.repeat(1, 1, config.window, 1), v], 2)
            attended = attend(
                q, k, v, queries, places.repeat_interleave(per_frame), sink_keys=sink_k,
                sink_values=sink_v, mask=mask, sink_position=sink_position,
            )  # fmt: skip
            x = block.finish(x, attended, audio, own)
        return self._latents(x[:, -per_frame * num_frames :], parts[-1][1], conditions)

    def _sink_position(self, start: Tensor, *, relative: bool = True) -> Tensor | None:
        """Place of the reference as the queries see it, in latent frames.

        Args:
            start: int64, latent index at which the queries' chunk starts.
            relative: queries count from their chunk's start instead of from the stream's.
        """
        if self.config.sink_place == "timeless":
            return None
        if self.config.sink_place == "slot":
            place = torch.full_like(start, -self.config.window - 1)
            return (place if relative else place + start).to(torch.float32)
        place = torch.full_like(start, -1)
        return (place - start if relative else place).to(torch.float32)

    # --- pieces -------------------------------------------------------------------------------

    def _tokens(self, latents: Tensor) -> Tensor:
        """[B, T, 16, 4, 4] -> [B, T P, D]."""
        patch = self.config.patch
        batch, frames, channels, rows, columns = latents.shape
        x = latents.reshape(
            batch, frames, channels, rows // patch, patch, columns // patch, patch
        ).permute(0, 1, 3, 5, 2, 4, 6)  # fmt: skip
        x = x.reshape(batch, frames, self.config.tokens_per_latent, channels * patch * patch)
        return (self.enter(x) + self.place).flatten(1, 2)

    def _latents(self, x: Tensor, final: Tensor, conditions: Tensor) -> Tensor:
        """[B, T P, D] -> [B, T, 16, 4, 4], with what the conditions ask for outright."""
        patch = self.config.patch
        channels, rows, columns = self.config.latent_shape
        x = self.norm(x) * (1 + final[..., 1, :]) + final[..., 0, :]
        y = self.leave(x).reshape(
            x.shape[0], -1, rows // patch, columns // patch, channels, patch, patch
        )
        y = y.permute(0, 1, 4, 2, 5, 3, 6).reshape(x.shape[0], -1, channels, rows, columns)
        return y + self.obey(conditions).unflatten(-1, (channels, rows, columns))

    def _modulate(self, t: Tensor, conditions: Tensor) -> tuple[Tensor, Tensor]:
        """Return modulation [B, T P, 6, D] and final modulation [B, T P, 2, D]."""
        code = nn.functional.silu(self.time(t) + self.condition(conditions))
        blocks = self.modulation(code).unflatten(-1, (6, self.config.width))
        final = self.final_modulation(code).unflatten(-1, (2, self.config.width))
        per_frame = self.config.tokens_per_latent
        return blocks.repeat_interleave(per_frame, 1), final.repeat_interleave(per_frame, 1)

    def _reference_tokens(self, reference: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Tokens, modulation and (null) audio of the reference, a latent frame at t = 0."""
        batch = len(reference)
        x = self._tokens(reference[:, None]) + self.reference_mark
        nothing = reference.new_zeros(batch, 1, self.config.num_conditions)
        modulation, _ = self._modulate(reference.new_zeros(batch, 1), nothing)
        return x, modulation, self.null_audio.expand(batch, 1, -1, -1)

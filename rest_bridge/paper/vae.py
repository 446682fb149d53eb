"""The video VAE of the paper's size: 32 x 32 x 8 compression, 128 channels (LTX-Video's design).

A clip of 1 + 8 n frames becomes 1 + n latent frames; the first one stands for its frame alone. The
encoder is causal. The published decoders are not: what a latent looks like depends on later ones,
so chunks are decoded with their neighbours (`seam`). Sizes of releases 0.9.0 and 0.9.1; weights by
`weights.load_vae`. Shape letters: B batch, C channels, F frames, T latent frames, H/W.
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from rest_bridge.paper.time_embedding import TimeEmbedding


@dataclass(frozen=True, slots=True)
class VaeSizes:
    """Sizes of the VAE; the defaults are release 0.9.0's.

    Attributes:
        latent_channels: C of the latent.
        widths: channels of the encoder's levels, fine to coarse.
        layers: residual blocks of each level and of the middle.
        halves: whether a level ends by halving time, height and width.
        decoder_widths, decoder_layers, decoder_doubles: the same of the decoder, fine to coarse.
        patch: pixels that one position of the finest level covers, each way.
        causal: whether the decoder sees the past only (a decoder trained for streaming).
        timed: whether the decoder is told how noisy the latent is (0.9.1 and later).
        skips: whether the decoder's doublings add what they enlarge.
        factor: by how much they narrow it.
        noise: whether levels inject noise, the middle one last.
    """

    latent_channels: int = 128
    widths: tuple[int, ...] = (128, 256, 512, 512)
    layers: tuple[int, ...] = (4, 3, 3, 3, 4)
    halves: tuple[bool, ...] = (True, True, True, False)
    decoder_widths: tuple[int, ...] = (128, 256, 512, 512)
    decoder_layers: tuple[int, ...] = (4, 3, 3, 3, 4)
    decoder_doubles: tuple[bool, ...] = (True, True, True, False)
    patch: int = 4
    causal: bool = False
    timed: bool = False
    skips: tuple[bool, ...] = (False, False, False, False)
    factor: tuple[int, ...] = (1, 1, 1, 1)
    noise: tuple[bool, ...] = (False, False, False, False, False)


RELEASE_091 = VaeSizes(
    decoder_widths=(256, 512, 1024), decoder_layers=(5, 6, 7, 8),
    decoder_doubles=(True, True, True), timed=True, skips=(True, True, True), factor=(2, 2, 2),
    noise=(True, True, True, False),
)  # fmt: skip
"""What release 0.9.1 changed: a wider decoder that does the last denoising step itself."""


def pixel_norm(x: Tensor) -> Tensor:
    """Normalise channels at every place: [B, C, F, H, W]."""
    return x * torch.rsqrt(x.square().mean(1, keepdim=True) + 1e-8)


class Conv(nn.Module):
    """3-D convolution that repeats border frames: only the first one where it is causal."""

    def __init__(
        self, num_in: int, num_out: int, *, causal: bool, kernel: int = 3, stride: int = 1
    ) -> None:
        super().__init__()
        self.causal, self.kernel = causal, kernel
        pad = kernel // 2
        self.conv = nn.Conv3d(num_in, num_out, kernel, stride, (0, pad, pad))

    def forward(self, x: Tensor) -> Tensor:
        """Convolve [B, C, F, H, W]; as many frames as came, over the stride."""
        if self.kernel > 1:
            before = self.kernel - 1 if self.causal else self.kernel // 2
            parts = [x[:, :, :1].expand(-1, -1, before, -1, -1), x]
            if not self.causal:
                parts.append(x[:, :, -1:].expand(-1, -1, self.kernel // 2, -1, -1))
            x = torch.cat(parts, 2)
        return self.conv(x)


class Residual(nn.Module):
    """Two convolutions beside the input, told the time and given noise where the decoder is."""

    def __init__(
        self, num_in: int, num_out: int, *, causal: bool, noise: bool = False, timed: bool = False
    ) -> None:
        super().__init__()
        self.first = Conv(num_in, num_out, causal=causal)
        self.second = Conv(num_out, num_out, causal=causal)
        changes = num_in != num_out
        self.short_norm = nn.LayerNorm(num_in, eps=1e-6) if changes else None
        self.short = Conv(num_in, num_out, causal=causal, kernel=1) if changes else None
        self.table = nn.Parameter(torch.zeros(4, num_in)) if timed else None
        self.first_noise = nn.Parameter(torch.zeros(num_in, 1, 1)) if noise else None
        self.second_noise = nn.Parameter(torch.zeros(num_in, 1, 1)) if noise else None

    def forward(self, x: Tensor, code: Tensor | None = None) -> Tensor:
        """Transform [B, C, F, H, W]; `code` [B, 4 C] is the time's."""
        y = pixel_norm(x)
        shifts: tuple[Tensor, ...] = ()
        if self.table is not None and code is not None:
            known = code.unflatten(1, (4, -1)) + self.table
            shifts = known[..., None, None, None].unbind(1)
            y = y * (1 + shifts[1]) + shifts[0]
        y = _with_noise(self.first(nn.functional.silu(y)), self.first_noise)
        y = pixel_norm(y)
        if shifts:
            y = y * (1 + shifts[3]) + shifts[2]
        y = _with_noise(self.second(nn.functional.silu(y)), self.second_noise)
        if self.short is not None and self.short_norm is not None:
            x = self.short(self.short_norm(x.movedim(1, -1)).movedim(-1, 1))
        return x + y


def _with_noise(x: Tensor, share: Tensor | None) -> Tensor:
    if share is None:
        return x
    noise = torch.randn(x.shape[-2:], device=x.device, dtype=x.dtype)
    return x + (noise[None] * share)[None, :, None]


class Double(nn.Module):
    """Twice the frames (but the first), height and width, by spreading channels."""

    def __init__(self, width: int, *, causal: bool, skips: bool, factor: int) -> None:
        super().__init__()
        self.skips, self.repeats = skips, 8 // factor
        self.conv = Conv(width, width * 8 // factor, causal=causal)

    def forward(self, x: Tensor) -> Tensor:
        """[B, C, F, H, W] -> [B, C / factor, 2 F - 1, 2 H, 2 W]."""
        y = _spread(self.conv(x), (2, 2, 2))[:, :, 1:]
        if self.skips:
            y = y + _spread(x, (2, 2, 2)).repeat(1, self.repeats, 1, 1, 1)[:, :, 1:]
        return y


def _spread(x: Tensor, by: tuple[int, int, int]) -> Tensor:
    """Move channels into frames, rows and columns."""
    batch, _, frames, rows, columns = x.shape
    x = x.reshape(batch, -1, *by, frames, rows, columns).permute(0, 1, 5, 2, 6, 3, 7, 4)
    return x.reshape(batch, -1, frames * by[0], rows * by[1], columns * by[2])


class Level(nn.Module):
    """Residual blocks of one width, told the time once; with what comes before and after them."""

    def __init__(
        self,
        width: int,
        layers: int,
        *,
        causal: bool,
        noise: bool = False,
        timed: bool = False,
        enter: Residual | None = None,
        enlarge: Double | None = None,
        halve: Conv | None = None,
        leave: Residual | None = None,
    ) -> None:
        super().__init__()
        self.enter, self.enlarge, self.halve, self.leave = enter, enlarge, halve, leave
        self.time = TimeEmbedding(4 * width) if timed else None
        self.blocks = nn.ModuleList(
            [Residual(width, width, causal=causal, noise=noise, timed=timed) for _ in range(layers)]
        )

    def forward(self, x: Tensor, time: Tensor | None = None) -> Tensor:
        """Transform [B, C, F, H, W]; `time` [B]."""
        if self.enter is not None:
            x = self.enter(x)
        if self.enlarge is not None:
            x = self.enlarge(x)
        code = None if self.time is None or time is None else self.time(time, x.dtype)
        for block in self.blocks:
            x = block(x, code)
        if self.halve is not None:
            x = self.halve(x)
        return x if self.leave is None else self.leave(x)


class Encoder(nn.Module):
    """Frames -> mean of the latent."""

    def __init__(self, sizes: VaeSizes) -> None:
        super().__init__()
        self.patch = sizes.patch
        self.enter = Conv(3 * sizes.patch**2, sizes.widths[0], causal=True)
        levels: list[Level] = []
        for place, width in enumerate(sizes.widths):
            after = sizes.widths[min(place + 1, len(sizes.widths) - 1)]
            halve = Conv(width, width, causal=True, stride=2) if sizes.halves[place] else None
            leave = Residual(width, after, causal=True) if after != width else None
            levels.append(Level(width, sizes.layers[place], causal=True, halve=halve, leave=leave))
        self.levels = nn.ModuleList(levels)
        self.middle = Level(sizes.widths[-1], sizes.layers[-1], causal=True)
        self.leave = Conv(sizes.widths[-1], sizes.latent_channels + 1, causal=True)

    def forward(self, frames: Tensor) -> Tensor:
        """[B, 3, F, H, W] in -1..1 -> mean [B, C, T, H / 32, W / 32]."""
        batch, channels, count, height, width = frames.shape
        p = self.patch
        x = frames.reshape(batch, channels, count, height // p, p, width // p, p)
        x = x.permute(0, 1, 6, 4, 2, 3, 5).flatten(1, 3)
        x = self.enter(x)
        for level in self.levels:
            x = level(x)
        x = nn.functional.silu(pixel_norm(self.middle(x)))
        return self.leave(x)[:, :-1]  # the last channel is the logarithm of the variance


class Decoder(nn.Module):
    """Latent -> frames."""

    def __init__(self, sizes: VaeSizes) -> None:
        super().__init__()
        self.patch = sizes.patch
        widths, layers = sizes.decoder_widths[::-1], sizes.decoder_layers[::-1]
        noise, factor = sizes.noise[::-1], sizes.factor[::-1]
        causal, timed = sizes.causal, sizes.timed
        self.enter = Conv(sizes.latent_channels, widths[0], causal=causal)
        self.middle = Level(widths[0], layers[0], causal=causal, noise=noise[0], timed=timed)
        levels: list[Level] = []
        width = widths[0]
        for place, wanted in enumerate(widths):
            before, width = width // factor[place], wanted // factor[place]
            enter = None
            if before != width:
                enter = Residual(before, width, causal=causal, noise=noise[place + 1], timed=timed)
            enlarge = None
            if sizes.decoder_doubles[::-1][place]:
                enlarge = Double(
                    width * factor[place], causal=causal, skips=sizes.skips[::-1][place],
                    factor=factor[place],
                )  # fmt: skip
            levels.append(
                Level(
                    width,
                    layers[place + 1],
                    causal=causal,
                    noise=noise[place + 1],
                    timed=timed,
                    enter=enter,
                    enlarge=enlarge,
                )
            )
        self.levels = nn.ModuleList(levels)
        self.leave = Conv(width, 3 * sizes.patch**2, causal=causal)
        self.time = TimeEmbedding(2 * width) if timed else None
        self.table = nn.Parameter(torch.zeros(2, width)) if timed else None
        self.time_scale = nn.Parameter(torch.tensor(1000.0)) if timed else None

    def forward(self, latents: Tensor, time: Tensor | None = None) -> Tensor:
        """[B, C, T, h, w] -> [B, 3, 8 T - 7, 32 h, 32 w] in -1..1; `time` [B] where it is timed."""
        if self.time_scale is not None and time is not None:
            time = time * self.time_scale
        x = self.middle(self.enter(latents), time)
        for level in self.levels:
            x = level(x, time)
        x = pixel_norm(x)
        if self.time is not None and self.table is not None and time is not None:
            known = self.time(time, x.dtype).unflatten(1, (2, -1)) + self.table
            shift, scale = known[..., None, None, None].unbind(1)
            x = x * (1 + scale) + shift
        x = self.leave(nn.functional.silu(x))
        batch, _, frames, rows, columns = x.shape
        p = self.patch
        x = x.reshape(batch, 3, p, p, frames, rows, columns).permute(0, 1, 4, 5, 3, 6, 2)
        return x.reshape(batch, 3, frames, rows * p, columns * p)


class LtxVae(nn.Module):
    """Both, and the normalisation of the latent."""

    def __init__(self, sizes: VaeSizes | None = None) -> None:
        super().__init__()
        self.sizes = sizes or VaeSizes()
        self.encoder, self.decoder = Encoder(self.sizes), Decoder(self.sizes)
        self.register_buffer("mean", torch.zeros(self.sizes.latent_channels))
        self.register_buffer("deviation", torch.ones(self.sizes.latent_channels))

    def encode(self, frames: Tensor) -> Tensor:
        """Frames [B, 3, 8 n + 1, H, W] in -1..1 -> normalised latents [B, C, n + 1, h, w]."""
        shape = (1, -1, 1, 1, 1)
        return (self.encoder(frames) - self.mean.view(shape)) / self.deviation.view(shape)

    def decode(self, latents: Tensor, time: Tensor | None = None) -> Tensor:
        """Normalised latents -> frames, see `Decoder.forward`."""
        shape = (1, -1, 1, 1, 1)
        return self.decoder(latents * self.deviation.view(shape) + self.mean.view(shape), time)

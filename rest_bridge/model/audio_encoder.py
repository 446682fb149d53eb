"""SpeechAE: causal strided convolutions from log-mel to two audio tokens a latent frame.

Place in the flow: `features.mel` -> encoder -> audio cross-attention of the DiT. The decoder and
the heads serve pretraining only (REST, arXiv:2512.11229: reconstruction plus frame-contrastive
loss; the mouth probe is ours). Three stages halve time, 100 -> 12.5 Hz. Latent frame l reads mel
frames up to 8 (l + 1) + lookahead; the caller shifts the input by the lookahead.

Shape letters: B batch, M mel frames, T latent frames, D token width.
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from rest_bridge.model.layers import CausalConv, RmsNorm


@dataclass(frozen=True, slots=True)
class SpeechConfig:
    """Size of SpeechAE.

    Attributes:
        num_bins: mel bins.
        widths: channels at 100, 50, 25 and 12.5 Hz.
        token_width: D of each of the two tokens.
    """

    num_bins: int = 80
    widths: tuple[int, int, int, int] = (96, 128, 160, 192)
    token_width: int = 96


NUM_TOKENS = 2
"""Audio tokens a latent frame."""
MEL_PER_LATENT = 8


class _Residual(nn.Module):
    def __init__(self, width: int, *, kernel: int, dilation: int = 1) -> None:
        super().__init__()
        self.norm = RmsNorm(width)
        self.conv = CausalConv(width, width, kernel=kernel, dilation=dilation)
        self.leave = nn.Linear(width, width)

    def forward(self, x: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
        y, state = self.conv(self.norm(x), state)
        return x + self.leave(nn.functional.gelu(y, approximate="tanh")), state


class SpeechEncoder(nn.Module):
    """Mel frames -> audio tokens, with the convolutions' left contexts as explicit state.

    Its whole receptive field is 70 mel frames, of which 62 lie before the newest latent frame.
    """

    def __init__(self, config: SpeechConfig) -> None:
        super().__init__()
        self.config = config
        a, b, c, d = config.widths
        self.layers = nn.ModuleList(
            [
                CausalConv(config.num_bins, a, kernel=3),
                _Residual(a, kernel=3),
                CausalConv(a, b, kernel=4, stride=2),
                _Residual(b, kernel=3),
                _Residual(b, kernel=3, dilation=2),
                CausalConv(b, c, kernel=4, stride=2),
                _Residual(c, kernel=3),
                _Residual(c, kernel=3, dilation=2),
                CausalConv(c, d, kernel=4, stride=2),
                _Residual(d, kernel=2),
            ]
        )
        self.norm = RmsNorm(d)
        self.leave = nn.Linear(d, NUM_TOKENS * config.token_width)

    def state_shapes(self) -> list[tuple[int, int]]:
        """Return (frames, channels) of each layer's left context."""
        convs = [layer.conv if isinstance(layer, _Residual) else layer for layer in self.layers]
        return [(conv.context, conv.width_in) for conv in convs]

    def initial_state(self, batch_size: int) -> list[Tensor]:
        """Return zeros: nothing has been heard."""
        return [torch.zeros(batch_size, *shape) for shape in self.state_shapes()]

    def forward(self, mel: Tensor, state: list[Tensor]) -> tuple[Tensor, list[Tensor]]:
        """Encode the next mel frames.

        Args:
            mel: float [B, 8 T, num_bins], normalised.
            state: from `initial_state` or the previous call.

        Returns:
            tokens: [B, T, 2, D].
            state: for the next call.
        """
        x, next_state = mel, []
        for layer, context in zip(self.layers, state, strict=True):
            x, tail = layer(x, context)
            next_state.append(tail)
        tokens = self.leave(self.norm(x))
        return tokens.unflatten(-1, (NUM_TOKENS, self.config.token_width)), next_state


class SpeechHeads(nn.Module):
    """What pretraining asks of the tokens: the mel frames back, contrast, and the mouth."""

    def __init__(self, config: SpeechConfig, *, num_rig: int, hidden: int = 256) -> None:
        super().__init__()
        width = NUM_TOKENS * config.token_width
        window = MEL_PER_LATENT * config.num_bins
        self.decoder = nn.Sequential(nn.Linear(width, hidden), nn.GELU(), nn.Linear(hidden, window))
        self.voice = nn.Sequential(nn.Linear(width, 128), nn.GELU(), nn.Linear(128, 64))
        self.sound = nn.Sequential(nn.Linear(window, 128), nn.GELU(), nn.Linear(128, 64))
        self.mouth = nn.Sequential(
            nn.Linear(width, hidden), nn.GELU(), nn.Linear(hidden, 2 * num_rig)
        )

    def forward(self, tokens: Tensor, mel: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return reconstruction, contrastive scores and mouth probe.

        Args:
            tokens: [B, T, 2, D].
            mel: [B, 8 T, num_bins], the frames that the tokens stand for.

        Returns:
            reconstruction: [B, T, 8 * num_bins].
            scores: [B, T, T]; scores[b, i, j] compares token frame i with sound frame j.
            mouth: [B, T, 2 * num_rig].
        """
        flat = tokens.flatten(2)
        windows = mel.unflatten(1, (flat.shape[1], MEL_PER_LATENT)).flatten(2)
        voice = nn.functional.normalize(self.voice(flat), dim=-1)
        sound = nn.functional.normalize(self.sound(windows), dim=-1)
        return self.decoder(flat), voice @ sound.transpose(1, 2) / 0.1, self.mouth(flat)

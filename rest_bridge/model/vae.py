"""The nano video VAE: motion encoder, reference encoder and flow-guided decoder.

Place in the flow: training, and video-driven use of the encoder; at run time only the exported
`reference_encoder.onnx` (once per avatar) and `decoder.onnx` (every frame) are used.

A latent frame [16, 4, 4] stands for two video frames at 25 fps: 128 px -> 4 cells, a stride of
32x32x2. It holds motion only: appearance reaches the output through the reference's own pixels,
moved by `base flow + correction`. The decoder does not know how the base flow was made, the encoder
does not know the decoder. The rig read-out is fixed and linear (`training.latent_space`).

Shape letters: B batch of video frames, N batch of latent frames, C channels, H/W pixels, V views.
Flows are backward flows in normalised coordinates: 2 = the crop's width; channel 0 is x.
"""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from rest_bridge.types import LATENT_SHAPE, LATENT_STRIDE

FLOW_SIZE = 64
CROP_SIZE = 128
PART_SIZE = 32


@dataclass(frozen=True, slots=True)
class VaeParams:
    """Sizes of the networks.

    Attributes:
        width: channels of the decoder at 64x64; doubles towards the coarse end.
        encoder_width: channels of the encoder's first layers.
        num_rig: rig values a frame (58).
        free_std: standard deviation of the noise on the part of the latent beyond the rig.
    """

    width: int = 16
    encoder_width: int = 32
    num_rig: int = 58
    free_std: float = 0.5


class ConvBlock(nn.Module):
    """3x3 convolution, batch normalisation (folds away in ONNX Runtime), SiLU."""

    def __init__(self, num_in: int, num_out: int, *, stride: int = 1) -> None:
        super().__init__()
        self.conv = nn.Conv2d(num_in, num_out, 3, stride, 1, bias=False)
        self.norm = nn.BatchNorm2d(num_out)

    def forward(self, x: Float[Tensor, "B C H W"]) -> Float[Tensor, "B D h w"]:
        """Apply the three."""
        return F.silu(self.norm(self.conv(x)))


def base_grid(size: int) -> Float[Tensor, "1 S S 2"]:
    """Return pixel centres in normalised coordinates, float32 (float64 breaks ORT's GridSample)."""
    line = torch.tensor([(2.0 * i + 1.0) / size - 1.0 for i in range(size)], dtype=torch.float32)
    y, x = torch.meshgrid(line, line, indexing="ij")
    return torch.stack([x, y], dim=-1)[None]


def warp(
    features: Float[Tensor, "B C S S"],
    flow: Float[Tensor, "B 2 S S"],
    grid: Float[Tensor, "1 S S 2"],
) -> Float[Tensor, "B C S S"]:
    """Sample features where the backward flow points; borders are replicated."""
    where = grid + flow.permute(0, 2, 3, 1)
    return F.grid_sample(features, where, padding_mode="border", align_corners=False)


class ReferenceEncoder(nn.Module):
    """Features of the reference at 64, 32, 16 and 8 pixels; run once per avatar."""

    def __init__(self, params: VaeParams) -> None:
        super().__init__()
        w = params.width
        self.to_64 = nn.Sequential(ConvBlock(12, w), ConvBlock(w, w))
        self.to_32 = nn.Sequential(ConvBlock(w, 2 * w, stride=2), ConvBlock(2 * w, 2 * w))
        self.to_16 = nn.Sequential(ConvBlock(2 * w, 3 * w, stride=2), ConvBlock(3 * w, 3 * w))
        self.to_8 = nn.Sequential(ConvBlock(3 * w, 4 * w, stride=2), ConvBlock(4 * w, 4 * w))

    def forward(
        self, reference: Float[Tensor, "B 3 128 128"]
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Return features [B, w, 64, 64], [B, 2w, 32, 32], [B, 3w, 16, 16], [B, 4w, 8, 8]."""
        f64 = self.to_64(F.pixel_unshuffle(reference - 0.5, 2))
        f32 = self.to_32(f64)
        f16 = self.to_16(f32)
        return f64, f32, f16, self.to_8(f16)


class FlowDecoder(nn.Module):
    """Latent -> small correction of the base flow and a low-resolution residual, frame by frame.

    Coarse to fine; reference features are aligned by the flow found so far. Both heads start at
    zero, so the untrained decoder is the base flow.
    """

    def __init__(self, params: VaeParams) -> None:
        super().__init__()
        w = params.width
        channels = LATENT_SHAPE[0]
        self.from_latent = ConvBlock(channels * 2, 4 * w)
        self.frame_embedding = nn.Parameter(torch.randn(LATENT_STRIDE, channels, 4, 4) * 0.02)
        self.at_8 = ConvBlock(8 * w, 4 * w)
        self.at_16 = ConvBlock(4 * w + 3 * w + 2, 3 * w)
        self.at_32 = ConvBlock(3 * w + 2 * w + 2, 2 * w)
        self.at_64 = nn.Sequential(ConvBlock(2 * w + w + 2, w), ConvBlock(w, w))
        self.flow_16, self.flow_32, self.flow_64 = (
            _zero_conv(3 * w, 2),
            _zero_conv(2 * w, 2),
            _zero_conv(w, 2),
        )
        self.residual_head = _zero_conv(w, 4)
        for size in (16, 32, 64):
            self.register_buffer(f"grid_{size}", base_grid(size), persistent=False)

    def forward(
        self,
        latent: Float[Tensor, "B 16 4 4"],
        frame_one_hot: Float[Tensor, "B 2"],
        base: Float[Tensor, "B 2 64 64"],
        f64: Float[Tensor, "B w 64 64"],
        f32: Float[Tensor, "B w2 32 32"],
        f16: Float[Tensor, "B w3 16 16"],
        f8: Float[Tensor, "B w4 8 8"],
    ) -> tuple[Float[Tensor, "B 2 64 64"], Float[Tensor, "B 3 64 64"], Tensor, Tensor]:
        """Decode one video frame of each latent frame.

        Args:
            latent: motion latent.
            frame_one_hot: which of the latent frame's two video frames.
            base: base flow of the first reference.
            f64: reference features at 64 px.
            f32: reference features at 32 px.
            f16: reference features at 16 px.
            f8: reference features at 8 px.

        Returns:
            flow: base flow + correction, 64x64.
            residual: RGB change in -1..1 to add after warping, 64x64.
            flow_16: the coarse flow, for training.
            flow_32: the middle flow, for training.
        """
        which = torch.einsum("bt,tchw->bchw", frame_one_hot, self.frame_embedding)
        h = self.from_latent(torch.cat([latent, which], 1))
        h = self.at_8(torch.cat([_up(h), f8], 1))
        base_32 = F.avg_pool2d(base, 2)
        base_16 = F.avg_pool2d(base_32, 2)
        h = self.at_16(torch.cat([_up(h), warp(f16, base_16, self.grid_16), base_16 * 4], 1))
        delta = self.flow_16(h) * 0.1
        flow_16 = base_16 + delta
        delta = _up_smooth(delta)
        aligned = warp(f32, base_32 + delta, self.grid_32)
        h = self.at_32(torch.cat([_up(h), aligned, base_32 * 4], 1))
        delta = delta + self.flow_32(h) * 0.1
        flow_32 = base_32 + delta
        delta = _up_smooth(delta)
        aligned = warp(f64, base + delta, self.grid_64)
        h = self.at_64(torch.cat([_up(h), aligned, base * 4], 1))
        flow = base + delta + self.flow_64(h) * 0.1
        colour, gate = self.residual_head(h).split([3, 1], 1)
        residual = 0.25 * torch.tanh(colour) * torch.sigmoid(gate)
        return flow, residual, flow_16, flow_32


class MotionEncoder(nn.Module):
    """Frames and reference -> rig values and a free code; sees aligned crops of eyes and mouth.

    From the whole 128 px view alone it learns pose but no blinks (STUDY-DECODER, section 3).
    """

    def __init__(self, params: VaeParams) -> None:
        super().__init__()
        w = params.encoder_width
        self.view = nn.Sequential(
            ConvBlock(24, w),
            ConvBlock(w, 2 * w, stride=2),
            ConvBlock(2 * w, 3 * w, stride=2),
            ConvBlock(3 * w, 3 * w, stride=2),
            nn.Flatten(),
            nn.Linear(3 * w * 16, 128),
        )
        self.eye, self.mouth = (_part_encoder(w), _part_encoder(w))
        num_free = LATENT_SHAPE[0] * 16 // LATENT_STRIDE
        self.head = nn.Sequential(
            nn.SiLU(), nn.Linear(4 * 128 + 18, 256), nn.SiLU(), nn.Linear(256, 256)
        )
        self.to_rig = nn.Linear(256, params.num_rig)
        self.to_free = nn.Linear(256, num_free)
        nn.init.zeros_(self.to_free.weight)
        nn.init.zeros_(self.to_free.bias)

    def forward(
        self,
        frames: Float[Tensor, "B 3 128 128"],
        reference: Float[Tensor, "B 3 128 128"],
        parts: Float[Tensor, "B 6 3 32 32"],
        boxes: Float[Tensor, "B 18"],
    ) -> tuple[Float[Tensor, "B R"], Float[Tensor, "B Q"]]:
        """Encode video frames.

        Args:
            frames: RGB 0..1.
            reference: RGB 0..1 of the same person.
            parts: eye, eye, mouth of the frame, then of the reference (`crop_parts`).
            boxes: the frame's part boxes minus the reference's, and the reference's (3 x 3 each).

        Returns:
            rig: normalised rig values.
            free: this frame's share of the free code.
        """
        both = torch.cat([frames, reference], 1) - 0.5
        view = self.view(F.pixel_unshuffle(F.avg_pool2d(both, 2), 2))
        pairs = torch.cat([parts[:, :3], parts[:, 3:]], 2) - 0.5
        eyes = self.eye(F.pixel_unshuffle(pairs[:, :2].flatten(0, 1), 2)).view(len(frames), -1)
        mouth = self.mouth(F.pixel_unshuffle(pairs[:, 2], 2))
        h = F.silu(self.head(torch.cat([view, eyes, mouth, boxes], 1)))
        return self.to_rig(h), self.to_free(h)


class VideoVae(nn.Module):
    """Encoder and decoder around the anchored latent."""

    def __init__(
        self,
        params: VaeParams,
        readout: Float[Tensor, "256 116"],
        rig_to_latent: Float[Tensor, "116 256"],
    ) -> None:
        super().__init__()
        self.params = params
        self.encoder = MotionEncoder(params)
        self.reference_encoder = ReferenceEncoder(params)
        self.decoder = FlowDecoder(params)
        self.register_buffer("readout", readout)
        self.register_buffer("rig_to_latent", rig_to_latent)

    def latent_of(
        self, rig: Float[Tensor, "N 2 R"], free: Float[Tensor, "N Q"] | None = None
    ) -> Float[Tensor, "N 16 4 4"]:
        """Place rig values in the latent and a free code beside them.

        Args:
            rig: normalised rig values of the two video frames.
            free: code for the null space of the read-out; 0 if None.
        """
        latent = rig.flatten(1) @ self.rig_to_latent
        if free is not None:
            latent = latent + free - (free @ self.readout) @ self.rig_to_latent
        return latent.view(-1, *LATENT_SHAPE)

    def sample_free(
        self, mean: Float[Tensor, "N Q"], generator: torch.Generator | None = None
    ) -> Float[Tensor, "N Q"]:
        """Draw the free part of the posterior: fixed standard deviation `free_std`.

        With a unit prior the KL divergence is 0.5 * mean^2 a value, up to a constant.
        """
        noise = torch.randn(mean.shape, generator=generator, dtype=mean.dtype)
        return mean + self.params.free_std * noise


def crop_parts(
    image: Float[Tensor, "B 3 H W"], boxes: Float[Tensor, "B 3 3"], *, size: int = PART_SIZE
) -> Float[Tensor, "B 3 3 s s"]:
    """Cut squares around both eyes and the mouth.

    Args:
        image: RGB.
        boxes: centre x, centre y and width of each part, in units of the image (0..1).
        size: pixels a side.
    """
    line = torch.tensor([(2.0 * i + 1.0) / size - 1.0 for i in range(size)])
    y, x = torch.meshgrid(line, line, indexing="ij")
    half = (boxes[..., 2] * torch.tensor([1.6, 1.6, 1.5])).clamp(min=0.08)
    centre = boxes[..., :2] * 2 - 1
    where = torch.stack([x, y], -1) * half[..., None, None, None] + centre[..., None, None, :]
    grid = where.flatten(0, 1)
    cut = F.grid_sample(
        image.repeat_interleave(3, 0), grid, padding_mode="border", align_corners=False
    )
    return cut.view(len(image), 3, 3, size, size)


def _part_encoder(w: int) -> nn.Sequential:
    return nn.Sequential(
        ConvBlock(24, 2 * w),
        ConvBlock(2 * w, 3 * w, stride=2),
        ConvBlock(3 * w, 4 * w, stride=2),
        nn.Flatten(),
        nn.Linear(4 * w * 16, 128),
    )


def _zero_conv(num_in: int, num_out: int) -> nn.Conv2d:
    conv = nn.Conv2d(num_in, num_out, 3, 1, 1)
    nn.init.zeros_(conv.weight)
    nn.init.zeros_(conv.bias if conv.bias is not None else conv.weight)
    return conv


def _up(x: Tensor) -> Tensor:
    return F.interpolate(x, scale_factor=2.0, mode="nearest")


def _up_smooth(x: Tensor) -> Tensor:
    return F.interpolate(x, scale_factor=2.0, mode="bilinear", align_corners=False)

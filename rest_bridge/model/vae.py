"""The nano video VAE: motion encoder, reference encoder and flow-guided decoder.

Place in the flow: training, and video-driven use of the encoder; at run time only the exported
`reference_encoder.onnx` (once per avatar) and `decoder.onnx` (every frame) are used.

A latent frame [16, 4, 4] stands for two video frames at 25 fps: 128 px -> 4 cells, a stride of
32x32x2. It holds motion only: appearance reaches the output through the reference's own pixels,
moved by flow. The reference encoder looks once at the portrait and what the importer made of it,
and refines how the head moves (depth, weight, pivot); pose then moves it by exact geometry. The
decoder adds, frame by frame, what the geometry does not know. The rig read-out is fixed and linear
(`training.latent_space`). There is no residual in colours: it learned nothing (LOG.md).

Shape letters: B batch of video frames, N batch of latent frames or references, C channels, H/W
pixels. Flows are backward flows in normalised coordinates: 2 = the crop's width; channel 0 is x.
No batch statistics anywhere: weights alone say what a network does (averaging, exact resume).
"""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from rest_bridge.model.head_motion import read
from rest_bridge.types import LATENT_SHAPE, LATENT_STRIDE

FLOW_SIZE = 64
CROP_SIZE = 128
PART_SIZE = 48
NUM_MAPS = 9
"""Maps beside the reference picture; see `generator.head_refinement.reference_input`."""


@dataclass(frozen=True, slots=True)
class VaeParams:
    """Sizes of the networks.

    Attributes:
        width: channels of the decoder at 64x64; doubles towards the coarse end.
        reference_width: channels of the reference encoder at 64x64; runs once per avatar.
        encoder_width: channels of the motion encoder's first layers.
        num_rig: rig values a frame (58).
        free_std: standard deviation of the noise on the part of the latent beyond the rig.
    """

    width: int = 12
    reference_width: int = 20
    encoder_width: int = 24
    num_rig: int = 58
    free_std: float = 0.5


class ConvBlock(nn.Module):
    """3x3 convolution and SiLU; with group normalisation where time does not matter."""

    def __init__(self, num_in: int, num_out: int, *, stride: int = 1, norm: bool = True) -> None:
        super().__init__()
        self.conv = nn.Conv2d(num_in, num_out, 3, stride, 1)
        self.norm = nn.GroupNorm(4, num_out) if norm else nn.Identity()

    def forward(self, x: Float[Tensor, "B C H W"]) -> Float[Tensor, "B D h w"]:
        """Apply the three."""
        return F.silu(self.norm(self.conv(x)))


def base_grid(size: int) -> Float[Tensor, "1 S S 2"]:
    """Return pixel centres in normalised coordinates, float32 (float64 breaks ORT's GridSample)."""
    line = torch.tensor([(2.0 * i + 1.0) / size - 1.0 for i in range(size)], dtype=torch.float32)
    y, x = torch.meshgrid(line, line, indexing="ij")
    return torch.stack([x, y], dim=-1)[None]


class ReferenceEncoder(nn.Module):
    """A U-Net over the portrait: refines its head's maps, and gives features to the decoder.

    All refinements start at zero: the untrained network leaves the importer's head as it is.
    """

    def __init__(self, params: VaeParams) -> None:
        super().__init__()
        w, d = params.reference_width, params.width
        self.in_64 = nn.Sequential(ConvBlock(12 + NUM_MAPS, w), ConvBlock(w, w))
        self.in_32 = nn.Sequential(ConvBlock(w, 2 * w, stride=2), ConvBlock(2 * w, 2 * w))
        self.in_16 = nn.Sequential(ConvBlock(2 * w, 3 * w, stride=2), ConvBlock(3 * w, 3 * w))
        self.in_8 = nn.Sequential(ConvBlock(3 * w, 4 * w, stride=2), ConvBlock(4 * w, 4 * w))
        self.whole = nn.Sequential(nn.Linear(4 * w, 4 * w), nn.SiLU(), nn.Linear(4 * w, 4 * w))
        self.out_8 = ConvBlock(4 * w, 4 * w)
        self.out_16 = ConvBlock(7 * w, 3 * w)
        self.out_32 = ConvBlock(5 * w, 2 * w)
        self.out_64 = ConvBlock(3 * w, w)
        self.to_maps = _zero_conv(w, 2)
        self.to_pivot = nn.Linear(4 * w, 3)
        nn.init.zeros_(self.to_pivot.weight)
        nn.init.zeros_(self.to_pivot.bias)
        self.f64, self.f32, self.f16, self.f8 = (
            nn.Conv2d(num_in, num_out, 1)
            for num_in, num_out in ((w, d), (2 * w, 2 * d), (3 * w, 3 * d), (4 * w, 4 * d))
        )

    def forward(
        self,
        reference: Float[Tensor, "N 3 128 128"],
        maps: Float[Tensor, "N 9 64 64"],
    ) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor, Tensor]:
        """Look at the portrait once.

        Args:
            reference: RGB 0..1, on grey where transparent.
            maps: what the importer knows.

        Returns:
            refined: [N, 2, 64, 64], added depth (eye distances) and added weight.
            pivot: [N, 3], shift of the pivot: x right, y down, depth; eye distances.
            f64: features [N, w, 64, 64] for the decoder.
            f32: [N, 2w, 32, 32].
            f16: [N, 3w, 16, 16].
            f8: [N, 4w, 8, 8].
        """
        x64 = self.in_64(torch.cat([F.pixel_unshuffle(reference - 0.5, 2), maps], 1))
        x32 = self.in_32(x64)
        x16 = self.in_16(x32)
        x8 = self.in_8(x16)
        whole = self.whole(x8.mean((2, 3)))
        y8 = self.out_8(x8 + whole[:, :, None, None])
        y16 = self.out_16(torch.cat([_up_smooth(y8), x16], 1))
        y32 = self.out_32(torch.cat([_up_smooth(y16), x32], 1))
        y64 = self.out_64(torch.cat([_up_smooth(y32), x64], 1))
        refined = self.to_maps(y64) * 0.3
        return (refined, self.to_pivot(whole) * 0.3, self.f64(y64), self.f32(y32), self.f16(y16),
                self.f8(y8))  # fmt: skip


class FlowDecoder(nn.Module):
    """Latent -> small correction of the base flow, frame by frame.

    The rig is read off the latent by the fixed read-out and steers every scale (FiLM); reference
    features are aligned by the flow found so far. Heads start at zero, so the untrained decoder
    corrects nothing. No normalisation: it runs every frame.
    """

    def __init__(self, params: VaeParams, readout: Float[Tensor, "256 116"]) -> None:
        super().__init__()
        w = params.width
        self.register_buffer("readout", readout.view(256, LATENT_STRIDE, params.num_rig))
        self.motion = nn.Sequential(
            nn.Linear(params.num_rig + LATENT_SHAPE[0], 96), nn.SiLU(), nn.Linear(96, 96), nn.SiLU()
        )
        self.widths = (4 * w, 3 * w, 2 * w, w)
        self.steer = nn.ModuleList(nn.Linear(96, 2 * width) for width in self.widths)
        self.at_8 = nn.Conv2d(4 * w, 4 * w, 3, 1, 1)
        self.at_16 = nn.Conv2d(7 * w + 2, 3 * w, 3, 1, 1)
        self.at_32 = nn.Conv2d(5 * w + 2, 2 * w, 3, 1, 1)
        self.at_64 = nn.Conv2d(3 * w + 2, w, 3, 1, 1)
        self.last = ConvBlock(w, w, norm=False)
        self.flow_16, self.flow_32, self.flow_64 = (
            _zero_conv(3 * w, 2),
            _zero_conv(2 * w, 2),
            _zero_conv(w, 2),
        )
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
    ) -> tuple[Float[Tensor, "B 2 64 64"], Tensor, Tensor]:
        """Decode one video frame of each latent frame.

        Args:
            latent: motion latent.
            frame_one_hot: which of the latent frame's two video frames.
            base: base flow.
            f64: reference features at 64 px.
            f32: reference features at 32 px.
            f16: reference features at 16 px.
            f8: reference features at 8 px.

        Returns:
            correction: to add to the base flow, 64x64.
            coarse: the correction as far as it is known at 16x16, for training.
            middle: at 32x32, for training.
        """
        both = torch.einsum("bl,ltr->btr", latent.flatten(1), self.readout)
        rig = (both * frame_one_hot[:, :, None]).sum(1)
        motion = self.motion(torch.cat([rig, latent.mean((2, 3))], 1))
        base_32 = F.avg_pool2d(base, 2)
        base_16 = F.avg_pool2d(base_32, 2)
        h = self._steered(0, self.at_8(f8), motion)
        aligned = read(f16, base_16, self.grid_16)
        h = self._steered(1, self.at_16(torch.cat([_up(h), aligned, base_16 * 4], 1)), motion)
        coarse = self.flow_16(h) * 0.1
        delta = _up_smooth(coarse)
        aligned = read(f32, base_32 + delta, self.grid_32)
        h = self._steered(2, self.at_32(torch.cat([_up(h), aligned, base_32 * 4], 1)), motion)
        middle = delta + self.flow_32(h) * 0.1
        delta = _up_smooth(middle)
        aligned = read(f64, base + delta, self.grid_64)
        h = self._steered(3, self.at_64(torch.cat([_up(h), aligned, base * 4], 1)), motion)
        return delta + self.flow_64(self.last(h)) * 0.1, coarse, middle

    def _steered(self, level: int, x: Tensor, motion: Tensor) -> Tensor:
        scale, shift = self.steer[level](motion)[:, :, None, None].chunk(2, 1)
        return F.silu(x * (1 + scale) + shift)


class MotionEncoder(nn.Module):
    """Frames and reference -> rig values and a free code; sees aligned crops of eyes and mouth.

    From the whole 128 px view alone it learns pose but no blinks (STUDY-DECODER, section 3).
    """

    def __init__(self, params: VaeParams) -> None:
        super().__init__()
        w = params.encoder_width
        self.view = nn.Sequential(
            ConvBlock(24, 2 * w),
            ConvBlock(2 * w, 3 * w, stride=2),
            ConvBlock(3 * w, 4 * w, stride=2),
            ConvBlock(4 * w, 4 * w, stride=2),
            nn.Flatten(),
            nn.Linear(4 * w * 16, 128),
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
        parts: Float[Tensor, "B 6 3 48 48"],
        boxes: Float[Tensor, "B 18"],
    ) -> tuple[Float[Tensor, "B R"], Float[Tensor, "B Q"]]:
        """Encode video frames.

        Args:
            frames: RGB 0..1.
            reference: RGB 0..1 of the same person.
            parts: eye, eye, mouth of the frame, then of the reference.
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
        self.decoder = FlowDecoder(params, readout)
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


def _part_encoder(w: int) -> nn.Sequential:
    return nn.Sequential(
        ConvBlock(24, 2 * w),
        ConvBlock(2 * w, 3 * w, stride=2),
        ConvBlock(3 * w, 4 * w, stride=2),
        ConvBlock(4 * w, 4 * w),
        nn.Flatten(),
        nn.Linear(4 * w * 36, 128),
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

"""The two small nets that find faces in a portrait and the 66 points in a face.

Place: trained by `training.landmarks`, exported to face_detector.onnx and landmarks.onnx, run by
`portrait.detect`. Shape letters: B batch, H/W pixels, h/w cells of 8 pixels, P = 66 points.
"""

from typing import Final

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

NUM_POINTS: Final = 66
DETECTOR_STRIDE: Final = 8
"""Pixels a detector cell."""
BASE_FACE_PX: Final = 32.0
"""Face side whose logarithm is 0 in the detector's third box channel."""


def _conv(channels_in: int, channels_out: int, *, stride: int = 1, kernel: int = 3) -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(channels_in, channels_out, kernel, stride, kernel // 2, bias=False),
        nn.BatchNorm2d(channels_out),
        nn.ReLU(),
    )


class _Residual(nn.Module):
    def __init__(self, channels: int) -> None:
        super().__init__()
        self.first = _conv(channels, channels)
        self.second = nn.Sequential(
            nn.Conv2d(channels, channels, 3, 1, 1, bias=False), nn.BatchNorm2d(channels)
        )

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(x + self.second(self.first(x)))


class FaceDetector(nn.Module):
    """Fully convolutional: a heat map of face centres and a box at each cell."""

    def __init__(self) -> None:
        super().__init__()
        self.to_4 = nn.Sequential(_conv(3, 16, stride=2), _conv(16, 32, stride=2))
        self.to_8 = nn.Sequential(_conv(32, 48, stride=2), _Residual(48))
        self.to_16 = nn.Sequential(_conv(48, 72, stride=2), _Residual(72))
        self.to_32 = nn.Sequential(_conv(72, 96, stride=2), _Residual(96))
        self.to_64 = nn.Sequential(_conv(96, 96, stride=2), _conv(96, 96))
        self.lateral = nn.ModuleList([nn.Conv2d(n, 48, 1) for n in (48, 72, 96, 96)])
        self.merge = nn.ModuleList([_conv(48, 48) for _ in range(3)])
        self.head = nn.Conv2d(48, 4, 1)
        nn.init.normal_(self.head.weight, 0, 0.01)
        # Faces are rare: start by expecting none (focal loss, arXiv:1708.02002).
        self.head.bias = nn.Parameter(torch.tensor([-4.0, 0.0, 0.0, 0.0]))

    def forward(
        self, rgb: Float[Tensor, "B 3 H W"]
    ) -> tuple[Float[Tensor, "B 1 h w"], Float[Tensor, "B 3 h w"]]:
        """Return the logit of "a face's centre lies here" and (dx, dy, log2 of side / 32).

        Args:
            rgb: 0..1; H and W multiples of 16. dx, dy are cells from the cell's centre.
        """
        at_8 = self.to_8(self.to_4(rgb * 2 - 1))
        at_16 = self.to_16(at_8)
        at_32 = self.to_32(at_16)
        at_64 = self.to_64(at_32)
        x = self.lateral[3](at_64)
        for level, skip in ((2, at_32), (1, at_16), (0, at_8)):
            x = F.interpolate(x, size=skip.shape[-2:], mode="nearest")
            x = self.merge[level](x + self.lateral[level](skip))
        out = self.head(x)
        return out[:, :1], out[:, 1:]


class LandmarkNet(nn.Module):
    """66 heat maps of 32 x 32; a point is the mean of its map (integral regression)."""

    def __init__(self) -> None:
        super().__init__()
        self.to_4 = nn.Sequential(_conv(3, 24, stride=2), _conv(24, 40, stride=2), _conv(40, 40))
        self.to_8 = nn.Sequential(_conv(40, 72, stride=2), _Residual(72))
        self.to_16 = nn.Sequential(_conv(72, 112, stride=2), _Residual(112), _Residual(112))
        self.to_32 = _conv(112, 128, stride=2)
        self.lateral = nn.ModuleList([nn.Conv2d(n, 48, 1) for n in (40, 72, 112, 128)])
        self.merge = nn.ModuleList([_conv(48, 48) for _ in range(3)])
        self.heat = nn.Conv2d(48, NUM_POINTS, 1)
        self.doubt = nn.Sequential(nn.Linear(128, 64), nn.ReLU(), nn.Linear(64, NUM_POINTS))
        steps = (torch.arange(32) + 0.5) / 32
        self.register_buffer("steps", steps, persistent=False)

    def forward(
        self, rgb: Float[Tensor, "B 3 128 128"]
    ) -> tuple[Float[Tensor, "B 66 2"], Float[Tensor, "B 66"]]:
        """Return points (x, y; 0..1 of the crop, may leave it a little) and log expected error.

        The expected error is a Laplace scale in crop widths; see `confidence`.
        """
        at_4 = self.to_4(rgb * 2 - 1)
        at_8 = self.to_8(at_4)
        at_16 = self.to_16(at_8)
        at_32 = self.to_32(at_16)
        x = self.lateral[3](at_32)
        for level, skip in ((2, at_16), (1, at_8), (0, at_4)):
            x = F.interpolate(x, scale_factor=2.0, mode="nearest")
            x = self.merge[level](x + self.lateral[level](skip))
        share = self.heat(x).float().flatten(2).softmax(-1).unflatten(2, (32, 32))
        points = torch.stack([share.sum(2) @ self.steps, share.sum(3) @ self.steps], -1)
        # The mean of a map never reaches the border; a little stretch lets points leave the crop.
        points = (points - 0.5) * 1.1 + 0.5
        return points, self.doubt(at_32.mean((2, 3))).float() - 3.5


def confidence(log_error: Float[Tensor, "B 66"]) -> Float[Tensor, "B 66"]:
    """Map the log expected error (crop widths) to 0..1: 1 % of the crop gives 0.8, 4 % 0.5."""
    return 1 / (1 + log_error.exp() / 0.04)


class ExportedDetector(nn.Module):
    """The detector with scores instead of logits, as face_detector.onnx."""

    def __init__(self, net: FaceDetector) -> None:
        super().__init__()
        self.net = net

    def forward(self, rgb: Tensor) -> tuple[Tensor, Tensor]:
        """Return score 0..1 and box."""
        logit, box = self.net(rgb)
        return logit.sigmoid(), box


class ExportedLandmarks(nn.Module):
    """The landmark net with confidence 0..1 instead of the log error, as landmarks.onnx."""

    def __init__(self, net: LandmarkNet) -> None:
        super().__init__()
        self.net = net

    def forward(self, rgb: Tensor) -> tuple[Tensor, Tensor]:
        """Return points 0..1 and confidence 0..1."""
        points, log_error = self.net(rgb)
        return points, confidence(log_error)

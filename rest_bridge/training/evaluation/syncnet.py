"""The published SyncNet, for whoever supplies its weights (`syncnet_v2.model`).

Our own writing of the network of Chung and Zisserman (2016) with the layer names that its state
dict has, and of its audio front end (13 MFCC, 25 ms windows, 10 ms steps). The face crop comes from
the evaluation's landmarks instead of S3FD with its track, so scores differ a little from those of
the original pipeline: compare with the real-video row. Shape letters: F frames, S samples, B batch.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import cv2
import numpy as np
import soxr
import torch
from scipy.fft import dct
from torch import Tensor, nn

from rest_bridge.errors import ConfigError
from rest_bridge.training.evaluation.published import sha256
from rest_bridge.training.evaluation.sync_expert import windows
from rest_bridge.training.evaluation.sync_inputs import crop_places
from rest_bridge.training.evaluation.sync_protocol import SyncScore, sync_score
from rest_bridge.types import MODEL_RATE_HZ, VOICE_RATE_HZ, ByteArray, FloatArray

_CROP_PX: Final = 224
_FACE_SIDE: Final = 3.9
"""Side of the crop in eye distances: a detected face box with 40 % around it."""
_DOWN: Final = 0.45
"""The crop's centre lies this many eye distances below the eyes."""
_BATCH: Final = 10
_WINDOW, _HOP, _FFT, _FILTERS, _CEPSTRA = 400, 160, 512, 26, 13


class SyncNet(nn.Module):
    """Two towers of 1024 features."""

    def __init__(self) -> None:
        super().__init__()
        self.netcnnaud = nn.Sequential(
            *_conv2(1, 64, (3, 3), 1, 1), nn.MaxPool2d((1, 1), (1, 1)),
            *_conv2(64, 192, (3, 3), 1, 1), nn.MaxPool2d((3, 3), (1, 2)),
            *_conv2(192, 384, (3, 3), 1, 1), *_conv2(384, 256, (3, 3), 1, 1),
            *_conv2(256, 256, (3, 3), 1, 1), nn.MaxPool2d((3, 3), (2, 2)),
            *_conv2(256, 512, (5, 4), 1, 0),
        )  # fmt: skip
        self.netfcaud = _tail()
        self.netfclip = _tail()
        self.netcnnlip = nn.Sequential(
            *_conv3(3, 96, (5, 7, 7), (1, 2, 2), 0), nn.MaxPool3d((1, 3, 3), (1, 2, 2)),
            *_conv3(96, 256, (1, 5, 5), (1, 2, 2), (0, 1, 1)),
            nn.MaxPool3d((1, 3, 3), (1, 2, 2), (0, 1, 1)),
            *_conv3(256, 256, (1, 3, 3), 1, (0, 1, 1)), *_conv3(256, 256, (1, 3, 3), 1, (0, 1, 1)),
            *_conv3(256, 256, (1, 3, 3), 1, (0, 1, 1)), nn.MaxPool3d((1, 3, 3), (1, 2, 2)),
            *_conv3(256, 512, (1, 6, 6), 1, 0),
        )  # fmt: skip

    def hear(self, mfcc: Tensor) -> Tensor:
        """Embed 0.2 s of sound: [B, 1, 13, 20] -> [B, 1024]."""
        return self.netfcaud(self.netcnnaud(mfcc).flatten(1))

    def see(self, frames: Tensor) -> Tensor:
        """Embed five frames: [B, 3, 5, 224, 224] BGR, 0..255 -> [B, 1024]."""
        return self.netfclip(self.netcnnlip(frames).flatten(1))


def _conv2(a: int, b: int, kernel: tuple[int, int], stride: int, padding: int) -> list[nn.Module]:
    return [nn.Conv2d(a, b, kernel, stride, padding), nn.BatchNorm2d(b), nn.ReLU()]


def _conv3(a: int, b: int, kernel: Any, stride: Any, padding: Any) -> list[nn.Module]:
    return [nn.Conv3d(a, b, kernel, stride, padding), nn.BatchNorm3d(b), nn.ReLU()]


def _tail() -> nn.Sequential:
    return nn.Sequential(nn.Linear(512, 512), nn.BatchNorm1d(512), nn.ReLU(), nn.Linear(512, 1024))


class PublishedSyncNet:
    """Scores clips with supplied weights."""

    def __init__(self, path: Path) -> None:
        """Load the state dict.

        Args:
            path: `syncnet_v2.model`.

        Raises:
            ConfigError: it is missing, unreadable or of another network.
        """
        self.identity = sha256(path)
        self._net = SyncNet().eval()
        try:
            self._net.load_state_dict(torch.load(path, map_location="cpu", weights_only=True))
        except (RuntimeError, OSError, ValueError, AttributeError, KeyError) as error:
            raise ConfigError(
                f"The network given with --syncnet is not syncnet_v2's state dict "
                f"({str(error).splitlines()[0]}): {path}"
            ) from None
        except Exception as error:
            raise ConfigError(f"The file given with --syncnet cannot be read: {path}") from error

    @torch.no_grad()
    def score(
        self, frames: Sequence[ByteArray], landmarks: FloatArray, voice: FloatArray
    ) -> SyncScore:
        """Score a clip; arguments as `talking.Judges.sync`."""
        crops = windows(face_crops(frames, landmarks), 5, 1).transpose(0, 4, 1, 2, 3)
        low = soxr.resample(voice, VOICE_RATE_HZ, MODEL_RATE_HZ)
        sound = windows(mfcc(low), 20, 4).transpose(0, 2, 1)[:, None]
        count = min(len(crops), len(sound))
        seen = self._run(self._net.see, crops[:count])
        return sync_score(seen, self._run(self._net.hear, sound[:count]))

    @staticmethod
    def _run(embed: Any, values: FloatArray) -> FloatArray:
        parts = [
            embed(torch.from_numpy(np.ascontiguousarray(values[i : i + _BATCH]))).numpy()
            for i in range(0, len(values), _BATCH)
        ]
        return np.concatenate(parts)


def face_crops(frames: Sequence[ByteArray], landmarks: FloatArray) -> FloatArray:
    """Cut faces as SyncNet saw them: float32 [F, 224, 224, 3] BGR, 0..255."""
    centres, mouth_side = crop_places(landmarks)
    eyes = landmarks[:, 36:48, :2].mean(1)
    unit = mouth_side / 1.15
    side, scale = _FACE_SIDE * unit, _FACE_SIDE * unit / _CROP_PX
    out = np.empty((len(frames), _CROP_PX, _CROP_PX, 3), np.float32)
    for row, frame in enumerate(frames):
        x, y = centres[row, 0], eyes[row, 1] + _DOWN * unit
        matrix = np.array([[scale, 0, x - side / 2], [0, scale, y - side / 2]], np.float32)
        flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
        crop = cv2.warpAffine(frame, matrix, (_CROP_PX, _CROP_PX), flags=flags)
        out[row] = crop[..., ::-1]
    return out


def mfcc(samples: FloatArray) -> FloatArray:
    """Return float32 [100 a second, 13]: the cepstra SyncNet hears, of int16-sized samples.

    Pre-emphasis 0.97, 26 triangular filters to 8 kHz, orthonormal DCT, liftering by 22, the first
    one replaced by the frame's log energy. Samples float32 [S], 16 kHz, -1..1.
    """
    pcm = np.round(np.clip(samples, -1, 1) * 32767)
    signal = np.append(pcm[0], pcm[1:] - 0.97 * pcm[:-1])
    count = 1 + max(0, int(np.ceil((len(signal) - _WINDOW) / _HOP)))
    padded = np.pad(signal, (0, max(0, (count - 1) * _HOP + _WINDOW - len(signal))))
    rows = np.arange(count)[:, None] * _HOP + np.arange(_WINDOW)
    power = np.abs(np.fft.rfft(padded[rows], _FFT)) ** 2 / _FFT
    tiny = np.finfo(float).eps
    energy = np.maximum(power.sum(1), tiny)
    logs = np.log(np.maximum(power @ _filters().T, tiny))
    cepstra = np.asarray(dct(logs, type=2, axis=1, norm="ortho"))[:, :_CEPSTRA]
    cepstra *= 1 + 11 * np.sin(np.pi * np.arange(_CEPSTRA) / 22)
    cepstra[:, 0] = np.log(energy)
    return cepstra.astype(np.float32)


def _filters() -> FloatArray:
    top = 2595 * np.log10(1 + MODEL_RATE_HZ / 2 / 700)
    mel = np.linspace(0, top, _FILTERS + 2)
    bins = np.floor((_FFT + 1) * 700 * (10 ** (mel / 2595) - 1) / MODEL_RATE_HZ)
    bank = np.zeros((_FILTERS, _FFT // 2 + 1))
    for row in range(_FILTERS):
        low, middle, high = bins[row : row + 3].astype(int)
        for k in range(low, middle):
            bank[row, k] = (k - bins[row]) / (bins[row + 1] - bins[row])
        for k in range(middle, high):
            bank[row, k] = (bins[row + 2] - k) / (bins[row + 2] - bins[row + 1])
    return bank.astype(np.float32)

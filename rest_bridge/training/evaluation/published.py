"""Networks that others published and that a person may supply as files; none is shipped.

FID wants the Inception-v3 of the TensorFlow FID release as TorchScript (the file commonly named
`inception-2015-12-05.pt`), FVD the I3D of Kinetics-400 as TorchScript (`i3d_torchscript.pt`). Each
file is tried on a picture before it counts; its SHA-256 goes into the table, so that a reader knows
which network spoke. A TorchScript file is a program: use only files that you trust.
Shape letters: F frames, W windows.
"""

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import cv2
import numpy as np

from rest_bridge.errors import ConfigError
from rest_bridge.training.evaluation.own_features import WINDOW_FRAMES
from rest_bridge.types import ByteArray, FloatArray

INCEPTION_FEATURES: Final = 2048
I3D_FEATURES: Final = 400
_I3D_SIZE_PX: Final = 224
_BATCH: Final = 8


class Inception:
    """The FID network: uint8 RGB in, 2048 pooled features out."""

    def __init__(self, path: Path) -> None:
        """Load and try it.

        Args:
            path: TorchScript file.

        Raises:
            ConfigError: it is missing, no TorchScript, or gives something else.
        """
        self.identity = sha256(path)
        self._module = _load(path, "--inception")
        probe = [np.zeros((299, 299, 3), np.uint8)]
        _expect(path, "--inception", INCEPTION_FEATURES, lambda: self.of(probe))

    def of(self, frames: Sequence[ByteArray]) -> FloatArray:
        """Return float32 [F, 2048]; frames uint8 [H, W, 3], resized by the network itself."""
        import torch

        rows = []
        with torch.no_grad():
            for start in range(0, len(frames), _BATCH):
                batch = torch.from_numpy(np.stack(frames[start : start + _BATCH]))
                rows.append(self._module(batch.permute(0, 3, 1, 2), return_features=True).numpy())
        return np.concatenate(rows).astype(np.float32)


class I3d:
    """The FVD network: 16 frames in, 400 features out."""

    def __init__(self, path: Path) -> None:
        """Load and try it.

        Args:
            path: TorchScript file.

        Raises:
            ConfigError: it is missing, no TorchScript, or gives something else.
        """
        self.identity = sha256(path)
        self._module = _load(path, "--i3d")
        probe = [np.zeros((64, 64, 3), np.uint8)] * WINDOW_FRAMES
        _expect(path, "--i3d", I3D_FEATURES, lambda: self.of(probe))

    def of(self, frames: Sequence[ByteArray], step: int = 8) -> FloatArray:
        """Return float32 [W, 400], a window of 16 frames every `step`; frames uint8 [H, W, 3]."""
        import torch

        size = (_I3D_SIZE_PX, _I3D_SIZE_PX)
        small = np.stack([cv2.resize(f, size, interpolation=cv2.INTER_AREA) for f in frames])
        rows = []
        with torch.no_grad():
            for first in range(0, len(small) - WINDOW_FRAMES + 1, step):
                part = torch.from_numpy(small[first : first + WINDOW_FRAMES]).float() / 127.5 - 1
                clip = part.permute(3, 0, 1, 2)[None]
                rows.append(
                    self._module(clip, rescale=False, resize=False, return_features=True).numpy()[0]
                )
        return np.stack(rows).astype(np.float32)


def sha256(path: Path) -> str:
    """Return the first 16 hexadecimal digits of a file's SHA-256.

    Raises:
        ConfigError: the file is missing.
    """
    if not path.is_file():
        raise ConfigError(f"The supplied network does not exist: {path}")
    return hashlib.sha256(path.read_bytes()).hexdigest()[:16]


def _load(path: Path, option: str) -> Any:
    import torch

    try:
        return torch.jit.load(str(path), map_location="cpu").eval()
    except (RuntimeError, ValueError, OSError) as error:
        raise ConfigError(
            f"The network given with {option} cannot be read as TorchScript "
            f"({str(error).splitlines()[0]}): {path}"
        ) from None


def _expect(path: Path, option: str, num_features: int, probe: Any) -> None:
    try:
        shape = probe().shape
    except (RuntimeError, TypeError, ValueError) as error:
        raise ConfigError(
            f"The network given with {option} does not take pictures as expected "
            f"({str(error).splitlines()[0]}): {path}"
        ) from None
    if shape[-1] != num_features:
        raise ConfigError(
            f"The network given with {option} has {shape[-1]} features instead of {num_features}, "
            f"so it is another one: {path}"
        )

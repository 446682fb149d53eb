"""Losses of SpeechAE and the DiT, measured on rig values where lips, lids and head are visible.

Place in the flow: predicted latents or probes + targets -> here -> one number. Closures and rest
weigh five and three times (`Batch.weight`): a plain squared error never shuts a mouth.
Shape letters: B batch, T latent frames, F = 2T video frames, R = 58 rig values.
"""

from typing import Final

import numpy as np
import torch
from torch import Tensor

from rest_bridge.rig import RIG_INDEX, RIG_NAMES
from rest_bridge.training.curves import aperture_weights, mouth_width
from rest_bridge.training.latent_space import build_maps

_CHANNEL_WEIGHTS: Final = {
    "jawOpen": 4.0, "mouthClose": 3.0, "mouthFunnel": 4.0, "mouthPucker": 4.0,
    "mouthLowerDown": 2.0, "mouthUpperUp": 2.0, "mouthPress": 2.0, "mouthRoll": 2.0,
    "mouthStretch": 1.5, "mouthSmile": 1.5, "eyeBlink": 2.5, "eyeLook": 1.0, "browInnerUp": 1.5,
    "brow": 1.0, "cheekSquint": 1.0, "headYaw": 3.0, "headPitch": 3.0, "headRoll": 3.0,
    "headX": 1.0, "headY": 1.0, "headZ": 1.0,
}  # fmt: skip
_OTHER_WEIGHT: Final = 0.4
_APERTURE_SCALE: Final = 0.15
_SHUT: Final = 0.01 / _APERTURE_SCALE
"""A gap that nobody sees."""
_MEETING: Final = (
    "mouthRollLower", "mouthRollUpper", "mouthPressLeft", "mouthPressRight", "mouthUpperUpLeft",
    "mouthUpperUpRight", "mouthClose",
)  # fmt: skip
"""What tells bitten lips from pressed ones."""
_NEARLY_SHUT: Final = 0.03 / _APERTURE_SCALE


def channel_weights() -> Tensor:
    """Return [R], mean 1: how much each rig value counts."""
    weights = torch.full((len(RIG_NAMES),), _OTHER_WEIGHT)
    for index, name in enumerate(RIG_NAMES):
        for prefix, weight in _CHANNEL_WEIGHTS.items():
            if name.startswith(prefix):
                weights[index] = weight
                break
    return weights / weights.mean()


def width_weights() -> Tensor:
    """Return [R]: `curves.mouth_width` as weights of the rig values."""
    return torch.from_numpy(mouth_width(np.eye(len(RIG_NAMES), dtype=np.float32)))


class RigLosses:
    """The read-out of the latent and everything that is measured on it."""

    def __init__(self, device: torch.device | None = None) -> None:
        maps = {name: torch.from_numpy(array) for name, array in build_maps().items()}
        self.mean, self.scale = maps["rig_mean"], maps["rig_scale"]
        self.readout, self.rig_to_latent = maps["readout"], maps["rig_to_latent"]
        self.weights = channel_weights()
        self.aperture = torch.from_numpy(aperture_weights()) * self.scale / _APERTURE_SCALE
        self.width = width_weights() * self.scale / _APERTURE_SCALE
        mouth = [i for i, n in enumerate(RIG_NAMES) if n.startswith(("mouth", "jaw", "head"))]
        self.moving = torch.tensor(mouth)
        self.meeting = torch.tensor([RIG_INDEX[name] for name in _MEETING])
        for name, value in vars(self).items():
            setattr(self, name, value.to(device))

    def normalise(self, rig: Tensor) -> Tensor:
        """[B, F, R] rig values -> normalised."""
        return (rig - self.mean) / self.scale

    def to_latents(self, normalised: Tensor) -> Tensor:
        """[B, F, R] normalised -> [B, T, 16, 4, 4]."""
        flat = normalised.unflatten(1, (-1, 2)).flatten(2) @ self.rig_to_latent
        return flat.unflatten(-1, (16, 4, 4))

    def to_normalised(self, latents: Tensor) -> Tensor:
        """[B, T, 16, 4, 4] -> [B, F, R] normalised."""
        return (latents.flatten(2) @ self.readout).unflatten(-1, (2, -1)).flatten(1, 2)

    def rig_error(self, predicted: Tensor, target: Tensor, weight: Tensor) -> Tensor:
        """Weighted squared error of values and of the lip aperture.

        Args:
            predicted: [B, F, R], normalised.
            target: [B, F, R], normalised.
            weight: [B, F].
        """
        error = predicted - target
        values = (error.square() * self.weights).mean(-1)
        gap = (error @ self.aperture).square() + 0.4 * (error @ self.width).square()
        return ((values + 0.25 * gap) * weight).sum() / weight.sum()

    def closure_error(self, predicted: Tensor, target: Tensor, closure: Tensor) -> Tensor:
        """Squared opening that is left where p, b or m shut the lips.

        A closure a frame early or late is as good as one in time, so the least opening of three
        frames counts: no squared error on values asks for that, and averages never shut. Real
        talkers do not shut at every p; where the target stays open nothing is asked.

        Args:
            predicted: [B, F, R], normalised.
            target: [B, F, R], normalised.
            closure: [B, F], 1 where lips must shut.
        """
        shut = closure * (self._least_gap(target) < _NEARLY_SHUT)
        return (self._least_gap(predicted).square() * shut).sum() / shut.sum().clamp(min=1)

    def still_error(self, predicted: Tensor, target: Tensor, rest: Tensor) -> Tensor:
        """Squared opening where nobody speaks and the target is shut.

        Args:
            predicted: [B, F, R], normalised.
            target: [B, F, R], normalised.
            rest: [B, F], 1 in rest.
        """
        shut = rest * (target @ self.aperture < _NEARLY_SHUT)
        gap = (predicted @ self.aperture).clamp(min=0)
        return (gap.square() * shut).sum() / shut.sum().clamp(min=1)

    def bite_error(self, predicted: Tensor, target: Tensor, closure: Tensor) -> Tensor:
        """Squared error of how the lips meet: pressed in p, b, m, the lower one bitten in f, v.

        Both shapes are short and rare; over all frames a network does best with one between them.
        Shapes are compared where the target has one of them.

        Args:
            predicted: [B, F, R], normalised.
            target: [B, F, R], normalised.
            closure: [B, F], 1 where lips must shut.
        """
        rolled = (target * self.scale + self.mean)[..., RIG_INDEX["mouthRollLower"]]
        bitten = ((rolled - 0.4) / 0.3).clamp(0, 1) * (1 - closure)
        meeting = bitten + closure * (rolled > 0.1)
        error = (predicted - target)[..., self.meeting].square().mean(-1)
        return (error * meeting).sum() / meeting.sum().clamp(min=1)

    def _least_gap(self, rig: Tensor) -> Tensor:
        """Least visible opening of a frame and its neighbours: [B, F]."""
        gap = (rig @ self.aperture - _SHUT).clamp(min=0)
        wide = torch.nn.functional.pad(gap, (1, 1), value=torch.inf)
        return torch.minimum(gap, torch.minimum(wide[:, :-2], wide[:, 2:]))

    def motion_error(self, predicted: Tensor, target: Tensor) -> Tensor:
        """Squared error of the frame differences of mouth and head; [B, F, R] normalised."""
        error = (predicted - target)[..., self.moving]
        return ((error[:, 1:] - error[:, :-1]).square() * self.weights[self.moving]).mean()

    def head_shake(self, predicted: Tensor, target: Tensor) -> Tensor:
        """Squared error of the head's second differences (REST's smoothness loss, L_SMO).

        Heads are heavy: a noisy latent shows as a tremble of 0.2 degrees long before it shows in
        any other error. [B, F, R] normalised.
        """
        error = (predicted - target)[..., :6]
        return (error[:, 2:] - 2 * error[:, 1:-1] + error[:, :-2]).square().mean()

    def off_readout(self, latents: Tensor) -> Tensor:
        """Mean square of the part of [B, T, 16, 4, 4] that the read-out does not see."""
        flat = latents.flatten(2)
        return (flat - flat @ self.readout @ self.rig_to_latent).square().mean()


def contrastive(scores: Tensor) -> Tensor:
    """Frame-level InfoNCE: the same frame is the positive, all others of the clip are negatives.

    Args:
        scores: [B, T, T], already divided by the temperature.
    """
    batch, num_frames, _ = scores.shape
    own = torch.arange(num_frames, device=scores.device).expand(batch, -1)
    forth = torch.nn.functional.cross_entropy(scores.flatten(0, 1), own.flatten())
    back = torch.nn.functional.cross_entropy(scores.transpose(1, 2).flatten(0, 1), own.flatten())
    return 0.5 * (forth + back)


def velocity_contrast(student: Tensor, teacher: Tensor, temperature: float) -> Tensor:
    """REST's L_CON: InfoNCE between student and teacher, frame by frame.

    Args:
        student: [B, T, ...], velocities (or predicted x_0).
        teacher: [B, T, ...].
        temperature: of the softmax.
    """
    first = torch.nn.functional.normalize(student.flatten(2), dim=-1)
    second = torch.nn.functional.normalize(teacher.flatten(2), dim=-1)
    return contrastive(first @ second.transpose(1, 2) / temperature)


def velocity_smoothness(student: Tensor, teacher: Tensor) -> Tensor:
    """REST's L_SMO: squared second differences along time of what student and teacher differ by.

    Zero for a difference that is constant or linear in time; it spans chunk borders.

    Args:
        student: [B, T, ...], velocities.
        teacher: [B, T, ...].
    """
    error = student - teacher
    return (error[:, 2:] - 2 * error[:, 1:-1] + error[:, :-2]).square().mean()

"""Gives a student the rig shapes of the emotions through its linear skip, as its streams show them.

Place in the flow: a student that learnt too little of the emotions -> here -> one that shows them
as `expressions` draws them. What the skip adds comes back to the network in the next denoising step
and in the context, and is added to again: a smile of 0.78 became 1.0 and a sad brow took the outer
brow along. So the columns are corrected by what a silent stream really shows, a few times over; and
each emotion borrows the wish that the network already obeys at once (happy: smile; angry: frown;
surprised: raised brows), or the context would hold a new smile back for a second.
Shape letters: E = 4 emotions, R = 58 rig values.
"""

import torch
from torch import Tensor

from rest_bridge.generator.conditions import CONDITION_INDEX, EMOTION, EMOTIONS
from rest_bridge.generator.life import LifePlanner
from rest_bridge.model.dit import StreamingDit
from rest_bridge.training import losses, rollout
from rest_bridge.training.expressions import expression_basis
from rest_bridge.training.settings import SHIPPED_STEPS

_LATENTS, _SETTLED = 14, 5
_DAMPING = 0.25
_STRENGTH = 0.7


_BORROWED = {"happy": ("smile", 0.9), "angry": ("brow", -0.9), "surprised": ("brow", 0.9)}


@torch.no_grad()
def borrow_wishes(dit: StreamingDit) -> None:
    """Let emotions act through the wishes that the network knows: same columns, scaled."""
    for layer in (dit.condition[0], dit.obey):
        layer.weight[:, EMOTION] = 0.0
        for emotion, (wish, share) in _BORROWED.items():
            column = layer.weight[:, CONDITION_INDEX[wish]]
            layer.weight[:, CONDITION_INDEX[emotion]] = share * column


@torch.no_grad()
def shown(
    dit: StreamingDit, strength: float = _STRENGTH, *, num_steps: int = SHIPPED_STEPS
) -> Tensor:
    """Return what each emotion adds to a silent, neutral stream, per unit of strength: [E, R].

    Args:
        dit: the student.
        strength: of the emotion.
        num_steps: denoising steps.
    """
    measure = losses.RigLosses()
    rows = torch.from_numpy(LifePlanner(0).plan(0, _LATENTS)).repeat(1 + len(EMOTIONS), 1, 1)
    rows[:, :, :9] = 0.0
    rows[1:, :, EMOTION] = strength * torch.eye(len(EMOTIONS))[:, None]
    tokens = torch.zeros(len(rows), _LATENTS, 2, dit.config.audio_width)
    still = torch.zeros(len(rows), *dit.config.latent_shape)
    latents = rollout.stream(
        dit, still, tokens, rows, still[:, None].expand(-1, _LATENTS, -1, -1, -1),
        num_steps=num_steps, chunk_latents=1,
    )  # fmt: skip
    rig = (measure.to_normalised(latents) * measure.scale)[:, -2 * _SETTLED :].mean(1)
    return (rig[1:] - rig[:1]) / strength


@torch.no_grad()
def settle_emotions(
    dit: StreamingDit, *, rounds: int = 20, num_steps: int = SHIPPED_STEPS
) -> float:
    """Correct the skip's emotion columns until a stream shows the shapes.

    Args:
        dit: the student; changed in place.
        rounds: of correction.
        num_steps: denoising steps that the package will take.

    Returns:
        Largest difference that is left, in rig values.
    """
    measure = losses.RigLosses()
    wanted = torch.from_numpy(expression_basis())
    error = wanted - shown(dit, num_steps=num_steps)
    for _ in range(rounds):
        step = (_DAMPING * error / measure.scale).repeat(1, 2) @ measure.rig_to_latent
        dit.obey.weight[:, EMOTION] += step.T
        error = wanted - shown(dit, num_steps=num_steps)
    return float(error[:, 6:].abs().max())

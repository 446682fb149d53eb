"""Distillation: from teacher to streaming student (ASD), and from many steps to one or two.

Place in the flow: checkpoints of `motion_learner` -> here -> the student that is exported.

ASD (REST, arXiv:2512.11229): L_S + 0.2 InfoNCE + 0.2 second differences between the velocities of
the frozen bidirectional teacher and of the student, on the same noise, times and dropouts.

Steps: progressive distillation (Salimans and Ho, arXiv:2202.00512) in x_0-form: one step of the
student shall land where several steps of the frozen student land. It suits a network that predicts
x_0 of nearly deterministic motion: the target is exact, needs no critic and no adversary. As in
Self-Forcing (arXiv:2506.08009) the context is what the student itself streamed, so that it learns
on the cache it will have. Shape letters as in `motion_learner`.
"""

import copy
from itertools import pairwise
from pathlib import Path

import torch
from torch import Tensor

from rest_bridge.model.dit import StreamingDit
from rest_bridge.training import losses, rollout
from rest_bridge.training.checkpoint import load_weights
from rest_bridge.training.motion_learner import LEAST_FLOW_T, Scene, StudentLearner
from rest_bridge.training.settings import AsdSettings, DistillSettings, ModelSettings
from rest_bridge.training.speech_data import Batch


class AsdLearner(StudentLearner):
    """The student beside its frozen teacher."""

    def __init__(self, model: ModelSettings, settings: AsdSettings) -> None:
        super().__init__(model, settings)
        self.asd = settings
        self.teacher: StreamingDit = copy.deepcopy(self.dit).eval().requires_grad_(False)

    def losses(self, batch: Batch, chance: torch.Generator) -> dict[str, Tensor]:
        """Return L_S and the weighted losses of ASD."""
        settings, scene = self.asd, self.scene(batch, chance)
        student = self.predict(scene, chance)
        with torch.no_grad():
            teacher = self.teacher.forward_bidirectional(
                scene.reference, scene.noisy, scene.t, scene.audio, scene.conditions,
                sink_known=scene.sink_known,
            ).float()  # fmt: skip
        parts = self.judge(student, scene) | scene.speech
        own, taught = (velocity(x, scene) for x in (student, teacher))
        if settings.contrastive:
            pair = (own, taught) if settings.contrast_on == "velocity" else (student, teacher)
            contrast = losses.velocity_contrast(*pair, settings.temperature)
            parts["contrastive"] = settings.contrastive * contrast
        if settings.smoothness:
            parts["smoothness"] = settings.smoothness * losses.velocity_smoothness(own, taught)
        return parts


class DistillLearner(StudentLearner):
    """The student beside a frozen copy of itself that takes more steps."""

    def __init__(self, model: ModelSettings, settings: DistillSettings) -> None:
        super().__init__(model, settings)
        self.distill = settings
        self.frozen: StreamingDit = copy.deepcopy(self.dit).eval().requires_grad_(False)

    def losses(self, batch: Batch, chance: torch.Generator) -> dict[str, Tensor]:
        """Return the error against the frozen student's answer and against the data."""
        settings, scene = self.distill, self.scene(batch, chance)
        context, known = self._streamed(scene, chance), self.known(scene, chance)
        number = int(torch.randint(settings.sampling_steps, (), generator=chance))
        t, t_next = (1 - (number + i) / settings.sampling_steps for i in (0, 1))
        with torch.no_grad():
            scene.noisy = self._solve(scene.noise, 1.0, t, context, scene, known)
            landed = self._solve(scene.noisy, t, t_next, context, scene, known)
            # Where a straight line through both points meets t = 0.
            answer = (t * landed - t_next * scene.noisy) / (t - t_next)
        scene.t = torch.full_like(scene.t, t)
        predicted = self.predict_on(context, scene, known)
        rig, told = (self.measure.to_normalised(x) for x in (predicted, answer))
        truth = self.judge(predicted, scene)
        return {
            "answer": self.measure.rig_error(rig, told, torch.ones_like(scene.weight)),
            **{name: settings.truth * value for name, value in truth.items()},
            **scene.speech,
        }

    def _streamed(self, scene: Scene, chance: torch.Generator) -> Tensor:
        """Return the context: in part of the steps what the student now streams."""
        if float(torch.rand((), generator=chance)) >= self.distill.rollouts:
            return self.context(scene, chance)
        streamed = rollout.stream(
            self.dit, scene.reference, scene.audio, scene.conditions, scene.noise,
            num_steps=self.distill.sampling_steps,
            chunk_latents=max(1, self.settings.chunk_latents),
        )  # fmt: skip
        return self.remembered(streamed, scene)

    def _solve(
        self, x: Tensor, begin: float, end: float, context: Tensor, scene: Scene, known: Tensor
    ) -> Tensor:
        """Take the frozen student's steps from flow time `begin` to `end`."""
        count = round((begin - end) * self.distill.sampling_steps) * self.distill.teacher_steps
        times = [begin + (end - begin) * i / max(count, 1) for i in range(count + 1)]
        for t, t_next in pairwise(times):
            flow_time = torch.full_like(scene.t, t)
            clean = self.frozen.forward_training(
                scene.reference, context, x, flow_time, scene.audio, scene.conditions,
                chunk=scene.chunk, sink_known=scene.sink_known, context_known=known,
                context_t=self.context_t(scene),
            ).float()  # fmt: skip
            x = clean + (t_next / t) * (x - clean)
        return x


def velocity(clean: Tensor, scene: Scene) -> Tensor:
    """Return noise - x_0 as a predicted x_0 implies it, [B, T, 16, 4, 4]; t limited from below."""
    t = scene.t.clamp(min=LEAST_FLOW_T)[..., None, None, None]
    return (scene.noisy - clean) / t


def freeze(learner: AsdLearner | DistillLearner, weights: dict[str, Tensor], path: Path) -> None:
    """Write weights into the frozen network beside the student (names begin with "dit.").

    Raises:
        CheckpointError: they are of another size.
    """
    own = {name[4:]: value for name, value in weights.items() if name.startswith("dit.")}
    load_weights(learner.teacher if isinstance(learner, AsdLearner) else learner.frozen, own, path)

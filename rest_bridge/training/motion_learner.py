"""What teacher and streaming student learn: x_0 of noised clips, judged where people look.

Place in the flow: `speech_data.Batch` -> here -> `loop`. Both are flow matching (velocity =
noise - x_0) with an x_0-predicting network; they differ in who sees whom. The losses on lips, lids
and head (`losses`) take the place of the plain velocity error of REST (arXiv:2512.11229).

Shape letters: B batch, T latent frames, F = 2T video frames, R = 58 rig values.
"""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from rest_bridge.generator.conditions import EMOTION
from rest_bridge.model.audio_encoder import SpeechEncoder, SpeechHeads
from rest_bridge.model.dit import StreamingDit
from rest_bridge.rig import RIG_NAMES
from rest_bridge.training import losses
from rest_bridge.training.expressions import expression_basis
from rest_bridge.training.noise_schedule import asynchronous_times, draw_chunks
from rest_bridge.training.ranks import device
from rest_bridge.training.settings import ModelSettings, MotionSettings, StudentSettings
from rest_bridge.training.speech_data import Batch
from rest_bridge.training.train_speech import encode, speech_losses

LEAST_FLOW_T = 0.4
"""The velocity's error is the clean latent's over t; limited, or late steps drown the lips."""
_LAST_T = 0.5
"""Noise level of the context that "last" keeps, at two denoising steps."""


@dataclass(slots=True)
class Scene:
    """A batch with all its chance drawn.

    Attributes:
        clean: [B, T, 16, 4, 4]. target: [B, F, R], normalised.
        reference: [B, 16, 4, 4]. conditions: [B, T, C].
        audio: [B, T, 2, D], SpeechAE's tokens, null where dropped.
        weight, closure, rest: [B, F].
        chunk: int64 [T]. t: [B, T]. noise, noisy: [B, T, 16, 4, 4].
        sink_known: bool [B].
        speech: losses of SpeechAE, weighted; empty where it is frozen.
    """

    clean: Tensor
    target: Tensor
    reference: Tensor
    conditions: Tensor
    audio: Tensor
    weight: Tensor
    closure: Tensor
    rest: Tensor
    chunk: Tensor
    t: Tensor
    noise: Tensor
    noisy: Tensor
    sink_known: Tensor
    speech: dict[str, Tensor]


class MotionLearner:
    """SpeechAE and DiT, and how a prediction of x_0 is judged; see `loop.Learner`."""

    def __init__(self, model: ModelSettings, settings: MotionSettings) -> None:
        self.settings = settings
        speech = model.speech()
        self.encoder = SpeechEncoder(speech)
        self.heads = SpeechHeads(speech, num_rig=len(RIG_NAMES))
        self.dit = StreamingDit(model.dit())
        self.module: nn.Module = nn.ModuleDict(
            {"encoder": self.encoder, "heads": self.heads, "dit": self.dit}
        ).to(device())
        self.about: dict[str, Any] = {
            "dit_config": self.dit.config.to_dict(),
            "speech_config": {"widths": list(speech.widths), "token_width": speech.token_width},
        }
        self.measure = losses.RigLosses(device())

    def groups(self) -> list[dict[str, Any]]:
        """Return the optimiser's groups; a frozen SpeechAE is in none."""
        own = [{"params": list(self.dit.parameters()), "share": 1.0}]
        speech = [*self.encoder.parameters(), *self.heads.parameters()]
        if self.settings.speech_rate:
            return [*own, {"params": speech, "share": self.settings.speech_rate}]
        for parameter in speech:
            parameter.requires_grad_(False)
        return own

    def losses(self, batch: Batch, chance: torch.Generator) -> dict[str, Tensor]:
        """Return the weighted losses of a batch."""
        scene = self.scene(batch, chance)
        return self.judge(self.predict(scene, chance), scene) | scene.speech

    def predict(self, scene: Scene, chance: torch.Generator) -> Tensor:
        """Return x_0 [B, T, 16, 4, 4]: here the bidirectional teacher's."""
        del chance
        return self.dit.forward_bidirectional(
            scene.reference, scene.noisy, scene.t, scene.audio, scene.conditions,
            sink_known=scene.sink_known,
        ).float()  # fmt: skip

    def scene(self, batch: Batch, chance: torch.Generator) -> Scene:
        """Draw the chance of a step; teacher and student of one distillation share it."""
        settings, measure, place = self.settings, self.measure, device()
        mel, weight, conditions = (
            torch.from_numpy(x).to(place) for x in (batch.mel, batch.weight, batch.conditions)
        )
        target = measure.normalise(torch.from_numpy(batch.rig).to(place))
        clean = measure.to_latents(target)
        still = torch.from_numpy(batch.reference).to(place)[:, None].expand(-1, 2, -1)
        reference = measure.to_latents(measure.normalise(still))[:, 0]
        tokens, speech = self._listen(mel, target, weight)
        size, num_frames = clean.shape[:2]
        silent = (torch.rand(size, generator=chance) < settings.drop_audio).to(place)
        audio = torch.where(silent[:, None, None, None], self.dit.null_audio, tokens)
        chunk = draw_chunks(num_frames, settings.chunk_latents, chance)
        t = asynchronous_times(
            size, chunk, chance,
            synchronous=settings.synchronous, full_noise=settings.full_noise,
        ).to(place)  # fmt: skip
        noise = torch.randn(clean.shape, generator=chance).to(place)
        spread = t[..., None, None, None]
        known = (torch.rand(size, generator=chance) >= settings.drop_reference).to(place)
        closure, rest = marks(weight)
        return Scene(
            clean, target, reference, conditions, audio, weight, closure, rest, chunk.to(place), t,
            noise, (1 - spread) * clean + spread * noise, known, speech,
        )  # fmt: skip

    def judge(self, predicted: Tensor, scene: Scene) -> dict[str, Tensor]:
        """Return the weighted losses of a predicted x_0 [B, T, 16, 4, 4]."""
        measure, settings = self.measure, self.settings
        rig = measure.to_normalised(predicted)
        flow_weight = (1 / scene.t.clamp(min=LEAST_FLOW_T).square()).repeat_interleave(2, 1)
        return {
            "flow": measure.rig_error(rig, scene.target, scene.weight * flow_weight),
            "off": 0.3 * measure.off_readout(predicted),
            "motion": settings.motion * measure.motion_error(rig, scene.target),
            "shake": 20.0 * measure.head_shake(rig, scene.target),
            "closure": settings.closure * measure.closure_error(rig, scene.target, scene.closure),
            "still": settings.still * measure.still_error(rig, scene.target, scene.rest),
            "bite": settings.bite * measure.bite_error(rig, scene.target, scene.closure),
        }

    def _listen(
        self, mel: Tensor, target: Tensor, weight: Tensor
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """Return tokens [B, T, 2, D] and SpeechAE's own losses."""
        if not self.settings.speech_rate:
            with torch.no_grad():
                return encode(self.encoder, mel), {}
        tokens = encode(self.encoder, mel)
        sound, contrast, probe = speech_losses(
            self.heads, tokens, mel, target, weight, self.measure
        )
        return tokens, {"mel": 0.05 * sound, "contrast": 0.02 * contrast, "probe": 0.3 * probe}


class StudentLearner(MotionLearner):
    """The streaming student: each chunk of a clip as if it were streamed with its cache."""

    def __init__(self, model: ModelSettings, settings: StudentSettings) -> None:
        super().__init__(model, settings)
        self.streaming = settings

    def predict(self, scene: Scene, chance: torch.Generator) -> Tensor:
        """Return x_0 [B, T, 16, 4, 4] of every chunk, each with its Context-Cache."""
        return self.predict_on(self.context(scene, chance), scene, self.known(scene, chance))

    def known(self, scene: Scene, chance: torch.Generator) -> Tensor:
        """Draw whose Context-Cache is there: bool [B]."""
        drawn = torch.rand(len(scene.clean), generator=chance) >= self.streaming.drop_context
        return drawn.to(scene.clean.device)

    def predict_on(self, context: Tensor, scene: Scene, known: Tensor) -> Tensor:
        """Return x_0 of scene.noisy on a context [B, T, 16, 4, 4]."""
        return self.dit.forward_training(
            scene.reference, context, scene.noisy, scene.t, scene.audio, scene.conditions,
            chunk=scene.chunk, sink_known=scene.sink_known, context_known=known,
            context_t=self.context_t(scene),
        ).float()  # fmt: skip

    def context_t(self, scene: Scene) -> Tensor | None:
        """Return the flow time [B, T] at which the context was remembered; None for 0."""
        if self.dit.config.context != "last":
            return None
        return torch.full_like(scene.t, _LAST_T)

    def context(self, scene: Scene, chance: torch.Generator) -> Tensor:
        """Return what the chunks remember of one another, [B, T, 16, 4, 4].

        The data with noise, against exposure bias; in `own_context` of the steps the student's own
        prediction from pure noise.
        """
        settings, clean = self.streaming, scene.clean
        place = clean.device
        sigma = torch.rand(len(clean), 1, 1, 1, 1, generator=chance) * settings.context_noise
        context = clean + (sigma * torch.randn(clean.shape, generator=chance)).to(place)
        if float(torch.rand((), generator=chance)) < settings.own_context:
            everybody = torch.ones_like(scene.sink_known)
            begun, scene_t, noisy = torch.ones_like(scene.t), scene.t, scene.noisy
            scene.t, scene.noisy = begun, scene.noise
            with torch.no_grad():
                context = self.predict_on(self.remembered(context, scene), scene, everybody)
            scene.t, scene.noisy = scene_t, noisy
        return self.remembered(context, scene)

    def remembered(self, context: Tensor, scene: Scene) -> Tensor:
        """Bring finished latents to the flow time at which they are remembered."""
        t = self.context_t(scene)
        if t is None:
            return context
        spread = t[..., None, None, None]
        return (1 - spread) * context + spread * scene.noise


def begin_emotions(dit: StreamingDit) -> None:
    """Let the linear skip of a network that knows no emotions yet show their shapes.

    What it has to learn is how each mixes with speech; the shapes themselves are known and linear
    in their strength, and at a fine-tuning's learning rate they alone would take thousands of
    steps (measured: a tenth of a smile after 500).
    """
    measure = losses.RigLosses()
    shapes = torch.from_numpy(expression_basis()) / measure.scale
    with torch.no_grad():
        dit.obey.weight[:, EMOTION] = (shapes.repeat(1, 2) @ measure.rig_to_latent).T


def marks(weight: Tensor) -> tuple[Tensor, Tensor]:
    """Read closures and rest off a batch's weights (5 and 3; see `speech_data.Batch`).

    Args:
        weight: [B, F].

    Returns:
        closure, rest: [B, F], 0..1.
    """
    return ((weight - 3) / 2).clamp(0, 1), ((weight - 3).abs() < 0.05).to(weight.dtype)

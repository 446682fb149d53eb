"""Trains the streaming A2V-DiT with its ID-Context Cache, and SpeechAE with it.

Run as `python -m rest_bridge.training dit --config configs/train/dit.toml`. The streaming student
is trained directly: one pass over [reference | context copy | noisy copy] with masks gives every
chunk exactly what streaming will give it. Against exposure bias the context is noised, at times
dropped, and in `own_context` of the steps replaced by the network's own prediction.

Shape letters: B batch, T latent frames, F = 2T video frames.
"""

import json
import logging
import signal
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from rest_bridge.model.audio_encoder import SpeechConfig, SpeechEncoder, SpeechHeads
from rest_bridge.model.dit import DitConfig, StreamingDit
from rest_bridge.rig import RIG_NAMES
from rest_bridge.training import losses, speech_data, speech_sessions
from rest_bridge.training.checkpoint import Ema, load_checkpoint, save_checkpoint
from rest_bridge.training.train_speech import encode, load_training_sessions, speech_losses

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class DitRun:
    """Settings of one run; see configs/train/dit.toml.

    Attributes:
        data: folder written by `speech_prepare`.
        speech: checkpoint of `train_speech` to start SpeechAE from.
        out: checkpoint to write and resume from; `out` with suffix .best keeps the best.
        seconds: wall-clock time to train.
        batch_size, num_latents: crops a step and their length.
        learning_rate: of AdamW, after 100 steps of warm-up; SpeechAE gets `speech_rate` of it.
        ema: decay of the averaged weights that are validated and exported.
        context_noise: largest noise on the context copy.
        own_context: share of steps whose context is the network's own prediction.
        drop_audio, drop_reference, drop_context: shares of crops without each.
        seed: of all chance.
        save_every_s, validate_every_s: intervals, wall clock.
        patch, width, num_blocks, num_heads, feed_forward, window: size, see `DitConfig`.
    """

    data: str
    speech: str
    out: str
    seconds: float = 3600.0
    batch_size: int = 24
    num_latents: int = 32
    learning_rate: float = 8e-4
    speech_rate: float = 0.3
    ema: float = 0.997
    context_noise: float = 0.25
    own_context: float = 0.25
    drop_audio: float = 0.05
    drop_reference: float = 0.1
    drop_context: float = 0.15
    seed: int = 1
    save_every_s: float = 150.0
    validate_every_s: float = 420.0
    patch: int = 4
    width: int = 192
    num_blocks: int = 6
    num_heads: int = 6
    feed_forward: int = 576
    window: int = 6

    def model_config(self) -> DitConfig:
        """Return the network's size."""
        return DitConfig(
            patch=self.patch, width=self.width, num_blocks=self.num_blocks,
            num_heads=self.num_heads, feed_forward=self.feed_forward, window=self.window,
        )  # fmt: skip


class Trainer:
    """Everything that one training step touches."""

    def __init__(self, run: DitRun) -> None:
        torch.manual_seed(run.seed)
        self.run = run
        speech_config = SpeechConfig()
        self.encoder = SpeechEncoder(speech_config)
        self.heads = SpeechHeads(speech_config, num_rig=len(RIG_NAMES))
        self.dit = StreamingDit(run.model_config())
        self.model = nn.ModuleDict({"encoder": self.encoder, "heads": self.heads, "dit": self.dit})
        self.step = 0
        self.trained_s = 0.0
        self.best = float("-inf")
        if Path(run.speech).exists():
            pretrained = load_checkpoint(Path(run.speech))["model"]
            own = {k: v for k, v in pretrained.items() if k.startswith(("encoder.", "heads."))}
            self.model.load_state_dict(own, strict=False)
        self.ema = Ema(self.model, run.ema)
        speech = [*self.encoder.parameters(), *self.heads.parameters()]
        groups = [
            {"params": list(self.dit.parameters()), "share": 1.0},
            {"params": speech, "share": run.speech_rate},
        ]
        self.optimiser = torch.optim.AdamW(groups, lr=run.learning_rate, weight_decay=0.01)
        self.measure = losses.RigLosses()

    def state(self) -> dict[str, Any]:
        """Return what `restore` needs for an exact resume."""
        return {
            "model": self.model.state_dict(),
            "ema": self.ema.shadow,
            "optimiser": self.optimiser.state_dict(),
            "step": self.step,
            "trained_s": self.trained_s,
            "best": self.best,
            "dit_config": self.dit.config.to_dict(),
        }

    def restore(self, saved: dict[str, Any]) -> None:
        """Continue from `state`."""
        self.model.load_state_dict(saved["model"])
        self.ema.shadow = saved["ema"]
        self.optimiser.load_state_dict(saved["optimiser"])
        self.step, self.best = int(saved["step"]), float(saved["best"])
        self.trained_s = float(saved["trained_s"])

    def train_step(self, batch: speech_data.Batch) -> dict[str, float]:
        """Take one step; returns the losses."""
        for group in self.optimiser.param_groups:
            warm_up = min(1.0, (self.step + 1) / 100)
            group["lr"] = self.run.learning_rate * group["share"] * warm_up
        # All chance of a step follows from its number: a resumed run repeats nothing.
        chance = torch.Generator().manual_seed(self.run.seed * 1_000_003 + self.step)
        with torch.autocast("cpu", torch.bfloat16):
            parts = self.losses(batch, chance)
        loss = sum(parts.values(), torch.zeros(()))
        self.optimiser.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
        self.optimiser.step()
        self.step += 1
        self.ema.update(self.model, self.step)
        return {name: float(value.detach()) for name, value in parts.items()}

    def losses(self, batch: speech_data.Batch, chance: torch.Generator) -> dict[str, Tensor]:
        """Return the weighted losses of one batch."""
        run, measure = self.run, self.measure
        mel, weight = torch.from_numpy(batch.mel), torch.from_numpy(batch.weight)
        target = measure.normalise(torch.from_numpy(batch.rig))
        clean = measure.to_latents(target)
        still = torch.from_numpy(batch.reference)[:, None].expand(-1, 2, -1)
        reference = measure.to_latents(measure.normalise(still))[:, 0]
        conditions = torch.from_numpy(batch.conditions)
        size, num_frames = clean.shape[:2]

        tokens = encode(self.encoder, mel)
        sound, contrast, probe = speech_losses(self.heads, tokens, mel, target, weight, measure)
        silent = torch.rand(size, generator=chance) < run.drop_audio
        audio = torch.where(silent[:, None, None, None], self.dit.null_audio, tokens)

        chunk = random_chunks(num_frames, chance)
        t = random_times(size, chunk, chance)
        noise = torch.randn(clean.shape, generator=chance)
        spread = t[..., None, None, None]
        noisy = (1 - spread) * clean + spread * noise
        sigma = torch.rand(size, 1, 1, 1, 1, generator=chance) * run.context_noise
        context = clean + sigma * torch.randn(clean.shape, generator=chance)
        masks = {
            "chunk": chunk,
            "sink_known": torch.rand(size, generator=chance) >= run.drop_reference,
            "context_known": torch.rand(size, generator=chance) >= run.drop_context,
        }
        if float(torch.rand((), generator=chance)) < run.own_context:
            with torch.no_grad():  # what a one-step sampler would have put into the cache
                context = self.dit.forward_training(
                    reference, context, noise, torch.ones_like(t), audio, conditions, **masks
                ).float()
        predicted = self.dit.forward_training(
            reference, context, noisy, t, audio, conditions, **masks
        ).float()
        rig = measure.to_normalised(predicted)
        # The velocity's error is the clean latent's over t; limited, or late steps drown lips.
        flow_weight = (1 / t.clamp(min=0.4).square()).repeat_interleave(2, 1)
        return {
            "flow": measure.rig_error(rig, target, weight * flow_weight),
            "off": 0.3 * measure.off_readout(predicted),
            "motion": measure.motion_error(rig, target),
            "shake": 20.0 * measure.head_shake(rig, target),
            "mel": 0.05 * sound,
            "contrast": 0.02 * contrast,
            "probe": 0.3 * probe,
        }


def random_chunks(num_frames: int, chance: torch.Generator) -> Tensor:
    """Return int64 [T]: chunk numbers, each chunk 1 to 4 latent frames long (1 most often)."""
    if float(torch.rand((), generator=chance)) < 0.4:
        return torch.arange(num_frames)
    lengths = torch.randint(1, 5, (num_frames,), generator=chance)
    numbers = torch.repeat_interleave(torch.arange(num_frames), lengths)
    return numbers[:num_frames]


def random_times(batch: int, chunk: Tensor, chance: torch.Generator) -> Tensor:
    """Return flow times [B, T]: one for each chunk; half of the clips use one for all.

    A third are exactly 1, where every sampler begins and where a single step must succeed.
    """
    num_chunks = int(chunk[-1]) + 1
    t = torch.rand(batch, num_chunks, generator=chance) * 0.95 + 0.05
    t = torch.where(torch.rand(batch, num_chunks, generator=chance) < 0.33, 1.0, t)
    synchronous = torch.rand(batch, 1, generator=chance) < 0.5
    t = torch.where(synchronous, t[:, :1], t)
    return t[:, chunk]


def train(run: DitRun) -> None:
    """Train until the time is over, validating and saving on the way; resumes exactly.

    A SIGTERM ends the run as if the time were over, without the last validation.
    """
    torch.set_num_threads(1)
    trainer, out = Trainer(run), Path(run.out)
    if out.exists():
        trainer.restore(load_checkpoint(out))
    sessions = load_training_sessions(Path(run.data))
    validation = speech_sessions.load_sessions(Path(run.data) / "validation.npz")
    source = speech_data.batches(
        sessions, batch_size=run.batch_size, num_latents=run.num_latents, seed=run.seed,
        first_step=trainer.step,
    )  # fmt: skip
    begun = saved_at = validated_at = last = time.monotonic()
    averages: dict[str, float] = {}
    asked_to_stop: list[int] = []
    signal.signal(signal.SIGTERM, lambda number, _: asked_to_stop.append(number))
    while time.monotonic() - begun < run.seconds and not asked_to_stop:
        parts = trainer.train_step(next(source))
        now = time.monotonic()
        trainer.trained_s += now - last
        last = now
        for name, value in parts.items():
            averages[name] = 0.97 * averages.get(name, value) + 0.03 * value
        if trainer.step % 50 == 0:
            told = {k: round(v, 4) for k, v in averages.items()}
            entry = {"step": trainer.step, "s": round(trainer.trained_s), **told}
            log.info("%s", json.dumps(entry))
        if now - validated_at > run.validate_every_s:
            validate(trainer, validation, out)
            validated_at = time.monotonic()
        if now - saved_at > run.save_every_s:
            save_checkpoint(out, trainer.state())
            saved_at = time.monotonic()
    if not asked_to_stop:
        validate(trainer, validation, out)
    save_checkpoint(out, trainer.state())


def averaged_models(
    ema: dict[str, Tensor], dit_config: DitConfig
) -> tuple[SpeechEncoder, StreamingDit]:
    """Return SpeechAE and DiT with the averaged weights, ready to run."""
    encoder, dit = SpeechEncoder(SpeechConfig()), StreamingDit(dit_config)
    for prefix, module in (("encoder.", encoder), ("dit.", dit)):
        own = {k[len(prefix) :]: v for k, v in ema.items() if k.startswith(prefix)}
        module.load_state_dict(own, strict=False)
    return encoder.eval(), dit.eval()


def validate(trainer: Trainer, validation: list[speech_sessions.Session], out: Path) -> None:
    """Log the metrics of the averaged weights; keep them beside `out` if they are the best."""
    from rest_bridge.training import speech_metrics

    begun = time.monotonic()
    models = averaged_models(trainer.ema.shadow, trainer.dit.config)
    table = speech_metrics.summarise(speech_metrics.generate(*models, validation, temperature=0.2))
    speaking = [m for name, m in table.items() if name != "negative"]
    score = sum(m["r"] + m["within"] + 0.5 * m["closed"] for m in speaking if m["closed"] >= 0)
    score = score / len(speaking) - 0.5 * table.get("negative", {}).get("open", 0.0)
    rounded = {g: {k: round(v, 3) for k, v in m.items()} for g, m in table.items()}
    log.info("validation %s", json.dumps({"step": trainer.step, "score": round(score, 4)}))
    for group, metrics in rounded.items():
        log.info("  %s %s", group, json.dumps(metrics))
    log.info("  took %.0f s", time.monotonic() - begun)
    if score > trainer.best:
        trainer.best = score
        content = {
            "ema": trainer.ema.shadow, "dit_config": trainer.dit.config.to_dict(),
            "step": trainer.step, "score": score, "metrics": rounded,
        }  # fmt: skip
        save_checkpoint(out.with_suffix(".best"), content)

"""The stages as one system: what each starts from, trains on and leaves behind.

    vae | speech -> teacher -> student -> asd -> distill -> export

Place in the flow: `settings` -> here -> `loop`. Each stage writes OUT/STAGE.pt (for an exact
resume) and, where it is validated, OUT/STAGE.best. It knows nothing of losses.
"""

import dataclasses
import logging
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import torch

from rest_bridge.errors import ConfigError
from rest_bridge.generator.conditions import EMOTION
from rest_bridge.training import speech_data, speech_metrics, speech_sessions
from rest_bridge.training.checkpoint import load_checkpoint, load_weights, save_checkpoint
from rest_bridge.training.curve import LossCurve
from rest_bridge.training.distillation import AsdLearner, DistillLearner, freeze
from rest_bridge.training.loop import Learner, Loop
from rest_bridge.training.mel_babble import BabbleMixer
from rest_bridge.training.motion_learner import (
    MotionLearner,
    StudentLearner,
    begin_emotions,
)
from rest_bridge.training.motion_models import averaged_models
from rest_bridge.training.ranks import Ranks, joined_ranks
from rest_bridge.training.settings import STAGES, AsdSettings, StageSettings, TrainSettings
from rest_bridge.training.train_speech import SpeechLearner, load_training_sessions

log = logging.getLogger(__name__)

MOTION_STAGES: Final = STAGES[1:]
_LEARNERS: Final[dict[str, Callable[..., Learner]]] = {
    "speech": SpeechLearner,
    "teacher": MotionLearner,
    "student": StudentLearner,
    "asd": AsdLearner,
    "distill": DistillLearner,
}
_BEFORE: Final = dict(zip(MOTION_STAGES[1:], MOTION_STAGES, strict=False))


def train_stage(
    stage: str,
    settings: TrainSettings,
    *,
    seconds: float | None = None,
    steps: int | None = None,
    sessions: list[speech_sessions.Session] | None = None,
) -> bool:
    """Train one stage, or go on with it where its checkpoint stands.

    Args:
        stage: one of `STAGES`.
        settings: of the run.
        seconds: instead of the stage's own limit.
        steps: likewise.
        sessions: training data that is loaded already.

    Returns:
        False if somebody stopped it.

    Raises:
        ConfigError: there is no data, or no session is long enough.
        CheckpointError: a checkpoint is missing, damaged, of another size, or cannot be written.
    """
    if stage == "vae":
        return _train_vae(settings, seconds)
    changes = {"seconds": seconds, "steps": steps}
    own: StageSettings = getattr(settings, stage)
    own = dataclasses.replace(own, **{k: v for k, v in changes.items() if v is not None})
    if settings.threads:
        torch.set_num_threads(settings.threads)
    torch.set_flush_denormal(True)
    torch.manual_seed(settings.seed)
    out = Path(settings.out) / f"{stage}.pt"
    learner = _LEARNERS[stage](settings.model, own)
    if not out.exists():
        _begin(learner, stage, own, settings)
    if isinstance(learner, AsdLearner | DistillLearner):
        _freeze(learner, stage, own, settings)
    data = sessions if sessions is not None else load_sessions(Path(settings.data))
    check_lengths(data, own.num_latents)
    mixer = BabbleMixer.read(Path(settings.data)) if own.babble else None
    with joined_ranks() as ranks:
        loop = Loop(
            learner, batch_source(data, own, settings.seed, mixer), own, out,
            seed=settings.seed, ranks=ranks,
        )  # fmt: skip
        log.info("%s: %d sessions, from step %d", stage, len(data), loop.step)
        return loop.run(_validator(settings, stage, ranks, own.validate_steps))


def train_all(
    settings: TrainSettings, *, seconds: float | None = None, steps: int | None = None
) -> bool:
    """Train every stage in order; finished ones are passed over, a stopped one goes on.

    Args:
        settings: of the run.
        seconds: for each stage, instead of its own limit.
        steps: likewise.

    Returns:
        False if somebody stopped it.
    """
    sessions = load_sessions(Path(settings.data))
    for stage in STAGES:
        if stage == "vae" and not settings.vae.data:
            log.info("vae: left out, since vae.data names no folder of shards")
            continue
        given = sessions if stage != "vae" else None
        if not train_stage(stage, settings, seconds=seconds, steps=steps, sessions=given):
            return False
    return True


def load_sessions(data: Path) -> list[speech_sessions.Session]:
    """Read the training sessions of a folder.

    Raises:
        ConfigError: there are none.
    """
    sessions = load_training_sessions(data)
    if not sessions:
        raise ConfigError(
            f"There is no training data in {data} (train-*.npz); write it with `rest-bridge train "
            "speech-data` and name its folder in the settings (`data`)."
        )
    return sessions


def check_lengths(sessions: list[speech_sessions.Session], num_latents: int) -> None:
    """Make sure that there is something to crop.

    Raises:
        ConfigError: every session is shorter than a crop.
    """
    longest = max(session.num_latents for session in sessions)
    if longest < num_latents:
        raise ConfigError(
            f"Every session is shorter than a crop: the longest has {longest} latent frames of "
            f"80 ms, num_latents = {num_latents} asks for more."
        )


def batch_source(
    sessions: list[speech_sessions.Session],
    settings: StageSettings,
    seed: int,
    mixer: BabbleMixer | None = None,
) -> Callable[[int], speech_data.Batch]:
    """Return micro-batches by number, the same whenever asked."""

    def batch_at(number: int) -> speech_data.Batch:
        return next(
            speech_data.batches(
                sessions, batch_size=settings.batch_size, num_latents=settings.num_latents,
                seed=seed, first_step=number, mixer=mixer, babble=settings.babble,
                tract=settings.tract,
            )
        )  # fmt: skip

    return batch_at


def _begin(learner: Learner, stage: str, own: StageSettings, settings: TrainSettings) -> None:
    """Start from a given checkpoint, or from the stage before."""
    if own.start:
        path = Path(own.start)
    elif stage in _BEFORE:
        path = Path(settings.out) / f"{_BEFORE[stage]}.pt"
    else:
        return
    weights = load_checkpoint(path)["ema"]
    if any(name.startswith("dit.") for name in weights):
        load_weights(learner.module, weights, path)
        known = weights["dit.obey.weight"].shape[1]
        if isinstance(learner, MotionLearner) and known <= EMOTION.start:
            begin_emotions(learner.dit)
        return
    for name, child in learner.module.named_children():
        own_weights = {k.partition(".")[2]: v for k, v in weights.items() if k.startswith(name)}
        if own_weights:
            load_weights(child, own_weights, path)


def _freeze(
    learner: AsdLearner | DistillLearner, stage: str, own: StageSettings, settings: TrainSettings
) -> None:
    """Load the network that this stage learns from."""
    path = Path(settings.out) / f"{_BEFORE[stage]}.pt"
    if isinstance(own, AsdSettings):
        path = Path(own.teacher or Path(settings.out) / "teacher.pt")
    elif own.start:
        path = Path(own.start)
    freeze(learner, load_checkpoint(path)["ema"], path)


def _validator(
    settings: TrainSettings, stage: str, ranks: Ranks, num_steps: int
) -> Callable[[Loop, LossCurve], None] | None:
    path = Path(settings.data) / "validation.npz"
    if stage in ("speech", "teacher") or not ranks.leads or not path.exists():
        return None
    held_out = speech_sessions.load_sessions(path)

    def validate(loop: Loop, curve: LossCurve) -> None:
        begun = time.monotonic()
        saved = {**loop.state(), "ema": loop.ema.shadow}
        score, table = score_models(saved, held_out, num_steps=num_steps)
        curve.add_metrics(loop.step, table)
        log.info("%s step %d: score %.4f (%.0f s)", stage, loop.step, score,
                 time.monotonic() - begun)  # fmt: skip
        for group, metrics in table.items():
            log.info("  %s %s", group, {k: round(v, 3) for k, v in metrics.items()})
        if score > loop.best:
            loop.best = score
            kept = {k: v for k, v in saved.items() if k not in ("model", "optimiser")}
            save_checkpoint(loop.out.with_suffix(".best"), {**kept, "score": score,
                                                            "metrics": table})  # fmt: skip

    return validate


def score_models(
    saved: dict[str, Any], held_out: list[speech_sessions.Session], **options: Any
) -> tuple[float, dict[str, dict[str, float]]]:
    """Stream held-out sessions through a checkpoint's averaged weights.

    Args:
        saved: content of the checkpoint.
        held_out: validation sessions.
        options: of `speech_metrics.generate`.

    Returns:
        score: of lips (agreement, closures, stillness); higher is better.
        table: source -> metric -> value.
    """
    options = {"temperature": 0.2, **options}
    models = averaged_models(saved)
    clips = speech_metrics.generate(*models, held_out, **options)
    table = speech_metrics.summarise(clips)
    speaking = [m for m in table.values() if "r" in m and m["closed"] >= 0]
    score = sum(m["r"] + m["within"] + 0.5 * m["closed"] for m in speaking)
    open_mouth = table.get("negative", {}).get("open", 0.0)
    return score / max(len(speaking), 1) - 0.5 * open_mouth, table


def _train_vae(settings: TrainSettings, seconds: float | None) -> bool:
    """Hand over to the video VAE's own training."""
    from rest_bridge.training import vae

    own = settings.vae
    if not own.data:
        raise ConfigError("vae.data names no folder; write shards with `rest-bridge train "
                          "faces-data` and `base-flows`, and name the latter's.")  # fmt: skip
    return vae.train(
        vae.VaeRun(
            data=own.data, out=str(Path(settings.out) / "vae.pt"),
            seconds=own.seconds if seconds is None else seconds,
            batch_size=own.batch_size, frames=own.frames, learning_rate=own.learning_rate,
            width=own.width, reference_width=own.reference_width,
            encoder_width=own.encoder_width, seed=settings.seed,
        )
    )  # fmt: skip

"""The paper's ablations on our student: what each part brings, and where we differ.

Run as `python -m rest_bridge.training ablate --config F --steps N`. Two kinds, marked in the table:
taking a part away when sampling (no ID-Sink, no Context-Cache, steps, chunk length) needs no
training; leaving out a loss (contrastive, smoothness, all of ASD) or another cache length is a
short fine-tuning from the same student, equal steps and batches.
"""

import dataclasses
import logging
from pathlib import Path
from typing import Any, Final

from rest_bridge.training import stages, trials
from rest_bridge.training.checkpoint import load_checkpoint
from rest_bridge.training.settings import SHIPPED_STEPS, TrainSettings
from rest_bridge.training.speech_sessions import Session

log = logging.getLogger(__name__)

FULL: Final = f"full ({SHIPPED_STEPS} step, chunk 1)"
SAMPLED: Final[dict[str, dict[str, Any]]] = {
    FULL: {},
    "no ID-Sink": {"keep_sink": False},
    "no Context-Cache": {"keep_context": False},
    "8 steps": {"num_steps": 8},
    "4 steps": {"num_steps": 4},
    "2 steps": {"num_steps": 2},
    "chunk 2": {"chunk_latents": 2},
    "chunk 3": {"chunk_latents": 3},
}
TUNED: Final[dict[str, dict[str, Any]]] = {
    "ASD": {},
    "ASD without contrastive": {"contrastive": 0.0},
    "ASD without smoothness": {"smoothness": 0.0},
    "no ASD": {"contrastive": 0.0, "smoothness": 0.0},
    "ASD, contrast on clean latents": {"contrast_on": "clean"},
}
WINDOWS: Final = (3, 10, 14)
"""Latent frames of the Context-Cache that are tuned beside the settings' own."""


def sampled(checkpoint: Path, held_out: list[Session]) -> dict[str, dict[str, float]]:
    """Judge one student with parts taken away while it samples.

    Args:
        checkpoint: of student, asd or distill.
        held_out: validation sessions.

    Returns:
        Variant -> column -> value.
    """
    saved = load_checkpoint(checkpoint)
    rows = {}
    for name, options in SAMPLED.items():
        rows[name] = trials.judge(saved, held_out, **options)
        log.info("ablate: %s", name)
    return rows


def tuned(
    settings: TrainSettings,
    out: Path,
    *,
    steps: int,
    held_out: list[Session],
    sessions: list[Session],
) -> dict[str, dict[str, float]]:
    """Fine-tune the student with parts of ASD left out and with other cache lengths.

    Args:
        settings: of the run, whose teacher and student are trained.
        out: folder for the fine-tuned students.
        steps: of each.
        held_out: validation sessions.
        sessions: training sessions.

    Returns:
        Variant -> column -> value.
    """
    run = Path(settings.out)
    base = dataclasses.replace(
        settings.asd, start=settings.asd.start or str(run / "student.pt"),
        teacher=settings.asd.teacher or str(run / "teacher.pt"), validate_every_s=0.0,
    )  # fmt: skip
    num_steps = base.validate_steps
    begun = load_checkpoint(Path(base.start))
    rows = {"before": trials.judge(begun, held_out, num_steps=num_steps)}
    changed = {name: dataclasses.replace(settings, asd=dataclasses.replace(base, **changes))
               for name, changes in TUNED.items()}  # fmt: skip
    for window in WINDOWS:
        model = dataclasses.replace(settings.model, window=window)
        changed[f"ASD, cache {window + 1} (with the reference)"] = dataclasses.replace(
            settings, asd=base, model=model
        )
    for name, variant in changed.items():
        folder = out / "".join(c if c.isalnum() else "-" for c in name)
        variant = dataclasses.replace(variant, out=str(folder))
        if not stages.train_stage("asd", variant, seconds=0.0, steps=steps, sessions=sessions):
            break
        saved = load_checkpoint(folder / "asd.pt")
        rows[name] = trials.judge(saved, held_out, num_steps=num_steps)
        log.info("ablate: %s", name)
    return rows

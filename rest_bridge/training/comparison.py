"""Compares what the paper leaves open, at equal budget: one student for each choice, one table.

Run as `python -m rest_bridge.training compare --config F --checkpoint C --steps N --seeds K`.
Every student of one seed starts from the same random weights, takes the same steps on the same
batches with SpeechAE frozen, and differs from the defaults in one switch of `DitConfig`. Several
seeds tell a difference from chance: the table has each variant's mean, and by how much its score
differs from that of the settings' own, with a 95 % interval over the pairs of one seed. A run is
resumed by running it again.
"""

import dataclasses
import logging
import math
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

import numpy as np

from rest_bridge.model.dit_block import CHOICES
from rest_bridge.training import stages, trials
from rest_bridge.training.checkpoint import Ema, load_checkpoint, load_weights
from rest_bridge.training.loop import Loop
from rest_bridge.training.motion_learner import StudentLearner
from rest_bridge.training.settings import TrainSettings
from rest_bridge.training.speech_sessions import Session

log = logging.getLogger(__name__)
OWN: Final = "as set"
_STUDENT_T: Final = (math.nan, 12.71, 4.30, 3.18, 2.78, 2.57, 2.45, 2.36, 2.31, 2.26)
"""97.5 % quantile of Student's t with so many degrees of freedom."""
Runs = dict[str, list[dict[str, float]]]
"""Variant -> what was measured of each seed."""


def variants(settings: TrainSettings) -> dict[str, dict[str, str]]:
    """Return name -> changes of the model's section: the settings' own, then one switch each."""
    out: dict[str, dict[str, str]] = {OWN: {}}
    for name, values in CHOICES.items():
        for value in values:
            if value != getattr(settings.model, name):
                out[f"{name} = {value}"] = {name: value}
    return out


def compare(
    settings: TrainSettings,
    speech: Path,
    out: Path,
    *,
    steps: int,
    held_out: list[Session],
    sessions: list[Session],
    warm: bool = False,
    seeds: int = 1,
) -> str:
    """Train and judge every variant.

    Args:
        settings: of the run; its `student` section is what each variant trains with.
        speech: checkpoint whose SpeechAE is used, frozen.
        out: folder for the checkpoints and the table.
        steps: of each variant.
        held_out: validation sessions.
        sessions: training sessions.
        warm: start from the checkpoint's DiT too, as a student starts from its teacher; with few
            steps that favours the choices which that DiT was trained with.
        seeds: how often each is trained: with the settings' seed and those after it.

    Returns:
        The table in Markdown, also written to OUT/compare.md; with the runs so far if somebody
        stopped it.
    """
    out.mkdir(parents=True, exist_ok=True)
    runs: Runs = {}
    title = f"{steps} steps each, {seeds} seed{'s' if seeds > 1 else ''}"
    for seed in range(settings.seed, settings.seed + seeds):
        for name, changes in variants(settings).items():
            changed = dataclasses.replace(
                settings, seed=seed, model=dataclasses.replace(settings.model, **changes)
            )
            folder = out / f"{name.replace(' = ', '-')}-{seed}"
            row = _trial(changed, speech, folder, steps, sessions, held_out, warm=warm)
            if row is None:
                return summary(title, runs)
            runs.setdefault(name, []).append(row)
            (out / "compare.md").write_text(summary(title, runs) + "\n")
    return summary(title, runs)


def summary(title: str, runs: Mapping[str, Sequence[Mapping[str, float]]]) -> str:
    """Return means over seeds as a Markdown table, and what each variant differs by.

    Args:
        title: of the first column.
        runs: variant -> column -> value, one a seed; the first is what others are compared with.
    """
    rows: dict[str, dict[str, float]] = {}
    for name, own in runs.items():
        rows[name] = {c: float(np.mean([row[c] for row in own])) for c in own[0]}
        base = runs.get(OWN, [])
        pairs = [mine["score"] - other["score"] for mine, other in zip(own, base, strict=False)]
        if name != OWN and len(pairs) > 1:
            spread = float(np.std(pairs, ddof=1)) / math.sqrt(len(pairs))
            freedom = min(len(pairs) - 1, len(_STUDENT_T) - 1)
            rows[name] |= {"gain": float(np.mean(pairs)), "gain +-": _STUDENT_T[freedom] * spread}
    return trials.markdown_table(title, rows)


def _trial(
    settings: TrainSettings,
    speech: Path,
    folder: Path,
    steps: int,
    sessions: list[Session],
    held_out: list[Session],
    *,
    warm: bool,
) -> dict[str, float] | None:
    """Train one variant of one seed and judge it; None if somebody stopped it."""
    begun = time.monotonic()
    loop = _loop(settings, speech, folder, steps, sessions)
    if warm and not loop.step:
        load_weights(loop.learner.module, load_checkpoint(speech)["ema"], speech)
        loop.ema = Ema(loop.learner.module, loop.settings.ema)
    if not loop.run():
        return None
    step_ms = 1000 * loop.trained_s / max(loop.step, 1)
    num_steps = settings.student.validate_steps
    judged = trials.judge(loop.state(), held_out, num_steps=num_steps)
    row = {**judged, "step_ms": step_ms}
    log.info("compare: %s in %.0f s: score %.3f", folder.name, time.monotonic() - begun,
             row["score"])  # fmt: skip
    return row


def _loop(
    settings: TrainSettings, speech: Path, folder: Path, steps: int, sessions: list[Session]
) -> Loop:
    """Return the loop that trains one variant."""
    import torch

    own = dataclasses.replace(
        settings.student, steps=steps, seconds=0.0, speech_rate=0.0, validate_every_s=0.0,
        num_latents=min(settings.student.num_latents, 24), warm_up=min(50, steps // 4),
    )  # fmt: skip
    torch.manual_seed(settings.seed)
    learner = StudentLearner(settings.model, own)
    heard = load_checkpoint(speech)["ema"]
    for part, module in (("encoder.", learner.encoder), ("heads.", learner.heads)):
        weights = {k[len(part) :]: v for k, v in heard.items() if k.startswith(part)}
        load_weights(module, weights, speech)
    stages.check_lengths(sessions, own.num_latents)
    source = stages.batch_source(sessions, own, settings.seed)
    return Loop(learner, source, own, folder / "student.pt", seed=settings.seed)

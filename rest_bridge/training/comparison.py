"""Compares what the paper leaves open, at equal budget: one student for each choice, one table.

Run as `python -m rest_bridge.training compare --config F --speech CHECKPOINT --steps N`. Every
student starts from the same random weights, takes the same steps on the same batches with SpeechAE
frozen, and differs from the defaults in one switch of `DitConfig`. A run is resumed by running it
again.
"""

import dataclasses
import logging
import time
from pathlib import Path

from rest_bridge.model.dit_block import CHOICES
from rest_bridge.training import stages, trials
from rest_bridge.training.checkpoint import Ema, load_checkpoint, load_weights
from rest_bridge.training.loop import Loop
from rest_bridge.training.motion_learner import StudentLearner
from rest_bridge.training.settings import TrainSettings
from rest_bridge.training.speech_sessions import Session

log = logging.getLogger(__name__)


def variants(settings: TrainSettings) -> dict[str, dict[str, str]]:
    """Return name -> changes of the model's section: the settings' own, then one switch each."""
    out: dict[str, dict[str, str]] = {"as set": {}}
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

    Returns:
        The table in Markdown, also written to OUT/compare.md; with the variants so far if somebody
        stopped it.
    """
    rows: dict[str, dict[str, float]] = {}
    for name, changes in variants(settings).items():
        begun = time.monotonic()
        changed = dataclasses.replace(
            settings, model=dataclasses.replace(settings.model, **changes)
        )
        loop = _loop(changed, speech, out / name.replace(" = ", "-"), steps, sessions)
        if warm and not loop.step:
            load_weights(loop.learner.module, load_checkpoint(speech)["ema"], speech)
            loop.ema = Ema(loop.learner.module, loop.settings.ema)
        if not loop.run():
            break
        step_ms = 1000 * loop.trained_s / max(loop.step, 1)
        rows[name] = {**trials.judge(loop.state(), held_out), "step_ms": step_ms}
        log.info("compare: %s in %.0f s", name, time.monotonic() - begun)
        table = trials.markdown_table(f"{steps} steps each", rows)
        out.mkdir(parents=True, exist_ok=True)
        (out / "compare.md").write_text(table + "\n")
    return trials.markdown_table(f"{steps} steps each", rows)


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

"""The loop of every stage: steps, averaging, checkpoints, exact resume, time limits, processes.

Place in the flow: a `Learner` (what to learn) + batches by number -> here -> OUT/STAGE.pt. All
chance of a step follows from its number, and so do its batches: a run that is killed at any moment
and started again gives the same losses and weights as one that is not.
"""

import logging
import signal
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any, Protocol

import torch
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from torch import Tensor, nn

from rest_bridge.errors import RestBridgeError
from rest_bridge.training.checkpoint import Ema, load_checkpoint, load_weights, save_checkpoint
from rest_bridge.training.curve import LossCurve
from rest_bridge.training.ranks import Ranks, device
from rest_bridge.training.settings import StageSettings

log = logging.getLogger(__name__)

TOLD_EVERY = 50
"""Steps between two lines of the log."""
MOST_PASSED_OVER = 20
"""Steps in a row without a usable gradient, after which a run is given up."""


class DivergedError(RestBridgeError):
    """A run has no usable gradients any more; its last checkpoint is whole."""


class Learner(Protocol):
    """What one stage learns.

    Attributes:
        module: the weights that are trained and averaged, frozen ones included.
        about: plain values stored with every checkpoint (sizes).
    """

    module: nn.Module
    about: dict[str, Any]

    def groups(self) -> list[dict[str, Any]]:
        """Return the optimiser's groups: {"params": [...], "share": of the learning rate}."""
        ...

    def losses(self, batch: Any, chance: torch.Generator) -> dict[str, Tensor]:
        """Return the weighted losses of a batch; their sum is minimised."""
        ...


class Loop:
    """Trains one learner."""

    def __init__(
        self,
        learner: Learner,
        batch_at: Callable[[int], Any],
        settings: StageSettings,
        out: Path,
        *,
        seed: int,
        ranks: Ranks | None = None,
    ) -> None:
        """Prepare, or continue where `out` stands.

        Args:
            learner: what to learn.
            batch_at: micro-batch by its number, the same at each call; what the learner takes.
            settings: of the stage.
            out: checkpoint to write and to resume from.
            seed: of all chance.
            ranks: this process among others.

        Raises:
            CheckpointError: `out` exists but is damaged or of another size.
        """
        self.learner, self.settings, self.out = learner, settings, out
        self._batch_at, self._seed, self.ranks = batch_at, seed, ranks or Ranks()
        self.step, self.trained_s, self.best = 0, 0.0, float("-inf")
        self._passed_over = 0
        self.ema = Ema(learner.module, settings.ema)
        self.optimiser = torch.optim.AdamW(
            learner.groups(), lr=settings.learning_rate, weight_decay=settings.weight_decay
        )
        if out.exists():
            self._restore(load_checkpoint(out))

    def state(self) -> dict[str, Any]:
        """Return everything that an exact resume needs."""
        return {
            **self.learner.about,
            "model": self.learner.module.state_dict(),
            "ema": self.ema.shadow,
            "optimiser": self.optimiser.state_dict(),
            "step": self.step,
            "trained_s": self.trained_s,
            "best": self.best,
        }

    def _restore(self, saved: dict[str, Any]) -> None:
        module = self.learner.module
        load_weights(module, saved["model"], self.out)
        place = next(module.parameters()).device
        self.ema.shadow = {name: value.to(place) for name, value in saved["ema"].items()}
        self.optimiser.load_state_dict(saved["optimiser"])
        self.step, self.best = int(saved["step"]), float(saved["best"])
        self.trained_s = float(saved["trained_s"])

    def train_step(self) -> dict[str, float]:
        """Take one step; returns its losses, averaged over micro-batches and processes."""
        settings, ranks = self.settings, self.ranks
        for group in self.optimiser.param_groups:
            group["lr"] = settings.learning_rate * group["share"] * self._rate()
        self.optimiser.zero_grad()
        told: dict[str, Tensor] = {}
        for micro in range(settings.accumulate):
            number = (self.step * settings.accumulate + micro) * ranks.world + ranks.rank
            chance = torch.Generator().manual_seed(self._seed * 1_000_003 + number)
            bf16 = settings.precision == "bf16"
            with torch.autocast(device().type, torch.bfloat16, enabled=bf16):
                parts = self.learner.losses(self._batch_at(number), chance)
            loss = torch.stack(list(parts.values())).sum()
            (loss / settings.accumulate).backward()
            for name, value in parts.items():
                told[name] = told.get(name, torch.zeros(())) + value.detach().cpu().float()
        trained = [p for group in self.optimiser.param_groups for p in group["params"]]
        ranks.average(p.grad for p in trained if p.grad is not None)
        self._update(nn.utils.clip_grad_norm_(trained, settings.clip))
        self.step += 1
        self.ema.update(self.learner.module, self.step)
        shares = [value / settings.accumulate for value in told.values()]
        ranks.average(shares)
        return {name: float(value) for name, value in zip(told, shares, strict=True)}

    def _update(self, norm: Tensor) -> None:
        """Take the optimiser's step, unless the gradient is no number: weights stay whole."""
        if bool(torch.isfinite(norm)):
            self._passed_over = 0
            self.optimiser.step()
            return
        self._passed_over += 1
        log.warning("step %d passed over: its gradient is no number", self.step + 1)
        if self._passed_over >= MOST_PASSED_OVER:
            raise DivergedError(
                f"The gradients of {MOST_PASSED_OVER} steps in a row are no numbers; look at the "
                f"data or lower the learning rate, and go on from the last checkpoint: {self.out}"
            )

    def run(self, validate: Callable[["Loop", LossCurve], None] | None = None) -> bool:
        """Train until `steps` or `seconds` are over, or somebody stops it (Ctrl-C, SIGTERM).

        Args:
            validate: called now and then, as the settings say, by the leading process.

        Returns:
            False if it was stopped from outside.

        Raises:
            DivergedError: gradients are no numbers any more; the weights saved are whole.
            CheckpointError: a checkpoint cannot be written; the one before is kept.
        """
        if not self.ranks.leads:
            return self._run(None, None)
        curve = LossCurve(self.out.parent, self.out.stem, self.step)
        try:
            return self._run(curve, validate)
        finally:
            curve.close()

    def _run(
        self, curve: LossCurve | None, validate: Callable[["Loop", LossCurve], None] | None
    ) -> bool:
        settings = self.settings
        trained_before_s = self.trained_s
        average: dict[str, float] = {}
        with asked_to_stop() as asked, self._bar() as advance:
            begun = saved_at = validated_at = time.monotonic()  # loading TensorBoard is no training
            while True:
                elapsed = time.monotonic() - begun
                over = bool(settings.seconds) and elapsed >= settings.seconds
                if self.ranks.any(over or bool(asked)) or self._finished():
                    break
                parts = self.train_step()
                now = time.monotonic()
                self.trained_s = trained_before_s + now - begun
                for name, value in parts.items():
                    average[name] = 0.97 * average.get(name, value) + 0.03 * value
                if curve is None:
                    continue
                curve.add(self.step, parts)
                advance(now - begun, sum(parts.values()))
                if self.step % TOLD_EVERY == 0:
                    log.info("%s", self._line(average))
                if validate and 0 < settings.validate_every_s < now - validated_at:
                    validate(self, curve)
                    validated_at = time.monotonic()
                if 0 < settings.save_every_s < now - saved_at:
                    curve.flush()
                    save_checkpoint(self.out, self.state())
                    saved_at = time.monotonic()
        if curve is not None:
            if validate and settings.validate_every_s and not asked:
                validate(self, curve)
            curve.flush()
            save_checkpoint(self.out, self.state())
        return not asked

    def _rate(self) -> float:
        """Share of the learning rate at this step: warm-up, then a half cosine down to a tenth."""
        settings = self.settings
        rate = min(1.0, (self.step + 1) / max(settings.warm_up, 1))
        if settings.steps and settings.decay_from < 1:
            place = (self.step / settings.steps - settings.decay_from) / (1 - settings.decay_from)
            place = min(max(place, 0.0), 1.0)
            rate *= 0.1 + 0.45 * (1 + float(torch.cos(torch.tensor(place * torch.pi))))
        return rate

    def _finished(self) -> bool:
        return bool(self.settings.steps) and self.step >= self.settings.steps

    def _line(self, average: dict[str, float]) -> str:
        losses = " ".join(f"{name} {value:.4f}" for name, value in average.items())
        return f"{self.out.stem} step {self.step} ({self.trained_s:.0f} s): {losses}"

    @contextmanager
    def _bar(self) -> Generator[Callable[[float, float], None]]:
        """Show progress on a terminal: by steps if their number is known, else by time."""
        settings, console = self.settings, Console(stderr=True)
        total = float(settings.steps) or settings.seconds or None
        bar = Progress(
            TextColumn("{task.description}"), BarColumn(), TextColumn("{task.fields[told]}"),
            TimeElapsedColumn(), TimeRemainingColumn(), console=console,
            disable=not (self.ranks.leads and console.is_terminal),
        )  # fmt: skip
        with bar:
            task = bar.add_task(self.out.stem, total=total, told="")

            def advance(elapsed_s: float, loss: float) -> None:
                done = float(self.step) if settings.steps else elapsed_s
                bar.update(task, completed=done, told=f"step {self.step}, loss {loss:.3f}")

            yield advance


@contextmanager
def asked_to_stop() -> Generator[list[int]]:
    """Collect SIGINT and SIGTERM instead of dying of them; the list is empty until one comes."""
    asked: list[int] = []

    def note(number: int, frame: FrameType | None) -> None:
        del frame
        asked.append(number)

    try:
        before = {n: signal.signal(n, note) for n in (signal.SIGINT, signal.SIGTERM)}
    except ValueError:  # not the main thread: somebody else handles signals
        yield asked
        return
    try:
        yield asked
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)

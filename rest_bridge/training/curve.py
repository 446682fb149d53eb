"""The loss curve of a run: one line of JSON a step, and TensorBoard, both cut at a resume.

Place in the flow: `loop` -> here -> OUT/STAGE.losses.jsonl, OUT/tensorboard/STAGE. A run that was
killed after its last checkpoint repeats the steps since; their first telling is cut off, so that
the curve reads as if nothing had happened.
"""

import json
from pathlib import Path
from typing import Any, Protocol, cast

from rest_bridge.training.checkpoint import CheckpointError


class Writer(Protocol):
    """What is used of TensorBoard's SummaryWriter."""

    def add_scalar(self, tag: str, scalar_value: float, global_step: int) -> None:
        """Add one point."""
        ...

    def close(self) -> None:
        """Write what is left."""
        ...


class LossCurve:
    """Writes the losses of one stage."""

    def __init__(self, folder: Path, stage: str, first_step: int, *, every: int = 10) -> None:
        """Open the curve, cut at a step.

        Args:
            folder: of the run.
            stage: names the files.
            first_step: steps already taken; later ones on file are dropped.
            every: steps between two points for TensorBoard.

        Raises:
            CheckpointError: the folder cannot be written to.
        """
        self._path, self._every = folder / f"{stage}.losses.jsonl", every
        kept = [line for line in self._lines() if json.loads(line)["step"] <= first_step]
        try:
            folder.mkdir(parents=True, exist_ok=True)
            self._path.write_text("".join(f"{line}\n" for line in kept))
            self._file = self._path.open("a")
        except OSError as error:
            raise CheckpointError(
                f"The run's folder cannot be written to ({error.strerror}): {folder}"
            ) from error
        from torch.utils.tensorboard.writer import SummaryWriter

        place = str(folder / "tensorboard" / stage)
        self._board = cast(Writer, SummaryWriter(place, purge_step=first_step + 1))

    @staticmethod
    def read(folder: Path, stage: str) -> list[dict[str, Any]]:
        """Return the curve of a stage, one entry a step: "step" and the losses by name."""
        lines = (folder / f"{stage}.losses.jsonl").read_text().splitlines()
        return [json.loads(line) for line in lines]

    def add(self, step: int, losses: dict[str, float], **more: Any) -> None:
        """Add the losses of one step."""
        self._file.write(json.dumps({"step": step, **losses, **more}) + "\n")
        if step % self._every == 0:
            for name, value in losses.items():
                self._board.add_scalar(f"loss/{name}", value, step)

    def add_metrics(self, step: int, metrics: dict[str, dict[str, float]]) -> None:
        """Add a validation's numbers, group -> metric -> value."""
        for group, values in metrics.items():
            for name, value in values.items():
                self._board.add_scalar(f"{group}/{name}", value, step)

    def flush(self) -> None:
        """Write what is known so far, before a checkpoint does."""
        self._file.flush()

    def close(self) -> None:
        """Close the files."""
        self._file.close()
        self._board.close()

    def _lines(self) -> list[str]:
        if not self._path.exists():
            return []
        lines = self._path.read_text().splitlines()
        # A kill may have left half a line.
        return [line for line in lines if line.startswith("{") and line.endswith("}")]

"""Motion of many streams in one run of the network: weights are read once for all of them.

Place in the flow: `motion_desk` gathers requests -> here -> answers. From how many streams on a
common run is cheaper is measured at loading. Knows nothing of threads or pictures.
Shape letters: B streams, T latent frames of a chunk.
"""

import logging
import time
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

import numpy as np

from rest_bridge.generator.conditions import fit_rows
from rest_bridge.generator.generator import CHUNK_SIZE, NEXT_LATENT, MotionGenerator
from rest_bridge.generator.sampler import euler_step, schedule
from rest_bridge.inference.package import ModelPackage
from rest_bridge.inference.session import Session
from rest_bridge.types import Array, FloatArray, State

GRAPH: Final = "dit_many"
MADE_FROM: Final = "made_from"
"""Of the manifest's section `dit_many`: SHA-256 of the dit.onnx whose batch it is."""
MOST_TOGETHER: Final = 64
_RUNS: Final = 3

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class MotionRequest:
    """A stream's next chunk; arguments of `MotionGenerator.step`."""

    audio_tokens: FloatArray
    conditions: FloatArray
    state: State
    noise: FloatArray


MotionAnswer = tuple[FloatArray, dict[str, Array]]


class ManyMotion:
    """Steps several streams at once; equal to stepping each alone, up to rounding."""

    def __init__(
        self,
        alone: MotionGenerator,
        package: ModelPackage,
        *,
        threads: int = 1,
        provider: str = "cpu",
        chunk_latents: int | None = None,
    ) -> None:
        """Load the batched network, where the package has it; measure from when on it is cheaper.

        Args:
            alone: the generator of one stream; does everything where the package has no batch.
            package: the model package.
            threads: CPU threads.
            provider: what computes, a name of `inference.session.PROVIDERS`.
            chunk_latents: length of the chunks, if all have the same.

        Raises:
            PackageError: the batched network cannot be loaded.
        """
        self.alone = alone
        self._session: Session | None = None
        self.least = MOST_TOGETHER + 1
        """So many streams in one run take less time than one after the other."""
        if self.fits(package):
            sizes = {CHUNK_SIZE: chunk_latents} if chunk_latents else None
            self._session = package.session(GRAPH, threads=threads, provider=provider, sizes=sizes)
            self.least = least_together(self._session, alone.step_seconds(chunk_latents or 1),
                                        chunk_latents or 1)  # fmt: skip

    @staticmethod
    def fits(package: ModelPackage) -> bool:
        """Say whether the package has a batched network, and one of the weights of dit.onnx."""
        if not package.has(f"{GRAPH}.onnx"):
            return False
        if GRAPH in package.manifest:
            made_from = package.section(GRAPH).get(MADE_FROM)
            if made_from is not None and made_from != package.digest("dit"):
                _log.warning(
                    "%s.onnx was made from another dit.onnx, so faces move one after the other; "
                    "run `python -m rest_bridge.training.finish_package --package %s`.",
                    GRAPH,
                    package.path,
                )
                return False
        return True

    @property
    def batches(self) -> bool:
        """Whether some number of streams is cheaper in one run than one after the other."""
        return self._session is not None and self.least <= MOST_TOGETHER

    def step(self, requests: Sequence[MotionRequest], num_steps: int) -> list[MotionAnswer]:
        """Generate a chunk for each stream.

        Args:
            requests: of different streams, all with as many latent frames.
            num_steps: denoising steps.

        Returns:
            Latents and next state, in the order of the requests.

        Raises:
            StateMismatch: a state belongs to another model package.
        """
        if self._session is None or len(requests) < self.least:
            motion = self.alone.with_steps(num_steps)
            return [motion.step(r.audio_tokens, r.conditions, r.state, r.noise) for r in requests]
        return self._together(self._session, requests, num_steps)

    def _together(
        self, session: Session, requests: Sequence[MotionRequest], num_steps: int
    ) -> list[MotionAnswer]:
        alone = self.alone
        for request in requests:
            alone.state_spec.check(request.state)
        columns = alone.columns
        inputs: dict[str, Array] = {
            "audio": np.stack([r.audio_tokens for r in requests]),
            "conditions": np.stack([fit_rows(r.conditions, columns) for r in requests]),
            "position": np.concatenate([r.state[NEXT_LATENT] for r in requests]),
            "state.position": np.stack([r.state["state.position"] for r in requests]),
        }
        for name in alone.graph_arrays:
            if name not in inputs:
                inputs[name] = np.concatenate([r.state[name] for r in requests])
        latents = np.stack([r.noise for r in requests]) * alone.temperature
        num_latents = latents.shape[1]
        written = [n for n in session.output_names if n.startswith("next_state.")]
        out: dict[str, Array] = {}
        for t, t_next in pairwise(schedule(num_steps)):
            flow_time = np.full(latents.shape[:2], t, np.float32)
            kept = written if t_next == 0 and not alone.commits else []
            out = session.run({"latents": latents, "t": flow_time, **inputs}, ["velocity", *kept])
            latents = euler_step(latents, out["velocity"], t, t_next).astype(np.float32)
        latents = np.concatenate(
            [
                alone.with_eyes(one[None], r.conditions)
                for one, r in zip(latents, requests, strict=True)
            ]
        )
        if alone.commits:
            clean = np.zeros(latents.shape[:2], np.float32)
            out = session.run({"latents": latents, "t": clean, **inputs}, written)
        return [
            (latents[row], _state_of(request, out, row, num_latents))
            for row, request in enumerate(requests)
        ]


def least_together(session: Session, alone_s: float, chunk_latents: int) -> int:
    """Return how many streams at least take less time in one run than one after the other.

    Args:
        session: the batched network.
        alone_s: seconds of one pass of the network of one stream.
        chunk_latents: latent frames of a chunk.

    Returns:
        2, 4, 8 or, where no such number is cheaper, more than there are streams.
    """
    for count in (2, 4, 8):
        inputs = session.zeros({"B": count, CHUNK_SIZE: chunk_latents})
        times = []
        for _ in range(_RUNS):
            begin_s = time.perf_counter()
            session.run(inputs, ["velocity"])
            times.append(time.perf_counter() - begin_s)
        if min(times) < count * alone_s:
            return count
    return MOST_TOGETHER + 1


def _state_of(
    request: MotionRequest, out: dict[str, Array], row: int, num_latents: int
) -> dict[str, Array]:
    state = dict(request.state)
    for name, array in out.items():
        if name.startswith("next_state."):
            key = name.removeprefix("next_")
            state[key] = array[row].reshape(state[key].shape)
    state[NEXT_LATENT] = request.state[NEXT_LATENT] + num_latents
    return state

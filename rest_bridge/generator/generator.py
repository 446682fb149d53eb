"""The streaming A2V-DiT at run time: audio tokens and plans in, motion latents out.

Place in the flow: `features.encoder` + `life` -> here -> `decoder`, `latent`. Each chunk is
denoised in a few steps, which only read the state, then committed: one pass at t = 0 over the
finished latents writes their keys and values into the Context-Cache. (A package trained with
`context` = "last" keeps those of its last denoising step instead.) It knows nothing of pictures.
Shape letters: T latent frames of a chunk, D token width, C conditions.
"""

import copy
import time
from itertools import pairwise
from typing import Final, Self

import numpy as np

from rest_bridge.errors import ConfigError
from rest_bridge.generator.conditions import FIRST_CONDITION_NAMES, fit_rows, known_columns
from rest_bridge.generator.eye_plan import EyePlan
from rest_bridge.generator.sampler import euler_step, schedule
from rest_bridge.inference.package import ModelPackage
from rest_bridge.inference.state import ArraySpec, StateSpec
from rest_bridge.types import LATENT_SHAPE, Array, FloatArray, State

_MOST_STEPS: Final = 8
CHUNK_SIZE: Final = "T"
"""What the graph calls the number of latent frames in a chunk."""
NEXT_LATENT: Final = "motion.next_latent"
"""Name of the state that says which latent frame comes next."""


class MotionGenerator:
    """Pure: the same tokens, conditions, state and noise give the same latents."""

    def __init__(
        self,
        package: ModelPackage,
        *,
        num_steps: int | None = None,
        temperature: float | None = None,
        threads: int = 1,
        provider: str = "cpu",
        chunk_latents: int | None = None,
    ) -> None:
        """Load the graphs.

        Args:
            package: the model package.
            num_steps: denoising steps a chunk, 1 to 8; the package's choice if None.
            temperature: factor on the noise, 0 to 1; lower is more typical, less lively motion;
                the package's choice if None.
            threads: CPU threads of each graph.
            provider: what computes, a name of `inference.session.PROVIDERS`.
            chunk_latents: length of the chunks, if all have the same; a third faster.

        Raises:
            PackageError: the package has no DiT or wants unknown conditions, or ONNX Runtime is
                missing.
            ConfigError: `num_steps` or `temperature` is out of range.
        """
        section = package.section("dit")
        steps = int(section["steps"]) if num_steps is None else num_steps
        if not 1 <= steps <= _MOST_STEPS:
            raise ConfigError(
                f"generator.steps = {steps} is not possible; choose 1 to {_MOST_STEPS} "
                f"(the model package was made for {section['steps']})."
            )
        heat = float(section["temperature"]) if temperature is None else temperature
        if not 0.0 <= heat <= 1.0:
            raise ConfigError(f"generator.temperature = {heat} is not possible; choose 0 to 1.")
        choices = section.get("config", {})
        self.commits = choices.get("context", "clean") == "clean"
        self._repeats_reference = choices.get("first_chunk", "masked") == "reference"
        self.columns = known_columns(section.get("conditions", FIRST_CONDITION_NAMES))
        self.temperature = np.float32(heat)
        self._eyes = EyePlan(package) if package.has("motion.npz") else None
        self.num_steps = steps
        self._session = package.session(
            "dit",
            threads=threads,
            provider=provider,
            sizes={CHUNK_SIZE: chunk_latents} if chunk_latents else None,
        )
        self._prefill = package.session("dit_prefill", threads=threads, provider=provider)
        self._graph_spec = StateSpec.from_manifest(section["state"])
        self.graph_arrays: tuple[str, ...] = tuple(a.name for a in self._graph_spec.arrays)
        self.max_chunk_latents: int = int(section["max_chunk_latents"])
        self.state_spec: StateSpec = StateSpec(
            (*self._graph_spec.arrays, ArraySpec(NEXT_LATENT, (1,), "int64"))
        )

    def initial_state(self, avatar_latent: FloatArray, first_latent: int = 0) -> dict[str, Array]:
        """Write the identity and forget everything else.

        Args:
            avatar_latent: float32 [16, 4, 4] or [1, 16, 4, 4], motion latent of the reference.
            first_latent: index that the first latent frame gets.

        Returns:
            The state: ID-Sink of this avatar, empty Context-Cache.
        """
        state = {
            **self._graph_spec.initial(),
            **self._identity(avatar_latent),
            NEXT_LATENT: np.array([first_latent], np.int64),
        }
        if self._repeats_reference:  # it stands for the context before the first chunk
            window = len(state["state.position"])
            for name in ("keys", "values"):
                state[f"state.{name}"] = np.tile(state[f"state.sink_{name}"], (1, 1, 1, window, 1))
            state["state.position"] = np.arange(first_latent - window, first_latent)
        return state

    def adopt(self, avatar_latent: FloatArray, state: State) -> State:
        """Give another identity to a stream, which moves on from where it is.

        Args:
            avatar_latent: as for `initial_state`, of the new reference.
            state: of the stream so far; left untouched.

        Returns:
            The state with the ID-Sink of the new avatar, the same Context-Cache and position.
        """
        return {**state, **self._identity(avatar_latent)}

    def with_steps(self, num_steps: int) -> Self:
        """Return a generator on the same graphs that denoises in so many steps.

        Args:
            num_steps: 1 to 8. States pass from one to the other.
        """
        other = copy.copy(self)
        other.num_steps = num_steps
        return other

    def step_seconds(self, chunk_latents: int = 1, runs: int = 5) -> float:
        """Return what one pass of the network takes here: the shortest of some."""
        inputs = self._session.zeros({CHUNK_SIZE: chunk_latents})
        times: list[float] = []
        for _ in range(runs):
            begin_s = time.perf_counter()
            self._session.run(inputs, ["velocity"])
            times.append(time.perf_counter() - begin_s)
        return min(times)

    def with_eyes(self, latents: FloatArray, conditions: FloatArray) -> FloatArray:
        """Return latents float32 [1, T, 16, 4, 4] that keep to the plan of lids and gaze."""
        return latents if self._eyes is None else self._eyes.apply(latents, conditions)

    def _identity(self, avatar_latent: FloatArray) -> dict[str, Array]:
        reference = avatar_latent.reshape(1, *LATENT_SHAPE).astype(np.float32, copy=False)
        sink = self._prefill.run({"reference": reference})
        return {
            "state.sink_keys": sink["sink_keys"],
            "state.sink_values": sink["sink_values"],
        }

    def step(
        self, audio_tokens: FloatArray, conditions: FloatArray, state: State, noise: FloatArray
    ) -> tuple[FloatArray, dict[str, Array]]:
        """Generate the next latent chunk.

        Args:
            audio_tokens: float32 [T, 2, D], T at most `max_chunk_latents`.
            conditions: float32 [T, len(CONDITION_NAMES)], from `LifePlanner.plan`; what the
                package does not take is left out.
            state: from `initial_state` or the previous call; left untouched.
            noise: float32 [T, 16, 4, 4], standard normal.

        Returns:
            latents: float32 [T, 16, 4, 4].
            state: to pass with the next chunk.

        Raises:
            StateMismatch: the state belongs to another model package.
        """
        self.state_spec.check(state)
        position = state[NEXT_LATENT]
        num_latents = len(audio_tokens)
        inputs = {
            "audio": audio_tokens[None],
            "conditions": fit_rows(conditions, self.columns)[None],
            "position": position,
            **{a.name: state[a.name] for a in self._graph_spec.arrays},
        }
        latents = noise[None] * self.temperature
        written = [n for n in self._session.output_names if n.startswith("next_state.")]
        out: dict[str, Array] = {}
        for t, t_next in pairwise(schedule(self.num_steps)):
            flow_time = np.full((1, num_latents), t, np.float32)
            # Asking for the velocity alone spares the copies of keys and values.
            remembered = written if t_next == 0 and not self.commits else []
            wanted = ["velocity", *remembered]
            out = self._session.run({"latents": latents, "t": flow_time, **inputs}, wanted)
            latents = euler_step(latents, out["velocity"], t, t_next).astype(np.float32)
        latents = self.with_eyes(latents, conditions)
        if self.commits:
            clean = np.zeros((1, num_latents), np.float32)
            out = self._session.run({"latents": latents, "t": clean, **inputs}, written)
        next_state = {
            **{a.name: out.get(f"next_{a.name}", state[a.name]) for a in self._graph_spec.arrays},
            NEXT_LATENT: position + num_latents,
        }
        return latents[0], next_state

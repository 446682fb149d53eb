"""SpeechAE at run time: 16 kHz voice in, two audio tokens a latent frame out.

Place in the flow: `features.decimate` -> mel -> here -> `generator.generator`. The graph runs in
blocks of exactly one latent frame (80 ms), whatever the caller's chunks are, so any chunking of the
same samples gives bit-equal tokens. Where that is wished for, `features.foreground` first leaves
the nearest talker alone of each block; where the package has it, `features.articulation` reads the
same blocks. It knows nothing of motion.
Shape letters: S samples, T latent frames, D token width, C articulations.
"""

import numpy as np

from rest_bridge.features.articulation import ArticulationReader
from rest_bridge.features.foreground import Foreground
from rest_bridge.features.mel import NUM_BINS, WINDOW_SAMPLES, LogMel, MelConfig
from rest_bridge.inference.package import ModelPackage
from rest_bridge.inference.state import ArraySpec, StateSpec
from rest_bridge.rig import ARTICULATIONS
from rest_bridge.types import LATENT_STRIDE, Array, FloatArray, State


class SpeechEncoder:
    """Streaming encoder; all memory is in the state passed around.

    Latent frame l (media time 80 l .. 80 (l + 1) ms) comes out once `lookahead_s` of voice beyond
    its end has been heard.
    """

    def __init__(
        self,
        package: ModelPackage,
        *,
        threads: int = 1,
        provider: str = "cpu",
        foreground: bool = False,
    ) -> None:
        """Load the graph and the constants of the features.

        Args:
            package: the model package.
            threads: CPU threads.
            provider: what computes, a name of `inference.session.PROVIDERS`.
            foreground: hear the nearest talker alone.

        Raises:
            PackageError: the package has no speech encoder, its articulation does not belong to it,
                or ONNX Runtime is missing.
        """
        section = package.section("audio")
        self._mel = LogMel(MelConfig.from_arrays(package.arrays("audio"), section))
        self._foreground = Foreground(self._mel.config.power_floor) if foreground else None
        self._reader: ArticulationReader | None = None
        if ArticulationReader.is_in(package):
            self._reader = ArticulationReader(package, self._mel.config, threads=threads)
        self._session = package.session("speech_encoder", threads=threads, provider=provider)
        self._block_frames = int(section["frames_per_latent"])
        self._lookahead_frames = int(section["lookahead_frames"])
        self._history_latents = int(section["history_latents"])
        self._token_shape = tuple(int(n) for n in section["token_shape"])
        self._graph_spec = StateSpec.from_manifest(section["state"])
        heard = self._reader.state_spec.arrays if self._reader else ()
        self._graph_states = StateSpec((*self._graph_spec.arrays, *heard))
        self.lookahead_s: float = self._lookahead_frames * 0.01
        self.state_spec: StateSpec = StateSpec(
            (
                *self._mel.state_arrays(),
                *(self._foreground.state_arrays() if self._foreground else ()),
                ArraySpec("encoder.pending", (self._block_frames, NUM_BINS)),
                ArraySpec("encoder.num_pending", (1,), "int64"),
                ArraySpec("encoder.num_blocks", (1,), "int64"),
                *self._graph_states.arrays,
            )
        )

    def initial_state(self) -> dict[str, Array]:
        """Return the state before the first sample, as if silence had gone before it."""
        state = {
            **self._mel.initial_state(),
            **(self._foreground.initial_state() if self._foreground else {}),
            "encoder.pending": np.zeros((self._block_frames, NUM_BINS), np.float32),
            "encoder.num_pending": np.zeros(1, np.int64),
            "encoder.num_blocks": np.zeros(1, np.int64),
            **self._graph_states.initial(),
        }
        # A block ends `lookahead` frames after its latent frame, so it also begins that much
        # later: the first block of the stream needs as many frames from before the stream.
        num_frames = self._history_latents * self._block_frames - self._lookahead_frames
        hop = WINDOW_SAMPLES - int(state["mel.num_samples"][0])
        return self.step(np.zeros(num_frames * hop, np.float32), state)[1]

    def step(self, samples: FloatArray, state: State) -> tuple[FloatArray, dict[str, Array]]:
        """Hear the next samples.

        Args:
            samples: float32 [S], 16 kHz mono, any number.
            state: from `initial_state` or the previous call; left untouched.

        Returns:
            tokens: float32 [T, 2, D] of the latent frames that these samples complete.
            state: to pass with the next samples.
        """
        tokens, _, state = self.hear(samples, state)
        return tokens, state

    @property
    def articulates(self) -> bool:
        """Whether the package tells articulations."""
        return self._reader is not None

    def hear(
        self, samples: FloatArray, state: State
    ) -> tuple[FloatArray, FloatArray, dict[str, Array]]:
        """Hear the next samples like `step`, and tell what the lips are asked for.

        Args:
            samples: as for `step`.
            state: as for `step`.

        Returns:
            tokens: float32 [T, 2, D].
            articulation: float32 [T, 2, C], `ARTICULATIONS` of each video frame; zeros where the
                package has no such part.
            state: to pass with the next samples.
        """
        memory = {name: state[name] for name in state if name.startswith(("mel.", "fore."))}
        frames, heard = self._mel.hear(samples, memory)
        memory.update(heard)
        num_pending = int(state["encoder.num_pending"][0])
        frames = np.concatenate([state["encoder.pending"][:num_pending], frames])
        num_blocks = int(state["encoder.num_blocks"][0])
        graphs = {a.name: state[a.name] for a in self._graph_states.arrays}
        tokens: list[FloatArray] = []
        marks: list[FloatArray] = []
        while len(frames) >= self._block_frames:
            block = self._prepared(frames[: self._block_frames], memory)
            token, mark = self._read(block, graphs)
            if num_blocks >= self._history_latents:  # earlier blocks end before the stream begins
                tokens.append(token)
                marks.append(mark)
            num_blocks += 1
            frames = frames[self._block_frames :]
        pending = np.zeros_like(state["encoder.pending"])
        pending[: len(frames)] = frames
        next_state = {
            **memory,
            "encoder.pending": pending,
            "encoder.num_pending": np.array([len(frames)], np.int64),
            "encoder.num_blocks": np.array([num_blocks], np.int64),
            **graphs,
        }
        told = (LATENT_STRIDE, len(ARTICULATIONS))
        return _stacked(tokens, self._token_shape), _stacked(marks, told), next_state

    def _prepared(self, log_mels: FloatArray, memory: dict[str, Array]) -> FloatArray:
        """Return a block as the networks hear it, float32 [8, 80]; `memory` moves on in place."""
        if self._foreground is not None:
            log_mels, _, moved = self._foreground.step(log_mels, memory)
            memory.update(moved)
        mel, settled = self._mel.normalise(log_mels, memory)
        memory.update(settled)
        return mel

    def _read(self, mel: FloatArray, graphs: dict[str, Array]) -> tuple[FloatArray, FloatArray]:
        """Return token [2, D] and articulation [2, C] of a block; `graphs` moves on in place."""
        own = {a.name: graphs[a.name] for a in self._graph_spec.arrays}
        outputs = self._session.run({"mel": mel[None], **own})
        mark = np.zeros((LATENT_STRIDE, len(ARTICULATIONS)), np.float32)
        if self._reader is not None:
            mark, read = self._reader.step(mel, graphs)
            graphs.update(read)
        graphs.update({name: outputs[f"next_{name}"] for name in own})
        return outputs["tokens"][0, 0], mark


def _stacked(parts: list[FloatArray], shape: tuple[int, ...]) -> FloatArray:
    return np.stack(parts) if parts else np.zeros((0, *shape), np.float32)

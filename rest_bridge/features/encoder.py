"""SpeechAE at run time: 16 kHz voice in, two audio tokens a latent frame out.

Place in the flow: `features.decimate` -> mel -> here -> `generator.generator`. The graph runs in
blocks of exactly one latent frame (80 ms), whatever the caller's chunks are, so any chunking of the
same samples gives bit-equal tokens. It knows nothing of motion.
Shape letters: S samples, T latent frames, D token width.
"""

import numpy as np

from rest_bridge.features.mel import NUM_BINS, WINDOW_SAMPLES, LogMel, MelConfig
from rest_bridge.inference.package import ModelPackage
from rest_bridge.inference.state import ArraySpec, StateSpec
from rest_bridge.types import Array, FloatArray, State


class SpeechEncoder:
    """Streaming encoder; all memory is in the state passed around.

    Latent frame l (media time 80 l .. 80 (l + 1) ms) comes out once `lookahead_s` of voice beyond
    its end has been heard.
    """

    def __init__(self, package: ModelPackage, *, threads: int = 1, provider: str = "cpu") -> None:
        """Load the graph and the constants of the features.

        Args:
            package: the model package.
            threads: CPU threads.
            provider: what computes, a name of `inference.session.PROVIDERS`.

        Raises:
            PackageError: the package has no speech encoder, or ONNX Runtime is missing.
        """
        section = package.section("audio")
        self._mel = LogMel(MelConfig.from_arrays(package.arrays("audio"), section))
        self._session = package.session("speech_encoder", threads=threads, provider=provider)
        self._block_frames = int(section["frames_per_latent"])
        self._lookahead_frames = int(section["lookahead_frames"])
        self._history_latents = int(section["history_latents"])
        self._token_shape = tuple(int(n) for n in section["token_shape"])
        self._graph_spec = StateSpec.from_manifest(section["state"])
        self.lookahead_s: float = self._lookahead_frames * 0.01
        self.state_spec: StateSpec = StateSpec(
            (
                *self._mel.state_arrays(),
                ArraySpec("encoder.pending", (self._block_frames, NUM_BINS)),
                ArraySpec("encoder.num_pending", (1,), "int64"),
                ArraySpec("encoder.num_blocks", (1,), "int64"),
                *self._graph_spec.arrays,
            )
        )

    def initial_state(self) -> dict[str, Array]:
        """Return the state before the first sample, as if silence had gone before it."""
        state = {
            **self._mel.initial_state(),
            "encoder.pending": np.zeros((self._block_frames, NUM_BINS), np.float32),
            "encoder.num_pending": np.zeros(1, np.int64),
            "encoder.num_blocks": np.zeros(1, np.int64),
            **self._graph_spec.initial(),
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
        mel_state = {name: array for name, array in state.items() if name.startswith("mel.")}
        frames, mel_state = self._mel.step(samples, mel_state)
        num_pending = int(state["encoder.num_pending"][0])
        frames = np.concatenate([state["encoder.pending"][:num_pending], frames])
        num_blocks = int(state["encoder.num_blocks"][0])
        graph_state = {a.name: state[a.name] for a in self._graph_spec.arrays}
        tokens: list[FloatArray] = []
        while len(frames) >= self._block_frames:
            inputs = {"mel": frames[None, : self._block_frames], **graph_state}
            outputs = self._session.run(inputs)
            graph_state = {name: outputs[f"next_{name}"] for name in graph_state}
            if num_blocks >= self._history_latents:  # earlier blocks end before the stream begins
                tokens.append(outputs["tokens"][0, 0])
            num_blocks += 1
            frames = frames[self._block_frames :]
        pending = np.zeros_like(state["encoder.pending"])
        pending[: len(frames)] = frames
        next_state = {
            **mel_state,
            "encoder.pending": pending,
            "encoder.num_pending": np.array([len(frames)], np.int64),
            "encoder.num_blocks": np.array([num_blocks], np.int64),
            **graph_state,
        }
        empty = np.zeros((0, *self._token_shape), np.float32)
        return (np.stack(tokens) if tokens else empty), next_state

"""Data that crosses module borders, and the protocols of sources, sinks, generator and decoder.

Shape letters: S samples, F frames, T latent frames, H/W pixels, C channels.
All `*_ns` are int64 nanoseconds; `pts_ns` on the stream clock (0 = first sample of the stream),
`captured_ns` on `time.monotonic_ns`.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal, Protocol, runtime_checkable

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float32]
ByteArray = npt.NDArray[np.uint8]
Array = npt.NDArray[Any]
State = Mapping[str, Array]
"""Everything remembered between two calls: name -> array. Spent by the call it is passed to."""

VOICE_RATE_HZ: Final = 48_000
"""Sample rate of the voice and of the media clock; mono float32 in [-1, 1]."""
MODEL_RATE_HZ: Final = 16_000
FRAME_RATE_HZ: Final = 25
SAMPLES_PER_FRAME: Final = VOICE_RATE_HZ // FRAME_RATE_HZ
FRAME_DURATION_NS: Final = 1_000_000_000 // FRAME_RATE_HZ
LATENT_STRIDE: Final = 2
"""Video frames (25 fps) per latent frame."""
LATENT_SHAPE: Final = (16, 4, 4)

StreamActivity = Literal["idle", "speaking", "muted", "paused"]


@dataclass(frozen=True, slots=True)
class StreamEvent:
    """Something that happens at an instant of the voice, on its way to whoever listens.

    Attributes:
        kind: "speech"; what the wire calls it.
        offset: samples at VOICE_RATE_HZ from the first one of the chunk or frame that carries it.
        body: msgpack types.
    """

    kind: str
    offset: int
    body: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class AudioChunk:
    """Samples handed on together by a source.

    Attributes:
        samples: float32 [S], mono, [-1, 1].
        sample_rate_hz: rate of `samples`.
        first_index: index of samples[0] at `sample_rate_hz` since the source was opened.
        captured_ns: monotonic time at which the last sample was captured.
        discontinuity: samples were lost (and replaced by silence) before or inside this chunk.
        advance: before this chunk the source went ahead in time by so many samples, which it can
            deliver at once: speech that was pushed in advance. What is in flight may be skipped.
        cut: what came before is void and shall be neither heard nor seen any more.
        events: what happens in these samples.
    """

    samples: FloatArray
    sample_rate_hz: int
    first_index: int
    captured_ns: int
    discontinuity: bool = False
    advance: int = 0
    cut: bool = False
    events: tuple[StreamEvent, ...] = ()


@dataclass(frozen=True, slots=True)
class VoiceChunk:
    """Voice that belongs to a frame: float32 [S] mono at VOICE_RATE_HZ from `pts_ns` on."""

    samples: FloatArray
    first_index: int
    pts_ns: int


@dataclass(frozen=True, slots=True)
class RigFrame:
    """Face parameters of one instant.

    Attributes:
        index: frame index.
        pts_ns: presentation time.
        values: float32 [58] in `rig.RIG_NAMES` order.
        visemes: float32 [15] in `rig.VISEME_NAMES` order, 0..1.
        speech_level: root mean square of the frame's voice, 0..1.
        activity: what the stream is doing.
    """

    index: int
    pts_ns: int
    values: FloatArray
    visemes: FloatArray
    speech_level: float
    activity: StreamActivity


@dataclass(frozen=True, slots=True)
class FrameTimes:
    """When a frame passed the stages of the generator, all on `time.monotonic_ns`.

    Attributes:
        chunk_ns: media time from this frame's end to the end of its chunk.
        heard_ns: the newest sample that the chunk was made from was captured.
        begun_ns: work began on the samples that completed the chunk.
        encoded_ns: the chunk's audio tokens were there.
        moved_ns: the chunk's motion was there.
        drawn_ns: the picture was there.
    """

    chunk_ns: int
    heard_ns: int
    begun_ns: int
    encoded_ns: int
    moved_ns: int
    drawn_ns: int


@dataclass(frozen=True, slots=True)
class Frame:
    """One video image with everything that belongs to its instant.

    Attributes:
        index: frame index since the start of the stream; no gaps.
        pts_ns: presentation time, exactly index * frame duration.
        captured_ns: monotonic time at which the newest sample of this frame's span was captured.
        rgba: uint8 [H, W, 4], straight alpha, top row first, C-contiguous; do not modify.
        rig: face parameters.
        voice: the samples that belong to this frame's span.
        stream_id: random name of this stream; changes with every start.
        epoch: grows by one whenever the stream is flushed.
        repeated: the picture repeats the previous one because no new one was in time.
        tier: in which tier of effort it was generated (`tiers.TIERS`).
        avatar_id: whose face it is (a hash, no file name).
        times: when it passed the generator's stages; None where nothing was generated.
        presented_ns: monotonic time at which it was handed to the outputs; 0 before.
        due_ns: monotonic time of its turn at the outputs; 0 where nothing paces (files).
        events: what happens in its span.
    """

    index: int
    pts_ns: int
    captured_ns: int
    rgba: ByteArray
    rig: RigFrame
    voice: VoiceChunk
    stream_id: str = ""
    epoch: int = 0
    repeated: bool = False
    tier: str = ""
    avatar_id: str = ""
    times: FrameTimes | None = None
    presented_ns: int = 0
    due_ns: int = 0
    events: tuple[StreamEvent, ...] = ()


@dataclass(frozen=True, slots=True)
class FrameFormat:
    """What a sink is going to receive: size in pixels and rate in frames per second."""

    width: int
    height: int
    fps: float


class AudioSource(Protocol):
    """A voice input; a context manager. Delivers mono float32 at VOICE_RATE_HZ."""

    name: str
    sample_rate_hz: int
    live: bool
    """True where samples arrive in real time (devices, paced files), False if on demand."""

    def read(self, num_samples: int, timeout_s: float) -> AudioChunk:
        """Return exactly `num_samples`; fewer only in the last chunk of a source that ends.

        Raises:
            SourceTimeout: nothing arrived in time.
            SourceClosed: the source has ended.
            SourceError: the source failed; the message names the remedy.
        """
        ...

    def close(self) -> None:
        """Release the device; idempotent."""
        ...


@runtime_checkable
class AdvancingSource(Protocol):
    """A source that may deliver speech faster than real time where that makes it sooner seen.

    Attributes:
        advance_samples: by how much its chunks may say `advance`: what the generator looks ahead.
    """

    advance_samples: int


@runtime_checkable
class LastWordSource(Protocol):
    """A source with something to tell when another one takes over: lines that nobody will hear."""

    def last_events(self) -> tuple[StreamEvent, ...]:
        """Take nothing more, and return what happens with that; empty when asked again."""
        ...


class FrameSink(Protocol):
    """An output; used from one thread of its own."""

    name: str
    policy: Literal["latest", "every"]

    def open(self, fmt: FrameFormat) -> None:
        """Get ready.

        Raises:
            SinkUnavailable: with the remedy.
        """
        ...

    def send(self, frame: Frame) -> None:
        """Hand over one frame; may block."""
        ...

    def close(self) -> None:
        """Finish what was begun and release everything; idempotent."""
        ...

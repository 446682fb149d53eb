"""Puts frames together: picture, rig and the voice of the same instant, with their times.

Place in the flow: inside the pipeline, behind the decoder. It holds the voice back until its frame
is made, and knows the picture to repeat where none was drawn. Shape letters: S samples, H/W pixels.
"""

import time
from dataclasses import dataclass
from typing import Final

from rest_bridge.clock import NS_PER_S
from rest_bridge.features.activity import SpeechGate
from rest_bridge.generator.visemes import VisemeReader
from rest_bridge.handoff import SampleRing
from rest_bridge.metrics import Metrics
from rest_bridge.rig import RIG_NAMES
from rest_bridge.stages import Stages
from rest_bridge.types import (
    VOICE_RATE_HZ,
    AudioChunk,
    ByteArray,
    FloatArray,
    Frame,
    FrameTimes,
    RigFrame,
    State,
    StreamActivity,
    VoiceChunk,
)

_JAW_OPEN: Final = RIG_NAMES.index("jawOpen")
_HELD_SAMPLES: Final = 4 * VOICE_RATE_HZ


@dataclass(slots=True)
class ChunkTimes:
    """When the stages of the present chunk were done, monotonic ns, and the frame after its last.

    Attributes:
        begun_ns: work began on the samples that completed it.
        encoded_ns: its audio tokens were there.
        moved_ns: its motion was there.
        end: index of the frame after its last one.
    """

    begun_ns: int = 0
    encoded_ns: int = 0
    moved_ns: int = 0
    end: int = 0


class Framer:
    """The frames of one stream."""

    def __init__(self, fps: int, metrics: Metrics) -> None:
        """Begin a stream.

        Args:
            fps: frames per second.
            metrics: counts `skipped_pictures`.
        """
        self._fps = fps
        self._metrics = metrics
        self._samples = VOICE_RATE_HZ // fps
        self._voice = SampleRing(_HELD_SAMPLES)
        self._gate, self._visemes = SpeechGate(), VisemeReader()
        self._gate_state: State = self._gate.initial_state()
        self._activity: StreamActivity = "idle"
        self._read: dict[int, FloatArray] = {}  # visemes of the frames in `preview`
        self.picture: ByteArray | None = None
        """The last one, which is repeated where none is drawn."""
        self.shows = ""
        """`Stages.avatar_id` of the face in it."""
        self.num_samples = 0
        """Samples heard so far."""
        self.num_frames = 0
        """Frames made so far; the next one has this index."""
        self.captured_ns = 0
        """When the newest sample was captured."""
        self.times = ChunkTimes()

    def hear(self, samples: FloatArray) -> None:
        """Hold voice back until its frame is made.

        Args:
            samples: float32 [S], the next ones.
        """
        self._voice.write(AudioChunk(samples, VOICE_RATE_HZ, self.num_samples, 0))
        self.num_samples += len(samples)

    def preview(self, rig: FloatArray) -> list[RigFrame]:
        """Return the rig of the next frames before their pictures are drawn.

        Args:
            rig: float32 [F, 58].

        Returns:
            As the frames will carry it, but for the level of their voice.
        """
        first = self.num_frames
        self._read = dict(enumerate(self._visemes.read(rig), first))
        return [
            RigFrame(
                first + place,
                (first + place) * NS_PER_S // self._fps,
                values,
                self._read[first + place],
                0.0,
                self._activity,
            )
            for place, values in enumerate(rig)
        ]

    def frame(self, rig: FloatArray, picture: ByteArray | None, stages: Stages) -> Frame:
        """Make the next frame.

        Args:
            rig: float32 [58].
            picture: uint8 [H, W, 4]; None repeats the last one.
            stages: what made it.
        """
        index, count = self.num_frames, self._samples
        pts_ns = index * NS_PER_S // self._fps
        voice = self._voice.peek(index * count, count)
        level, speaking, self._gate_state = self._gate.step(
            voice, 1 / self._fps, self._gate_state, opening=float(rig[_JAW_OPEN])
        )
        activity: StreamActivity = "speaking" if speaking else "idle"
        self._activity = activity
        if picture is None:
            self._metrics.count("skipped_pictures")
        else:
            self.shows = stages.avatar_id
        shown = self.picture if picture is None else picture
        assert shown is not None, "the decoder returned too few pictures"
        self.picture = shown
        self.num_frames += 1
        held = self.num_samples - (index + 1) * count
        visemes = self._read.pop(index, None)
        if visemes is None:
            visemes = self._visemes.read(rig[None])[0]
        return Frame(
            index=index,
            pts_ns=pts_ns,
            captured_ns=self.captured_ns - held * NS_PER_S // VOICE_RATE_HZ,
            rgba=shown,
            rig=RigFrame(index, pts_ns, rig, visemes, level, activity),
            voice=VoiceChunk(voice, index * count, pts_ns),
            repeated=picture is None,
            tier=stages.tier.name,
            avatar_id=self.shows,
            times=self._times(index),
        )

    def _times(self, index: int) -> FrameTimes:
        times = self.times
        return FrameTimes(
            chunk_ns=(times.end - index - 1) * NS_PER_S // self._fps,
            heard_ns=self.captured_ns,
            begun_ns=times.begun_ns,
            encoded_ns=times.encoded_ns,
            moved_ns=times.moved_ns,
            drawn_ns=time.monotonic_ns(),
        )

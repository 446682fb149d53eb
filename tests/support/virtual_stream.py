"""A whole live stream by virtual time: devices with clocks of their own, hours in minutes.

Real: LiveFeed, MediaClock, SampleRing, FrameQueue, Presenter, Playout. Pretended: the clock,
a microphone and a sound card (which write and pull blocks, late as a busy system is), and the face.
The microphone hears a hump every second; sound against picture is the time at which the card
really plays it less the time at which the frame that holds it was shown.
"""

import contextlib
import threading

import numpy as np

from rest_bridge.audio.live import LiveFeed
from rest_bridge.clock import NS_PER_S, MediaClock
from rest_bridge.errors import SourceTimeout
from rest_bridge.handoff import FrameQueue, SampleRing
from rest_bridge.metrics import Metrics
from rest_bridge.presenter import Presenter
from rest_bridge.rig import RIG_NAMES, VISEME_NAMES
from rest_bridge.sinks.playout import Playout
from rest_bridge.sinks.voice_output import DELAY_S
from rest_bridge.types import VOICE_RATE_HZ, AudioChunk, FloatArray, Frame, RigFrame, VoiceChunk
from tests.support.fake_clock import FakeClock

FRAME_SAMPLES = 1920
DELAY_NS = 170_000_000
MAKING_NS = 60_000_000
HUMP_S = 0.002
PICTURE = np.zeros((8, 8, 4), np.uint8)
NO_RIG = np.zeros(len(RIG_NAMES), np.float32)
NO_VISEMES = np.zeros(len(VISEME_NAMES), np.float32)


def humps(times_s: FloatArray) -> FloatArray:
    """Return the sound of the room: a hump around every full second."""
    away = times_s - np.round(times_s)
    return np.exp(-((away / HUMP_S) ** 2)).astype(np.float32)


class Crystal:
    """A device's clock: it wanders slowly around an error, and may be stopped and moved."""

    def __init__(self, ppm: float, wander_ppm: float, start_ns: int) -> None:
        self._ppm, self._wander = ppm, wander_ppm
        self._time_ns = float(start_ns)
        self._seconds = 0.0

    def tick(self, seconds: float) -> int:
        """Let so much of the device's own time pass; return the true time."""
        self._seconds += seconds
        ppm = self._ppm + self._wander * np.sin(self._seconds / 1800)
        self._time_ns += seconds / (1 + ppm * 1e-6) * NS_PER_S
        return round(self._time_ns)

    def move(self, by_ns: int) -> None:
        self._time_ns += by_ns


class VirtualStream:
    """One stream; `run` it for so many seconds of virtual time, as often as wanted."""

    def __init__(
        self,
        mic_ppm: float,
        card_ppm: float,
        *,
        wander_ppm: float = 0.0,
        block_s: float = 0.02,
        seed: int = 0,
    ) -> None:
        self._block_s = block_s
        self._read = round(block_s / 2 * VOICE_RATE_HZ)
        self.clock = FakeClock(10**12)
        self.start_ns = self.clock.now_ns()
        self._rng = np.random.default_rng(seed)
        self.metrics = Metrics()
        self.media = MediaClock()
        self.feed = LiveFeed("virtual microphone", clock=self.clock, poll_s=0.0)
        self.feed.start(VOICE_RATE_HZ)
        self.ring = SampleRing(4 * VOICE_RATE_HZ)
        self.queue = FrameQueue(4)
        self.playout = Playout(DELAY_S)
        self.shown: list[tuple[float, int]] = []
        """True time of a hump in the pictures, in s, and its number in the stream's samples."""
        self.heard: list[float] = []
        """True time of each hump at the loudspeaker, in s."""
        self.num_frames = 0
        self.steps_ns: list[int] = []
        self._last_due_ns = 0
        self._stop = threading.Event()
        self._mic = Crystal(mic_ppm, wander_ppm, self.start_ns)
        self._card = Crystal(card_ppm, -wander_ppm, self.start_ns)
        self._mic_rate_hz = VOICE_RATE_HZ
        self._unplugged_until_ns = 0
        self._tail = np.zeros(0, np.float32)
        self._tail_ns = 0.0
        self.presenter = Presenter(
            self.queue,
            self.ring,
            self._show,
            still=PICTURE,
            fps=25,
            clock=self.clock,
            media=self.media,
            metrics=self.metrics,
            stream_id="v",
            offer_voice=self._play,
        )
        self._attached = False
        self._num_made = 0
        self.queue.resize(8)
        self._schedule_mic()
        self._schedule_card()

    # ------------------------------------------------------------------ what a test does to it

    def run_to(self, seconds: float) -> None:
        """Let virtual time pass until so many seconds after the start."""
        end_ns = self.start_ns + round(seconds * NS_PER_S)
        self.clock.schedule(end_ns, self._stop.set)
        self._stop.clear()
        self.presenter.run(self._stop)

    def at(self, seconds: float, action) -> None:
        """Do something at a time after the start."""
        self.clock.schedule(self.start_ns + round(seconds * NS_PER_S), action)

    def unplug_microphone(self, seconds: float) -> None:
        self._unplugged_until_ns = self.clock.now_ns() + round(seconds * NS_PER_S)

    def microphone_returns_at(self, rate_hz: int) -> None:
        self._mic_rate_hz = rate_hz
        self.feed.start(rate_hz)

    def stall_card(self, seconds: float) -> None:
        """The card stops for a while and goes on where it was: its later sound comes later."""
        self._card.move(round(seconds * NS_PER_S))

    def sleep(self, seconds: float) -> None:
        """The computer sleeps: time passes, nothing runs, the devices are stopped as well."""
        slept_ns = round(seconds * NS_PER_S)
        self._mic.move(slept_ns)
        self._card.move(slept_ns)
        self.clock.jump_to(self.clock.now_ns() + slept_ns)

    # ------------------------------------------------------------------------------ results

    def offsets_ms(self) -> list[tuple[float, float]]:
        """Return (seconds since the start, sound after picture in ms) of each hump."""
        heard = np.array(self.heard)
        found = []
        for shown_s, _ in self.shown:
            place = np.searchsorted(heard, shown_s - 0.3)
            if place < len(heard) and heard[place] - shown_s < 0.3:
                offset_ms = (heard[place] - shown_s - DELAY_S) * 1000
                found.append((shown_s - self.start_ns / NS_PER_S, float(offset_ms)))
        return found

    # ------------------------------------------------------------------------------ devices

    def _late_ns(self) -> int:
        late_ns = self._rng.exponential(1.5e6)
        if self._rng.random() < 0.0005:
            late_ns += self._rng.uniform(0, 120e6)
        return int(late_ns)

    def _schedule_mic(self) -> None:
        begin_ns = self._mic.tick(0.0)
        end_ns = self._mic.tick(self._block_s)
        self.clock.schedule(end_ns + self._late_ns(), lambda: self._record(begin_ns, end_ns))

    def _record(self, begin_ns: int, end_ns: int) -> None:
        if self.clock.now_ns() >= self._unplugged_until_ns:
            count = round(self._mic_rate_hz * self._block_s)
            times_ns = begin_ns + np.arange(count) * ((end_ns - begin_ns) / count)
            voice = humps((times_ns - self.start_ns) / NS_PER_S)
            self.feed.write(voice, self.clock.now_ns())
        self._listen()
        self._schedule_mic()

    def _listen(self) -> None:
        with contextlib.suppress(SourceTimeout):
            while True:
                chunk = self.feed.read(self._read, 0.0)
                self.media.observe(chunk.first_index + self._read, chunk.captured_ns)
                self.ring.write(chunk)
                if not self._attached:
                    self.presenter.attach(chunk.first_index, DELAY_NS)
                    self._attached = True
        while self.ring.num_unread >= FRAME_SAMPLES:
            chunk = self.ring.read(FRAME_SAMPLES, 0.0)
            frame = self._make(chunk)
            self.clock.schedule(
                self.clock.now_ns() + MAKING_NS, lambda frame=frame: self.queue.put(frame)
            )

    def _make(self, chunk: AudioChunk) -> Frame:
        index, self._num_made = self._num_made, self._num_made + 1
        pts_ns = index * 40_000_000
        return Frame(
            index=index,
            pts_ns=pts_ns,
            captured_ns=chunk.captured_ns,
            rgba=PICTURE,
            rig=RigFrame(index, pts_ns, NO_RIG, NO_VISEMES, 0.0, "idle"),
            voice=VoiceChunk(chunk.samples, index * FRAME_SAMPLES, pts_ns),
        )

    def _schedule_card(self) -> None:
        pull_ns = self._card.tick(0.0)
        self._card.tick(self._block_s)
        self.clock.schedule(pull_ns + self._late_ns(), lambda: self._pull(pull_ns))

    def _pull(self, pull_ns: int) -> None:
        latency_ns = 30_000_000
        count = round(VOICE_RATE_HZ * self._block_s)
        sound = self.playout.pull(count, self.clock.now_ns() + latency_ns)
        self._find_heard(sound, pull_ns + latency_ns)
        self._schedule_card()

    def _find_heard(self, sound: FloatArray, begin_ns: int) -> None:
        if not len(self._tail):
            self._tail_ns = begin_ns
        joined = np.concatenate((self._tail, sound))
        peak = int(joined.argmax())
        if joined[peak] > 0.5 and peak < len(joined) - 300:
            self.heard.append(self._tail_ns / NS_PER_S + _centre(joined, peak) / VOICE_RATE_HZ)
            joined = joined[peak + 300 :]
        keep = joined[-600:] if joined.max(initial=0.0) > 0.3 else joined[:0]
        self._tail = keep
        self._tail_ns = begin_ns + (len(sound) - len(keep)) * NS_PER_S / VOICE_RATE_HZ

    # ------------------------------------------------------------------------------ outlets

    def _play(self, voice: VoiceChunk, due_ns: int) -> None:
        self.playout.push(voice.samples, voice.first_index, due_ns)

    def _show(self, frame: Frame) -> None:
        self.num_frames += 1
        if self._last_due_ns:
            self.steps_ns.append(frame.due_ns - self._last_due_ns)
            self.steps_ns = self.steps_ns[-100:]
        self._last_due_ns = frame.due_ns
        samples = frame.voice.samples
        peak = int(samples.argmax())
        if samples[peak] > 0.5 and 0 < peak < len(samples) - 1:
            now_s = self.clock.now_ns() / NS_PER_S
            centre = _centre(samples, peak)
            if not self.shown or now_s + centre / VOICE_RATE_HZ - self.shown[-1][0] > 0.3:
                number = frame.voice.first_index + peak
                self.shown.append((now_s + centre / VOICE_RATE_HZ, number))


def _centre(samples: FloatArray, peak: int) -> float:
    """Return where a hump's middle is, between samples."""
    around = samples[max(0, peak - 1) : peak + 2].astype(np.float64)
    if len(around) < 3 or around.min() <= 0:
        return float(peak)
    left, middle, right = np.log(around)
    bend = left - 2 * middle + right
    return peak + (0.5 * (left - right) / bend if bend else 0.0)

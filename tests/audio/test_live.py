"""The shared part of live sources: counting, stamping, and silence by the clock."""

import contextlib
from dataclasses import replace

import numpy as np
import pytest

from rest_bridge.audio.live import GRACE_NS, LiveFeed
from rest_bridge.errors import SourceClosed, SourceError, SourceTimeout
from rest_bridge.types import VOICE_RATE_HZ, AudioChunk, FloatArray
from tests.support.fake_clock import FakeClock

MS = 1_000_000


class TickingClock:
    """Every look at it takes a millisecond."""

    def __init__(self) -> None:
        self.time_ns = 10**12

    def now_ns(self) -> int:
        self.time_ns += MS
        return self.time_ns

    def wait_until(self, when_ns: int, stop: object) -> bool:
        raise NotImplementedError


def make_feed(rate_hz: int = VOICE_RATE_HZ) -> tuple[LiveFeed, TickingClock]:
    clock = TickingClock()
    feed = LiveFeed("test device", clock=clock, poll_s=0.0)
    feed.start(rate_hz)
    return feed, clock


def noise(num_samples: int) -> FloatArray:
    return np.random.default_rng(1).uniform(-0.5, 0.5, num_samples).astype(np.float32)


def test_samples_come_out_as_they_went_in_and_are_counted() -> None:
    feed, clock = make_feed()
    voice = noise(4800)
    chunks = []
    for start in range(0, 4800, 480):
        feed.write(voice[start : start + 480], clock.time_ns)
        if start % 960 == 480:
            chunks.append(feed.read(960, 0.1))
    assert np.array_equal(np.concatenate([chunk.samples for chunk in chunks]), voice)
    assert [chunk.first_index for chunk in chunks] == [0, 960, 1920, 2880, 3840]
    assert not any(chunk.discontinuity for chunk in chunks)


def test_capture_time_is_that_of_the_chunks_last_sample() -> None:
    feed, _ = make_feed()
    feed.write(noise(960), 2 * 10**12)
    first, second = feed.read(480, 0.1), feed.read(480, 0.1)
    assert second.captured_ns == 2 * 10**12
    assert first.captured_ns == 2 * 10**12 - 10 * MS


def test_capture_time_survives_resampling() -> None:
    feed, _ = make_feed(16000)
    start_ns = 2 * 10**12
    for block in range(1, 11):
        feed.write(noise(160), start_ns + block * 10 * MS)
    chunk = feed.read(2400, 0.1)
    assert chunk.captured_ns == pytest.approx(start_ns + 50 * MS, abs=2)


def test_too_little_in_time_is_a_timeout_that_consumes_nothing() -> None:
    feed, clock = make_feed()
    feed.write(noise(480), clock.time_ns)
    with pytest.raises(SourceTimeout, match="test device"):
        feed.read(960, 0.02)
    feed.write(noise(480), clock.time_ns)
    assert feed.read(960, 0.02).first_index == 0


def test_silence_follows_the_clock_when_the_device_delivers_nothing() -> None:
    feed, clock = make_feed()
    begin_ns = clock.time_ns
    chunks = [feed.read(1920, 1.0) for _ in range(50)]  # 2 s of voice
    elapsed_ns = clock.time_ns - begin_ns
    assert not np.concatenate([chunk.samples for chunk in chunks]).any()
    assert chunks[0].discontinuity
    assert [chunk.first_index for chunk in chunks] == list(range(0, 50 * 1920, 1920))
    assert abs(elapsed_ns - 2 * 10**9) < GRACE_NS + 50 * MS


def test_a_short_gap_is_not_filled() -> None:
    feed, clock = make_feed()
    feed.write(noise(480), clock.time_ns)
    feed.read(480, 0.1)
    with pytest.raises(SourceTimeout):
        feed.read(480, 0.1)
    assert feed.num_filled == 0


def test_samples_late_after_a_filled_gap_do_not_push_media_time_ahead() -> None:
    feed, clock = make_feed()
    begin_ns = clock.time_ns
    delivered = 0
    for _ in range(25):  # one second without a sample
        feed.read(1920, 1.0)
        delivered += 1920
    stalled = (clock.time_ns - begin_ns) * VOICE_RATE_HZ // 10**9
    for start in range(0, stalled, 480):  # the device hands over all of it at once
        feed.write(noise(min(480, stalled - start)), clock.time_ns)
    for _ in range(100):  # and goes on in real time
        clock.time_ns += 10 * MS
        feed.write(noise(480), clock.time_ns)
        feed.read(480, 1.0)
        delivered += 480
    elapsed = (clock.time_ns - begin_ns) * VOICE_RATE_HZ // 10**9
    waiting = feed._fifo.num_samples + feed._reader_ring.num_unread
    assert feed.num_late > stalled * 0.7
    assert delivered + waiting <= elapsed + 0.05 * VOICE_RATE_HZ


def test_jitter_after_a_gap_costs_no_samples() -> None:
    feed, clock = make_feed()
    feed.read(9600, 1.0)  # silence by the clock
    voice = noise(48000)
    rng = np.random.default_rng(2)
    base_ns = clock.time_ns
    chunks = []
    for block in range(100):
        captured_ns = base_ns + (block + 1) * 10 * MS + int(rng.uniform(-9, 9) * MS)
        clock.time_ns = max(clock.time_ns, captured_ns)
        feed.write(voice[block * 480 : (block + 1) * 480], captured_ns)
        chunks.append(feed.read(480, 1.0).samples)
    chunks.append(feed.read(feed._fifo.num_samples, 1.0).samples)
    assert feed.num_late == 0
    assert np.array_equal(np.concatenate(chunks)[-48000:], voice)


def test_a_device_opened_anew_at_another_rate_continues_the_count() -> None:
    feed, clock = make_feed(48000)
    feed.write(noise(4800), clock.time_ns)
    assert feed.read(4800, 0.1).first_index == 0
    feed.start(16000)
    for _ in range(10):
        feed.write(noise(160), clock.time_ns)
    chunk = feed.read(4000, 0.1)
    assert chunk.first_index == 4800
    assert np.abs(chunk.samples).max() > 0.1


def test_overflow_is_counted_and_marked() -> None:
    feed, clock = make_feed()
    feed.write(noise(480), clock.time_ns, lost=True)
    assert feed.read(480, 0.1).discontinuity
    assert feed.num_dropped == 1


def test_a_reader_that_is_too_slow_loses_the_oldest_and_knows() -> None:
    feed, clock = make_feed()
    for _ in range(300):
        feed.write(noise(480), clock.time_ns)
    chunk = feed.read(480, 0.1)
    assert chunk.discontinuity
    assert feed.num_dropped == 300 * 480 - 2 * VOICE_RATE_HZ


def test_closing_and_failing_reach_the_reader() -> None:
    feed, _ = make_feed()
    feed.close()
    with pytest.raises(SourceClosed):
        feed.read(480, 0.1)
    feed, _ = make_feed()
    feed.fail(SourceError("broken; mend it"))
    with pytest.raises(SourceError, match="mend it"):
        feed.read(480, 0.1)


class Device:
    """A device whose clock runs off, and a reader that keeps up; by virtual time."""

    def __init__(self, ppm: float, rate_hz: int = VOICE_RATE_HZ, jitter_ms: float = 2.0) -> None:
        self.clock = FakeClock()
        self.feed = LiveFeed("test device", clock=self.clock, poll_s=0.0)
        self.feed.start(rate_hz)
        self.rate_hz, self.true_hz = rate_hz, rate_hz * (1 + ppm * 1e-6)
        self.rng, self.jitter_ms = np.random.default_rng(5), jitter_ms
        self.start_ns = self.clock.now_ns()
        self.num_written = 0
        self.chunks: list[AudioChunk] = []

    def run(self, seconds: float, level: float = 0.25) -> None:
        block = self.rate_hz // 100
        for _ in range(round(seconds * 100)):
            self.num_written += block
            due_ns = self.start_ns + round(self.num_written / self.true_hz * 1e9)
            captured_ns = due_ns + int(self.rng.exponential(self.jitter_ms) * 1e6)
            self.clock.jump_to(captured_ns)
            self.feed.write(np.full(block, level, np.float32), captured_ns)
            self.read()

    def read(self) -> None:
        with contextlib.suppress(SourceTimeout):
            while True:
                chunk = self.feed.read(480, 0.0)
                self.chunks.append(replace(chunk, samples=chunk.samples[:1]))

    def lag_ms(self) -> FloatArray:
        """How much later than at the start the media index is, chunk by chunk."""
        times = np.array([c.captured_ns - self.start_ns for c in self.chunks]) / 1e6
        ends = np.array([c.first_index + 480 for c in self.chunks]) / 48.0
        return (times - ends).astype(np.float32)


@pytest.mark.parametrize(("ppm", "rate_hz"), [(-200.0, 48000), (200.0, 48000), (200.0, 44100)])
def test_a_device_clock_that_runs_off_never_shows_in_media_time(ppm: float, rate_hz: int) -> None:
    device = Device(ppm, rate_hz)
    device.run(100.0)
    lag_ms = device.lag_ms()
    # Unheeded, 200 ppm were 20 ms by now. The first half minute learns the rate and keeps it.
    assert np.abs(lag_ms[-5500:] - lag_ms[4000]).max() < 1.0
    health = device.feed.health("test", lost=False, losses=0)
    assert health.ppm == pytest.approx(ppm, abs=5.0)
    assert health.correction_ppm == pytest.approx(ppm, abs=20.0)
    assert abs(health.error_ms) < 1.0
    assert device.feed.num_filled == 0


def test_time_asleep_is_cut_out_of_the_signal() -> None:
    device = Device(0.0)
    device.run(5.0)
    before = device.chunks[-1]
    device.clock.jump_to(device.clock.now_ns() + 3600 * 10**9)
    device.start_ns += 3600 * 10**9
    device.read()
    device.run(5.0)
    after = device.chunks[-1]
    counted_ns = (after.first_index - before.first_index) * 10**9 // VOICE_RATE_HZ
    assert counted_ns < 6 * 10**9
    slept_ns = after.captured_ns - before.captured_ns - counted_ns
    assert slept_ns == pytest.approx(3600 * 10**9, abs=10**8)
    assert any(chunk.discontinuity for chunk in device.chunks)
    assert device.feed.health("test", lost=False, losses=0).jumps == 1


def test_what_a_device_hoarded_while_we_were_stopped_is_not_played_late() -> None:
    device = Device(0.0, jitter_ms=0.0)
    device.run(5.0)
    stopped_ns = 3 * 10**9
    device.clock.jump_to(device.clock.now_ns() + stopped_ns)
    for _ in range(300):  # all of it at once, stamped with now
        device.num_written += 480
        device.feed.write(np.full(480, 0.5, np.float32), device.clock.now_ns())
    device.read()
    device.run(5.0)
    last = device.chunks[-1]
    waiting_ms = (device.clock.now_ns() - last.captured_ns) / 1e6
    assert waiting_ms < 60
    counted_s = last.first_index / VOICE_RATE_HZ
    assert counted_s < 10.5  # three seconds are missing, not three seconds late

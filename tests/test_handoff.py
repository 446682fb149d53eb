"""Hand-offs are bounded, keep order, and count what they drop."""

import threading
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rest_bridge.errors import SourceClosed, SourceError, SourceTimeout
from rest_bridge.handoff import FrameQueue, Latest, SampleRing
from rest_bridge.rig import RIG_NAMES, VISEME_NAMES
from rest_bridge.types import AudioChunk, Frame, RigFrame, VoiceChunk

RATE = 48_000


def chunk(first: int, count: int, *, captured_ns: int = 0, discontinuity: bool = False):
    samples = np.arange(first, first + count, dtype=np.float32)
    return AudioChunk(samples, RATE, first, captured_ns, discontinuity)


def frame(index: int) -> Frame:
    rig = RigFrame(
        index, 0, np.zeros(len(RIG_NAMES), "f4"), np.zeros(len(VISEME_NAMES), "f4"), 0.0, "idle"
    )
    return Frame(
        index, 0, 0, np.zeros((2, 2, 4), np.uint8), rig, VoiceChunk(np.zeros(4, "f4"), 0, 0)
    )


@given(
    writes=st.lists(st.integers(1, 70), min_size=1, max_size=30),
    reads=st.lists(st.integers(1, 50), min_size=1, max_size=30),
    first=st.integers(0, 2**40),
)
def test_ring_returns_every_sample_once_in_order_for_any_chunking(writes, reads, first):
    ring = SampleRing(4096)
    position = first
    for count in writes:
        samples = (np.arange(position, position + count) % 65521).astype(np.float32)
        ring.write(AudioChunk(samples, RATE, position, 0))
        position += count
    ring.close()
    got: list[np.ndarray] = []
    try:
        while True:
            part = ring.read(reads[len(got) % len(reads)], 0.0)
            assert part.first_index == first + sum(map(len, got))
            got.append(part.samples)
    except SourceClosed:
        pass
    expected = (np.arange(first, position) % 65521).astype(np.float32)
    np.testing.assert_array_equal(np.concatenate(got), expected)
    assert ring.num_dropped == 0


def test_slow_reader_loses_the_oldest_samples_and_is_told():
    ring = SampleRing(100)
    ring.write(chunk(0, 60))
    ring.read(10, 0.0)
    ring.write(chunk(60, 80))
    part = ring.read(100, 0.0)
    assert part.first_index == 40
    assert part.discontinuity
    assert ring.num_dropped == 30
    np.testing.assert_array_equal(part.samples, np.arange(40, 140))
    ring.write(chunk(140, 10))
    assert not ring.read(10, 0.0).discontinuity


def test_chunk_larger_than_the_ring_keeps_the_newest():
    ring = SampleRing(50)
    ring.write(chunk(0, 130))
    np.testing.assert_array_equal(ring.read(50, 0.0).samples, np.arange(80, 130))
    assert ring.num_dropped == 80


def test_gap_in_the_source_becomes_silence_and_the_index_stays_true():
    ring = SampleRing(1000)
    ring.write(chunk(0, 10))
    ring.write(chunk(30, 10))
    part = ring.read(40, 0.0)
    assert part.discontinuity
    np.testing.assert_array_equal(part.samples[10:30], 0)
    np.testing.assert_array_equal(part.samples[30:], np.arange(30, 40))


def test_overlap_in_the_source_is_not_written_twice():
    ring = SampleRing(1000)
    ring.write(chunk(0, 10))
    ring.write(chunk(5, 10))
    np.testing.assert_array_equal(ring.read(15, 0.0).samples, np.arange(15))


def test_capture_time_of_a_part_is_that_of_its_last_sample():
    ring = SampleRing(9600)
    ring.write(chunk(0, 4800, captured_ns=1_000_000_000))
    assert ring.read(4800 - 480, 0.0).captured_ns == 990_000_000
    assert ring.read(480, 0.0).captured_ns == 1_000_000_000


def test_empty_ring_times_out_and_closed_ring_says_why():
    ring = SampleRing(100)
    with pytest.raises(SourceTimeout):
        ring.read(1, 0.0)
    ring.write(chunk(0, 3))
    ring.close(SourceError("the device is gone"))
    assert len(ring.read(10, 0.0).samples) == 3
    with pytest.raises(SourceError, match="the device is gone"):
        ring.read(10, 0.0)


def test_peek_leaves_the_cursor_and_gives_silence_where_nothing_is():
    ring = SampleRing(100)
    ring.write(chunk(50, 50))
    np.testing.assert_array_equal(ring.peek(48, 4), [0, 0, 50, 51])
    np.testing.assert_array_equal(ring.peek(98, 4), [98, 99, 0, 0])
    assert ring.num_unread == 50


def test_reader_wakes_when_samples_arrive():
    ring = SampleRing(100)
    writer = threading.Thread(target=lambda: ring.write(chunk(0, 5)))
    writer.start()
    assert len(ring.read(5, 5.0).samples) == 5
    writer.join()


def test_full_frame_queue_drops_the_oldest_and_counts():
    queue = FrameQueue(2)
    for index in range(4):
        queue.put(frame(index))
    assert queue.num_dropped == 2
    assert queue.get(0.0).index == 2


def test_take_gives_only_the_frame_whose_turn_it_is():
    queue = FrameQueue(4)
    for index in (3, 4, 6):
        queue.put(frame(index))
    assert queue.take(4).index == 4
    assert queue.num_dropped == 1
    assert queue.take(5) is None
    assert queue.take(6).index == 6


def test_only_frames_that_still_wait_are_exchanged():
    queue = FrameQueue(4)
    for index in range(4):
        queue.put(frame(index))
    queue.get(0.0)
    assert queue.exchange([replace(frame(index), tier="still") for index in (0, 1, 3, 5)])
    assert [(f.index, f.tier) for f in queue.waiting()] == [(1, "still"), (2, ""), (3, "still")]
    assert not queue.exchange([frame(0), frame(7)])


def test_put_waits_for_room_instead_of_dropping():
    queue = FrameQueue(1)
    queue.put(frame(0))
    taken: list[int] = []
    reader = threading.Thread(target=lambda: taken.append(queue.get(5.0).index))
    reader.start()
    queue.put(frame(1), timeout_s=5.0)
    reader.join()
    assert queue.num_dropped == 0
    assert taken == [0]


def test_closed_queue_is_drained_after_its_last_frame():
    queue = FrameQueue(2)
    queue.put(frame(0))
    queue.close()
    assert not queue.drained
    queue.get(0.0)
    assert queue.drained
    queue.put(frame(1))
    assert queue.get(0.0) is None


def test_mailbox_holds_the_newest_item_and_counts_the_others():
    box: Latest[int] = Latest()
    for item in range(5):
        box.put(item)
    assert box.get(0.0) == 4
    assert box.num_dropped == 4
    assert box.get(0.0) is None

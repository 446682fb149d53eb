"""What a stranger with plain pyzmq counts, in real time, through runner and publisher."""

import threading
import time

import msgpack
import numpy as np
import pytest
import zmq

from rest_bridge.sinks.publisher import ZeroMqPublisher
from rest_bridge.sinks.sink import SinkRunner
from rest_bridge.types import FRAME_DURATION_NS, SAMPLES_PER_FRAME, FrameFormat
from tests.support.frames import make_frame, tone

SIDE = 512
SECONDS = 4


def _header(data: bytes) -> dict[str, object]:
    return msgpack.unpackb(data[8 : 8 + int.from_bytes(data[6:8], "little")])


@pytest.mark.device
def test_plain_subscriber_counts_25_fps_without_gaps_and_the_voice_of_the_frames() -> None:
    publisher = ZeroMqPublisher(
        frames_endpoint="tcp://127.0.0.1:*", events_endpoint="tcp://127.0.0.1:*"
    )
    runner = SinkRunner(publisher, FrameFormat(SIDE, SIDE, 25.0))
    runner.start()
    stop = threading.Event()

    def pace() -> None:
        picture = np.full((SIDE, SIDE, 4), 200, np.uint8)
        begin = time.monotonic()
        for index in range(25 * (SECONDS + 3)):
            if stop.wait(max(0.0, begin + index * 0.04 - time.monotonic())):
                return
            runner.offer(make_frame(index, rgba=picture, captured_ns=time.monotonic_ns()))

    context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
    frames, events = context.socket(zmq.SUB), context.socket(zmq.SUB)
    frames.subscribe(b"RGBA")
    events.subscribe(b"VOIC")
    frames.connect(publisher.frames_endpoint)
    events.connect(publisher.events_endpoint)
    pacer = threading.Thread(target=pace)
    pacer.start()
    try:
        heads: list[dict[str, object]] = []
        arrivals: list[float] = []
        while len(heads) < 25 * SECONDS + 1:
            assert frames.poll(2000)
            data = frames.recv()
            arrivals.append(time.monotonic())
            heads.append(_header(data))
            assert len(data) > SIDE * SIDE * 4
        voices: dict[object, bytes] = {}
        while heads[-1]["pts"] not in voices:
            assert events.poll(2000)
            data = events.recv()
            voices[_header(data)["pts"]] = data
    finally:
        stop.set()
        pacer.join()
        runner.close()
        context.destroy(linger=0)

    fps = (len(arrivals) - 1) / (arrivals[-1] - arrivals[0])
    assert fps == pytest.approx(25.0, abs=0.5)
    sequence = np.array([head["seq"] for head in heads])
    assert (np.diff(sequence) == 1).all()
    assert (np.diff([head["pts"] for head in heads]) == FRAME_DURATION_NS).all()
    for head in heads[5:]:  # the two subscriptions need not have come through at the same frame
        data = voices[head["pts"]]
        samples = np.frombuffer(data[-SAMPLES_PER_FRAME * 4 :], "<f4")
        assert isinstance(head["index"], int)
        np.testing.assert_array_equal(samples, tone(head["index"]))
    assert runner.status.dropped == 0

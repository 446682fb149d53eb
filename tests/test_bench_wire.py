"""bench wire and the Speaker: small runs of the real thing."""

import pytest
import zmq

from rest_bridge.audio.pcm import decode_pcm
from rest_bridge.bench_wire import _measure, format_costs, stalled_age_ms
from rest_bridge.cli import run
from rest_bridge.errors import SinkError, WireError
from rest_bridge.speaker import Speaker


@pytest.mark.parametrize("sender", ["plain", "rest_bridge"])
def test_a_row_counts_what_every_subscriber_got(sender: str) -> None:
    row = _measure(sender, 64, 48, 3, 0.2)
    assert 0 < row.received_percent <= 100
    assert 0 < row.p50_ms <= row.p99_ms
    assert row.most_fps > 0


def test_every_format_has_its_cost() -> None:
    costs = format_costs(0.001)
    assert set(costs) == {"512x512", "1920x1080"}
    assert set(costs["512x512"]) == {"rgba8", "bgra8", "jpeg", "png", "webp"}
    assert costs["512x512"]["rgba8"][1] == 1024
    assert costs["512x512"]["webp"][1] < costs["512x512"]["png"][1] < 1024


@pytest.mark.slow
def test_a_subscriber_that_slept_sees_a_fresh_frame() -> None:
    # 1,700 now and then where clients show what was kept for them; 1 or 2 on a quiet machine.
    assert stalled_age_ms(64, 48) < 100


def test_an_unknown_bench_is_one_sentence(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["bench", "wirre"]) == 2
    assert "wire or speech" in capsys.readouterr().err


@pytest.fixture
def pull() -> "zmq.Socket[bytes]":
    socket = zmq.Context.instance().socket(zmq.PULL)
    socket.bind("tcp://127.0.0.1:*")
    socket.rcvtimeo = 5000
    yield socket  # type: ignore[misc]
    socket.close(0)


def test_a_line_leaves_in_pieces_with_begin_marks_and_end(pull: "zmq.Socket[bytes]") -> None:
    endpoint = pull.getsockopt_string(zmq.LAST_ENDPOINT)
    with Speaker(endpoint) as speaker, speaker.utterance("a", rate_hz=8000, channels=2) as line:
        line.mark("first")
        line.push(bytes(4 * 12_000))
        line.mark("last")
    messages = [decode_pcm(pull.recv()) for _ in range(3)]
    assert [len(message.samples) for message in messages] == [8000, 4000, 0]
    assert [message.begin for message in messages] == [True, False, False]
    assert [message.last for message in messages] == [False, False, True]
    assert [message.marks for message in messages] == [((0, "first"),), (), ((0, "last"),)]
    with pytest.raises(SinkError, match="has ended"):
        line.push(bytes(4))


def test_a_speaker_that_nobody_hears_says_so(pull: "zmq.Socket[bytes]") -> None:
    with Speaker("tcp://127.0.0.1:9", timeout_s=0.05) as speaker:
        line = speaker.utterance(rate_hz=8000)
        with pytest.raises(WireError, match="whole number"):
            line.push(b"odd")
        with pytest.raises(SinkError, match="--audio push"):
            line.push(bytes(16))

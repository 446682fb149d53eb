import datetime as dt
import socket
import struct
import uuid

import numpy as np
import pytest

from rest_bridge.errors import ConfigError, SinkUnavailable
from rest_bridge.sinks.live_link import LiveLinkOutput, packet
from rest_bridge.sinks.rig_values import LIVE_LINK_NAMES, live_link_values
from tests.sinks.test_rig_values import face

INSTANT = face(jawOpen=0.5, headYaw=10, eyeBlinkLeft=1)
DEVICE = uuid.UUID("12345678-1234-5678-1234-567812345678")


def test_a_packet_is_the_bytes_of_the_apps_format():
    values = np.linspace(0, 1, 61, dtype=np.float32)
    data = packet(values, subject="face", device_id=DEVICE, seconds=10.5, rate_hz=60)
    expected = (
        b"\6\0\0\0" + b"$12345678-1234-5678-1234-567812345678" + b"\0\0\0\4face"
        + struct.pack(">i", 630) + struct.pack(">f", 0) + struct.pack(">ii", 60, 1)
        + b"\x3d" + values.astype(">f4").tobytes()
    )  # fmt: skip
    assert data == expected


def test_frame_numbers_count_from_midnight_with_the_rest_as_sub_frame():
    values = np.zeros(61, np.float32)
    data = packet(values, subject="a", device_id=DEVICE, seconds=1.25, rate_hz=25)
    frame, sub_frame = struct.unpack_from(">if", data, 4 + 37 + 4 + 1)
    assert frame + sub_frame == pytest.approx(31.25)


def test_a_decoder_that_others_wrote_reads_it():
    theirs = pytest.importorskip("pylivelinkface", reason="pylivelinkface is not installed")
    data = packet(
        live_link_values(INSTANT), subject="face", device_id=DEVICE, seconds=3600, rate_hz=60
    )
    found, decoded = theirs.PyLiveLinkFace.decode(data)
    assert found
    assert decoded.name == "face"
    names = [shape.name for shape in theirs.FaceBlendShape]
    assert tuple(names) == LIVE_LINK_NAMES
    assert decoded.get_blendshape(theirs.FaceBlendShape.JawOpen) == pytest.approx(0.5)
    assert decoded.get_blendshape(theirs.FaceBlendShape.HeadYaw) == pytest.approx(np.radians(10))


def test_packets_reach_the_port_with_the_time_of_day():
    noon = dt.datetime(2026, 1, 1, 12, 0, 0, tzinfo=dt.UTC)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as receiver:
        receiver.bind(("127.0.0.1", 0))
        receiver.settimeout(5)
        output = LiveLinkOutput(port=receiver.getsockname()[1], rate_hz=60, now=lambda: noon)
        output.open()
        output.emit(INSTANT)
        data = receiver.recv(2048)
        output.close()
    assert len(data) == 4 + 37 + 4 + len("rest_bridge") + 16 + 1 + 61 * 4
    assert struct.unpack_from(">i", data, 4 + 37 + 4 + len("rest_bridge"))[0] == 12 * 3600 * 60


@pytest.mark.parametrize("subject", ["", "x" * 64])
def test_a_subject_that_cannot_be_is_refused(subject):
    with pytest.raises(ConfigError, match=r"live_link\.subject"):
        LiveLinkOutput(subject=subject)


def test_an_unknown_receiver_is_named():
    with pytest.raises(SinkUnavailable, match=r"no-such-host\.invalid.*live_link\.host"):
        LiveLinkOutput("no-such-host.invalid").open()

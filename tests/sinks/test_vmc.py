import shutil
import socket
import struct
import subprocess

import pytest

from rest_bridge.errors import SinkUnavailable
from rest_bridge.rig import ARKIT_NAMES
from rest_bridge.sinks.vmc import MAX_PACKET_BYTES, VmcOutput, messages, packets
from tests.sinks.test_rig_values import face

pytest.importorskip("pythonosc", reason="python-osc (extra osc) is not installed")

INSTANT = face(viseme="aa", jawOpen=0.5, headYaw=10, eyeBlinkLeft=1)


def addresses(data: bytes) -> list[str]:
    """Read the addresses of a bundle by the OSC 1.0 specification, without python-osc."""
    assert data[:8] == b"#bundle\0"
    found, at = [], 16
    while at < len(data):
        (size,) = struct.unpack_from(">i", data, at)
        assert size % 4 == 0
        found.append(data[at + 4 : data.index(b"\0", at + 4)].decode())
        at += 4 + size
    assert at == len(data)
    return found


@pytest.mark.parametrize("naming", ["vrm0", "vrm1", "arkit", "ARKit"])
def test_packets_stay_below_the_mtu_and_end_with_one_apply(naming):
    sent = packets(INSTANT, naming, 1.5)
    assert max(map(len, sent)) <= MAX_PACKET_BYTES
    order = [address for packet in sent for address in addresses(packet)]
    assert order[:2] == ["/VMC/Ext/OK", "/VMC/Ext/T"]
    assert order.count("/VMC/Ext/Blend/Apply") == 1
    assert order[-1] == "/VMC/Ext/Blend/Apply"
    assert order.count("/VMC/Ext/Blend/Val") == (52 if naming in ("arkit", "ARKit") else 12)


def test_perfect_sync_needs_more_than_one_packet():
    assert len(packets(INSTANT, "arkit", 0)) > 1


def test_a_message_is_the_bytes_of_the_specification():
    packet = packets(INSTANT, "vrm1", 1.5)[0]
    ok = b"/VMC/Ext/OK\0,i\0\0\0\0\0\1"
    time = b"/VMC/Ext/T\0\0,f\0\0" + struct.pack(">f", 1.5)
    expected = b"#bundle\0" + struct.pack(">Q", 1)
    for message in (ok, time):
        expected += struct.pack(">i", len(message)) + message
    assert packet.startswith(expected)


def test_head_and_neck_share_the_turn():
    bones = {m[1][0]: m[1][1:] for m in messages(INSTANT, "vrm1", 0) if m[0].endswith("Bone/Pos")}
    assert set(bones) == {"Neck", "Head", "LeftEye", "RightEye"}
    assert bones["Head"][:3] == (0, 0, 0)
    assert bones["Head"][4] < bones["Neck"][4] < 0


def test_a_receiver_that_is_not_there_yet_is_no_error():
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    output = VmcOutput(port=port)
    output.open()
    for _ in range(3):
        output.emit(INSTANT)
    output.close()
    output.close()


def test_an_unknown_receiver_is_named():
    with pytest.raises(SinkUnavailable, match=r"no-such-host\.invalid.*vmc\.host"):
        VmcOutput("no-such-host.invalid").open()


@pytest.mark.device
def test_liblos_oscdump_reads_every_value():
    if shutil.which("oscdump") is None:
        pytest.skip("oscdump (Debian package liblo-tools) is not installed")
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    dump = subprocess.Popen(["oscdump", "-L", str(port)], stdout=subprocess.PIPE, text=True)
    assert dump.stdout is not None
    output = VmcOutput(port=port, naming="arkit")
    output.open()
    try:
        lines: list[str] = []
        while not lines:  # it takes a moment until oscdump listens
            output.emit(INSTANT)
            if select_readable(dump.stdout, 0.2):
                lines.append(dump.stdout.readline())
        while not any("Blend/Apply" in line for line in lines):
            lines.append(dump.stdout.readline())
    finally:
        dump.kill()
        dump.wait()
        dump.stdout.close()
        output.close()
    seen = {
        parts[3].strip('"'): float(parts[4])
        for line in lines
        if "Blend/Val" in line and len(parts := line.split()) >= 5
    }
    assert set(seen) == set(ARKIT_NAMES)
    assert seen["jawOpen"] == pytest.approx(0.5)
    assert seen["eyeBlinkLeft"] == pytest.approx(1)


def select_readable(stream, timeout_s: float) -> bool:
    import select

    return bool(select.select([stream], [], [], timeout_s)[0])

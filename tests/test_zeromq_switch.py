"""ZeroMQ switched off and on while the daemon runs: its subscribers need not do anything."""

from pathlib import Path

import pytest

from rest_bridge.client import BridgeClient
from tests.support.daemon import running_daemon

pytestmark = pytest.mark.device


def test_subscribers_are_served_again_after_it_was_off(tmp_path: Path) -> None:
    with (
        running_daemon(tmp_path, size=128) as daemon,
        BridgeClient(frames=daemon.frames, events=daemon.events, control=daemon.control) as client,
    ):
        before = client.frame(20.0)
        assert before is not None
        assert not client.request("output.stop", output="zeromq")["running"]
        while client.frame(0.5) is not None:  # what was on its way
            pass
        assert client.frame(1.0) is None
        outputs = client.request("status")["outputs"]
        assert "zeromq" not in {output["output"] for output in outputs}
        assert client.request("output.start", output="zeromq")["running"]
        after = client.frame(10.0)
        assert after is not None
        assert after.stamp.stream_id == before.stamp.stream_id
        assert after.stamp.pts_ns > before.stamp.pts_ns
        assert client.voice(5.0) is not None

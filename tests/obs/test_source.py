"""The native source in the real OBS: pictures with alpha, hotkeys, faces, and every disaster."""

import itertools
import os
import re
import socket
import struct
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import zmq

pytest.importorskip("simpleobsws", reason="not installed: rest-bridge[obs]")

from rest_bridge.obs.link import ObsRefused
from rest_bridge.sinks.messages import FrameMessage, Stamp
from rest_bridge.sinks.wire import encode
from rest_bridge.types import SAMPLES_PER_FRAME, ByteArray
from tests.support.face_daemon import FaceDaemon, chart, flash_picture
from tests.support.obs import KIND, SCENE, Obs

pytestmark = pytest.mark.device
CONNECTED = "connected to face daemon for tests"
GONE = "is gone; the last picture stays"
PATTERN = chart()
RED = flash_picture(64, bright=False) + np.array([255, 0, 0, 0], np.uint8)
BLUE = flash_picture(64, bright=False) + np.array([0, 0, 255, 0], np.uint8)


@pytest.fixture(scope="module")
def obs(plugin: Path, network: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Obs]:
    running = Obs(tmp_path_factory.mktemp("obs"), plugin, fps=15)
    running.start()
    yield running
    if running.client is not None:
        running.stop()


@pytest.fixture(autouse=True)
def _clean(obs: Obs) -> Iterator[None]:
    """Each test gets an empty scene and a plugin that has said nothing yet."""
    obs.forget_lines()
    yield
    if obs.client is not None:
        for item in obs.ask("GetInputList")["inputs"]:
            obs.ask("RemoveInput", inputName=item["inputName"])
        time.sleep(0.2)  # OBS destroys them in a thread of its own


def until(condition: Callable[[], bool], timeout_s: float = 30.0) -> None:
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline, "it did not come true in time"
        time.sleep(0.05)


def shows(obs: Obs, picture: ByteArray, source: str = "face") -> bool:
    try:
        shot = obs.screenshot(source)
    except ObsRefused:  # it has no picture yet
        return False
    return shot.shape == picture.shape and np.array_equal(shot, picture)


def to_linear(values: np.ndarray) -> np.ndarray:
    return np.where(values <= 0.04045, values / 12.92, ((values + 0.055) / 1.055) ** 2.4)


def to_srgb(values: np.ndarray) -> np.ndarray:
    return np.where(values <= 0.0031308, values * 12.92, 1.055 * values ** (1 / 2.4) - 0.055)


def test_the_source_shows_the_daemons_frames_to_the_bit_with_their_alpha(obs: Obs) -> None:
    with FaceDaemon(lambda _: PATTERN):
        obs.add_source()
        obs.wait_for_line(CONNECTED)
        until(lambda: shows(obs, PATTERN))


def test_in_the_program_it_is_blended_as_straight_alpha(obs: Obs) -> None:
    """OBS multiplies by alpha in sRGB and adds in linear light, for every source of this kind."""
    below = np.array([40, 120, 200])
    with FaceDaemon(lambda _: PATTERN):
        colour = 0xFF000000 | int(below[2]) << 16 | int(below[1]) << 8 | int(below[0])
        obs.add_source("below", "color_source_v3", color=colour, width=640, height=360)
        obs.add_source()
        until(lambda: shows(obs, PATTERN))
        shot = obs.screenshot(SCENE)
    alpha = PATTERN[..., 3:] / 255
    light = to_linear(PATTERN[..., :3] / 255 * alpha) + (1 - alpha) * to_linear(below / 255)
    away = np.abs(shot[:64, :64, :3].astype(float) - 255 * to_srgb(light))
    assert away.max() <= 2
    assert np.abs(shot[200, 400, :3].astype(int) - below).max() <= 1


def test_pictures_and_sizes_may_change_while_it_runs(obs: Obs) -> None:
    big = chart(128)
    with FaceDaemon(lambda _: PATTERN) as daemon:
        obs.add_source()
        until(lambda: shows(obs, PATTERN))
        daemon.picture = lambda _: big
        until(lambda: shows(obs, big))
    assert not any("WARNING" in line for line in obs.own_lines())


def test_a_killed_daemon_leaves_its_last_picture_and_a_new_one_is_found(obs: Obs) -> None:
    with FaceDaemon(lambda _: RED):
        obs.add_source()
        until(lambda: shows(obs, RED))
    obs.wait_for_line(GONE)
    assert shows(obs, RED)
    with FaceDaemon(lambda _: BLUE, stream="two"):
        until(lambda: shows(obs, BLUE))
        obs.wait_for_line(CONNECTED, count=2)
    lines = obs.own_lines()
    assert [line for line in lines if GONE in line or CONNECTED in line] == lines
    assert len(lines) == 3  # one line for each change


def test_without_a_daemon_it_says_once_what_to_do(obs: Obs) -> None:
    obs.add_source(address="127.0.0.1:5870")
    obs.wait_for_line("start `rest-bridge run`")
    time.sleep(1.0)
    assert len(obs.own_lines()) == 1


@pytest.mark.parametrize("address", ["nonsense:port", "a b"])
def test_a_wrong_address_is_said_and_can_be_corrected(obs: Obs, address: str) -> None:
    obs.add_source(address=address)
    obs.wait_for_line("Write a computer and a port")
    with FaceDaemon(lambda _: RED):
        settings = {"address": "127.0.0.1:5570"}
        obs.ask("SetInputSettings", inputName="face", inputSettings=settings)
        until(lambda: shows(obs, RED))


class Liar:
    """A PUB socket that sends the same bytes all the time; a context manager."""

    def __init__(self, messages: list[list[bytes]], port: int = 5570) -> None:
        self._messages, self._port = messages, port
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> None:
        self._thread.start()

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def _run(self) -> None:
        with zmq.Context() as context, context.socket(zmq.PUB) as publisher:
            publisher.setsockopt(zmq.LINGER, 0)
            publisher.bind(f"tcp://127.0.0.1:{self._port}")
            for parts in itertools.cycle(self._messages):
                if self._stop.wait(0.005):
                    return
                publisher.send_multipart(parts)


def frame_bytes() -> bytes:
    stamp = Stamp("liar", 0, 1, 0, 40_000_000, 1, 2, "idle", 0.0)
    return encode(FrameMessage(stamp, "rgba8", 64, 64, 256, RED.tobytes(), 0, 0, False, "full"))


def test_another_version_of_the_protocol_is_refused_in_one_sentence(obs: Obs) -> None:
    other = bytearray(frame_bytes())
    other[4] = 2
    with Liar([[bytes(other)]]):
        obs.add_source()
        obs.wait_for_line("sends what cannot be read")
        time.sleep(1.0)
        assert len(obs.own_lines()) == 1
        assert "another major version" in obs.own_lines()[0]
    with FaceDaemon(lambda _: RED):
        until(lambda: shows(obs, RED))


def test_garbage_in_messages_harms_nothing(obs: Obs) -> None:
    good = frame_bytes()
    garbage = [
        [b"RGBA"], [b"RGBA" + os.urandom(4096)], [good[:200]], [good[:-7]], [good, good],
        [b"RGBA\x01\x00\xff\xff" + os.urandom(64)],
        [good[:6] + struct.pack("<H", 9) + b"\xdf\xff\xff\xff\xff" + good[13:]],
    ]  # fmt: skip
    with Liar(garbage):
        obs.add_source()
        obs.wait_for_line("sends what cannot be read")
        time.sleep(1.5)
    # One line, though 300 messages came that are wrong in many ways.
    assert sum("cannot be read" in line for line in obs.own_lines()) == 1, obs.own_lines()
    with FaceDaemon(lambda _: RED):
        until(lambda: shows(obs, RED))


def test_something_that_is_no_zeromq_on_the_port_harms_nothing(obs: Obs) -> None:
    stop = threading.Event()

    def talk(server: socket.socket) -> None:
        server.settimeout(0.2)
        while not stop.is_set():
            try:
                peer, _ = server.accept()
            except TimeoutError:
                continue
            with peer:
                peer.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n" + os.urandom(10_000))

    with socket.create_server(("127.0.0.1", 5570)) as server:
        thread = threading.Thread(target=talk, args=(server,))
        thread.start()
        obs.add_source()
        obs.wait_for_line("nothing comes from tcp://127.0.0.1:5570 yet")
        stop.set()
        thread.join()
    assert len(obs.own_lines()) == 1
    with FaceDaemon(lambda _: RED):
        until(lambda: shows(obs, RED))


def test_two_sources_show_two_daemons_at_once(obs: Obs) -> None:
    with FaceDaemon(lambda _: RED), FaceDaemon(lambda _: BLUE, port=5670, stream="two"):
        obs.add_source("left")
        obs.add_source("right", address="127.0.0.1:5670")
        obs.add_source("again")
        until(lambda: shows(obs, RED, "left"))
        until(lambda: shows(obs, BLUE, "right"))
        until(lambda: shows(obs, RED, "again"))


def test_the_property_lists_find_daemons_and_faces(obs: Obs) -> None:
    def values(name: str) -> list[str]:
        reply = obs.ask("GetInputPropertiesListPropertyItems", inputName="face", propertyName=name)
        return [item["itemValue"] for item in reply["propertyItems"]]

    with FaceDaemon(lambda _: RED), FaceDaemon(lambda _: BLUE, port=5670, stream="two"):
        obs.add_source()
        obs.wait_for_line(CONNECTED)
        until(lambda: "maya" in values("avatar"))
        assert values("avatar") == ["", "luna", "maya", "theo"]
        assert values("address") == ["127.0.0.1:5570", "127.0.0.1:5670"]


def test_the_canvas_may_change_while_the_face_is_shown(obs: Obs) -> None:
    """OBS frees and makes all of its video anew; a thread that looked at it then would crash."""
    before = obs.ask("GetVideoSettings")
    with FaceDaemon(lambda _: RED):
        obs.add_source()
        until(lambda: shows(obs, RED))
        for rate in (30, 10, 60, 20, 25):
            obs.ask("SetVideoSettings", fpsNumerator=rate, fpsDenominator=1)
            obs.ask("SetVideoSettings", baseWidth=640 + 2 * rate, baseHeight=360)
        obs.ask("SetVideoSettings", **before)
        until(lambda: shows(obs, RED))
    assert len(obs.own_lines()) == 1  # it was connected all the time


def test_hotkeys_and_the_face_list_steer_the_daemon(obs: Obs) -> None:
    with FaceDaemon(lambda _: RED) as daemon:
        obs.add_source()
        obs.wait_for_line(CONNECTED)
        for key in ("happy", "neutral", "mute", "next_avatar"):
            obs.ask("TriggerHotkeyByName", hotkeyName=f"rest_bridge.{key}")
            time.sleep(0.1)
        until(lambda: daemon.muted and daemon.avatar == "maya")
        assert daemon.requests("expression") == [
            {"name": "happy", "strength": 1.0},
            {"reset": True},
        ]
        obs.ask("SetInputSettings", inputName="face", inputSettings={"avatar": "theo"})
        until(lambda: daemon.avatar == "theo")
        obs.ask("TriggerHotkeyByName", hotkeyName="rest_bridge.mute")
        until(lambda: not daemon.muted)


def tell(what: str, held: list[float]) -> None:
    sys.stdout.write(f"{what} holds {', '.join(f'{mb:.1f}' for mb in held)} MB\n")


def show(obs: Obs, item: int, *, on: bool) -> None:
    obs.ask("SetSceneItemEnabled", sceneName=SCENE, sceneItemId=item, sceneItemEnabled=on)


def test_hidden_it_keeps_on_pauses_or_disconnects_as_wished(obs: Obs) -> None:
    with FaceDaemon(lambda _: RED) as daemon:
        item = obs.add_source(hidden="pause")
        until(lambda: shows(obs, RED))
        show(obs, item, on=False)
        until(lambda: daemon.requests("pause") == [{"on": True}])
        show(obs, item, on=True)
        until(lambda: daemon.requests("pause") == [{"on": True}, {"on": False}])

        obs.ask("SetInputSettings", inputName="face", inputSettings={"hidden": "keep"})
        show(obs, item, on=False)
        daemon.picture = lambda _: BLUE
        time.sleep(0.3)
        show(obs, item, on=True)
        until(lambda: shows(obs, BLUE))
        assert len(obs.own_lines()) == 1  # it was connected all the time

        obs.ask("SetInputSettings", inputName="face", inputSettings={"hidden": "disconnect"})
        show(obs, item, on=False)
        until(lambda: not daemon.is_watched)
        show(obs, item, on=True)
        obs.wait_for_line(CONNECTED, count=2)
        until(lambda: daemon.is_watched)


@pytest.mark.slow
def test_fifty_times_removed_and_created_again_memory_stays(obs: Obs) -> None:
    with FaceDaemon(lambda _: PATTERN) as daemon:
        held = []
        for number in range(50):
            obs.add_source()
            if number % 10 == 9:
                until(lambda: shows(obs, PATTERN))
            obs.ask("RemoveInput", inputName="face")
            if number % 10 == 9:
                held.append(obs.memory_mb())
        until(lambda: not daemon.is_watched)
    tell("OBS after 10, 20, .. 50 sources", held)
    assert held[-1] - held[0] < 4


@pytest.mark.slow
def test_fifty_times_hidden_and_shown_memory_stays(obs: Obs) -> None:
    with FaceDaemon(lambda _: PATTERN):
        item = obs.add_source(hidden="disconnect")
        held = []
        for number in range(50):
            show(obs, item, on=False)
            time.sleep(0.02)
            show(obs, item, on=True)
            if number % 10 == 9:
                until(lambda: shows(obs, PATTERN))
                held.append(obs.memory_mb())
    tell("OBS after 10, 20, .. 50 times", held)
    assert held[-1] - held[0] < 4


@pytest.mark.slow  # once in eight runs something here took longer than 30 s: not understood yet
def test_another_scene_collection_and_back(obs: Obs) -> None:
    with FaceDaemon(lambda _: RED) as daemon:
        obs.add_source()
        until(lambda: shows(obs, RED))
        obs.ask("CreateSceneCollection", sceneCollectionName="other")
        until(lambda: not obs.ask("GetInputList", inputKind=KIND)["inputs"])
        until(lambda: not daemon.is_watched)
        obs.ask("SetCurrentSceneCollection", sceneCollectionName="rb")
        until(lambda: shows(obs, RED))
        obs.wait_for_line(CONNECTED, count=2)


def test_the_end_leaks_nothing_beyond_what_obs_itself_leaks(obs: Obs) -> None:
    obs.stop()  # (making a scene collection over the websocket leaks in OBS 29 itself)
    obs.start()
    with FaceDaemon(lambda _: RED):
        for name in ("face", "face", "kept"):
            obs.add_source(name)
            until(lambda name=name: shows(obs, RED, name))
            obs.ask("TriggerHotkeyByName", hotkeyName="rest_bridge.next_avatar")
            obs.ask("GetInputPropertiesListPropertyItems", inputName=name, propertyName="avatar")
            if name == "face":
                obs.ask("RemoveInput", inputName=name)
        obs.add_source("hidden", hidden="disconnect")
        time.sleep(1.0)
        assert obs.stop(), obs.log[-2000:]
    assert obs.log.count("(rest_bridge_source) created") == 4
    assert len(re.findall("source '(face|kept|hidden)' destroyed", obs.log)) == 4
    assert obs.num_leaks() <= 1  # an OBS 29 without any plugin of ours says 1


@pytest.mark.slow
def test_closed_ten_times_while_the_face_speaks_it_ends_in_order(
    plugin: Path, tmp_path: Path
) -> None:
    noise = np.random.default_rng(0).standard_normal(SAMPLES_PER_FRAME).astype(np.float32) / 5
    with FaceDaemon(lambda index: RED if index % 2 else BLUE, lambda _: noise):
        running = Obs(tmp_path / "obs", plugin, fps=30)
        for number in range(10):
            running.start()
            running.add_source("face" if number == 0 else f"face {number}")  # the others are kept
            running.wait_for_line(CONNECTED, count=number + 1)
            time.sleep(0.2 * number)
            assert running.stop(), running.log[-2000:]
            assert running.num_leaks() <= 1

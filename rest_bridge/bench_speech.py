"""Measures pushed speech against a running daemon: `rest-bridge bench speech`.

Lines of a tone are pushed after silences of different lengths; each is flushed after 0.6 s. What is
measured is what a client sees: the time from the first PCM to the first newly drawn frame of the
line, and from the request to flush to the first newly drawn frame of the silence.
"""

import threading
import time
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from rest_bridge.client import BridgeClient
from rest_bridge.endpoint import Keys
from rest_bridge.errors import SinkError
from rest_bridge.sinks.messages import Stamp
from rest_bridge.speaker import Speaker

_RATE_HZ: Final = 22_050
_LINE_S: Final = 2.0
_PAUSE_S: Final = 1.0
_SPOKEN_S: Final = 0.6
_PATIENCE_S: Final = 5.0
_MOST_FRAMES: Final = 100_000


@dataclass(frozen=True, slots=True)
class Seen:
    """A frame that arrived.

    Attributes:
        at_ns: when.
        stamp: its stamp.
        drawn: it was newly drawn, no repetition.
    """

    at_ns: int
    stamp: Stamp
    drawn: bool


class Watcher:
    """Notes every frame of a daemon in a thread of its own.

    Args:
        client: receives them.
    """

    def __init__(self, client: BridgeClient) -> None:
        self._client = client
        self._seen: list[Seen] = []
        self._changed = threading.Condition()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="watcher", daemon=True)
        self._thread.start()

    def __len__(self) -> int:
        with self._changed:
            return len(self._seen)

    def first(self, since: int, *, pts_ns: int = -1, epoch: int = -1) -> tuple[int, Seen]:
        """Wait for the first newly drawn frame that shows an instant, or of a new epoch.

        Args:
            since: how many frames had been seen before.
            pts_ns: the instant.
            epoch: the frame must be of a later one.

        Returns:
            How many frames came between, and the frame.

        Raises:
            SinkError: it did not come.
        """

        def find() -> tuple[int, Seen] | None:
            for place, seen in enumerate(self._seen[since:]):
                stamp = seen.stamp
                shows = stamp.pts_ns + stamp.duration_ns > pts_ns and stamp.epoch > epoch
                if seen.drawn and shows:
                    return place, seen
            return None

        with self._changed:
            found = self._changed.wait_for(find, _PATIENCE_S)
        if not found:
            raise SinkError("The daemon drew no such frame within five seconds.")
        return found

    def close(self) -> None:
        """Stop watching."""
        self._stop.set()
        self._thread.join(2.0)

    def _run(self) -> None:
        while not self._stop.is_set() and len(self._seen) < _MOST_FRAMES:
            frame = self._client.frame(0.2)
            if frame is not None:
                with self._changed:
                    now_ns = time.monotonic_ns()
                    self._seen.append(Seen(now_ns, frame.stamp, not frame.repeated))
                    self._changed.notify_all()


def bench_speech(
    *,
    frames: str,
    events: str,
    control: str,
    speech: str,
    keys: Keys | None = None,
    rounds: int = 8,
) -> dict[str, Any]:
    """Measure.

    Args:
        frames: the daemon's `endpoints.frames`; it runs with --audio push on this computer.
        events: its `endpoints.events`.
        control: its `endpoints.control`.
        speech: its `endpoints.audio_in`.
        keys: where it wants some.
        rounds: lines to speak.

    Returns:
        Milliseconds: "first_frame_ms", "flush_ms" and "flush_answer_ms", lists of `rounds` each,
        and "frames_before_silence".

    Raises:
        SinkError: no daemon answers, or it takes no speech.
    """
    seconds = np.arange(int(_LINE_S * _RATE_HZ)) / _RATE_HZ
    tone = 0.3 * np.sin(2 * np.pi * 150 * seconds) * (1 + np.sin(2 * np.pi * 4 * seconds)) / 2
    pcm = (tone * 32767).astype("<i2").tobytes()
    result: dict[str, Any] = {
        "first_frame_ms": [],
        "flush_ms": [],
        "flush_answer_ms": [],
        "frames_before_silence": [],
    }
    with (
        BridgeClient(
            frames=frames, events=events, control=control, voice=False, rig=False, keys=keys
        ) as client,
        Speaker(speech, keys=keys) as speaker,
    ):
        client.request("speech", timeout_s=_PATIENCE_S)
        watcher = Watcher(client)
        try:
            for number in range(rounds):
                time.sleep(_PAUSE_S + 0.013 * number)
                _one_line(client, speaker, watcher, pcm, result)
        finally:
            watcher.close()
    return result


def _one_line(
    client: BridgeClient, speaker: Speaker, watcher: Watcher, pcm: bytes, result: dict[str, Any]
) -> None:
    while client.event(0.001):
        pass
    since, begin_ns = len(watcher), time.monotonic_ns()
    line = speaker.utterance(rate_hz=_RATE_HZ)
    line.push(pcm)
    line.end()
    started_ns = _await_start(client, line.name)
    _, seen = watcher.first(since, pts_ns=started_ns)
    result["first_frame_ms"].append(round((seen.at_ns - begin_ns) / 1e6, 1))
    time.sleep(_SPOKEN_S)
    since, begin_ns = len(watcher), time.monotonic_ns()
    client.request("flush", utterances=[line.name])
    result["flush_answer_ms"].append(round((time.monotonic_ns() - begin_ns) / 1e6, 1))
    between, silent = watcher.first(since, epoch=seen.stamp.epoch)
    result["flush_ms"].append(round((silent.at_ns - begin_ns) / 1e6, 1))
    result["frames_before_silence"].append(between)


def _await_start(client: BridgeClient, name: str) -> int:
    """Return the media time at which a line was begun."""
    end_s = time.monotonic() + _PATIENCE_S
    while time.monotonic() < end_s:
        event = client.event(0.1)
        if event is None or event.kind != "speech" or event.body.get("utt") != name:
            continue
        if event.body.get("event") == "started":
            return int(event.body["pts"])
    raise SinkError("The daemon did not begin to speak within five seconds.")

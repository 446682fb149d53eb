"""Real time, real devices, and everything that goes wrong: devices, the sound server, subscribers,
bad input, a full disk, a stopped process.

The daemon listens to a microphone of a real PulseAudio, plays into a virtual cable, publishes,
records and serves the preview page; a fault every few seconds. In the end: no frame is missing, the
face never stood still, and nothing was left behind.
"""

import contextlib
import faulthandler
import json
import logging
import os
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import zmq

from rest_bridge.daemon import Daemon
from rest_bridge.flash import FlashDecoder, flash_stages
from rest_bridge.graph import LIVE_MARGIN_NS, Graph, Outlet
from rest_bridge.pipeline import Pipeline
from rest_bridge.presenter import MOST_LATE_NS
from rest_bridge.sinks.preview import PreviewServer
from rest_bridge.sinks.publisher import ZeroMqPublisher
from rest_bridge.sinks.recorder import Recorder
from rest_bridge.sinks.voice_output import VoiceOutput
from rest_bridge.sound import cable
from rest_bridge.types import Frame, FrameFormat
from tests.soak.gauge import Held, by_minute, held, least, more, ours, trimmed_mb
from tests.support.pulse import PulseAudio, running_pulse, tone

SIZE_PX = 128
FAULT_EVERY_S = 12.0
_ROUND_S = 9 * FAULT_EVERY_S
_SAMPLE_S = 5.0
_SUBSCRIBER = """
import sys, time, zmq
socket = zmq.Context().socket(zmq.SUB)
socket.setsockopt(zmq.RCVHWM, 2)
socket.subscribe(b"")
socket.connect(sys.argv[1])
while True:
    time.sleep(float(sys.argv[2]))
    socket.recv()
"""


class FrameGauge:
    """A sink that keeps only what tells whether the face was alive."""

    name = "gauge"
    policy = "every"

    def __init__(self) -> None:
        self.num_frames = 0
        self.num_repeated = 0
        self.by_tier: dict[str, Counter[str]] = {}
        self.missing = 0
        self.gaps: list[tuple[float, float]] = []
        self.loud_ns = 0
        self.first_ns = 0
        self._last: tuple[int, int] | None = None

    def open(self, fmt: FrameFormat) -> None:
        pass

    def send(self, frame: Frame) -> None:
        now_ns = time.monotonic_ns()
        self.first_ns = self.first_ns or now_ns
        if self._last is not None:
            self.missing += frame.index - self._last[0] - 1
            if now_ns - self._last[1] > 300_000_000:
                self.gaps.append((now_ns / 1e9, (now_ns - self._last[1]) / 1e9))
        self._last = (frame.index, now_ns)
        self.num_frames += 1
        self.num_repeated += frame.repeated
        self.by_tier.setdefault(frame.tier or "before the voice", Counter())[
            "repeated" if frame.repeated else "drawn"
        ] += 1
        if np.abs(frame.voice.samples).max(initial=0.0) > 0.1:
            self.loud_ns = now_ns

    def expected(self) -> float:
        """Return how many frames belong into the time from the first to the last.

        Time in which nothing came for a second counts as sleep: the stream goes on from there, and
        does not hurry through what nobody saw.
        """
        if self._last is None:
            return 0.0
        return ((self._last[1] - self.first_ns) / 1e9 - self.asleep_s()) * 25 + 1

    def asleep_s(self) -> float:
        """Return how long the stream was cut out, stops made on purpose included."""
        return sum(length - 0.04 for _, length in self.gaps if length >= MOST_LATE_NS / 1e9)

    def close(self) -> None:
        pass


class Run:
    """One soak of so many minutes."""

    def __init__(
        self,
        server: PulseAudio,
        folder: Path,
        minutes: float,
        *,
        face: bool = False,
        only: str = "",
    ) -> None:
        from rest_bridge.audio.source import open_source

        self.server, self.folder, self.seconds = server, folder, minutes * 60
        self.gauge = FrameGauge()
        self.voice = VoiceOutput(cable.WORD)
        self.publisher = ZeroMqPublisher(
            frames_endpoint="tcp://127.0.0.1:*", events_endpoint="tcp://127.0.0.1:*"
        )
        self.preview = PreviewServer(port=0, token="t")
        self.told: list[str] = []
        self.faults: list[str] = []
        self.repeated: Counter[str] = Counter()
        self.not_heard: list[str] = []
        self.samples: list[tuple[float, Held]] = []
        self.stopped_s = 0.0
        self.only = only
        self.stop = threading.Event()
        self._number = 0
        self._helpers: list[subprocess.Popen[bytes]] = []
        sinks = (self.gauge, self.voice, self.publisher, self.preview)
        graph = Graph(
            still=lambda: FlashDecoder(SIZE_PX).dark,
            pipeline=lambda: Pipeline(flash_stages(SIZE_PX), metrics=graph.metrics),
            source=lambda: open_source("rb_mic"),
            outlets=lambda: [Outlet(sink, required=False) for sink in sinks],  # type: ignore[arg-type]
            outlet=self._outlet,
            from_start=False,
            margin_ns=LIVE_MARGIN_NS,
        )
        if face:
            from rest_bridge.config import Config
            from rest_bridge.loader import Loader

            loader = Loader(Config())
            graph.still, graph.pipeline = loader.still, lambda: loader.pipeline(graph.metrics)
        self.graph = graph
        self.daemon = Daemon(graph, stop_event=self.stop, on_message=self.told.append)

    def _outlet(self, name: str, options: Mapping[str, Any]) -> Outlet:
        sink = Recorder(Path(options["path"]), background="black")
        return Outlet(sink, required=False, name=name, settings=dict(options))

    # ------------------------------------------------------------------------------ faults

    def microphone_unplugged(self) -> None:
        self._unload("source_name=rb_mic")
        self.stop.wait(3.0)
        self.server.pactl(
            "load-module", "module-remap-source", "master=rb_micfeed.monitor", "source_name=rb_mic"
        )

    def output_unplugged(self) -> None:
        cable.remove()

    def server_restarted(self) -> None:
        self.server.kill()
        self.stop.wait(2.0)
        self.server.start()

    def default_output_changed(self) -> None:
        self.server.pactl("set-default-sink", "rb_cable")
        self.server.pactl("set-default-sink", "rb_speakers")

    def slow_and_dying_subscribers(self) -> None:
        for endpoint in (self.publisher.frames_endpoint, self.publisher.events_endpoint):
            for delay_s in ("0.5", "30"):
                command = [sys.executable, "-c", _SUBSCRIBER, endpoint, delay_s]
                self._helpers.append(subprocess.Popen(command, stdout=subprocess.DEVNULL))
        while len(self._helpers) > 8:
            victim = self._helpers.pop(0)
            victim.send_signal(signal.SIGKILL)
            victim.wait()

    def bad_input(self) -> None:
        context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        rng = np.random.default_rng(self._number)
        for endpoint in (self.publisher.frames_endpoint, self.publisher.events_endpoint):
            bad = context.socket(zmq.SUB)
            bad.setsockopt(zmq.LINGER, 0)
            bad.connect(endpoint)
            bad.subscribe(rng.bytes(200))
            bad.subscribe(rng.bytes(4000))
            with socket.create_connection(_address(endpoint), 2) as raw:
                raw.sendall(rng.bytes(5000))
            self.stop.wait(0.2)
            bad.close()
        context.destroy(linger=0)
        port = int(self.preview.url.split(":")[2].split("/")[0])
        for request in (
            rng.bytes(3000),
            b"GET /../../etc/passwd HTTP/1.1\r\n\r\n",
            b"\x16\x03\x01",
        ):
            with (
                contextlib.suppress(OSError),
                socket.create_connection(("127.0.0.1", port), 2) as s,
            ):
                s.sendall(request)
                s.settimeout(0.5)
                s.recv(100)

    def recording_on_a_full_disk(self) -> None:
        path = self.folder / f"full{self._number}.mp4"
        path.symlink_to("/dev/full")
        with contextlib.suppress(Exception):
            self.daemon.studio.start_recording(str(path), {})
        self.stop.wait(4.0)
        self.daemon.studio.stop_output("recording")
        path.unlink(missing_ok=True)

    def recording(self) -> None:
        path = self.folder / f"take{self._number}.mp4"
        self.daemon.studio.start_recording(str(path), {})
        self.stop.wait(5.0)
        self.daemon.studio.stop_output("recording")
        assert path.stat().st_size > 10_000
        path.unlink()

    def process_stopped(self) -> None:
        """As when the computer sleeps, or a debugger holds us: two and a half seconds."""
        code = "kill -STOP $0; sleep 2.5; kill -CONT $0"
        self.stopped_s += 2.5
        subprocess.run(["sh", "-c", code, str(os.getpid())], check=False)

    def _unload(self, text: str) -> None:
        for line in (self.server.pactl("list", "short", "modules") or "").splitlines():
            if text in line:
                self.server.pactl("unload-module", line.split("\t")[0])

    # --------------------------------------------------------------------------------- run

    def run(self) -> dict[str, Any]:
        before = held()
        daemon = threading.Thread(target=self.daemon.run, name="daemon")
        daemon.start()
        chaos = threading.Thread(target=self._make_faults, name="chaos")
        chaos.start()
        begun_s = time.monotonic()
        while not self.stop.wait(_SAMPLE_S) and time.monotonic() - begun_s < self.seconds:
            self.samples.append((time.monotonic() - begun_s, held()))
        snapshot = self.daemon.snapshot()
        ended_s = time.monotonic()
        self.stop.set()
        chaos.join(30)
        asked_s = time.monotonic()
        daemon.join(20)
        took_s = time.monotonic() - asked_s
        for helper in self._helpers:
            helper.kill()
            helper.wait()
        return self._report(before, snapshot, (begun_s, ended_s), daemon.is_alive(), took_s)

    def _make_faults(self) -> None:
        faults: list[Callable[[], None]] = [
            self.slow_and_dying_subscribers,
            self.microphone_unplugged,
            self.recording,
            self.bad_input,
            self.output_unplugged,
            self.recording_on_a_full_disk,
            self.default_output_changed,
            self.process_stopped,
            self.server_restarted,
        ]
        faults = [fault for fault in faults if self.only in fault.__name__]
        self.stop.wait(FAULT_EVERY_S)
        for fault in _forever(faults):
            self._number += 1
            self.faults.append(fault.__name__)
            repeated = self.gauge.num_repeated
            sys.stderr.write(f"{time.monotonic():.1f} {fault.__name__}\n")
            try:
                fault()
            except Exception as error:  # the soak must go on; the report says it
                logging.exception("fault")
                self.not_heard.append(f"{fault.__name__} could not be made: {error!r}")
            self.stop.wait(FAULT_EVERY_S - 4)
            if self.stop.is_set():
                return
            self._expect_voice(fault.__name__)
            self.repeated[fault.__name__] += self.gauge.num_repeated - repeated

    def _expect_voice(self, after: str) -> None:
        """Whatever happened, the face hears its microphone again."""
        begun_ns = time.monotonic_ns()
        player = self.server.play(tone(440.0, 12.0), "rb_micfeed")
        while self.gauge.loud_ns < begun_ns and time.monotonic_ns() - begun_ns < 12e9:
            if self.stop.wait(0.1):
                break
        if self.gauge.loud_ns < begun_ns and not self.stop.is_set():
            self.not_heard.append(after)
        player.kill()
        player.wait()

    # ------------------------------------------------------------------------------ report

    def _report(
        self,
        before: Held,
        snapshot: Any,
        ran_s: tuple[float, float],
        hangs: bool,
        took_s: float,
    ) -> dict[str, Any]:
        deadline_s = time.monotonic() + 8.0  # a device that is just being opened takes a moment
        while len(ours()) > before.num_threads and time.monotonic() < deadline_s:
            time.sleep(0.1)
        after = held()
        gauge = self.gauge
        wanted = gauge.expected()
        loading_s = gauge.first_ns / 1e9 - ran_s[0]
        elapsed_s = ran_s[1] - ran_s[0]
        third = max(1, len(self.samples) // 3)
        early = float(np.median([h.rss_mb for _, h in self.samples[third : 2 * third]]))
        late = float(np.median([h.rss_mb for _, h in self.samples[-third:]]))
        fds = [h.num_fds for _, h in self.samples]
        problems = [f"not heard again after {name}" for name in self.not_heard]
        if gauge.missing:
            problems.append(f"{gauge.missing} frames are missing in the count")
        if gauge.num_frames < wanted * 0.995:
            problems.append(f"{gauge.num_frames} frames instead of {wanted:.0f}")
        if late > early + 25:
            problems.append(f"memory grew from {early} to {late} MB")
        settled = least(self.samples[third : 2 * third], "kinds")
        grown = more(settled, least(self.samples[-third:], "kinds"))
        # Between faults: a recording or a subscriber more is no leak. A third shorter than a
        # round of faults may lie inside one of them.
        if sum(grown.values()) > 2 and self.seconds / 3 >= _ROUND_S:
            problems.append(f"file descriptors grew: {grown}")
        if hangs or after.num_threads > before.num_threads:
            names = [t.name for t in ours()]
            problems.append(f"threads were left: {names}")
        if after.num_children > before.num_children:
            problems.append("processes were left")
        return {
            "minutes": round(elapsed_s / 60, 1),
            "faults": {name: self.faults.count(name) for name in dict.fromkeys(self.faults)},
            "frames": gauge.num_frames,
            "frames_expected": round(wanted),
            "first_frame_after_s": round(loading_s, 2),
            "cut_out_s": round(gauge.asleep_s(), 2),
            "repeated": gauge.num_repeated,
            "repeated_after": dict(self.repeated),
            "by_tier": {tier: dict(count) for tier, count in gauge.by_tier.items()},
            "gaps_over_0.3_s": [round(length, 2) for _, length in gauge.gaps],
            "stopped_s": self.stopped_s,
            "rss_mb": [early, late, max(h.rss_mb for _, h in self.samples)],
            "fds": [fds[0], fds[-1], max(fds)],
            "fds_by_kind": {
                "in the second third": least(self.samples[third : 2 * third], "kinds"),
                "in the last third": least(self.samples[-third:], "kinds"),
                "after it, more than before": more(before.kinds, after.kinds),
            },
            "rss_mb_when_trimmed": trimmed_mb(),
            "rss_mb_by_minute": by_minute(self.samples),
            "native_threads": {
                "in the second third": least(self.samples[third : 2 * third], "native"),
                "in the last third": least(self.samples[-third:], "native"),
                "after it, more than before": more(before.native, after.native),
            },
            "threads": [self.samples[0][1].num_threads, self.samples[-1][1].num_threads],
            "before": asdict(before),
            "after": asdict(after),
            "end_took_s": round(took_s, 2),
            "devices": [asdict(device) for device in snapshot.devices],
            "latency_ms": [round(snapshot.latency_p50_ms), round(snapshot.latency_p95_ms)],
            "jumps": snapshot.jumps,
            "told": {text: self.told.count(text) for text in dict.fromkeys(self.told)},
            "problems": problems,
        }


def _forever(faults: list[Callable[[], None]]) -> Iterator[Callable[[], None]]:
    while True:
        yield from faults


def _address(endpoint: str) -> tuple[str, int]:
    host, port = endpoint.removeprefix("tcp://").split(":")
    return host, int(port)


def main(minutes: float, *, face: bool = False, only: str = "") -> int:
    """Run and print; returns the exit code."""
    faulthandler.dump_traceback_later(minutes * 60 + 60, exit=True)  # a soak that hangs says where
    with running_pulse() as server, tempfile.TemporaryDirectory(prefix="rb-soak-") as folder:
        found = Run(server, Path(folder), minutes, face=face, only=only).run()
    sys.stdout.write(json.dumps(found, indent=1) + "\n")
    return 1 if found["problems"] else 0

"""Records a source or monitor of PulseAudio (or PipeWire's stand-in) through `parec`.

Why a subprocess: PortAudio lists no monitors on Linux, and going through its ALSA plugin takes
8 ms longer (20 ms against 12 ms from loudspeaker to reader, 10 ms blocks). `parec` ends when its
server does; it is started again until the server is back.
"""

import logging
import shutil
import subprocess
import threading
import time
from typing import Final

import numpy as np

from rest_bridge.audio.live_source import LiveSource
from rest_bridge.audio.microphone import NO_MICROPHONE
from rest_bridge.errors import SourceError
from rest_bridge.sound import pulse
from rest_bridge.sound.pulse_watch import PulseWatch
from rest_bridge.types import VOICE_RATE_HZ

DEFAULT_MONITOR: Final = ""
DEFAULT_MICROPHONE: Final = "@DEFAULT_SOURCE@"
_BLOCK_SAMPLES: Final = VOICE_RATE_HZ // 100
_RETRY_S: Final = 0.5

_log = logging.getLogger(__name__)


def can_record() -> bool:
    """Return whether the tool that records is here."""
    return shutil.which("parec") is not None


class PulseSource(LiveSource):
    """One source of the sound server as a voice; silence while it delivers nothing.

    Args:
        device: the server's name of a source or monitor; DEFAULT_MONITOR for what the default
            output plays and DEFAULT_MICROPHONE for the default microphone, also after others have
            become the default.
        latency_s: asked of the server.

    Raises:
        SourceError: no server, no tools, or nothing that could be recorded.
    """

    def __init__(self, device: str = DEFAULT_MONITOR, *, latency_s: float = 0.01) -> None:
        server = pulse.query()
        if isinstance(server, str):
            raise SourceError(f"The computer's sound cannot be heard: {server}.")
        if not can_record():
            raise SourceError(f"The computer's sound cannot be heard: {pulse.MISSING_TOOLS}.")
        self._device, self._target = device, _target(server, device)
        is_microphone = bool(device) and not device.endswith(".monitor")
        name = self._target if device else "what the computer plays"
        title = f"Microphone {name!r}" if is_microphone else ""
        super().__init__(name, title, never_silent=is_microphone)
        self._latency_ms = max(1, round(latency_s * 1000))
        self._num_channels = _num_channels(server, self._target)
        if not self._target:
            if device == DEFAULT_MICROPHONE:
                raise SourceError(f"{NO_MICROPHONE}.")
            raise SourceError(
                "The computer has no output whose sound could be heard; connect one, or make a "
                "virtual one: pactl load-module module-null-sink"
            )
        self.feed.start(VOICE_RATE_HZ)
        self._stop = threading.Event()
        self._lock = threading.Lock()
        self._recorder: subprocess.Popen[bytes] | None = None
        self._watch = PulseWatch(self._follow)
        self._num_losses, self._lost = 0, False
        self._thread = threading.Thread(target=self._record, name="parec", daemon=True)
        self._thread.start()
        self._watch.start()

    @property
    def num_losses(self) -> int:
        """How often the server, or the device, has disappeared."""
        return self._num_losses

    @property
    def lost(self) -> bool:
        """Whether it is gone at the moment."""
        return self._lost

    def close(self) -> None:
        """Stop recording; idempotent."""
        self._stop.set()
        super().close()
        with self._lock:
            if self._recorder is not None:
                self._recorder.kill()
        self._watch.stop()
        if self._thread is not threading.current_thread():
            self._thread.join(2.0)

    def _record(self) -> None:
        """Thread body: read what parec records; start it again when it has ended."""
        while not self._stop.is_set():
            with self._lock:
                target, num_channels = self._target, self._num_channels
            process = self._spawn(*_parec(target, num_channels, self._latency_ms))
            if process is None:
                return
            with self._lock:
                self._recorder = process
                if target != self._target:  # changed while parec was starting
                    process.kill()
            with process:
                self._pump(process, num_channels)
                process.kill()
            if self._stop.is_set() or target != self._target:
                continue
            if not self._lost:
                self._num_losses += 1
                _log.warning("%s is gone; the face hears silence until it is back.", self.name)
                self._lost = True
            self._stop.wait(_RETRY_S)

    def _pump(self, process: subprocess.Popen[bytes], num_channels: int) -> None:
        """Copy blocks into the feed until parec ends."""
        assert process.stdout is not None
        num_bytes = _BLOCK_SAMPLES * num_channels * 4
        first = True
        while len(data := process.stdout.read(num_bytes)) == num_bytes:
            if first:
                self.feed.start(VOICE_RATE_HZ)
                first = False
                if self._lost:
                    _log.info("%s is back.", self.name)
                    self._lost = False
            samples = np.frombuffer(data, np.float32).reshape(-1, num_channels)
            mono = samples.mean(axis=1, dtype=np.float32)
            self.write(mono, time.monotonic_ns(), rate_hz=VOICE_RATE_HZ)

    def _follow(self, server: pulse.PulseServer) -> None:
        """Record from another source when the default has changed; give up what is gone."""
        target = _target(server, self._device)
        there = any(source.name == target for source in server.sources)
        with self._lock:
            if there and target != self._target:
                _log.info("The default is now %s.", target)
                self._target = target
                if self._device == DEFAULT_MICROPHONE:
                    self.name = target
                self._num_channels = _num_channels(server, target)
            elif there or self._lost:
                return
            if self._recorder is not None:
                self._recorder.kill()

    def _spawn(self, *command: str) -> subprocess.Popen[bytes] | None:
        """Start a tool in a session of its own, so that Ctrl-C reaches only us."""
        with self._lock:
            if self._stop.is_set():
                return None
            try:
                return subprocess.Popen(
                    command,
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.PIPE,
                    stderr=subprocess.DEVNULL,
                    env=pulse.english(),
                    start_new_session=True,
                )
            except OSError as error:
                self.feed.fail(SourceError(f"{command[0]} cannot be started: {error}."))
                return None


def _parec(target: str, num_channels: int, latency_ms: int) -> list[str]:
    """Return the command that records a source."""
    return [
        "parec",
        f"--device={target}",
        f"--rate={VOICE_RATE_HZ}",
        f"--channels={num_channels}",
        "--format=float32le",
        f"--latency-msec={latency_ms}",
        f"--process-time-msec={latency_ms}",
        "--raw",
        "--client-name=rest_bridge",
        "--stream-name=voice",
    ]


def _target(server: pulse.PulseServer, device: str) -> str:
    """Return the source that is meant; empty where there is none."""
    if device == DEFAULT_MICROPHONE:
        return server.default_microphone
    return device or server.default_monitor


def _num_channels(server: pulse.PulseServer, name: str) -> int:
    # Mixed down here: PipeWire's own mono is 3 dB louder than the mean, and so may clip.
    found = (source.num_channels for source in server.sources if source.name == name)
    return min(2, next(found, 2))

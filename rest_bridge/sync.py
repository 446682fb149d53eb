"""The click-and-flash test: is sound with picture at each outlet, measured where they come out?

A voice of clicks goes through the real source, pipeline, pacer and outlets, with a generator that
flashes (`flash`) in place of the face. At each outlet somebody listens and looks
(`sync_listeners`). Positive numbers: the sound comes after the picture.
"""

import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, Final, Protocol

from rest_bridge.audio.file import FileSource
from rest_bridge.daemon import Daemon
from rest_bridge.errors import RestBridgeError, SinkUnavailable
from rest_bridge.flash import FlashDecoder, flash_stages, write_click_track
from rest_bridge.graph import Graph, Outlet
from rest_bridge.pipeline import Pipeline
from rest_bridge.sync_listeners import (
    Ear,
    RecordingListener,
    TurnSink,
    VoiceListener,
    ZeroMqListener,
    read_recording,
)
from rest_bridge.sync_rows import LIMIT_MS, SyncRow, Taken, pair, row
from rest_bridge.types import FrameSink

__all__ = [
    "LIMIT_MS",
    "Ear",
    "Listener",
    "RecordingListener",
    "SyncRow",
    "Taken",
    "TurnSink",
    "VoiceListener",
    "ZeroMqListener",
    "default_listeners",
    "listen",
    "measure",
    "monitor_of",
    "pair",
    "read_recording",
    "row",
]

SIZE_PX: Final = 128
_SETTLE_S: Final = 3.0
"""Pairs from before this are left out: loading, opening devices."""


class Listener(Protocol):
    """Listens and looks at one outlet."""

    def outlets(self) -> list[Outlet]:
        """Return the outputs to run; called once, before the stream begins."""
        ...

    def start(self) -> None:
        """Begin to listen; called when the outputs are open."""
        ...

    def finish(self, since_ns: int) -> list[Taken]:
        """Return what came out after a monotonic time; called when the stream has ended."""
        ...


def measure(
    listeners: Sequence[Listener],
    *,
    seconds: float = 15.0,
    extra: Sequence[FrameSink] = (),
    progress: Callable[[float, str], None] | None = None,
    source: Callable[[], Any] | None = None,
) -> list[SyncRow]:
    """Run the click-and-flash test.

    Args:
        listeners: one for each outlet.
        seconds: how long.
        extra: further outputs to feed, which somebody else looks at.
        progress: told how far it is, 0..1.
        source: opens the voice instead of the click track; its clicks must begin with frames.

    Returns:
        The rows of all listeners.

    Raises:
        RestBridgeError: the stream itself cannot run.
    """
    taken = listen(listeners, seconds=seconds, extra=extra, progress=progress, source=source)
    return [row(found) for found in taken]


def listen(
    listeners: Sequence[Listener],
    *,
    seconds: float = 15.0,
    extra: Sequence[FrameSink] = (),
    progress: Callable[[float, str], None] | None = None,
    source: Callable[[], Any] | None = None,
) -> list[Taken]:
    """Run the click-and-flash test; arguments as for `measure`.

    Returns:
        What each listener heard and saw, from three seconds after the beginning.
    """
    with tempfile.TemporaryDirectory(prefix="rest-bridge-sync-") as folder:
        track = Path(folder) / "clicks.wav"
        write_click_track(track, 60.0)
        return _run(
            listeners, seconds, extra, progress, source or (lambda: FileSource(track, loop=True))
        )


def _run(
    listeners: Sequence[Listener],
    seconds: float,
    extra: Sequence[FrameSink],
    progress: Callable[[float, str], None] | None,
    source: Callable[[], Any],
) -> list[Taken]:
    outlets = [outlet for listener in listeners for outlet in listener.outlets()]
    outlets += [Outlet(sink, required=False) for sink in extra]
    graph = Graph(
        still=lambda: FlashDecoder(SIZE_PX).dark,
        pipeline=lambda: Pipeline(flash_stages(SIZE_PX), metrics=graph.metrics),
        source=source,
        outlets=lambda: outlets,
    )
    begun_ns = time.monotonic_ns()
    failed: list[Taken] = []

    def on_status(status: Any) -> None:
        if progress is not None:
            progress(min(1.0, status.elapsed_s / seconds), "clicks and flashes")

    opener = threading.Thread(target=lambda: failed.extend(_start_all(listeners)), daemon=True)
    opener.start()
    Daemon(graph, seconds=seconds, on_status=on_status, on_message=lambda _: None).run()
    opener.join(5.0)
    since_ns = begun_ns + round(_SETTLE_S * 1e9)
    return failed + [found for listener in listeners for found in listener.finish(since_ns)]


def _start_all(listeners: Sequence[Listener]) -> Iterator[Taken]:
    """Start to listen once the outputs have had time to open; yield what cannot."""
    time.sleep(1.0)
    for listener in listeners:
        try:
            listener.start()
        except RestBridgeError as error:
            yield Taken(type(listener).__name__, "", problem=str(error))


def default_listeners(voice_out: str, hear: str, folder: Path) -> list[Listener]:
    """Return a listener for each outlet that this computer can measure by itself.

    Args:
        voice_out: output device; empty for none.
        hear: source that hears it; empty for the output's own monitor.
        folder: for the recording.

    Returns:
        Recorder, ZeroMQ and, where there is one, the output device.

    Raises:
        SinkUnavailable: the output has no monitor, and no source was named.
    """
    listeners: list[Listener] = [RecordingListener(folder / "clicks.mp4"), ZeroMqListener()]
    if voice_out:
        listeners.append(VoiceListener(voice_out, hear or monitor_of(voice_out)))
    return listeners


def monitor_of(output: str) -> str:
    """Return the name of the source that hears an output of PulseAudio.

    Raises:
        SinkUnavailable: there is none.
    """
    from rest_bridge.sound import cable, pulse
    from rest_bridge.sound.devices import choose, list_outputs

    server = pulse.query()
    if isinstance(server, str):
        raise SinkUnavailable(
            f"What {output!r} plays cannot be heard directly ({server}); name a microphone near "
            "it with --hear."
        )
    word = output.strip().lower()
    if word == cable.WORD:
        return cable.create(SinkUnavailable).microphone
    default = word in ("", "default")
    sink = server.default_sink if default else choose(list_outputs(), output, SinkUnavailable).name
    found = [source.name for source in server.sources if source.monitor_of == sink]
    if not found:
        raise SinkUnavailable(
            f"The output {sink!r} has no monitor; name a microphone near it with --hear."
        )
    return found[0]

"""How each output is made from the configuration: one explicit dict.

Making one opens nothing; its sink is opened in the thread of its runner. Libraries of outputs that
are not wanted are not imported.
"""

import contextlib
import hashlib
import os
import sys
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from rest_bridge import __version__, rig_outlets
from rest_bridge.config import Config
from rest_bridge.config_sources import changed
from rest_bridge.curve import security_of
from rest_bridge.errors import ConfigError
from rest_bridge.loader import Loader, voice_is_file
from rest_bridge.metrics import Metrics
from rest_bridge.tiers import TIER_NAMES
from rest_bridge.types import FrameSink

if TYPE_CHECKING:
    from rest_bridge.sinks.publisher import Provenance

Made = tuple[FrameSink, Callable[[], str]] | None
"""An output and what to call when it is open; None where it is not wanted."""


def _provenance(config: Config, loader: Loader) -> "Provenance":
    from rest_bridge.sinks.publisher import Provenance

    return Provenance(
        model_id=loader.package.name,
        avatar_id=hashlib.sha256(loader.avatar().picture.tobytes()).hexdigest()[:16],
        tier="full",
        server=f"rest_bridge {__version__}",
    )


def _stats(metrics: Metrics) -> Mapping[str, Any]:
    latency = metrics.timer("latency").summary()
    return {
        "latency_p50_ms": round(latency.p50_ms, 1),
        "latency_p95_ms": round(latency.p95_ms, 1),
        "late": metrics.counter("late_frames"),
        "tiers": {name: metrics.counter(f"tier.{name}") for name in TIER_NAMES},
    }


def _publisher(config: Config, loader: Loader, metrics: Metrics) -> Made:
    from rest_bridge.sinks.publisher import ZeroMqPublisher

    if not config.endpoints.enabled:
        return None
    sink = ZeroMqPublisher(
        frames_endpoint=config.endpoints.frames,
        events_endpoint=config.endpoints.events,
        security=security_of(config.endpoints),
        provenance=_provenance(config, loader),
        stats=partial(_stats, metrics),
    )
    return sink, lambda: f"Publishing frames on {sink.frames_endpoint}"


def _preview(config: Config, loader: Loader, metrics: Metrics) -> Made:
    from rest_bridge.sinks.preview import PreviewServer

    section = config.preview
    if not section.enabled:
        return None
    sink = PreviewServer(
        port=section.port,
        token=section.token,
        provenance=_provenance(config, loader),
        stats=partial(_stats, metrics),
    )

    def opened() -> str:
        if section.open_browser:
            _open_browser(sink.url)
        return f"Preview: {sink.url}"

    return sink, opened


def _recorder(config: Config, _loader: Loader, _metrics: Metrics) -> Made:
    from rest_bridge.sinks.recorder import Recorder

    if not config.recording.path:
        return None
    path = Path(config.recording.path).expanduser()
    return Recorder(path, background=config.recording.background), lambda: f"Recording to {path}"


def _voice_output(config: Config, _loader: Loader, _metrics: Metrics) -> Made:
    section = config.voice_out
    if not section.device:
        return None
    from rest_bridge.sinks.voice_output import VoiceOutput

    from_device = config.audio.source != "push" and not voice_is_file(config)
    sink = VoiceOutput(
        section.device,
        gain_db=section.gain_db,
        offset_s=section.offset_ms / 1000,
        heard=config.audio.source if from_device else "",
    )
    return sink, lambda: f"Voice: {sink.name}"


def _camera(config: Config, _loader: Loader, _metrics: Metrics) -> Made:
    section = config.camera
    if not section.enabled:
        return None
    from rest_bridge.sinks.virtual_camera import VirtualCamera

    sink = VirtualCamera(
        device=section.device,
        backend=section.backend,
        width=section.width,
        height=section.height,
        fps=section.fps,
        background=section.background,
        fit=section.fit,
        mirror=section.mirror,
    )
    return sink, lambda: f"Camera: {sink.name}"


OUTLETS: Final[dict[str, Callable[[Config, Loader, Metrics], Made]]] = {
    "zeromq": _publisher,
    "preview": _preview,
    "recording": _recorder,
    "camera": _camera,
    "voice_out": _voice_output,
    "vmc": rig_outlets.vmc,
    "live_link": rig_outlets.live_link,
    "vtube_studio": rig_outlets.vtube_studio,
    "rig_lines": rig_outlets.rig_lines,
}
"""How each output is made from the configuration."""


_SWITCHES: Final = {
    "zeromq": "endpoints.enabled",
    "preview": "preview.enabled",
    "camera": "camera.enabled",
    "vmc": "vmc.enabled",
    "live_link": "live_link.enabled",
    "vtube_studio": "vtube_studio.enabled",
    "rig_lines": "rig_lines.enabled",
}
_SECTIONS: Final = {key: key for key in OUTLETS} | {"zeromq": "endpoints"}
_NEEDED: Final = {"recording": "path", "voice_out": "device"}


def settings_of(config: Config, key: str) -> dict[str, Any]:
    """Return what an output is made from: the keys of its section."""
    return dict(getattr(config, _SECTIONS[key]).model_dump())


def with_output(config: Config, key: str, options: Mapping[str, Any]) -> Config:
    """Return the configuration in which an output is wanted.

    Args:
        config: so far.
        key: the output.
        options: other keys of its section.

    Raises:
        ConfigError: there is no such output, or an option is not allowed or missing.
    """
    if key not in OUTLETS:
        raise ConfigError(f'There is no output "{key[:40]}"; there is {", ".join(OUTLETS)}.')
    changes = {f"{_SECTIONS[key]}.{name}": value for name, value in options.items()}
    if key in _SWITCHES:
        changes[_SWITCHES[key]] = True
    wanted = changed(config, changes, "the request")
    needed = _NEEDED.get(key)
    if needed is not None and not settings_of(wanted, key)[needed]:
        raise ConfigError(f'The output {key} needs "{needed}".')
    return wanted


def _open_browser(url: str) -> None:
    """Open a page where there is somebody to see it; never fails."""
    import webbrowser

    if sys.platform.startswith("linux") and not (
        os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")
    ):
        return  # webbrowser would start a text browser in our terminal
    with contextlib.suppress(webbrowser.Error, OSError):
        webbrowser.open(url)

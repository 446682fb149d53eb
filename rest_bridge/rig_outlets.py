"""How the outputs of rig values are made from the configuration."""

from collections.abc import Callable

import platformdirs

from rest_bridge.config import Config
from rest_bridge.config_rig import RigSection
from rest_bridge.loader import Loader
from rest_bridge.metrics import Metrics
from rest_bridge.sinks.rig_clock import RigOutput, RigSink
from rest_bridge.types import FrameSink

Made = tuple[FrameSink, Callable[[], str]] | None
"""An output and what to call when it is open; None where it is not wanted."""


def vmc(config: Config, _loader: Loader, _metrics: Metrics) -> Made:
    """Make the output to a VMC receiver."""
    from rest_bridge.sinks.vmc import VmcOutput

    section = config.vmc
    if not section.enabled:
        return None
    output = VmcOutput(section.host, section.port, section.naming)
    return _made("vmc", output, section, f"VMC: {section.host}:{section.port}, {section.naming}")


def live_link(config: Config, _loader: Loader, _metrics: Metrics) -> Made:
    """Make the output to Unreal Engine."""
    from rest_bridge.sinks.live_link import LiveLinkOutput

    section = config.live_link
    if not section.enabled:
        return None
    output = LiveLinkOutput(
        section.host, section.port, subject=section.subject, rate_hz=section.rate
    )
    where = f"Live Link: {section.host}:{section.port}, subject {section.subject}"
    return _made("live_link", output, section, where)


def vtube_studio(config: Config, _loader: Loader, _metrics: Metrics) -> Made:
    """Make the output to VTube Studio."""
    from rest_bridge.sinks.vtube_studio import VTubeStudioOutput

    section = config.vtube_studio
    if not section.enabled:
        return None
    folder = platformdirs.user_data_path("rest_bridge", appauthor=False)
    output = VTubeStudioOutput(section.host, section.port, token_path=folder / "vtube_studio.token")
    return _made("vtube_studio", output, section, f"VTube Studio: looking on {section.host}")


def rig_lines(config: Config, _loader: Loader, _metrics: Metrics) -> Made:
    """Make the output of JSON lines."""
    from rest_bridge.sinks.rig_lines import RigLinesOutput

    section = config.rig_lines
    if not section.enabled:
        return None
    output = RigLinesOutput(section.target)
    return _made("rig_lines", output, section, f"Rig lines: {section.target}")


def _made(name: str, output: RigOutput, section: RigSection, opened: str) -> Made:
    sink = RigSink(name, output, rate_hz=section.rate, path=section.path)
    return sink, lambda: opened

"""What the daemon says of itself while it runs and when it has ended."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from rest_bridge.metrics import Summary
from rest_bridge.sinks.sink import SinkStatus
from rest_bridge.sound.health import DeviceHealth

Phase = Literal["loading", "live", "ending"]


@dataclass(frozen=True, slots=True)
class Status:
    """What the daemon is doing, once a second.

    Attributes:
        elapsed_s: since the start.
        phase: "loading", "live" or "ending".
        activity: what the newest frame says of the stream.
        fps: frames handed to the outputs in the last second.
        latency_p50_ms: from captured sample to frame handed over; 0 before the first one.
        latency_p95_ms: 95 of 100 frames are faster than this.
        presented: frames since the start.
        repeated: frames whose picture was not in time and repeats the one before.
        dropped_samples: voice that was lost because the generator could not keep up.
        sinks: the outputs.
        tier: how much is made (`tiers.TIERS`).
        avatar: what the face in use was asked for by.
        devices: how the devices and their clocks do.
        jumps: how often time jumped (sleep of the computer).
        stages: where the latency goes, by stage and outlet (`latency.STAGES`).
    """

    elapsed_s: float
    phase: Phase
    activity: str
    fps: float
    latency_p50_ms: float
    latency_p95_ms: float
    presented: int
    repeated: int
    dropped_samples: int
    sinks: tuple[SinkStatus, ...]
    tier: str = "full"
    avatar: str = ""
    devices: tuple[DeviceHealth, ...] = ()
    jumps: int = 0
    stages: Mapping[str, Summary] = field(default_factory=dict[str, Summary])


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a run ended.

    Attributes:
        status: the last one.
        interrupted: ended by a signal, not by `stop` or because voice or time were over.
        failures: one sentence for each output that failed.
        required_failed: one of them was required.
    """

    status: Status
    interrupted: bool
    failures: tuple[str, ...]
    required_failed: bool

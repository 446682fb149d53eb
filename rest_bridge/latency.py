"""Where the latency of a frame goes: from a captured sample to its picture at an output, by stage.

Place in the flow: the presenter hands each frame here when it goes out; the stages of one frame
add up exactly to its latency. `bench` and the live line read the timers. All times in ns.
"""

from typing import Final

from rest_bridge.metrics import Metrics, Summary
from rest_bridge.types import Frame

STAGES: Final[dict[str, str]] = {
    "look_ahead": "sound after the frame that its lips need (model, filters)",
    "assembly": "until the last frame of its chunk has been heard",
    "capture": "from the sound to our process: device, server, buffers",
    "encode": "decimation, log-mel, speech encoder",
    "motion": "DiT",
    "decode": "drawing, with the frames of the chunk before it",
    "pacer": "waiting for its turn",
}
"""Stage -> what it is, in the order of a frame's way."""
FAST_RIG: Final = "fast_rig"
"""From a captured sample to the face's parameters on the fast path (`RigSink.move`)."""
PREFIX: Final = "latency."
OUTLET_PREFIX: Final = "outlet."


def stages_of(frame: Frame, presented_ns: int) -> dict[str, int]:
    """Return how long each stage of a frame's way took, ns; empty if it was not generated.

    Args:
        frame: with its times.
        presented_ns: when it was handed to the outputs.
    """
    times = frame.times
    if times is None:
        return {}
    held_ns = times.heard_ns - frame.captured_ns
    return {
        "look_ahead": held_ns - times.chunk_ns,
        "assembly": times.chunk_ns,
        "capture": times.begun_ns - times.heard_ns,
        "encode": times.encoded_ns - times.begun_ns,
        "motion": times.moved_ns - times.encoded_ns,
        "decode": times.drawn_ns - times.moved_ns,
        "pacer": presented_ns - times.drawn_ns,
    }


def record(metrics: Metrics, frame: Frame, presented_ns: int) -> None:
    """Time the way of a frame that goes out now.

    Args:
        metrics: gets the timer `latency` and one for each stage.
        frame: not a repeated one.
        presented_ns: now.
    """
    metrics.timer("latency").record(presented_ns - frame.captured_ns)
    if frame.times is not None:
        metrics.timer(FAST_RIG).record(frame.times.moved_ns - frame.captured_ns)
    for name, duration_ns in stages_of(frame, presented_ns).items():
        metrics.timer(PREFIX + name).record(duration_ns)


def breakdown(metrics: Metrics) -> dict[str, Summary]:
    """Return what is known of each stage, in the order of a frame's way, then of each outlet."""
    known = metrics.summaries()
    found = {name: known[PREFIX + name] for name in STAGES if PREFIX + name in known}
    outlets = {name: summary for name, summary in known.items() if name.startswith(OUTLET_PREFIX)}
    return found | outlets

"""`rest-bridge bench wire` and `bench speech`: what clients get, as tables or one line of JSON."""

from statistics import median

from rich.console import Console

from rest_bridge.commands.console import print_json
from rest_bridge.config import Config


def bench_wire_command(*, json: bool) -> None:
    """Measure and print; two minutes.

    Args:
        json: one line of JSON instead.
    """
    from rest_bridge.bench_wire import WireResult, bench_wire

    console = Console(highlight=False)

    def row(result: WireResult) -> None:
        if json:
            return
        console.print(
            f"{result.width} x {result.height}, {result.subscribers:2} subscribers, "
            f"{result.sender:11}: p50 {result.p50_ms:7.2f} ms, p99 {result.p99_ms:7.2f} ms, "
            f"{result.cpu_percent:5.1f} % of a core, {result.received_percent:5.1f} % received, "
            f"at most {result.most_fps:6.0f} frames a second"
        )

    result = bench_wire(on_row=row)
    if json:
        print_json(result)
        return
    for size, formats in result["formats"].items():
        costs = ", ".join(f"{name} {ms} ms {kib} KiB" for name, (ms, kib) in formats.items())
        console.print(f"{size}: {costs}")
    if "stalled_age_ms" in result:
        age = result["stalled_age_ms"]
        console.print(f"After 2 s of sleep a subscriber's first frame is {age} ms old")


def bench_speech_command(config: Config, *, json: bool) -> None:
    """Measure the running daemon and print; half a minute.

    Args:
        config: says where it is.
        json: one line of JSON instead.
    """
    from rest_bridge.bench_speech import bench_speech
    from rest_bridge.curve import client_keys

    endpoints = config.endpoints
    result = bench_speech(
        frames=endpoints.frames,
        events=endpoints.events,
        control=endpoints.control,
        speech=endpoints.audio_in,
        keys=client_keys(endpoints),
    )
    if json:
        print_json(result)
        return
    console = Console(highlight=False)
    for name, what in (
        ("first_frame_ms", "first PCM to the first newly drawn frame of it"),
        ("flush_ms", "flush to the first newly drawn frame of the silence"),
        ("flush_answer_ms", "flush to its answer"),
    ):
        values = result[name]
        console.print(f"{what}: median {median(values)} ms, worst {max(values)} ms")

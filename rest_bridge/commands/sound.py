"""`rest-bridge doctor --sync` and `--round-trip`, and `rest-bridge cable`: measured sound."""

import tempfile
from dataclasses import asdict
from pathlib import Path

import typer
from rich.console import Console
from rich.table import Table

from rest_bridge.commands.console import ExitCode, out, print_error, print_json, progress
from rest_bridge.errors import RestBridgeError, SinkError
from rest_bridge.sound import cable

app = typer.Typer(
    help="A virtual cable: other programs take the delayed voice from it as a microphone.",
    no_args_is_help=True,
)


@app.command()
def create() -> None:
    """Make the cable, or say what to install; `rest-bridge run --voice-out cable` plays into it."""
    made = cable.create(SinkError)
    out.print(f"Play into it:    rest-bridge run --voice-out {made.output}")
    out.print(f"In Zoom or OBS:  choose the microphone {made.microphone}")


@app.command()
def remove() -> None:
    """Take the cable away."""
    out.print("The cable is gone." if cable.remove(SinkError) else "There was no cable of ours.")


def measure_sync(voice_out: str, hear: str, seconds: float, *, json: bool) -> int:
    """Run the click-and-flash test and print its table.

    Args:
        voice_out: output device; empty leaves it out.
        hear: what hears it; empty for its own monitor.
        seconds: how long.
        json: print JSON.

    Returns:
        The exit code: failed where sound and picture are apart, or something was not measured.
    """
    from rest_bridge import sync
    from rest_bridge.sinks.voice_output import DELAY_S

    with tempfile.TemporaryDirectory(prefix="rest-bridge-") as folder:
        listeners = sync.default_listeners(voice_out, hear, Path(folder))
        turns = sync.TurnSink()
        for listener in listeners:
            if isinstance(listener, sync.VoiceListener):
                shown = f"pictures {DELAY_S * 1000:.0f} ms after their turns (a camera of 30 fps)"
                listener.pictures = {
                    shown: lambda since_ns: [at + DELAY_S for at in turns.flashes_s(since_ns)]
                }
        with progress("clicking and flashing", quiet=json) as report:
            rows = sync.measure(listeners, seconds=seconds, extra=[turns], progress=report)
    ok = all(row.ok for row in rows)
    if json:
        print_json({"ok": ok, "limit_ms": sync.LIMIT_MS, "rows": [asdict(row) for row in rows]})
        return ExitCode.OK if ok else ExitCode.FAILED
    table = Table("outlet", "measured", "pairs", "sound after picture", "least .. most", "")
    for row in rows:
        if row.problem:
            table.add_row(row.outlet, row.how, str(row.num_pairs), row.problem, "", "not measured")
            continue
        span = f"{row.least_ms:+.1f} .. {row.most_ms:+.1f} ms"
        verdict = "together" if row.ok else f"more than {sync.LIMIT_MS:.0f} ms apart"
        median = f"{row.median_ms:+.1f} ms"
        table.add_row(row.outlet, row.how, str(row.num_pairs), median, span, verdict)
    Console(highlight=False).print(table)
    if not voice_out:
        out.print("Name an output with --voice-out to measure the delayed voice as well.")
    return ExitCode.OK if ok else ExitCode.FAILED


def measure_round_trip(voice_out: str, hear: str, *, json: bool) -> int:
    """Play chirps, hear them, and print how long that took.

    Args:
        voice_out: output device; empty for the default.
        hear: what hears it; empty for its own monitor.
        json: print JSON.

    Returns:
        The exit code.
    """
    from rest_bridge import round_trip
    from rest_bridge.sync import monitor_of

    output = voice_out or "default"
    try:
        with progress("listening to chirps", quiet=json):
            found = round_trip.measure(output, hear or monitor_of(output))
    except RestBridgeError as error:
        if json:
            print_json({"ok": False, "problem": str(error)})
        else:
            print_error(str(error))
        return ExitCode.FAILED
    if json:
        print_json({"ok": True, **asdict(found)})
        return ExitCode.OK
    out.print(f"{found.output} to {found.source}: {found.round_trip_ms:.0f} ms", style="bold")
    out.print(
        f"from handing a sample over to hearing it; 8 of 10 within {found.spread_ms:.1f} ms, "
        f"{found.num_heard} of {found.num_played} chirps heard at {found.level_db:+.0f} dB"
    )
    out.print(
        f"The output itself reports {found.reported_ms:.0f} ms, which the voice is played by."
    )
    off_ms = found.round_trip_ms - found.reported_ms
    if abs(off_ms) > 20 and "monitor" not in found.source:
        out.print(
            f"→ set voice_out.offset_ms = {-round(off_ms)} if the loudspeaker is what is late, and "
            "not the microphone that listened."
        )
    return ExitCode.OK

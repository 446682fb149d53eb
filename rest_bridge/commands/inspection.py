"""`rest-bridge doctor`, `devices` and `bench`: look at this computer."""

from collections.abc import Callable, Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from rest_bridge.bench_compare import compare as compare_reports
from rest_bridge.bench_compare import read_report
from rest_bridge.bench_compare import table as comparison
from rest_bridge.commands.console import ExitCode, err, out, print_json, progress
from rest_bridge.commands.options import (
    AvatarOption,
    ConfigOption,
    JsonOption,
    SetOption,
    SizeOption,
    configure,
)
from rest_bridge.config import Config
from rest_bridge.devices import (
    KEYS,
    Kind,
    check_hearing,
    check_inputs,
    check_monitors,
    check_outputs,
    list_all,
)
from rest_bridge.doctor import Check, examine
from rest_bridge.errors import ConfigError

_TITLES: dict[Kind, str] = {
    "input": "Microphones",
    "monitor": "What the computer plays",
    "output": "Outputs",
    "camera": "Virtual cameras",
}
_STYLES = {"warn": "yellow", "fail": "bold red"}


def doctor(
    config: ConfigOption = None,
    settings: SetOption = None,
    sync: Annotated[
        bool,
        typer.Option("--sync", help="Measure sound against picture at the outlets (click, flash)."),
    ] = False,
    round_trip: Annotated[
        bool,
        typer.Option("--round-trip", help="Measure how long sound takes: play chirps, hear them."),
    ] = False,
    voice_out: Annotated[
        str, typer.Option("--voice-out", help="Output device to measure, or default, or cable.")
    ] = "",
    hear: Annotated[
        str, typer.Option("--hear", help="What hears it; its own monitor unless given.")
    ] = "",
    seconds: Annotated[float, typer.Option("--seconds", help="How long --sync takes.", min=8)] = 15,
    json: JsonOption = False,
) -> int:
    """Check this computer and say, for each failure, what to do.

    Exit code 1 if the main job cannot work; a missing microphone or camera is only a warning.
    """
    if sync or round_trip:
        from rest_bridge.commands import sound

        if sync:
            return sound.measure_sync(voice_out, hear, seconds, json=json)
        return sound.measure_round_trip(voice_out, hear, json=json)
    checks: list[Check] = []
    try:
        loaded = configure(config, settings, {})
        file = str(loaded.path) if loaded.path else "none, defaults are used"
        checks.append(Check("configuration", "ok", file))
        chosen = loaded.config
    except ConfigError as error:
        chosen = Config()
        checks.append(
            Check("configuration", "fail", str(error), "correct it; `rest-bridge config validate`")
        )
    with progress("checking", quiet=json):
        sound = (
            check_inputs,
            lambda: check_hearing(chosen.audio.source),
            check_monitors,
            check_outputs,
        )
        checks += examine(chosen, sound)
    failed = any(check.status == "fail" for check in checks)
    if json:
        print_json({"ok": not failed, "checks": [check.as_dict() for check in checks]})
    else:
        _show(checks)
    return ExitCode.FAILED if failed else ExitCode.OK


def devices(json: JsonOption = False) -> None:
    """List microphones, what the computer plays, outputs and cameras, by names to paste."""
    listings = list_all()
    if json:
        print_json(
            {
                listing.kind: {
                    "key": KEYS[listing.kind],
                    "reason": listing.reason,
                    "devices": [asdict(device) for device in listing.devices],
                }
                for listing in listings
            }
        )
        return
    for listing in listings:
        out.print(f"{_TITLES[listing.kind]} ({KEYS[listing.kind]})", style="bold")
        for device in listing.devices:
            mark = "*" if device.is_default else " "
            other = device.description != device.name
            about = f"{device.description}, " if other else ""
            out.print(f' {mark} "{device.name}"  {about}{device.detail}')
        if not listing.devices:
            out.print(f"   none: {listing.reason}")
    err.print('* is what "mic", "system", "default" or an empty name takes.')


def bench(
    what: Annotated[
        str | None,
        typer.Argument(
            help="Instead of the generator: wire, what publishing frames costs; speech, how soon a "
            "running daemon speaks and falls silent."
        ),
    ] = None,
    avatar: AvatarOption = None,
    size: SizeOption = None,
    seconds: Annotated[
        float, typer.Option("--seconds", help="Voice for each of two measurements.", min=2)
    ] = 20.0,
    audio: Annotated[
        str | None,
        typer.Option("--audio", help="A real voice (mic, a device) for the live measurement."),
    ] = None,
    picture: Annotated[
        Path | None, typer.Option("--picture", help="Write the latency as a picture (.svg).")
    ] = None,
    beside: Annotated[
        int | None,
        typer.Option(
            "--beside", help="Measure instead beside so many busy processes, like a game.", min=1
        ),
    ] = None,
    profile: Annotated[
        bool,
        typer.Option("--profile", help="Show instead each stage's time beside its floor."),
    ] = False,
    compare: Annotated[
        Path | None,
        typer.Option("--compare", help="Also show it beside an earlier report (bench --json)."),
    ] = None,
    faces: Annotated[
        int | None,
        typer.Option("--faces", help="Measure instead 1, 2, 4 ... so many faces at once.", min=1),
    ] = None,
    rates: Annotated[
        str | None,
        typer.Option("--rates", help="Measure instead what frame rates cost, like 25,60."),
    ] = None,
    config: ConfigOption = None,
    settings: SetOption = None,
    json: JsonOption = False,
) -> None:
    """Measure speed, latency, start and memory on this computer: a card, or one line of JSON."""
    if what is not None:
        from rest_bridge.commands import wire

        match what:
            case "wire":
                wire.bench_wire_command(json=json)
            case "speech":
                wire.bench_speech_command(configure(config, settings, {}).config, json=json)
            case _:
                raise ConfigError(f"There is no bench {what!r}; say wire or speech, or nothing.")
        return
    if picture is not None and picture.suffix.lower() != ".svg":
        raise ConfigError(f"A picture must end in .svg; this does not: {picture}")
    options = {"avatar.picture": avatar, "output.size": size}
    chosen = configure(config, settings, options).config
    from rest_bridge import bench as measuring
    from rest_bridge import bench_card
    from rest_bridge.gallery import built_in_voice

    if beside is not None:
        _bench_beside(chosen, beside, json=json)
        return
    if profile:
        _bench_profile(chosen, seconds, picture, json=json)
        return
    if faces is not None:
        _bench_faces(chosen, faces, seconds, json=json)
        return
    if rates is not None:
        _bench_rates(chosen, rates, seconds, json=json)
        return
    earlier = None if compare is None else read_report(compare)
    with progress("measuring", quiet=json) as report:
        result = measuring.measure(
            chosen, built_in_voice(), seconds=seconds, source=audio, progress=report
        )
    if picture is not None:
        picture.expanduser().write_text(bench_card.picture(result), encoding="utf-8")
        err.print(f"Wrote {picture}")
    if json:
        print_json(bench_card.as_dict(result))
    else:
        Console(highlight=False).print(bench_card.card(result))
    if earlier is not None:
        lines = compare_reports(earlier, bench_card.as_dict(result))
        (err if json else Console(highlight=False)).print(comparison(lines))


def _bench_profile(config: Config, seconds: float, picture: Path | None, *, json: bool) -> None:
    from rest_bridge import stage_profile
    from rest_bridge.gallery import built_in_voice

    with progress("profiling", quiet=json) as report:
        result = stage_profile.profile(config, built_in_voice(), seconds=seconds, progress=report)
    if picture is not None:
        picture.expanduser().write_text(stage_profile.picture(result), encoding="utf-8")
        err.print(f"Wrote {picture}")
    if json:
        print_json(stage_profile.as_dict(result))
    else:
        Console(highlight=False).print(stage_profile.card(result))


def _bench_faces(config: Config, most: int, seconds: float, *, json: bool) -> None:
    from rest_bridge import bench_faces
    from rest_bridge.gallery import built_in_voice

    measure = partial(bench_faces.measure, config, built_in_voice(), most=most, seconds=seconds)
    _show_lines(measure, bench_faces.card, json=json)


def _bench_rates(config: Config, rates: str, seconds: float, *, json: bool) -> None:
    from rest_bridge import bench_rates
    from rest_bridge.gallery import built_in_voice

    wanted = bench_rates.parse_rates(rates)
    measure = partial(bench_rates.measure, config, built_in_voice(), seconds=seconds, rates=wanted)
    _show_lines(measure, bench_rates.card, json=json)


def _show_lines(
    measure: Callable[..., Sequence[Any]], card: Callable[[Any], Table], *, json: bool
) -> None:
    """Measure with progress, then show a table or one line of JSON."""
    with progress("measuring", quiet=json) as report:
        found = measure(progress=report)
    if json:
        print_json([asdict(one) for one in found])
    else:
        Console(highlight=False).print(card(found))


def _bench_beside(config: Config, num_processes: int, *, json: bool) -> None:
    from rest_bridge.beside import measure_beside
    from rest_bridge.gallery import built_in_voice

    with progress("measuring", quiet=json) as report:
        seconds = measure_beside(
            config, built_in_voice(), num_processes=num_processes, progress=report
        )
    if json:
        print_json([asdict(second) for second in seconds])
        return
    out.print("second  others  frames  pictures  latency p50/max  longest gap  tier")
    for s in seconds:
        out.print(
            f"{s.at_s:6}  {'busy' if s.busy else '    '}    {s.fps:6}  {s.pictures:8}  "
            f"{s.latency_p50_ms:5.0f} / {s.latency_max_ms:4.0f} ms  {s.longest_ms:8.0f} ms  "
            f"{s.tier}"
        )


def _show(checks: list[Check]) -> None:
    width = max(len(check.name) for check in checks)
    for check in checks:
        line = f"{check.status:4}  {check.name:{width}}  {check.detail}"
        out.print(line, style=_STYLES.get(check.status))
        if check.remedy:  # a line of its own, unbroken: it is there to be copied
            out.print(f"{'':{width + 6}}  → {check.remedy}")
    warned = sum(check.status == "warn" for check in checks)
    failed = sum(check.status == "fail" for check in checks)
    err.print(f"{len(checks)} checks, {warned} warnings, {failed} failures")

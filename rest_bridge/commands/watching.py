"""What `rest-bridge ctl status` shows: once, or again and again."""

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rest_bridge.commands.asking import PATIENCE_S, ask
from rest_bridge.commands.console import err, out, print_json
from rest_bridge.commands.options import configure

_RENEW_S = 20.0
"""A subscription ends by itself a minute after the last request."""


def status_lines(reply: Mapping[str, Any]) -> list[str]:
    """Return the status as lines for a person."""
    silent = ("paused" if reply["paused"] else "muted") if reply["silent"] else reply["activity"]
    lines = [
        f"{reply['phase']}, {silent}, {reply['elapsed_s']:.0f} s",
        f"face      {reply['avatar']}",
        f"voice     {reply['source']}",
        f"tier      {reply['tier']}",
        f"frames    {reply['fps']:.1f} per second, {reply['presented']} in all, "
        f"{reply['repeated']} repeated",
        f"latency   {reply['latency_p50_ms']:.0f} ms (p95 {reply['latency_p95_ms']:.0f})",
    ]
    lines += [
        f"  {name:18} {stage['p50_ms']:6.1f} ms (p95 {stage['p95_ms']:.1f})"
        for name, stage in reply["stages"].items()
    ]
    for output in reply["outputs"]:
        why = f": {output['error']}" if output["error"] else ""
        lines.append(
            f"output    {output['output']}: {output['state']}, {output['sent']} sent, "
            f"{output['dropped']} dropped{why}"
        )
    lines += [_device_line(device) for device in reply.get("devices", ())]
    return lines


def _device_line(device: Mapping[str, Any]) -> str:
    """Return a device in words: whether it is there, how far off, how its clock runs."""
    line = f"{device['role']:9} {device['name']}: "
    if device["lost"]:
        return f"{line}gone, it is opened again when it is back"
    if device["locked"]:
        line += f"clock {device['ppm']:+.0f} ppm, {device['error_ms']:+.1f} ms off"
    else:
        line += "its clock is being learnt" if device["role"] != "camera" else "open"
    if device["losses"]:
        line += (
            f", was gone {device['losses']} times" if device["losses"] > 1 else ", was gone once"
        )
    return f"{line}. {device['note']}" if device["note"] else line


def watch_daemon(
    interval_s: float, endpoint: str | None, config: Path | None, *, json: bool
) -> None:
    """Show the statistics that the daemon pushes, until Ctrl-C or until it is gone."""
    from rest_bridge.client import BridgeClient
    from rest_bridge.curve import client_keys

    endpoints = configure(config, None, {}).config.endpoints
    address = endpoint or endpoints.control
    ask("ping", endpoint=address)
    keys = client_keys(endpoints)
    with BridgeClient(frames="", events="", control=address, keys=keys) as client:
        renew_s = 0.0
        while True:
            if time.monotonic() >= renew_s:
                client.call("statistics.subscribe", {"interval_s": interval_s})
                renew_s = time.monotonic() + _RENEW_S
            event = client.control_event(interval_s + PATIENCE_S)
            if event is None:
                err.print("The daemon has ended.")
                return
            if json:
                print_json(event.body)
            else:
                body = event.body
                lost = [d["name"] for d in body.get("devices", ()) if d["lost"]]
                gone = "".join(f" · {name} is gone" for name in lost)
                out.print(
                    f"{body['elapsed_s']:.0f} s · {body['activity']} · {body['tier']} · "
                    f"{body['fps']:.1f} fps · latency {body['latency_p50_ms']:.0f} ms "
                    f"(p95 {body['latency_p95_ms']:.0f}) · {body['repeated']} repeated{gone}"
                )

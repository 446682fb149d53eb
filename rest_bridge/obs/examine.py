"""`rest-bridge obs check`: what is wrong between the daemon and a running OBS, with remedies."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Final

from rest_bridge.obs.arrange import HOW_TO_GET_IN, wanted_offset_ms
from rest_bridge.obs.studio_state import (
    BROWSER,
    NATIVE,
    Asks,
    is_muted,
    kinds,
    microphones,
    offset_ms,
    our_inputs,
    program_scene,
    scene_items,
    settings_of,
)

_CLOSE_MS: Final = 30
"""A delayed microphone within so much of the picture is good."""
Latency = Callable[[str], float | None]
"""Asks the daemon at a control address for its latency in ms; None if none answers."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at.

    Attributes:
        ok: it is as it should be.
        text: what was found.
        remedy: what to do, one sentence; empty if ok.
    """

    ok: bool
    text: str
    remedy: str = ""


def check(obs: Asks, latency: Latency) -> Iterator[Finding]:
    """Look at everything from the plugin to the microphone.

    Args:
        obs: the running OBS.
        latency: asks a daemon.

    Yields:
        findings, in the order in which they should be mended.
    """
    version = obs.ask("GetVersion")
    yield Finding(
        True, f"OBS {version['obsVersion']} with obs-websocket {version['obsWebSocketVersion']}"
    )
    yield _plugin(kinds(obs))
    scene = program_scene(obs)
    items = {item["sourceName"]: item for item in scene_items(obs, scene)}
    ours = our_inputs(obs)
    here = [item for item in ours if item["inputName"] in items]
    if not here:
        known = ", ".join(f'"{item["inputName"]}"' for item in ours)
        yield Finding(
            False,
            f'the scene "{scene}" does not show the face'
            + (f" (there is {known} in another one)" if known else ""),
            "run `rest-bridge obs setup`, or switch to the scene that shows it.",
        )
        return
    face = here[0]
    yield from _picture(obs, scene, items[face["inputName"]])
    yield from _voice(obs, face, latency)


def _plugin(there: set[str]) -> Finding:
    if NATIVE in there:
        return Finding(True, "the plugin is loaded")
    if BROWSER in there:
        return Finding(True, "the plugin is not installed; browser sources are there")
    return Finding(False, "there is no way in for the face", HOW_TO_GET_IN)


def _picture(obs: Asks, scene: str, item: dict[str, Any]) -> Iterator[Finding]:
    name = item["sourceName"]
    if not item["sceneItemEnabled"]:
        yield Finding(
            False, f'"{name}" is hidden in "{scene}"', "click the eye beside it in Sources."
        )
    transform = obs.ask("GetSceneItemTransform", sceneName=scene, sceneItemId=item["sceneItemId"])[
        "sceneItemTransform"
    ]
    width, height = int(transform["sourceWidth"]), int(transform["sourceHeight"])
    if width and height:
        yield Finding(True, f'"{name}" shows pictures of {width} x {height}')
    else:
        yield Finding(
            False,
            f'"{name}" has shown no picture yet',
            "start `rest-bridge run` (or demo), or correct the address in the source's properties.",
        )


def _control_of(settings: dict[str, Any]) -> str:
    """Return the control address that belongs to a native source's address (addresses.cpp)."""
    words = str(settings.get("address", "")).split()
    if len(words) == 3:
        return words[2]
    host, _, port = (words[0] if words else "127.0.0.1:5570").removeprefix("tcp://").partition(":")
    return f"tcp://{host}:{int(port or 5570) + 2}"


def _voice(obs: Asks, face: dict[str, Any], latency: Latency) -> Iterator[Finding]:
    name, kind = face["inputName"], face["unversionedInputKind"]
    settings = settings_of(obs, name)
    address = _control_of(settings) if kind == NATIVE else ""
    latency_ms = latency(address)
    if latency_ms is None:
        yield Finding(
            False,
            f"no daemon answers at {address or 'the configured address'}",
            "start `rest-bridge run` (or demo).",
        )
    else:
        yield Finding(True, f"the daemon answers; its latency is {latency_ms:.0f} ms")
    by_page = kind == BROWSER
    brings_voice = "voice=1" in str(settings["url"]) if by_page else bool(settings.get("voice"))
    audible = [mic for mic in microphones(obs) if not is_muted(obs, mic)]
    if brings_voice and is_muted(obs, name):
        off = "take `voice=1` out of its address" if by_page else "set its Voice to off"
        yield Finding(False, f'"{name}" is muted in the mixer', f"unmute it, or {off}.")
    elif brings_voice and audible:
        yield Finding(
            False,
            f'your voice may be heard twice: "{name}" brings it, and "{audible[0]}" is on',
            f'mute "{audible[0]}" in the mixer.',
        )
    elif brings_voice:
        yield Finding(True, f'"{name}" brings the voice, in time with the lips')
    elif not audible:
        how = "add `&voice=1` to its address" if by_page else "switch Voice on"
        yield Finding(
            False, "nobody hears you: the source's Voice is off and no microphone is on",
            f"{how} in the source's properties.",
        )  # fmt: skip
    elif latency_ms is not None:
        mode = str(settings.get("latency", "balanced"))
        yield _delay(obs, audible[0], wanted_offset_ms(latency_ms, kind, mode))


def _delay(obs: Asks, microphone: str, wanted_ms: int) -> Finding:
    now_ms = offset_ms(obs, microphone)
    if abs(now_ms - wanted_ms) <= _CLOSE_MS:
        return Finding(True, f'"{microphone}" is delayed by {now_ms} ms, as the picture is')
    return Finding(
        False,
        f'"{microphone}" is delayed by {now_ms} ms, the picture by {wanted_ms} ms',
        f'run `rest-bridge obs setup --microphone "{microphone}"`.',
    )

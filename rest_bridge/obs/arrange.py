"""`rest-bridge obs setup` and `undo`: the face into the current scene, the microphone in time.

Each step says in one sentence what it did, and is noted (`changes`) before the next begins.
"""

import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, Literal

from rest_bridge.errors import ConfigError, SinkUnavailable
from rest_bridge.obs.changes import Change, ChangeFile
from rest_bridge.obs.link import NOT_AVAILABLE, NOT_FOUND, ObsRefused
from rest_bridge.obs.studio_state import (
    BROWSER,
    HELD_MS,
    NATIVE,
    Asks,
    inputs,
    is_muted,
    kinds,
    microphones,
    offset_ms,
    our_inputs,
    program_scene,
    scene_items,
)

Way = Literal["auto", "native", "browser"]
LONGEST_OFFSET_MS: Final = 20_000
"""obs-websocket takes no more."""
_SHARE: Final = 0.6
"""Of the canvas's height that the face gets; it stands in the lower right corner."""
_CAMERA_S: Final = 10.0
"""So long OBS may take to start its virtual camera."""
HOW_TO_GET_IN: Final = (
    "This OBS has neither our source nor browser sources: install the plugin (docs/obs.md), or "
    "add a Video Capture Device of the virtual camera (`rest-bridge run --camera`)."
)


@dataclass(frozen=True, slots=True)
class Wishes:
    """What `setup` is to do.

    Attributes:
        way: "native", "browser", or "auto": the best that this OBS has.
        name: of the source.
        address: of the daemon, for the native source.
        page: address of the preview page with its token, for the browser source.
        latency: of the native source: "low", "balanced" or "smooth".
        microphone: an input of OBS that is to be delayed to fit the picture; empty for none, then
            the source itself brings the voice.
        latency_ms: of the daemon, as measured; needed for `microphone`.
        camera: start OBS's virtual camera.
    """

    way: Way = "auto"
    name: str = "rest_bridge"
    address: str = "127.0.0.1:5570"
    page: str = ""
    latency: str = "balanced"
    microphone: str = ""
    latency_ms: float | None = None
    camera: bool = False


def setup(obs: Asks, wishes: Wishes, changes: ChangeFile) -> Iterator[str]:
    """Put the face into the scene on the air.

    Args:
        obs: the running OBS.
        wishes: what to do.
        changes: gets what was changed.

    Yields:
        a sentence for each thing that was done.

    Raises:
        ConfigError: a wish cannot be fulfilled in this OBS.
        SinkError: OBS refuses.
    """
    kind = _choose(obs, wishes)
    if wishes.microphone and wishes.microphone not in (known := microphones(obs)):
        names = ", ".join(f'"{name}"' for name in known) or "none"
        raise ConfigError(f'OBS has no microphone "{wishes.microphone}"; it has: {names}.')
    yield from _place(obs, wishes, kind, changes)
    if wishes.microphone:
        yield _delay(obs, wishes, kind, changes)
    else:
        audible = [name for name in microphones(obs) if not is_muted(obs, name)]
        if audible:
            yield (
                f'Mute "{audible[0]}" in the mixer: the source brings your voice, in time with '
                "the lips. (Or keep the microphone and say --microphone NAME.)"
            )
    if wishes.camera:
        yield _start_camera(obs, changes)


def _choose(obs: Asks, wishes: Wishes) -> str:
    """Return the kind of source.

    Raises:
        ConfigError: this OBS has none that is wanted.
    """
    there = kinds(obs)
    if wishes.way in ("auto", "native") and NATIVE in there:
        return NATIVE
    if wishes.way == "native":
        raise ConfigError(
            "This OBS has not loaded our plugin; install it as docs/obs.md says and restart OBS, "
            "or take --way browser."
        )
    if BROWSER not in there:
        raise ConfigError(HOW_TO_GET_IN)
    if not wishes.page:
        raise ConfigError(
            "The browser source needs the preview page's address: set preview.token in the "
            "configuration (so that it stays the same), start the daemon, or give it with --page."
        )
    return BROWSER


def _place(obs: Asks, wishes: Wishes, kind: str, changes: ChangeFile) -> Iterator[str]:
    scene = program_scene(obs)
    ours = [item["inputName"] for item in our_inputs(obs)]
    names = {item["sourceName"] for item in scene_items(obs, scene)}
    if here := [name for name in ours if name in names]:
        yield f'"{here[0]}" is in the scene "{scene}" already.'
        return
    if ours:
        item = obs.ask("CreateSceneItem", sceneName=scene, sourceName=ours[0])["sceneItemId"]
        changes.add(Change("source", ours[0], scene))
        yield f'Put "{ours[0]}" into the scene "{scene}".'
    else:
        name = _free_name(obs, wishes.name)
        video = obs.ask("GetVideoSettings")
        settings = (
            {"address": wishes.address, "latency": wishes.latency, "voice": not wishes.microphone}
            if kind == NATIVE
            else {
                "url": wishes.page, "width": video["baseHeight"], "height": video["baseHeight"],
                "reroute_audio": True,
            }
        )  # fmt: skip
        item = obs.ask(
            "CreateInput", sceneName=scene, inputName=name, inputKind=kind,
            inputSettings=settings, sceneItemEnabled=True,
        )["sceneItemId"]  # fmt: skip
        changes.add(Change("source", name, scene, created=True))
        what = "native source" if kind == NATIVE else "browser source"
        yield f'Added "{name}" ({what}) to the scene "{scene}".'
    _fit(obs, scene, int(item))


def _free_name(obs: Asks, wanted: str) -> str:
    taken = {item["inputName"] for item in inputs(obs)}
    names = [wanted, *(f"{wanted} {number}" for number in range(2, 100))]
    return next(name for name in names if name not in taken)


def _fit(obs: Asks, scene: str, item: int) -> None:
    """Scale an item into the lower right corner, whatever size its pictures have."""
    video = obs.ask("GetVideoSettings")
    width, height = video["baseWidth"], video["baseHeight"]
    side = round(_SHARE * min(width, height))
    transform = {
        "boundsType": "OBS_BOUNDS_SCALE_INNER", "boundsAlignment": 0, "boundsWidth": float(side),
        "boundsHeight": float(side), "positionX": float(width - side),
        "positionY": float(height - side), "alignment": 5,
    }  # fmt: skip
    obs.ask(
        "SetSceneItemTransform", sceneName=scene, sceneItemId=item, sceneItemTransform=transform
    )


def wanted_offset_ms(latency_ms: float, kind: str, latency: str = "balanced") -> int:
    """Return by how much a microphone of OBS is to be delayed.

    Args:
        latency_ms: of the daemon, from the captured sample to the published picture.
        kind: of the source.
        latency: mode of the native source, which holds the pictures back so long.
    """
    held_ms = HELD_MS.get(latency, 0) if kind == NATIVE else 0
    return min(LONGEST_OFFSET_MS, round(latency_ms + held_ms))


def _delay(obs: Asks, wishes: Wishes, kind: str, changes: ChangeFile) -> str:
    if wishes.latency_ms is None:
        raise SinkUnavailable(
            "The microphone's delay is the daemon's measured latency: start `rest-bridge run` "
            "first, or give it with --latency-ms."
        )
    before = offset_ms(obs, wishes.microphone)
    after = wanted_offset_ms(wishes.latency_ms, kind, wishes.latency)
    obs.ask("SetInputAudioSyncOffset", inputName=wishes.microphone, inputAudioSyncOffset=after)
    changes.add(Change("offset", wishes.microphone, before_ms=before, after_ms=after))
    return f'"{wishes.microphone}" is delayed by {after} ms (before: {before} ms).'


def _start_camera(obs: Asks, changes: ChangeFile) -> str:
    try:
        if obs.ask("GetVirtualCamStatus")["outputActive"]:
            return "OBS's virtual camera runs already."
        obs.ask("StartVirtualCam")
    except ObsRefused as error:
        if error.code != NOT_AVAILABLE:
            raise
        raise SinkUnavailable(
            "This OBS has no virtual camera: on Linux install v4l2loopback (`sudo apt install "
            "v4l2loopback-dkms`) and restart OBS; on macOS and Windows reinstall OBS with it."
        ) from error
    changes.add(Change("camera"))  # should it start later than we wait, `undo` stops it
    # OBS says yes to the order at once, whatever becomes of it.
    deadline_s = time.monotonic() + _CAMERA_S
    while not obs.ask("GetVirtualCamStatus")["outputActive"]:
        if time.monotonic() > deadline_s:
            raise SinkUnavailable(
                "OBS took the order, but its virtual camera does not run: OBS's window says why "
                "(on Linux it may ask for your password, to load v4l2loopback). Start it there, or "
                "say `rest-bridge obs setup --virtual-camera` again."
            )
        time.sleep(0.1)
    return "Started OBS's virtual camera."


def undo(obs: Asks, changes: ChangeFile) -> Iterator[str]:
    """Take back what `setup` has done; what somebody else has changed since stays.

    Args:
        obs: the running OBS.
        changes: what was done; forgotten step by step.

    Yields:
        a sentence for each thing that was taken back.
    """
    for change in changes.take_back():
        try:
            yield _take_back(obs, change)
        except ObsRefused as error:
            if error.code != NOT_FOUND:
                raise
            yield f'"{change.input}" is gone already.'


def _take_back(obs: Asks, change: Change) -> str:
    if change.kind == "source" and change.created:
        obs.ask("RemoveInput", inputName=change.input)
        return f'Removed "{change.input}".'
    if change.kind == "source":
        for item in scene_items(obs, change.scene):
            if item["sourceName"] == change.input:
                obs.ask("RemoveSceneItem", sceneName=change.scene, sceneItemId=item["sceneItemId"])
        return f'Took "{change.input}" out of the scene "{change.scene}".'
    if change.kind == "camera":
        if not obs.ask("GetVirtualCamStatus")["outputActive"]:
            return "OBS's virtual camera does not run any more."
        obs.ask("StopVirtualCam")
        return "Stopped OBS's virtual camera."
    now_ms = offset_ms(obs, change.input)
    if now_ms != change.after_ms:
        return f'"{change.input}" is delayed by {now_ms} ms by somebody else\'s wish: it stays so.'
    obs.ask(
        "SetInputAudioSyncOffset", inputName=change.input, inputAudioSyncOffset=change.before_ms
    )
    return f'"{change.input}" is delayed by {change.before_ms} ms again.'

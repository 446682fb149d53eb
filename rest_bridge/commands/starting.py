"""What `rest-bridge start` begins with: what was chosen on the page, if it is still there."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from rest_bridge.config_sources import LoadedConfig
from rest_bridge.errors import AvatarError
from rest_bridge.gallery import built_in_faces, built_in_voice, kept_portraits
from rest_bridge.remembered import Remembered
from rest_bridge.sound.devices import list_inputs, list_monitors


def settings_to_start_with(
    loaded: LoadedConfig,
    remembered: Remembered | None = None,
    voices: Callable[[], set[str]] | None = None,
) -> tuple[dict[str, Any], list[str]]:
    """Return settings for whatever nobody has set elsewhere, and sentences for a person.

    A microphone that is gone, or a portrait that was deleted, must not keep the page from opening:
    there it can be chosen again.

    Args:
        loaded: the configuration without them.
        remembered: what was chosen; the person's own file if None.
        voices: names the voices at hand; asks the computer if None.
    """
    kept = (remembered or Remembered()).settings()
    chosen = {key: value for key, value in kept.items() if loaded.origins.get(key) == "default"}
    notes: list[str] = []
    picture = chosen.get("avatar.picture")
    if picture and not _has_face(str(picture)):
        notes.append(f'The portrait "{picture}" is gone; a built-in face takes its place.')
        del chosen["avatar.picture"]
    if loaded.origins.get("audio.source") != "default":
        return chosen, notes
    source = str(chosen.get("audio.source", ""))
    if source and not _has_voice(source, voices or _voices):
        notes.append(f'The voice "{source}" is not there; the built-in one takes its place.')
        source = ""
    if not source or Path(source).is_file():
        try:
            chosen["audio.source"] = source or str(built_in_voice())
            chosen["audio.loop"] = True
        except AvatarError as error:  # an installation without voice: the page still opens
            notes.append(str(error))
    return chosen, notes


def _has_face(choice: str) -> bool:
    known = {"default", *built_in_faces(), *kept_portraits()}
    return choice in known or Path(choice).expanduser().is_file()


def _has_voice(source: str, voices: Callable[[], set[str]]) -> bool:
    return source == "push" or Path(source).is_file() or source in voices()


def _voices() -> set[str]:
    inputs, monitors = list_inputs().devices, list_monitors().devices
    words = {"mic"} if inputs else set[str]()
    words |= {"system"} if monitors else set()
    return words | {device.name for device in (*inputs, *monitors)}

"""Presets: what a person likes to ask of a face, by a name, kept with each portrait.

One file, presets.json, in the person's data folder. A preset holds the arguments of the control
operation `expression`, which checks them again when it is used.
"""

import json
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import platformdirs

from rest_bridge.errors import AvatarError, ConfigError
from rest_bridge.generator.steering import Steering
from rest_bridge.whole_file import write_whole

MOST_PRESETS: Final = 40
_MOST_NAME: Final = 40
_KEYS: Final = ("expression", "gaze", "head_motion", "blink_rate")


class Presets:
    """The presets of all faces, by the face's name; any thread."""

    def __init__(self, path: Path | None = None) -> None:
        """Begin; the file is read at each use, and need not be there.

        Args:
            path: the file; the person's own if None.
        """
        data = platformdirs.user_data_path("rest_bridge", appauthor=False)
        self._path = path or data / "presets.json"
        self._lock = threading.Lock()

    def of(self, face: str) -> list[dict[str, Any]]:
        """Return the presets of a face, each with its `name` and what it asks for."""
        return self._read().get(face, [])

    def wish(self, face: str, name: str) -> dict[str, Any]:
        """Return what a preset asks for, as arguments of `expression`.

        Raises:
            AvatarError: the face has no such preset.
        """
        for preset in self.of(face):
            if preset["name"].casefold() == name.casefold():
                return {key: preset[key] for key in _KEYS if key in preset}
        known = ", ".join(preset["name"] for preset in self.of(face)) or "none yet"
        raise AvatarError(f'This face has no preset "{name[:40]}"; it has: {known}.')

    def save(self, face: str, name: str, wish: Mapping[str, Any]) -> list[dict[str, Any]]:
        """Keep a preset, in place of one of the same name.

        Args:
            face: whose.
            name: for people.
            wish: arguments of `expression`.

        Returns:
            All presets of the face.

        Raises:
            AvatarError: the name or the wish is not possible.
        """
        preset = _checked({"name": name, **wish})
        rest = [p for p in self.of(face) if p["name"].casefold() != preset["name"].casefold()]
        return self.replace(face, [*rest, preset])

    def delete(self, face: str, name: str) -> list[dict[str, Any]]:
        """Forget a preset; return those that are left."""
        return self.replace(face, [p for p in self.of(face) if p["name"] != name])

    def replace(self, face: str, presets: Any) -> list[dict[str, Any]]:
        """Keep these presets of a face and no others.

        Raises:
            AvatarError: they are not presets, or too many.
        """
        if not isinstance(presets, list) or len(presets) > MOST_PRESETS:  # pyright: ignore[reportUnknownArgumentType]
            raise AvatarError(f"A face may have {MOST_PRESETS} presets; delete one first.")
        checked = [_checked(preset) for preset in presets]  # pyright: ignore[reportUnknownVariableType]
        with self._lock:
            content = self._read()
            content[face] = checked
            if not checked:
                del content[face]
            self._write(content)
        return checked

    def _read(self) -> dict[str, list[dict[str, Any]]]:
        try:
            content = json.loads(self._path.read_text(encoding="utf-8"))
            return {str(face): [_checked(p) for p in presets] for face, presets in content.items()}
        except (OSError, ValueError, AttributeError, TypeError, AvatarError):
            return {}  # not there yet, or damaged by hand: presets are quickly made again

    def _write(self, content: Mapping[str, Any]) -> None:
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            write_whole(self._path, json.dumps(content, indent=1, ensure_ascii=False))
        except OSError as error:
            raise AvatarError(
                f"The presets cannot be kept ({error.strerror}): {self._path}"
            ) from error


def _checked(preset: Any) -> dict[str, Any]:
    """Return a preset whose every value is possible.

    Raises:
        AvatarError: one is not.
    """
    if not isinstance(preset, dict) or not str(preset.get("name", "")).strip():  # pyright: ignore
        raise AvatarError("A preset needs a name.")
    name = str(preset["name"]).strip()[:_MOST_NAME]
    found = {key: preset[key] for key in _KEYS if preset.get(key) is not None}
    try:
        gaze = found.get("gaze")
        Steering(
            expression={str(k): float(v) for k, v in found.get("expression", {}).items()},
            gaze=None if gaze is None else (float(gaze[0]), float(gaze[1])),
            head_motion=float(found.get("head_motion", 1.0)),
            blink_rate=float(found.get("blink_rate", 1.0)),
        )
    except (ConfigError, TypeError, ValueError, AttributeError, IndexError) as error:
        raise AvatarError(f'The preset "{name}" is not possible: {error}') from None
    # What a preset does not mention goes back to normal, so that one replaces the other.
    normal = {"expression": {}, "gaze": None, "head_motion": 1.0, "blink_rate": 1.0}
    return {"name": name, **normal, **found}

"""Hotkeys that work while another window has focus, where the system allows it (extra `hotkeys`).

pynput (LGPL-3.0, imported only when a hotkey is set) watches the keyboard on Windows, macOS (which
asks the person first) and X11. Wayland hides keys from programs, so there the page says what works
instead: a shortcut of the desktop that runs `rest-bridge ctl`. Keys other than ours are not kept.
"""

import importlib.util
import json
import os
import re
import sys
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

import platformdirs

from rest_bridge.errors import ConfigError
from rest_bridge.whole_file import write_whole

MOST_HOTKEYS: Final = 40
ALLOWED: Final = frozenset(
    {"expression", "mute", "pause", "presets.use", "portraits.wear", "push_to_talk"}
)
_KEY: Final = re.compile(r"(<(ctrl|alt|shift|cmd)>\+)*([a-z0-9]|<f([1-9]|1[0-9]|2[0-4])>)")
_TOGGLES: Final = {"mute": "muted", "pause": "paused"}


class Hotkeys:
    """The person's hotkeys; any thread."""

    def __init__(
        self,
        run: Callable[[str, Mapping[str, Any]], Any],
        state: Callable[[], Mapping[str, Any]],
        path: Path | None = None,
    ) -> None:
        """Begin; nothing is watched before `start`.

        Args:
            run: does an operation with arguments.
            state: of the daemon, for those that are switched on and off.
            path: where they are kept; the person's own file if None.
        """
        data = platformdirs.user_data_path("rest_bridge", appauthor=False)
        self._path = path or data / "hotkeys.json"
        self._run = run
        self._state = state
        self._lock = threading.Lock()
        self._listener: Any = None
        self._problem = ""

    def facts(self) -> dict[str, Any]:
        """Return the hotkeys, whether they are heard, and if not why, and what to do."""
        problem = self._problem or missing()
        return {"hotkeys": self._read(), "works": not problem, "problem": problem}

    def set(self, hotkeys: Any) -> dict[str, Any]:
        """Keep these hotkeys and no others, and listen for them.

        Args:
            hotkeys: list of {"keys", "op", "body", "label"}.

        Returns:
            As `facts`.

        Raises:
            ConfigError: one is not possible.
        """
        checked = check(hotkeys)
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            write_whole(self._path, json.dumps(checked, ensure_ascii=False, indent=1))
        except OSError as error:
            raise ConfigError(f"The hotkeys cannot be kept ({error.strerror}): {self._path}") from (
                error
            )
        self.start()
        return self.facts()

    def start(self) -> None:
        """Listen for what is set; without hotkeys nothing is imported, nothing watched."""
        hotkeys = self._read()
        self.close()
        self._problem = missing() if hotkeys else ""
        if not hotkeys or self._problem:
            return
        with self._lock:
            try:
                from pynput import keyboard  # pyright: ignore

                listener: Any = keyboard.GlobalHotKeys(
                    {hotkey["keys"]: self._caller(hotkey) for hotkey in hotkeys}
                )
                listener.daemon = True
                listener.start()
                self._listener = listener
            except Exception as error:  # noqa: BLE001 - its back ends raise what they like
                self._problem = f"The keyboard cannot be watched ({error})."

    def close(self) -> None:
        """Stop listening; idempotent."""
        with self._lock:
            listener, self._listener = self._listener, None
        if listener is not None:
            listener.stop()

    def _caller(self, hotkey: Mapping[str, Any]) -> Callable[[], None]:
        def call() -> None:
            body = dict(hotkey["body"])
            key = _TOGGLES.get(hotkey["op"])
            if key is not None and "on" not in body:
                body["on"] = not self._state().get(key, False)
            # Not in the keyboard's own thread, which must stay quick.
            threading.Thread(
                target=self._run, args=(hotkey["op"], body), name="hotkey", daemon=True
            ).start()

        return call

    def _read(self) -> list[dict[str, Any]]:
        try:
            return check(json.loads(self._path.read_text(encoding="utf-8")))
        except (OSError, ValueError, ConfigError):
            return []


def check(hotkeys: Any) -> list[dict[str, Any]]:
    """Return hotkeys that are possible, as they are kept.

    Raises:
        ConfigError: one is not, or two are the same.
    """
    if not isinstance(hotkeys, list) or len(hotkeys) > MOST_HOTKEYS:  # pyright: ignore[reportUnknownArgumentType]
        raise ConfigError(f"Hotkeys must be a list of at most {MOST_HOTKEYS}.")
    found: dict[str, dict[str, Any]] = {}
    for hotkey in hotkeys:  # pyright: ignore[reportUnknownVariableType]
        if not isinstance(hotkey, dict) or not isinstance(hotkey.get("body", {}), dict):  # pyright: ignore
            raise ConfigError("A hotkey needs keys and what they do.")
        keys, op = str(hotkey.get("keys", "")).lower(), str(hotkey.get("op", ""))
        if not _KEY.fullmatch(keys):
            raise ConfigError(
                f'"{keys[:40]}" is no hotkey; use letters, digits or F1 to F24 with Ctrl, Alt, '
                "Shift or Cmd."
            )
        if op not in ALLOWED:
            raise ConfigError(f"A hotkey may do {', '.join(sorted(ALLOWED))}, not {op[:40]!r}.")
        if keys in found:
            raise ConfigError(f'"{keys}" is used twice; choose another for one of them.')
        label = str(hotkey.get("label", ""))[:60]
        found[keys] = {"keys": keys, "op": op, "body": hotkey.get("body", {}), "label": label}
    return list(found.values())


def missing() -> str:
    """Say what hotkeys lack here, and what to do; nothing where they can work."""
    if sys.platform.startswith("linux"):
        if os.environ.get("XDG_SESSION_TYPE") == "wayland":
            return (
                "Wayland hides keys from programs. Make a keyboard shortcut in your desktop's "
                'settings instead, with a command like "rest-bridge ctl expression happy".'
            )
        if not os.environ.get("DISPLAY"):
            return "There is no desktop here whose keys could be heard."
    if importlib.util.find_spec("pynput") is None:
        return 'Hotkeys need one more package: pip install "rest-bridge[hotkeys]", then restart.'
    return ""

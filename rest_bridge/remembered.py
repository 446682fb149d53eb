"""What a person chose on the control page, kept for the next start of `rest-bridge start`.

One small file beside the configuration, which it never touches: keys of the configuration and their
values. The configuration file, the environment and the command line win over it.
"""

import json
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from rest_bridge.config import Config
from rest_bridge.config_sources import changed, default_path
from rest_bridge.errors import ConfigError
from rest_bridge.whole_file import write_whole

_OUTPUTS: Final = {
    "camera": "camera.enabled",
    "vmc": "vmc.enabled",
    "live_link": "live_link.enabled",
    "vtube_studio": "vtube_studio.enabled",
}


class Remembered:
    """The file; any thread. A file that cannot be read or written is no reason to stop."""

    def __init__(self, path: Path | None = None) -> None:
        """Begin; nothing is read yet.

        Args:
            path: the file; the person's own if None.
        """
        self._path = path or default_path().with_name("page.json")
        self._lock = threading.Lock()

    def settings(self) -> dict[str, Any]:
        """Return "section.key" -> value, only such as are possible today."""
        try:
            content = json.loads(self._path.read_text(encoding="utf-8"))
            kept = {str(key): value for key, value in content.items()}
        except (OSError, ValueError, AttributeError):
            return {}
        good: dict[str, Any] = {}
        for key, value in kept.items():
            try:
                changed(Config(), {**good, key: value}, str(self._path))
            except ConfigError:  # of another version of rest_bridge
                continue
            good[key] = value
        return good

    def keep(self, changes: Mapping[str, Any]) -> None:
        """Keep these values beside the others; None forgets one."""
        with self._lock:
            merged = {**self.settings(), **changes}
            content = {key: value for key, value in merged.items() if value is not None}
            try:
                self._path.parent.mkdir(parents=True, exist_ok=True)
                write_whole(self._path, json.dumps(content, indent=1))
            except OSError:
                return

    def note(self, operation: str, body: Mapping[str, Any], result: Mapping[str, Any]) -> None:
        """Keep what an operation that was done has chosen, where that lasts."""
        options = body.get("options", {})
        if operation.startswith("portraits.") and result.get("active"):
            self.keep({"avatar.picture": result.get("name")})
        match operation:
            case "source.set":
                keys = {f"audio.{key}": value for key, value in options.items()}
                self.keep({"audio.source": body.get("source"), **keys})
            case "avatar.set":
                self.keep({"avatar.picture": body.get("avatar")})
            case "calibrate.set":
                self.keep({"voice_out.offset_ms": result.get("offset_ms")})
            case "output.start" | "output.stop":
                self._note_output(body, options, on=operation.endswith("start"))
            case _:
                return

    def _note_output(
        self, body: Mapping[str, Any], options: Mapping[str, Any], *, on: bool
    ) -> None:
        output = str(body.get("output", ""))
        if output in _OUTPUTS:
            keys = {f"{output}.{key}": value for key, value in options.items()}
            self.keep({_OUTPUTS[output]: on, **keys})
        elif output == "voice_out":
            keys = {f"voice_out.{key}": value for key, value in options.items()}
            self.keep(keys if on else {"voice_out.device": None})

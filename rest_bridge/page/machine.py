"""What the page asks of the computer: what is missing, how late its sound is, OBS, hotkeys, phones.

Place in the flow: `page.desk` -> here -> `doctor`, `devices`, `studio`, and our own commands in
processes of their own where they would disturb the stream (measuring, OBS).
"""

import json
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from shutil import copyfileobj
from typing import Any, Final

import platformdirs

from rest_bridge import __version__, doctor
from rest_bridge.config import Config
from rest_bridge.devices import check_inputs, check_monitors, check_outputs
from rest_bridge.doctor import Check
from rest_bridge.errors import ConfigError, SinkError
from rest_bridge.gallery import built_in_voice
from rest_bridge.operations import Arguments
from rest_bridge.page.desk import PageOperation
from rest_bridge.page.hotkeys import Hotkeys
from rest_bridge.page.uploads import Uploads
from rest_bridge.sinks.control import Progress
from rest_bridge.studio import Studio

_MEASURE_S: Final = 60.0
_OBS_S: Final = 60.0
_BUILT_IN_VOICE: Final = "built-in"


@dataclass(frozen=True, slots=True)
class Sharing:
    """How phones in the same network are let in.

    Attributes:
        start: opens the port and returns addresses; raises `SinkError`.
        stop: closes it.
        facts: `on`, `addresses`.
    """

    start: Callable[[], Mapping[str, Any]]
    stop: Callable[[], Mapping[str, Any]]
    facts: Callable[[], Mapping[str, Any]]


class MachineDesk:
    """The operations that concern the computer."""

    def __init__(
        self,
        studio: Studio,
        settings: Mapping[str, Any],
        hotkeys: Hotkeys,
        sharing: Sharing,
        provider: Callable[[], str],
    ) -> None:
        """Connect.

        Args:
            studio: makes changes.
            settings: the daemon's configuration, to be read.
            hotkeys: of the person.
            sharing: with phones.
            provider: says what computes the networks.
        """
        self._provider = provider
        self._studio = studio
        self._settings = settings
        self._hotkeys = hotkeys
        self._sharing = sharing
        self._measuring = threading.Lock()

    def operations(self) -> dict[str, PageOperation]:
        """Return the operations by name."""
        mine = {
            "page.hello": self._hello,
            "doctor": self._doctor,
            "voice.built_in": self._built_in_voice,
            "voice.play": self._play,
            "calibrate": self._calibrate,
            "calibrate.set": self._set_offset,
            "obs.status": self._obs_status,
            "obs.setup": self._obs_setup,
            "obs.undo": self._obs_undo,
            "hotkeys.list": lambda _a, _p, _u: self._hotkeys.facts(),
            "hotkeys.set": lambda a, _p, _u: self._hotkeys.set(a.value("hotkeys")),
            "share.status": lambda _a, _p, _u: dict(self._sharing.facts()),
            "share.start": lambda _a, _p, _u: dict(self._sharing.start()),
            "share.stop": lambda _a, _p, _u: dict(self._sharing.stop()),
        }

        def bound(name: str, run: Callable[..., dict[str, Any]]) -> PageOperation:
            return lambda body, progress, uploads: run(Arguments(name, body), progress, uploads)

        return {name: bound(name, run) for name, run in mine.items()}

    def _hello(self, _a: Arguments, _p: Progress, _uploads: Uploads) -> dict[str, Any]:
        """Say what the page shows once: version, endpoints, platform."""
        endpoints = self._settings.get("endpoints", {})
        return {
            "version": __version__,
            "platform": sys.platform,
            "endpoints": dict(endpoints),
            "size": self._settings.get("output", {}).get("size"),
            "provider": self._provider(),
        }

    def _doctor(self, _a: Arguments, progress: Progress, _uploads: Uploads) -> dict[str, Any]:
        """Examine the computer; what is in use by this very daemon is in order."""
        config = Config()
        running = {"camera"} if self._studio.runs("camera") else set[str]()
        checks: list[Callable[[], Check]] = [
            check_inputs,
            check_outputs,
            check_monitors,
            lambda: (
                Check("virtual camera", "ok", "in use by this face")
                if "camera" in running
                else doctor.check_camera(config)
            ),
            doctor.check_obs,
            lambda: doctor.check_runtime(config),
            doctor.check_codecs,
            lambda: doctor.check_disk([platformdirs.user_cache_path("rest_bridge")]),
            lambda: doctor.check_package(config),
        ]
        found: list[dict[str, str]] = []
        for place, check in enumerate(checks):
            progress(place / len(checks), "")
            found.append(check().as_dict())
        return {"checks": found}

    # --------------------------------------------------------------- voices

    def _built_in_voice(self, _a: Arguments, _p: Progress, _uploads: Uploads) -> dict[str, Any]:
        name = self._studio.set_source(str(built_in_voice()), {"loop": True})
        return {"source": name}

    def _play(self, a: Arguments, _progress: Progress, uploads: Uploads) -> dict[str, Any]:
        """Let the face speak an uploaded file."""
        number = round(a.number("upload", 0))
        folder = platformdirs.user_cache_path("rest_bridge", appauthor=False) / "voices"
        folder.mkdir(parents=True, exist_ok=True)
        kind = a.text("kind", "wav")
        if not kind.isalnum() or len(kind) > 5:
            raise ConfigError("This is no sound file that can be played.")
        target = folder / f"dropped.{kind.lower()}"
        with uploads.whole(number).open("rb") as source, target.open("wb") as out:
            copyfileobj(source, out)
        uploads.drop(number)
        return {"source": self._studio.set_source(str(target), {"loop": a.flag("loop", True)})}

    # --------------------------------------------------------------- delays

    def _calibrate(self, a: Arguments, progress: Progress, _uploads: Uploads) -> dict[str, Any]:
        """Play chirps on an output, hear them, and say by how much it is later than it reports."""
        output, hear = a.text("output", "default"), a.text("hear", "")
        if not self._measuring.acquire(blocking=False):
            raise SinkError("A measurement is running; wait for it.")
        was_muted = self._studio.hush.as_dict(0)["muted"]
        self._studio.hush.mute(True)
        self._studio.apply_hush()
        try:
            progress(0.1, "")
            words = ["doctor", "--round-trip", "--voice-out", output, "--json"]
            found = _ask_ourselves([*words, *(["--hear", hear] if hear else [])], _MEASURE_S)
        finally:
            self._studio.hush.mute(bool(was_muted))
            self._studio.apply_hush()
            self._measuring.release()
        if not found.get("ok"):
            raise SinkError(str(found.get("problem", "The measurement did not work.")))
        by_ear = "monitor" not in str(found["source"])
        off_ms = round(found["round_trip_ms"] - found["reported_ms"])
        return {**found, "late_ms": off_ms if by_ear else 0, "by_ear": by_ear}

    def _set_offset(self, a: Arguments, _progress: Progress, _uploads: Uploads) -> dict[str, Any]:
        """Play the voice so much later (or, below zero, sooner) on the output that runs."""
        settings = self._studio.settings_of("voice_out") or {}
        device = a.text("device", "") or settings.get("device") or "default"
        offset_ms = round(a.number("offset_ms", 0))
        options = {**settings, "device": device, "offset_ms": offset_ms}
        return self._studio.start_output("voice_out", options) | {"offset_ms": offset_ms}

    # --------------------------------------------------------------- OBS

    def _obs_status(self, _a: Arguments, _p: Progress, _uploads: Uploads) -> dict[str, Any]:
        return {"automation": has_obs_command()}

    def _obs_setup(self, a: Arguments, _progress: Progress, _uploads: Uploads) -> dict[str, Any]:
        """Let `rest-bridge obs setup` make the source and set the delay of a microphone."""
        if not has_obs_command():
            raise SinkError("This rest_bridge cannot set up OBS by itself; copy the address.")
        words = ["obs", "setup", "--json", "--page", str(self._studio.page().url)]
        if a.has("microphone") and a.text("microphone", ""):
            latency_ms = round(a.number("latency_ms", 0))
            words += ["--microphone", a.text("microphone")]
            words += ["--latency-ms", str(latency_ms)] if latency_ms else []
        return _ask_ourselves(words, _OBS_S, _password(a))

    def _obs_undo(self, a: Arguments, _progress: Progress, _uploads: Uploads) -> dict[str, Any]:
        """Leave OBS as it was."""
        return _ask_ourselves(["obs", "undo", "--json"], _OBS_S, _password(a))


def _password(a: Arguments) -> dict[str, str]:
    """Return the password as an environment variable: command lines can be read by others."""
    given = a.text("password", "")
    return {"REST_BRIDGE_OBS_PASSWORD": given} if given else {}


def has_obs_command() -> bool:
    """Say whether `rest-bridge obs` is part of this installation."""
    return (Path(__file__).resolve().parents[1] / "commands" / "obs.py").is_file()


def _ask_ourselves(
    words: list[str], timeout_s: float, more: Mapping[str, str] | None = None
) -> dict[str, Any]:
    """Run one of our own commands and return the JSON that it prints.

    Raises:
        SinkError: it failed; with its sentence.
    """
    command = [sys.executable, "-m", "rest_bridge", *words]
    try:
        done = subprocess.run(
            command,
            capture_output=True,
            text=True,
            timeout=timeout_s,
            check=False,
            env={**os.environ, **(more or {})},
        )
    except subprocess.TimeoutExpired:
        raise SinkError("It took too long and was stopped; try again.") from None
    lines = [line for line in done.stdout.splitlines() if line.startswith("{")]
    if not lines:
        sentence = done.stderr.strip().splitlines()[-1:] or ["nothing was said"]
        raise SinkError(sentence[0].removeprefix("Error: "))
    return dict(json.loads(lines[-1]))

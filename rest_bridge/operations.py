"""What control clients may ask of a running daemon: each operation's arguments and results.

Place in the flow: `sinks.control` -> here -> `studio`. This module only reads arguments and shapes
answers (plugins/PROTOCOL.md, section Control); what is done is the studio's business. Every
operation may be repeated: asking for what is already so changes nothing.
"""

import contextlib
import math
import time
from collections.abc import Callable, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any, Final

import platformdirs

from rest_bridge.generator.steering import Steering
from rest_bridge.hush import DEFAULT_HOLD_S
from rest_bridge.sinks.control import BadRequest, Operation, Progress
from rest_bridge.studio import Studio
from rest_bridge.wishes import steering_facts

_MOST_TEXT: Final = 4096
_NUMBER_TYPES: Final = (int, float)


class Arguments:
    """The arguments of one request; every error names the operation and the key."""

    def __init__(self, operation: str, body: Mapping[str, Any]) -> None:
        """Wrap a request's body.

        Args:
            operation: its name.
            body: its arguments.
        """
        self._operation = operation
        self._body = body

    def text(self, key: str, default: str | None = None) -> str:
        """Return a text; required where there is no default."""
        value = self._body.get(key, default)
        if not isinstance(value, str) or (default is None and not value):
            raise self._wrong(key, "a text")
        if len(value) > _MOST_TEXT or "\0" in value:
            raise self._wrong(key, f"a text of at most {_MOST_TEXT} characters")
        return value

    def flag(self, key: str, default: bool | None = None) -> bool:
        """Return true or false; required where there is no default."""
        value = self._body.get(key, default)
        if not isinstance(value, bool):
            raise self._wrong(key, "true or false")
        return value

    def number(self, key: str, default: float) -> float:
        """Return a finite number."""
        return self._number(key, self._body.get(key, default))

    def numbers(self, key: str) -> dict[str, float]:
        """Return a map of names to finite numbers."""
        value = self._body.get(key)
        if not isinstance(value, Mapping) or not all(isinstance(name, str) for name in value):
            raise self._wrong(key, "a map of names to numbers")
        return {str(name): self._number(key, number) for name, number in value.items()}

    def pair(self, key: str) -> tuple[float, float] | None:
        """Return two finite numbers, or None for nil."""
        value = self._body.get(key)
        if value is None:
            return None
        if not isinstance(value, (list, tuple)) or len(value) != 2:
            raise self._wrong(key, "two numbers [x, y], or nil")
        return self._number(key, value[0]), self._number(key, value[1])

    def options(self, *, without: tuple[str, ...] = ()) -> dict[str, Any]:
        """Return the map `options`, or what else stands in the request beside `without`."""
        value = self._body.get("options", {})
        if not isinstance(value, Mapping) or not all(isinstance(name, str) for name in value):
            raise self._wrong("options", "a map of keys of the configuration to values")
        for name in value:
            if name in without:
                raise self._wrong("options", f'without "{name}", which has a place of its own')
        return dict(value)

    def value(self, key: str) -> Any:
        """Return what stands there, unchecked; None where nothing does."""
        return self._body.get(key)

    def has(self, key: str) -> bool:
        """Say whether a key is there."""
        return key in self._body

    def _number(self, key: str, value: object) -> float:
        if isinstance(value, bool) or not isinstance(value, _NUMBER_TYPES):
            raise self._wrong(key, "a number")
        try:
            number = float(value)
        except OverflowError:
            number = math.inf
        if not math.isfinite(number):
            raise self._wrong(key, "a number")
        return number

    def _wrong(self, key: str, wanted: str) -> BadRequest:
        return BadRequest(f'{self._operation}: "{key}" must be {wanted}.')


Handler = Callable[[Arguments, Progress], Mapping[str, Any]]


def operations_of(
    studio: Studio,
    *,
    status: Callable[[], Mapping[str, Any]],
    settings: Mapping[str, Any],
    stop: Callable[[], None],
) -> dict[str, Operation]:
    """Return every operation of a daemon.

    Args:
        studio: makes the changes.
        status: what the daemon does and measures.
        settings: its configuration.
        stop: ends it soon.

    Returns:
        Operation by name.
    """
    live = _Live(studio)

    def stopping(_a: Arguments, _p: Progress) -> dict[str, Any]:
        stop()
        return {"stopping": True}

    quick: dict[str, Handler] = {
        "status": lambda _a, _p: status(),
        "avatars": lambda _a, _p: {"avatars": studio.avatars()},
        "expression": live.expression,
        "mute": live.mute,
        "push_to_talk": live.push_to_talk,
        "pause": live.pause,
        "config.show": lambda _a, _p: {"config": settings},
        "stop": stopping,
    }
    slow: dict[str, Handler] = {
        "avatar.set": live.set_avatar,
        "avatar.import": live.import_avatar,
        "devices": lambda _a, _p: {"devices": _devices()},
        "source.set": live.set_source,
        "output.start": live.start_output,
        "output.stop": live.stop_output,
        "recording.start": live.start_recording,
        "recording.stop": live.stop_recording,
    }
    return {
        name: Operation(_with_arguments(name, handler), slow=name in slow)
        for name, handler in (quick | slow).items()
    }


class _Live:
    """The operations that change something."""

    def __init__(self, studio: Studio) -> None:
        self._studio = studio

    def set_avatar(self, a: Arguments, progress: Progress) -> dict[str, Any]:
        choice, begin_s = a.text("avatar"), time.monotonic()
        avatar_id = self._studio.set_avatar(choice, a.options(without=("picture",)), progress)
        took_ms = round(1000 * (time.monotonic() - begin_s))
        return {"avatar": choice, "id": avatar_id, "took_ms": took_ms}

    def import_avatar(self, a: Arguments, progress: Progress) -> dict[str, Any]:
        choice = a.text("picture")
        avatar_id = self._studio.import_avatar(choice, a.options(without=("picture",)), progress)
        return {"avatar": choice, "id": avatar_id}

    def expression(self, a: Arguments, _progress: Progress) -> dict[str, Any]:
        wish = Steering() if a.has("reset") and a.flag("reset") else self._studio.wish()
        mood = dict(wish.expression)
        if a.has("name"):  # one expression in place of all others
            name, strength = a.text("name"), a.number("strength", 1.0)
            mood = {} if name == "neutral" else {name: strength}
        if a.has("expression"):
            mood = a.numbers("expression")
        wish = Steering(
            expression=mood,
            gaze=a.pair("gaze") if a.has("gaze") else wish.gaze,
            head_motion=a.number("head_motion", wish.head_motion),
            blink_rate=a.number("blink_rate", wish.blink_rate),
            style=wish.style,
        )
        if wish != self._studio.wish():
            self._studio.steer(wish)
        return steering_facts(wish)

    def mute(self, a: Arguments, _progress: Progress) -> dict[str, Any]:
        self._studio.hush.mute(a.flag("on"))
        return self._hush()

    def push_to_talk(self, a: Arguments, _progress: Progress) -> dict[str, Any]:
        if not a.has("on") and not a.has("held"):
            raise BadRequest('push_to_talk: give "on" or "held", true or false.')
        hush, now_ns = self._studio.hush, time.monotonic_ns()
        timeout_s = a.number("timeout_s", DEFAULT_HOLD_S)
        if a.has("on"):
            hush.push_to_talk(a.flag("on"))
        if a.has("held"):
            if a.flag("held"):
                hush.hold(now_ns, timeout_s)
            else:
                hush.release()
        return self._hush()

    def pause(self, a: Arguments, _progress: Progress) -> dict[str, Any]:
        on, show = a.flag("on"), a.text("show", "picture")
        if show not in ("picture", "idle"):
            raise BadRequest('pause: "show" must be "picture" (it stands still) or "idle".')
        self._studio.hush.pause(show if on else None)
        return self._hush()

    def set_source(self, a: Arguments, _progress: Progress) -> dict[str, Any]:
        return {"source": self._studio.set_source(a.text("source"), a.options(without=("source",)))}

    def start_output(self, a: Arguments, _progress: Progress) -> dict[str, Any]:
        return self._studio.start_output(a.text("output"), a.options())

    def stop_output(self, a: Arguments, _progress: Progress) -> dict[str, Any]:
        return self._studio.stop_output(a.text("output"))

    def start_recording(self, a: Arguments, _progress: Progress) -> dict[str, Any]:
        path = a.text("path", "") or str(recording_path())
        path = str(Path(path).expanduser())
        return self._studio.start_recording(path, a.options(without=("path",))) | {"path": path}

    def stop_recording(self, _a: Arguments, _progress: Progress) -> dict[str, Any]:
        return self._studio.stop_output("recording")

    def _hush(self) -> dict[str, Any]:
        self._studio.apply_hush()
        return self._studio.hush.as_dict(time.monotonic_ns())


def recording_path() -> Path:
    """Return a new file in the person's folder for videos, which is made if it is not there."""
    name = datetime.now().astimezone().strftime("rest-bridge %Y-%m-%d %H.%M.%S.mp4")
    folder = platformdirs.user_videos_path()
    with contextlib.suppress(OSError):  # the recorder says what is wrong with it
        folder.mkdir(parents=True, exist_ok=True)
    return folder / name


def _with_arguments(
    name: str, handler: Handler
) -> Callable[[Mapping[str, Any], Progress], Mapping[str, Any]]:
    return lambda body, progress: handler(Arguments(name, body), progress)


def _devices() -> dict[str, Any]:
    from rest_bridge.devices import KEYS, list_all

    return {
        listing.kind: {
            "key": KEYS[listing.kind],
            "reason": listing.reason,
            "devices": [
                {
                    "name": device.name,
                    "description": device.description,
                    "default": device.is_default,
                }
                for device in listing.devices
            ],
        }
        for listing in list_all()
    }

"""Control operations of pushed speech: what waits, and barge-in.

Speech itself comes over a socket of its own (plugins/PROTOCOL.md, "Pushed speech"); these are what
must be answered at once.
"""

from collections.abc import Callable, Mapping
from typing import Any

from rest_bridge.audio.gain import GainSource
from rest_bridge.audio.gate import GateSource
from rest_bridge.audio.pcm import MAX_NAME_CHARS
from rest_bridge.audio.push import PushSource
from rest_bridge.errors import SourceError
from rest_bridge.sinks.control import BadRequest, Operation, Progress
from rest_bridge.types import AudioSource


def speech_operations(source: Callable[[], AudioSource | None]) -> dict[str, Operation]:
    """Return the operations by name.

    Args:
        source: the voice that is heard now.

    Returns:
        "flush" and "speech"; with another voice than pushed speech they say so.
    """

    def flush(body: Mapping[str, Any], _progress: Progress) -> Mapping[str, Any]:
        names = body.get("utterances")
        if names is not None and not (
            isinstance(names, list)
            and all(isinstance(name, str) and len(name) <= MAX_NAME_CHARS for name in names)
        ):
            raise BadRequest(
                'flush: "utterances" must be a list of names of at most '
                f"{MAX_NAME_CHARS} characters, or be left out for all."
            )
        pushed = _pushed(source())
        return {"flushed": pushed.flush(names), "queued_s": round(pushed.queue.queued_s, 3)}

    def speech(_body: Mapping[str, Any], _progress: Progress) -> Mapping[str, Any]:
        pushed = _pushed(source())
        return pushed.queue.status() | {
            "endpoint": pushed.endpoint,
            "messages": pushed.num_messages,
            "refused": pushed.num_refused,
        }

    return {"flush": Operation(flush), "speech": Operation(speech)}


def _pushed(source: AudioSource | None) -> PushSource:
    while isinstance(source, (GainSource, GateSource)):
        source = source.source
    if not isinstance(source, PushSource):
        heard = "is not open yet" if source is None else f"is {source.name}"
        raise SourceError(
            f"The voice {heard}, not pushed speech; start with --audio push, or switch to it."
        )
    return source

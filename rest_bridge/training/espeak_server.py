"""Speaks texts with espeak-ng's C library, each in a fresh child: the same request, the same bytes.

Place in the flow: started by `phonemes.EspeakVoice` as a process of its own. The library keeps
flutter, filters and phases from one utterance to the next, so its second sentence depends on the
first; here it is initialised once and every request is spoken by a fork that then ends.

Protocol: a JSON object a line on standard input (`language`, `text`, `parameters`, `seed`); per
request one line of JSON (`rate_hz`, `num_samples`, `events` as [seconds, phone], `error`) and then
the samples, int16, on standard output.
"""

import ctypes
import json
import os
import sys
from typing import Any, Final

_PHONEME_EVENT: Final = 7
_SYNCHRONOUS: Final = 2
_PHONEME_EVENTS_IPA: Final = 1 | 2 | 0x8000
"""Phoneme events, in IPA, and no exit of the process when the library finds no data."""


class _EventId(ctypes.Union):
    _fields_ = [
        ("number", ctypes.c_int),
        ("name", ctypes.c_char_p),
        ("string", ctypes.c_char * 8),
    ]


class _Event(ctypes.Structure):
    _fields_ = [
        ("type", ctypes.c_int),
        ("unique_identifier", ctypes.c_uint),
        ("text_position", ctypes.c_int),
        ("length", ctypes.c_int),
        ("audio_position", ctypes.c_int),
        ("sample", ctypes.c_int),
        ("user_data", ctypes.c_void_p),
        ("id", _EventId),
    ]


class _Library:
    """The C library, initialised, before its first word."""

    def __init__(self) -> None:
        self._library = ctypes.CDLL("libespeak-ng.so.1")
        signature = ctypes.CFUNCTYPE(
            ctypes.c_int, ctypes.POINTER(ctypes.c_short), ctypes.c_int, ctypes.POINTER(_Event)
        )
        self.rate_hz = int(
            self._library.espeak_Initialize(_SYNCHRONOUS, 0, None, _PHONEME_EVENTS_IPA)
        )
        self.pcm = bytearray()
        self.events: list[tuple[float, str]] = []
        self._callback = signature(self._receive)  # kept: the library holds only a pointer
        self._library.espeak_SetSynthCallback(self._callback)

    def _receive(self, wave: Any, num_samples: int, events: Any) -> int:
        if num_samples and wave:
            self.pcm.extend(ctypes.string_at(wave, 2 * num_samples))
        index = 0
        while events[index].type:
            event = events[index]
            if event.type == _PHONEME_EVENT:
                raw = ctypes.string_at(ctypes.addressof(event.id), 8).split(b"\0")[0]
                self.events.append((event.audio_position / 1000, raw.decode("utf8", "ignore")))
            index += 1
        return 0

    def speak(self, request: dict[str, Any]) -> str:
        """Speak; returns an error or an empty text."""
        if self._library.espeak_SetVoiceByName(str(request["language"]).encode()) != 0:
            return "no such voice"
        for parameter, value in request["parameters"].items():
            self._library.espeak_SetParameter(int(parameter), int(value), 0)
        ctypes.CDLL(None).srand(int(request["seed"]))
        data = str(request["text"]).encode() + b"\0"
        size = ctypes.c_size_t(len(data))
        self._library.espeak_Synth(data, size, 0, 1, 0, 1, None, None)
        self._library.espeak_Synchronize()
        return ""


def _answer(library: _Library, line: str) -> None:
    error = library.speak(json.loads(line))
    reply = {
        "rate_hz": library.rate_hz,
        "num_samples": len(library.pcm) // 2,
        "events": library.events,
        "error": error,
    }
    sys.stdout.buffer.write(json.dumps(reply).encode() + b"\n" + bytes(library.pcm))
    sys.stdout.buffer.flush()


def main() -> None:
    """Answer requests until standard input ends."""
    library = _Library()
    for line in sys.stdin:
        child = os.fork()
        if child == 0:
            _answer(library, line)
            os._exit(0)
        os.waitpid(child, 0)


if __name__ == "__main__":
    main()

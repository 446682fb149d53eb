"""Phone times of speech: recorded speech by pocketsphinx, synthetic speech from its own clock.

Place in the flow: audio -> phones here -> `visemes` -> `curves` -> training targets. It knows
nothing about mouths. Times are seconds from the start of the clip; phones tile the whole clip.

Traps met: pocketsphinx's state pass fails on some clips with default beams and on half of them
with wider ones (hence the retries on altered copies); `espeak_SetVoiceByName` returns non-zero
for voices it lacks; flite restarts its clock at a new sentence.
"""

import ctypes
import subprocess
import tempfile
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float32]
Alphabet = Literal["arpabet", "ipa"]

_RATE_HZ = 16_000
_SILENCES = frozenset({"SIL", "+SPN+", "+NSN+", "<sil>", "pau", ""})
_ESPEAK_PHONEME_EVENT = 7


@dataclass(frozen=True, slots=True)
class Phone:
    """One phone: its symbol (ARPABET without stress, or IPA) and its span in seconds."""

    symbol: str
    start_s: float
    end_s: float


@cache
def _decoder(kind: Literal["align", "free", "loop"]) -> Any:
    import pocketsphinx

    if kind == "align":
        return pocketsphinx.Decoder(lm=None, loglevel="FATAL")
    if kind == "free":
        return pocketsphinx.Decoder(loglevel="FATAL")
    phone_lm = str(Path(pocketsphinx.get_model_path()) / "en-us" / "en-us-phone.lm.bin")
    return pocketsphinx.Decoder(
        lm=None, allphone=phone_lm, lw=2.0, beam=1e-20, pbeam=1e-20, pip=0.5, loglevel="FATAL"
    )


def _decode(decoder: Any, samples: FloatArray) -> None:
    pcm = np.clip(samples * 32767, -32768, 32767).astype(np.int16)
    decoder.start_utt()
    decoder.process_raw(pcm.tobytes(), full_utt=True)
    decoder.end_utt()


def phone_loop(samples: FloatArray) -> list[Phone]:
    """Phones of speech in any language without a text; about 12 times real time, rough.

    Args:
        samples: float32 [S], 16 kHz, [-1, 1].

    Returns:
        ARPABET phones that tile the clip.
    """
    decoder = _decoder("loop")
    _decode(decoder, samples)
    found = [Phone(s.word, s.start_frame * 0.01, (s.end_frame + 1) * 0.01) for s in decoder.seg()]
    return tile(found, len(samples) / _RATE_HZ)


def recognise_words(samples: FloatArray) -> str:
    """Words of English speech without a known text; empty if nothing was understood.

    Aligning the recognised words finds p/b/m far better than the phone loop (95 % of viseme frames
    agree with the known text against 65 %), at 4 times real time.
    """
    decoder = _decoder("free")
    _decode(decoder, samples)
    hypothesis = decoder.hyp()
    return "" if hypothesis is None else str(hypothesis.hypstr).strip()


def align(samples: FloatArray, text: str) -> list[Phone] | None:
    """Phones of English speech whose words are known; None if six attempts fail.

    Args:
        samples: float32 [S], 16 kHz, [-1, 1].
        text: lower-case words without punctuation.

    Returns:
        ARPABET phones that tile the clip, or None.
    """
    rng = np.random.default_rng(0)
    duration_s = len(samples) / _RATE_HZ
    for attempt in range(6):
        if attempt % 2 == 0:
            _decoder.cache_clear()  # a decoder that failed once tends to fail again
        gain = (1.0, 0.5, 0.25, 1.6, 0.7, 1.0)[attempt]
        padding = (0, 1600, 3200, 4800, 800, 8000)[attempt]
        altered = np.concatenate([samples * gain, np.zeros(padding, np.float32)])
        if attempt:
            altered = altered + rng.standard_normal(len(altered)).astype(np.float32) * 1e-4
        try:
            decoder = _decoder("align")
            decoder.set_align_text(text)
            _decode(decoder, altered)
            if decoder.hyp() is None:
                continue
            decoder.set_alignment()
            _decode(decoder, altered)
            found = [
                Phone(p.name, p.start * 0.01, min(duration_s, (p.start + p.duration) * 0.01))
                for word in decoder.get_alignment()
                for p in word
                if p.start * 0.01 < duration_s - 0.005
            ]
            return tile(found, duration_s)
        except RuntimeError:
            _decoder.cache_clear()
    return None


def tile(phones: list[Phone], duration_s: float) -> list[Phone]:
    """Close gaps and merge silences so that the phones cover [0, duration_s] exactly."""
    tiled: list[Phone] = []
    clock = 0.0
    closing = Phone("SIL", duration_s, duration_s)
    for phone in [*phones, closing]:
        symbol = "SIL" if phone.symbol in _SILENCES else phone.symbol.rstrip("012")
        if phone.start_s > clock + 1e-3:
            tiled.append(Phone("SIL", clock, phone.start_s))
        tiled.append(Phone(symbol, max(phone.start_s, clock), phone.end_s))
        clock = phone.end_s
    merged: list[Phone] = []
    for phone in tiled:
        if phone.end_s <= phone.start_s:
            continue
        if merged and merged[-1].symbol == phone.symbol == "SIL":
            phone = Phone("SIL", merged.pop().start_s, phone.end_s)
        merged.append(phone)
    return merged


# --- synthetic speech -----------------------------------------------------------------------------


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


class EspeakVoice:
    """espeak-ng through its C library, with the time of every phone. One per process."""

    def __init__(self) -> None:
        self._library = ctypes.CDLL("libespeak-ng.so.1")
        signature = ctypes.CFUNCTYPE(
            ctypes.c_int, ctypes.POINTER(ctypes.c_short), ctypes.c_int, ctypes.POINTER(_Event)
        )
        self._rate_hz = int(self._library.espeak_Initialize(2, 0, None, 1 | 2 | 0x8000))
        self._pcm = bytearray()
        self._events: list[tuple[float, str]] = []
        self._callback = signature(self._receive)  # kept: the library holds only a pointer
        self._library.espeak_SetSynthCallback(self._callback)

    def _receive(self, wave: Any, num_samples: int, events: Any) -> int:
        if num_samples and wave:
            self._pcm.extend(ctypes.string_at(wave, 2 * num_samples))
        index = 0
        while events[index].type:
            event = events[index]
            if event.type == _ESPEAK_PHONEME_EVENT:
                raw = ctypes.string_at(ctypes.addressof(event.id), 8).split(b"\0")[0]
                self._events.append((event.audio_position / 1000, raw.decode("utf8", "ignore")))
            index += 1
        return 0

    def speak(
        self, text: str, *, language: str, words_per_minute: int = 170, pitch: int = 50
    ) -> tuple[FloatArray, list[Phone]]:
        """Synthesise one text.

        Args:
            text: what to say.
            language: an espeak-ng voice name, such as "en-us", "de", "cmn-latn-pinyin".
            words_per_minute: 80..450.
            pitch: 0..99.

        Returns:
            samples: float32 [S], 16 kHz.
            phones: IPA, tiling the clip.

        Raises:
            ValueError: espeak-ng has no such voice.
        """
        from scipy.signal import resample_poly

        self._pcm.clear()
        self._events.clear()
        if self._library.espeak_SetVoiceByName(language.encode()) != 0:
            raise ValueError(f"espeak-ng has no voice {language!r}; see `espeak-ng --voices`")
        self._library.espeak_SetParameter(1, words_per_minute, 0)
        self._library.espeak_SetParameter(3, pitch, 0)
        data = text.encode() + b"\0"
        size = ctypes.c_size_t(len(data))
        self._library.espeak_Synth(data, size, 0, 1, 0, 1, None, None)
        self._library.espeak_Synchronize()
        pcm = np.frombuffer(bytes(self._pcm), np.int16).astype(np.float32) / 32768
        samples = resample_poly(pcm, 320, 441).astype(np.float32)
        duration_s = len(samples) / _RATE_HZ
        events = sorted(self._events)
        ends = [start for start, _ in events[1:]] + [duration_s]
        phones = [
            Phone("SIL" if not name or name.startswith("_") else name.strip("ˈˌ"), start, end)
            for (start, name), end in zip(events, ends, strict=True)
        ]
        return samples, tile(phones, duration_s)


def flite(text: str, *, voice: str, stretch: float = 1.0) -> tuple[FloatArray, list[Phone]]:
    """Synthesise English with flite.

    Args:
        text: one sentence (flite restarts its phone clock at the next one).
        voice: "rms", "slt", "awb" or "kal16".
        stretch: duration factor; above 1 is slower.

    Returns:
        samples: float32 [S], 16 kHz.
        phones: ARPABET, tiling the clip.
    """
    import soundfile

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "speech.wav"
        command = ["flite", "-voice", voice, "-psdur", "--setf", f"duration_stretch={stretch}"]
        command += ["-t", text, "-o", str(path)]
        listing = subprocess.run(command, capture_output=True, text=True, check=True).stdout
        samples, _ = soundfile.read(path, dtype="float32")
    phones: list[Phone] = []
    clock = 0.0
    for entry in listing.split():
        name, _, end = entry.rpartition(":")
        if float(end) < clock - 0.05:
            break
        phones.append(Phone("SIL" if name == "pau" else name.upper(), clock, float(end)))
        clock = float(end)
    return samples, tile(phones, len(samples) / _RATE_HZ)

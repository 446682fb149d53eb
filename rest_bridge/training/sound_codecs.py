"""Real codecs for degradations: MP3, AAC, Opus, G.711, G.722, G.726, AMR, through PyAV's FFmpeg.

Place in the flow: clean speech -> here -> `augment_audio`, `speech_conditions`. A codec pads and
delays; the delay is measured by cross-correlation and taken out, so that the motion targets stay.
Shape letters: S samples at 16 kHz.
"""

import io
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt
from scipy.signal import fftconvolve

FloatArray = npt.NDArray[np.float32]
_RATE_HZ = 16_000
_MOST_DELAY = 4_000


@dataclass(frozen=True, slots=True)
class Codec:
    """One way to squeeze a voice.

    Attributes:
        container: FFmpeg's name of the file format.
        encoder: FFmpeg's name of the encoder.
        rate_hz: at which it works.
        bit_rates: bit/s to choose from; empty where there is no choice.
    """

    container: str
    encoder: str
    rate_hz: int
    bit_rates: tuple[int, ...] = ()


CODECS: Final = {
    "mp3": Codec("mp3", "libmp3lame", 16_000, (16_000, 24_000, 32_000, 48_000)),
    "aac": Codec("adts", "aac", 16_000, (16_000, 24_000, 40_000)),
    "opus": Codec("ogg", "libopus", 16_000, (6_000, 9_000, 14_000, 20_000, 32_000)),
    "g711": Codec("wav", "pcm_mulaw", 8_000),
    "g722": Codec("wav", "g722", 16_000),
    "g726": Codec("wav", "adpcm_g726", 8_000, (16_000, 24_000, 32_000)),
    "amr": Codec("amr", "libopencore_amrnb", 8_000, (5_150, 7_950, 12_200)),
}


def available_codecs() -> tuple[str, ...]:
    """Return those of `CODECS` that this build of FFmpeg can write."""
    import av
    from av.codec.codec import UnknownCodecError

    found: list[str] = []
    for name, codec in CODECS.items():
        try:
            av.Codec(codec.encoder, "w")
        except (UnknownCodecError, ValueError):
            continue
        found.append(name)
    return tuple(found)


def through_codec(samples: FloatArray, name: str, *, bit_rate: int | None = None) -> FloatArray:
    """Encode and decode.

    Args:
        samples: float32 [S], 16 kHz, [-1, 1] (what is beyond is clipped).
        name: of `CODECS`.
        bit_rate: in bit/s; None takes the middle one.

    Returns:
        float32 [S], in step with the input to within a millisecond.

    Raises:
        KeyError: there is no such codec.
    """
    codec = CODECS[name]
    if len(samples) < _RATE_HZ // 10:  # less than a codec's frame or two
        return samples
    if bit_rate is None and codec.bit_rates:
        bit_rate = codec.bit_rates[len(codec.bit_rates) // 2]
    data = _encode(samples, codec, bit_rate)
    return _in_step(_decode(data, codec.container), samples)


def random_codec(samples: FloatArray, rng: np.random.Generator) -> FloatArray:
    """Send the voice through one codec at one bit rate by chance; float32 [S]."""
    names = available_codecs()
    name = names[int(rng.integers(len(names)))]
    rates = CODECS[name].bit_rates
    bit_rate = int(rates[int(rng.integers(len(rates)))]) if rates else None
    return through_codec(samples, name, bit_rate=bit_rate)


def _encode(samples: FloatArray, codec: Codec, bit_rate: int | None) -> bytes:
    import av

    file = io.BytesIO()
    with av.open(file, "w", format=codec.container) as container:
        stream: Any = container.add_stream(codec.encoder, rate=codec.rate_hz)
        stream.codec_context.layout = "mono"
        if bit_rate is not None:
            stream.codec_context.bit_rate = bit_rate
        # Stated, not left to the build's default: FFmpeg's choice of format may change.
        stream.codec_context.format = stream.codec_context.codec.audio_formats[0]
        resampler = av.AudioResampler(
            format=stream.codec_context.format, layout="mono", rate=codec.rate_hz,
            frame_size=None,
        )  # fmt: skip
        pcm = np.clip(np.round(samples * 32767), -32768, 32767).astype(np.int16)
        frame = av.AudioFrame.from_ndarray(pcm[None], format="s16", layout="mono")
        frame.sample_rate = _RATE_HZ
        for ready in [*resampler.resample(frame), *resampler.resample(None)]:
            ready.pts = None
            container.mux(stream.encode(ready))
        container.mux(stream.encode(None))
    return file.getvalue()


def _decode(data: bytes, container_name: str) -> FloatArray:
    import av

    pieces: list[FloatArray] = []
    with av.open(io.BytesIO(data), format=container_name) as container:
        resampler = av.AudioResampler(format="flt", layout="mono", rate=_RATE_HZ)
        for frame in container.decode(audio=0):
            pieces += [out.to_ndarray()[0] for out in resampler.resample(frame)]
        pieces += [out.to_ndarray()[0] for out in resampler.resample(None)]
    return np.concatenate(pieces).astype(np.float32)


def _in_step(decoded: FloatArray, samples: FloatArray) -> FloatArray:
    """Shift what was decoded to where it agrees best with the input; same length as the input."""
    length = min(len(decoded), len(samples), 20 * _RATE_HZ)
    correlation = fftconvolve(decoded[:length], samples[:length][::-1])
    middle = length - 1
    around = correlation[max(0, middle - _MOST_DELAY) : middle + _MOST_DELAY + 1]
    delay = int(np.abs(around).argmax()) - min(middle, _MOST_DELAY)
    if not np.abs(around).max() > 0:
        delay = 0  # silence agrees everywhere
    out = np.zeros(len(samples), np.float32)
    part = decoded[max(0, delay) :]
    first = max(0, -delay)
    count = min(len(part), len(samples) - first)
    out[first : first + count] = part[:count]
    return out

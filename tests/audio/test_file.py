import logging
import threading
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from PIL import Image

from rest_bridge.audio.decode import downmix_weights
from rest_bridge.audio.file import FileSource
from rest_bridge.errors import SourceClosed, SourceError, SourceTimeout
from rest_bridge.types import VOICE_RATE_HZ, AudioSource, FloatArray
from tests.support.fake_clock import FakeClock

CODECS = {
    ".wav": "pcm_s16le",
    ".flac": "flac",
    ".mp3": "libmp3lame",
    ".ogg": "vorbis",
    ".opus": "libopus",
    ".m4a": "aac",
}


def write_audio(path: Path, channels: FloatArray, rate_hz: int, layout: str) -> Path:
    """Write float32 [C, S] in the format that the file's ending names."""
    if path.suffix == ".ogg":  # FFmpeg's own Vorbis encoder does stereo only
        channels, layout = np.tile(channels[:1], (2, 1)), "stereo"
    with av.open(str(path), "w") as container:
        options = {"strict": "-2"} if path.suffix == ".ogg" else {}
        stream = container.add_stream(
            CODECS[path.suffix], rate=rate_hz, layout=layout, options=options
        )
        stream.codec_context.open()
        formats = stream.codec_context.codec.audio_formats
        resampler = av.AudioResampler(formats[0].name, layout, rate_hz)
        frame = av.AudioFrame.from_ndarray(channels, "fltp", layout)
        frame.sample_rate = rate_hz
        frame.time_base = Fraction(1, rate_hz)
        frame.pts = 0
        size = stream.codec_context.frame_size or 1024
        fifo = av.AudioFifo()
        for part in resampler.resample(frame):
            fifo.write(part)
        while (part := fifo.read(size, partial=True)) is not None:
            container.mux(stream.encode(part))
        container.mux(stream.encode(None))
    return path


def tone(tone_hz: float, seconds: float, rate_hz: int, level: float = 0.5) -> FloatArray:
    times = np.arange(int(seconds * rate_hz)) / rate_hz
    return (level * np.sin(2 * np.pi * tone_hz * times)).astype(np.float32)


def read_all(source: AudioSource, num_samples: int = 1920) -> FloatArray:
    parts = []
    expected_index = 0
    while True:
        try:
            chunk = source.read(num_samples, 1.0)
        except SourceClosed:
            return np.concatenate(parts)
        assert chunk.first_index == expected_index
        assert chunk.sample_rate_hz == VOICE_RATE_HZ
        expected_index += len(chunk.samples)
        parts.append(chunk.samples)


def frequency_and_level(samples: FloatArray) -> tuple[float, float]:
    middle = samples[len(samples) // 4 : len(samples) * 3 // 4]
    spectrum = np.abs(np.fft.rfft(middle * np.hanning(len(middle)), 8 * len(middle)))
    peak_hz = spectrum.argmax() * VOICE_RATE_HZ / (8 * len(middle))
    return float(peak_hz), float(np.sqrt((middle**2).mean() * 2))


@pytest.mark.parametrize("suffix", CODECS)
@pytest.mark.parametrize("layout", ["mono", "stereo"])
def test_every_format_gives_the_voice_at_the_media_rate(
    tmp_path: Path, suffix: str, layout: str
) -> None:
    rate_hz = 48000 if suffix == ".opus" else 44100
    voice = np.tile(tone(440, 1.0, rate_hz), (1 if layout == "mono" else 2, 1))
    path = write_audio(tmp_path / f"voice{suffix}", voice, rate_hz, layout)
    with FileSource(path, paced=False) as source:
        samples = read_all(source)
    peak_hz, level = frequency_and_level(samples)
    assert peak_hz == pytest.approx(440, abs=0.5)
    assert level == pytest.approx(0.5, rel=0.06)  # LAME lowers by 5 %
    assert len(samples) == pytest.approx(VOICE_RATE_HZ, abs=2500)  # aac pads its last frame


@pytest.mark.parametrize("rate_hz", [8000, 11025, 22050, 44100, 96000, 192000])
def test_any_rate_keeps_pitch_and_length(tmp_path: Path, rate_hz: int) -> None:
    path = write_audio(tmp_path / "v.wav", tone(997, 1.0, rate_hz)[None], rate_hz, "mono")
    with FileSource(path, paced=False) as source:
        samples = read_all(source)
    assert frequency_and_level(samples)[0] == pytest.approx(997, abs=0.5)
    assert abs(len(samples) - VOICE_RATE_HZ) <= 1


def test_surround_keeps_the_dialogue_and_leaves_out_the_subwoofer(tmp_path: Path) -> None:
    surround = np.zeros((6, 48000), np.float32)
    surround[2] = tone(500, 1.0, 48000, 0.4)  # FC
    surround[3] = tone(60, 1.0, 48000, 0.9)  # LFE
    path = write_audio(tmp_path / "five.wav", surround, 48000, "5.1")
    with FileSource(path, paced=False) as source:
        peak_hz, level = frequency_and_level(read_all(source))
    assert peak_hz == pytest.approx(500, abs=0.5)
    assert level == pytest.approx(0.4 * 2**-0.5, rel=0.02)


def test_unknown_layouts_mix_to_the_mean() -> None:
    assert downmix_weights(["NONE"] * 4).tolist() == [0.25] * 4
    assert downmix_weights(["FL", "FR"]).tolist() == [0.5, 0.5]
    assert downmix_weights(["FC"]).tolist() == [1.0]


@pytest.mark.parametrize("sizes", [(1, 7), (480, 480), (1920, 1920), (5000, 48000)])
def test_chunk_size_does_not_change_a_bit(tmp_path: Path, sizes: tuple[int, int]) -> None:
    path = write_audio(tmp_path / "v.mp3", tone(300, 0.3, 44100)[None], 44100, "mono")
    with FileSource(path, paced=False) as source:
        whole = read_all(source, 1 << 20)
    with FileSource(path, paced=False) as source:
        parts = []
        try:
            while True:
                parts += [source.read(size, 1.0).samples for size in sizes]
        except SourceClosed:
            assert np.array_equal(np.concatenate(parts), whole[: sum(map(len, parts))])


def test_paced_file_delivers_in_real_time(tmp_path: Path) -> None:
    path = write_audio(tmp_path / "v.wav", tone(440, 0.5, 48000)[None], 48000, "mono")
    clock = FakeClock()
    start_ns = clock.now_ns()
    with FileSource(path, paced=True, clock=clock) as source:
        captured = [source.read(1920, 1.0).captured_ns for _ in range(10)]
    assert captured == [start_ns + 40_000_000 * (n + 1) for n in range(10)]
    assert clock.now_ns() == captured[-1]


def test_paced_file_times_out_without_losing_samples(tmp_path: Path) -> None:
    path = write_audio(tmp_path / "v.wav", tone(440, 0.5, 48000)[None], 48000, "mono")
    with FileSource(path, paced=True, clock=FakeClock()) as source:
        with pytest.raises(SourceTimeout):
            source.read(9600, 0.1)
        assert source.read(9600, 1.0).first_index == 0


def test_loop_has_no_gap_and_no_end(tmp_path: Path) -> None:
    path = write_audio(tmp_path / "v.wav", tone(100, 0.1, 48000)[None], 48000, "mono")
    with FileSource(path, paced=False, loop=True) as source:
        samples = source.read(48000, 1.0).samples
    assert len(samples) == 48000
    assert np.abs(np.diff(samples)).max() < 0.01


@pytest.fixture(scope="module")
def good_wav(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    folder = tmp_path_factory.mktemp("good")
    return write_audio(folder / "v.wav", tone(440, 1.0, 44100)[None], 44100, "mono").read_bytes()


def make_bad_file(folder: Path, kind: str) -> Path:
    path = folder / f"{kind}.wav"
    if kind == "empty":
        path.touch()
    elif kind == "text":
        path.write_text("hello")
    elif kind == "noise":
        path = folder / "noise.mp3"
        path.write_bytes(np.random.default_rng(0).bytes(50_000))
    elif kind == "picture":
        path = folder / "picture.png"
        Image.new("RGB", (32, 32)).save(path)
    elif kind == "folder":
        path.mkdir()
    elif kind == "zero":
        header = (
            b"RIFF\x24\0\0\0WAVEfmt \x10\0\0\0\x01\0\x01\0\x44\xac\0\0\x88\x58\x01\0\x02\0\x10\0"
        )
        path.write_bytes(header + b"data\0\0\0\0")
    return path


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        ("missing", "does not exist"),
        ("folder", "folder"),
        ("empty", "empty"),
        ("text", "not an audio file"),
        ("noise", "decoded|not an audio file"),
        ("picture", "no sound"),
        ("zero", "no samples"),
    ],
)
def test_bad_file_is_one_sentence_with_path_and_remedy(
    tmp_path: Path, kind: str, words: str
) -> None:
    path = make_bad_file(tmp_path, kind)
    with pytest.raises(SourceError, match=words) as caught:
        FileSource(path)
    assert str(caught.value).endswith(str(path))
    assert "\n" not in str(caught.value)


def test_silent_file_is_accepted_with_a_warning(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = write_audio(tmp_path / "v.wav", np.zeros((1, 8000), np.float32), 8000, "mono")
    with FileSource(path, paced=False) as source:
        assert len(read_all(source)) == 48000
    assert "silent; the face will idle" in caplog.text


@pytest.mark.parametrize("suffix", [".wav", ".flac", ".mp3", ".ogg"])
def test_truncated_file_gives_what_decodes_and_warns_once(
    tmp_path: Path, suffix: str, caplog: pytest.LogCaptureFixture
) -> None:
    noise = np.random.default_rng(0).uniform(-0.5, 0.5, (1, 88200)).astype(np.float32)
    path = write_audio(tmp_path / f"v{suffix}", noise, 44100, "mono")
    path.write_bytes(path.read_bytes()[: path.stat().st_size * 6 // 10])
    with caplog.at_level(logging.WARNING), FileSource(path, paced=False) as source:
        assert 24000 < len(read_all(source)) < 72000
    assert [record.message.split(";")[0] for record in caplog.records] == [
        "The audio file is cut off or damaged"
    ]


def test_close_wakes_a_waiting_reader(tmp_path: Path) -> None:
    path = write_audio(tmp_path / "v.wav", tone(440, 20.0, 8000)[None], 8000, "mono")
    source = FileSource(path, paced=True)
    timer = threading.Timer(0.05, source.close)
    timer.start()
    with pytest.raises(SourceClosed):
        source.read(48000 * 15, 30.0)
    timer.join()
    source.close()

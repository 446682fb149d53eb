"""Recorder and video writer: files are decoded again and counted, timed and looked at."""

import contextlib
import errno
import gc
import io
import subprocess
import sys
import weakref
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from av.error import FFmpegError

from rest_bridge.errors import SinkError, SinkUnavailable
from rest_bridge.sinks.recorder import Recorder, VideoWriter
from rest_bridge.sinks.sink import SinkRunner
from rest_bridge.types import (
    FRAME_DURATION_NS,
    SAMPLES_PER_FRAME,
    VOICE_RATE_HZ,
    ByteArray,
    FloatArray,
    FrameFormat,
)
from tests.support.frames import make_frame, pattern_picture, plain_picture

FORMAT = FrameFormat(64, 48, 25.0)
ENDINGS = (".mp4", ".webm", ".mov")
LOSSLESS_SOUND = (".mov",)


def read_pictures(
    path: Path | io.BytesIO, pixel_format: str = "rgba"
) -> list[tuple[Fraction, ByteArray]]:
    """Return (seconds, picture) of every frame; VP9 with its alpha."""
    with av.open(path) as container:
        stream = container.streams.video[0]
        decoder: Any = stream.codec_context
        if decoder.name == "vp9":  # only libvpx decodes the alpha layer
            extradata = decoder.extradata
            decoder = av.CodecContext.create("libvpx-vp9", "r")
            decoder.extradata = extradata
        pictures: list[tuple[Fraction, ByteArray]] = []
        for packet in container.demux(stream):
            for frame in decoder.decode(packet if packet.size else None):
                seconds = Fraction(frame.pts) * stream.time_base
                pictures.append((seconds, frame.to_ndarray(format=pixel_format)))
        return pictures


def read_voice(path: Path | io.BytesIO) -> FloatArray:
    """Return float32 [S] at VOICE_RATE_HZ on the file's clock; index 0 is time 0."""
    with av.open(path) as container:
        resampler = av.AudioResampler("flt", "mono", VOICE_RATE_HZ)
        voice = np.zeros(0, np.float32)
        start = 0
        for frame in container.decode(audio=0):
            told = round(frame.pts * frame.time_base * VOICE_RATE_HZ)
            if abs(told - start) > VOICE_RATE_HZ // 500:  # WebM rounds its times to milliseconds
                start = told
            for piece in resampler.resample(frame):
                samples = piece.to_ndarray()[0]
                end = start + len(samples)
                if end > len(voice):
                    voice = np.concatenate((voice, np.zeros(end - len(voice), np.float32)))
                voice[max(0, start) : end] = samples[max(0, -start) :]
                start = end
    return voice


def click(frame_index: int, flash_at: int) -> FloatArray:
    """Return a frame's voice: a short burst at its very start if it is the flash's frame."""
    samples = np.zeros(SAMPLES_PER_FRAME, np.float32)
    if frame_index == flash_at:
        samples[:96] = 0.9 * np.sin(np.arange(96) * 2 * np.pi * 3000 / VOICE_RATE_HZ)
    return samples


def record(path: Path, indices: list[int], *, flash_at: int = 10, **kwargs: Any) -> None:
    """Record frames; one of them is white with a click, the others are dark and silent."""
    recorder = Recorder(path, **kwargs)
    recorder.open(FORMAT)
    for index in indices:
        colour = (250, 250, 250, 255) if index == flash_at else (20, 20, 20, 255)
        frame = make_frame(index, rgba=plain_picture(colour=colour), voice=click(index, flash_at))
        recorder.send(frame)
    recorder.close()


@pytest.mark.parametrize("ending", ENDINGS)
def test_every_frame_is_in_the_file_at_its_time(tmp_path: Path, ending: str) -> None:
    path = tmp_path / f"a{ending}"
    record(path, list(range(30)))
    pictures = read_pictures(path)
    assert [round(seconds * 1000) for seconds, _ in pictures] == [i * 40 for i in range(30)]
    with av.open(path) as container:
        stream = container.streams.video[0]
        assert (stream.width, stream.height) == (64, 48)
        assert stream.average_rate == 25
        assert container.duration == pytest.approx(1_200_000, abs=25_000)
        metadata = {key.lower(): value for key, value in container.metadata.items()}
        assert metadata["comment"].startswith("Synthetic")


@pytest.mark.parametrize("ending", ENDINGS)
@pytest.mark.parametrize(
    ("name", "indices"),
    [
        ("whole", list(range(25))),
        ("dropped", [i for i in range(25) if i not in (3, 4, 5, 6, 12)]),
        ("late start", list(range(7, 25))),
    ],
)
def test_click_and_flash_stay_together(
    tmp_path: Path, ending: str, name: str, indices: list[int]
) -> None:
    path = tmp_path / f"{name}{ending}"
    record(path, indices)
    pictures = read_pictures(path, "gray")
    flash = next(seconds for seconds, picture in pictures if picture.mean() > 128)
    voice = read_voice(path)
    click_index = int(np.argmax(np.abs(voice) > 0.3))
    assert flash == pytest.approx((10 - indices[0]) * 0.04, abs=1e-3)
    assert click_index / VOICE_RATE_HZ == pytest.approx(float(flash), abs=1e-3)


def test_a_repeated_or_late_picture_does_not_move_the_sound(tmp_path: Path) -> None:
    path = tmp_path / "a.mov"
    recorder = Recorder(path)
    recorder.open(FORMAT)
    for index in range(10):
        frame = make_frame(index, voice=np.full(SAMPLES_PER_FRAME, index / 16, np.float32))
        recorder.send(frame)
        recorder.send(frame)
    recorder.close()
    expected = np.repeat(np.arange(10) / 16, SAMPLES_PER_FRAME)
    np.testing.assert_allclose(read_voice(path), expected, atol=1e-4)
    assert len(read_pictures(path)) == 10


@pytest.mark.parametrize("ending", ENDINGS)
def test_sound_comes_back_as_it_was(tmp_path: Path, ending: str) -> None:
    path = tmp_path / f"a{ending}"
    with VideoWriter(path, FORMAT) as writer:
        for index in range(50):
            frame = make_frame(index, rgba=plain_picture())
            writer.write(frame.rgba, frame.pts_ns)
            writer.write_voice(frame.voice.samples)
    expected = np.concatenate([make_frame(i).voice.samples for i in range(50)])
    got = read_voice(path)[: len(expected)]
    assert len(got) == len(expected)
    inner = slice(4800, -4800)
    tolerance = 1e-4 if ending in LOSSLESS_SOUND else 0.04
    assert np.abs(got[inner] - expected[inner]).max() < tolerance


@pytest.mark.parametrize("ending", [".webm", ".mov"])
def test_alpha_survives(tmp_path: Path, ending: str) -> None:
    path = tmp_path / f"a{ending}"
    picture = pattern_picture(128, 96)
    picture[-12:, -16:] = (255, 255, 255, 200)
    with VideoWriter(path, FrameFormat(128, 96, 25.0)) as writer:
        assert writer.has_alpha
        for index in range(5):
            writer.write(picture, index * FRAME_DURATION_NS)
    _, got = read_pictures(path)[-1]
    assert np.abs(got[..., 3].astype(int) - picture[..., 3]).max() <= (
        2 if ending == ".mov" else 24
    )
    assert np.abs(got[..., 3].astype(int) - picture[..., 3]).mean() < 3
    inside = (slice(8, 40), slice(8, 56))  # red, away from the chroma edges
    assert np.abs(got[inside][..., :3].astype(int) - picture[inside][..., :3]).mean() < 4


def test_mp4_lies_on_the_background_with_right_colours(tmp_path: Path) -> None:
    path = tmp_path / "a.mp4"
    picture = plain_picture(128, 96, (200, 40, 40, 255))
    picture[:, 64:, 3] = 0
    with VideoWriter(path, FrameFormat(128, 96, 25.0), background="#104080") as writer:
        assert not writer.has_alpha
        for index in range(5):
            writer.write(picture, index * FRAME_DURATION_NS)
    with av.open(path) as container:
        context = container.streams.video[0].codec_context
        assert (int(context.colorspace), int(context.color_range)) == (1, 1)
        frames = [f.to_ndarray(format="rgb24") for f in container.decode(video=0)]
    assert np.abs(frames[-1][40, 20].astype(int) - (200, 40, 40)).max() <= 4
    assert np.abs(frames[-1][40, 110].astype(int) - (16, 64, 128)).max() <= 4


@pytest.mark.parametrize("ending", ENDINGS)
def test_odd_sizes_and_a_changed_size_are_written(tmp_path: Path, ending: str) -> None:
    path = tmp_path / f"a{ending}"
    with VideoWriter(path, FrameFormat(65, 47, 30.0)) as writer:
        writer.write(pattern_picture(65, 47), 0)
        writer.write(pattern_picture(128, 96), 33_333_334)
    pictures = read_pictures(path)
    assert len(pictures) == 2
    assert pictures[0][1].shape[0] in (47, 48)


@pytest.mark.parametrize("ending", ENDINGS)
def test_equal_calls_give_equal_files(tmp_path: Path, ending: str) -> None:
    for name in ("a", "b"):
        record(tmp_path / f"{name}{ending}", list(range(20)))
    assert (tmp_path / f"a{ending}").read_bytes() == (tmp_path / f"b{ending}").read_bytes()


@pytest.mark.parametrize("ending", ENDINGS)
def test_a_file_that_was_never_closed_can_be_played(tmp_path: Path, ending: str) -> None:
    class Survivor(io.BytesIO):
        def close(self) -> None:  # the disk keeps what was written
            self.kept = self.getvalue()

    file = Survivor()
    writer = VideoWriter(tmp_path / f"a{ending}", FORMAT, file=file)
    for index in range(100):
        frame = make_frame(index)
        writer.write(frame.rgba, frame.pts_ns)
        writer.write_voice(frame.voice.samples)
    killed = io.BytesIO(file.getvalue())
    # Encoders look ahead and fragments last a second: up to some two seconds are lost.
    assert len(read_pictures(killed)) >= 40
    killed.seek(0)
    assert len(read_voice(killed)) >= 1.6 * VOICE_RATE_HZ
    writer.close()
    assert len(read_pictures(io.BytesIO(file.kept))) == 100


def count_until_cut(path: Path | io.BytesIO) -> int:
    """Return how many pictures can be decoded; the last one may be cut off."""
    count = 0
    with av.open(path) as container, contextlib.suppress(FFmpegError):
        for _ in container.decode(video=0):
            count += 1
    return count


class FullDisk(io.BytesIO):
    """A file on a disk with room for `room` bytes."""

    def __init__(self, room: int) -> None:
        super().__init__()
        self._room = room
        self.kept = b""

    def write(self, data: Any, /) -> int:
        view = memoryview(data)
        room = self._room - self.tell()
        if room <= 0:
            raise OSError(errno.ENOSPC, "No space left on device")
        return super().write(view[:room])

    def close(self) -> None:
        self.kept = self.getvalue()
        super().close()


@pytest.mark.parametrize(
    ("ending", "room"), [(".mp4", 200_000), (".webm", 300_000), (".mov", 800_000)]
)
def test_disk_full_is_one_sentence_and_the_file_plays(
    tmp_path: Path, ending: str, room: int
) -> None:
    file = FullDisk(room)
    writer = VideoWriter(tmp_path / f"a{ending}", FORMAT, file=file)
    rng = np.random.default_rng(0)

    def fill_the_disk() -> None:
        for index in range(1000):
            noise = rng.integers(0, 256, (48, 64, 4), np.uint8)
            writer.write(noise, index * FRAME_DURATION_NS)
            writer.write_voice(make_frame(index).voice.samples)

    with pytest.raises(SinkError, match=r"disk is full.*can be played.*a\."):
        fill_the_disk()
    writer.close()
    with pytest.raises(SinkError, match="already closed"):
        writer.write(rng.integers(0, 256, (48, 64, 4), np.uint8), 10**12)
    assert len(file.kept) <= room
    assert count_until_cut(io.BytesIO(file.kept)) >= 25


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (lambda folder: folder / "a.avi", r"\.mp4 .*\.webm .*\.mov .*a\.avi"),
        (lambda folder: folder / "film", "no ending"),
    ],
)
def test_unknown_endings_are_refused_at_once(
    tmp_path: Path, make: Callable[[Path], Path], reason: str
) -> None:
    with pytest.raises(SinkUnavailable, match=reason):
        Recorder(make(tmp_path))


def test_places_that_cannot_be_written_are_refused(tmp_path: Path) -> None:
    (tmp_path / "folder.mp4").mkdir()
    for path, reason in (
        (tmp_path / "no" / "a.mp4", "folder does not exist"),
        (tmp_path / "folder.mp4", "this is a folder"),
        (Path("/proc/a.mp4"), "where you may write"),
    ):
        with pytest.raises(SinkUnavailable, match=reason):
            VideoWriter(path, FORMAT)


def test_dev_full_fails_the_recorder_and_the_stream_goes_on(tmp_path: Path) -> None:
    path = tmp_path / "a.mp4"
    path.symlink_to("/dev/full")
    failures: list[tuple[str, SinkError]] = []
    runner = SinkRunner(
        Recorder(path), FORMAT, on_failure=lambda name, error: failures.append((name, error))
    )
    runner.start()
    for index in range(200):
        runner.offer(make_frame(index))
    runner.close(timeout_s=10.0)
    assert runner.status.state == "failed"
    assert "disk is full" in runner.status.error
    assert [name for name, _ in failures] == ["recorder"]


def test_an_encoder_that_met_a_full_disk_is_freed_at_once(tmp_path: Path) -> None:
    path = tmp_path / "a.mp4"
    path.symlink_to("/dev/full")
    gc.disable()  # the 9 MB of an encoder must not wait for a full collection
    try:
        writer = VideoWriter(path, FORMAT)
        freed = weakref.ref(writer)
        with contextlib.suppress(SinkError):
            for index in range(200):
                writer.write(plain_picture(), index * FRAME_DURATION_NS)
        with pytest.raises(SinkError, match="already closed"):
            writer.write(plain_picture(), 200 * FRAME_DURATION_NS)
        del writer
        assert freed() is None
    finally:
        gc.enable()


@pytest.mark.device
@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="mounts a tmpfs")
def test_a_really_full_disk_ends_the_recording_and_the_file_plays(tmp_path: Path) -> None:
    mount = ["mount", "-t", "tmpfs", "-o", "size=256k", "none", str(tmp_path)]
    if subprocess.run(mount, capture_output=True, check=False).returncode != 0:
        pytest.skip("a small disk can only be mounted by root")
    try:
        path = tmp_path / "a.mp4"
        recorder = Recorder(path)
        recorder.open(FORMAT)
        rng = np.random.default_rng(0)
        noise = [rng.integers(0, 256, (48, 64, 4), np.uint8) for _ in range(8)]

        def fill_the_disk() -> None:
            for index in range(5000):
                recorder.send(make_frame(index, rgba=noise[index % 8]))

        with pytest.raises(SinkError, match="disk is full"):
            fill_the_disk()
        recorder.close()
        assert count_until_cut(path) >= 25
    finally:
        subprocess.run(["umount", str(tmp_path)], check=False)


def test_an_empty_recording_is_closed_without_error(tmp_path: Path) -> None:
    for ending in ENDINGS:
        recorder = Recorder(tmp_path / f"a{ending}")
        recorder.open(FORMAT)
        recorder.close()
        recorder.close()


def test_skipped_pictures_keep_their_voice(tmp_path: Path) -> None:
    path = tmp_path / "a.mov"
    recorder = Recorder(path)
    recorder.open(FORMAT)
    for index in range(20):
        (recorder.skip if 5 <= index < 15 else recorder.send)(make_frame(index))
    recorder.close()
    expected = np.concatenate([make_frame(i).voice.samples for i in range(20)])
    np.testing.assert_allclose(read_voice(path), expected, atol=1e-4)
    assert len(read_pictures(path)) == 10


def test_a_new_stream_is_appended_behind_the_old_one(tmp_path: Path) -> None:
    path = tmp_path / "a.mov"
    recorder = Recorder(path)
    recorder.open(FORMAT)
    for stream_id in ("one", "two"):
        for index in range(5):
            recorder.send(make_frame(index, stream_id=stream_id))
    recorder.close()
    assert [round(t * 1000) for t, _ in read_pictures(path)] == [i * 40 for i in range(10)]
    assert len(read_voice(path)) == 10 * SAMPLES_PER_FRAME


@pytest.mark.parametrize("ending", ["mp4", "webm", "mov"])
def test_a_recording_that_never_got_a_frame_leaves_no_file(tmp_path: Path, ending: str) -> None:
    recorder = Recorder(tmp_path / f"x.{ending}")
    recorder.open(FrameFormat(64, 64, 25))
    recorder.close()
    assert not list(tmp_path.iterdir())

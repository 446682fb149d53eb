"""File to file: every frame once, its voice beside it, the same bytes every time."""

from pathlib import Path

import av
import numpy as np
import pytest
import soundfile

from rest_bridge.audio.file import FileSource
from rest_bridge.config import Config
from rest_bridge.errors import ConfigError, SinkError, SinkUnavailable, SourceError
from rest_bridge.pipeline import Pipeline
from rest_bridge.render import Rendered, render_file, write_stream
from rest_bridge.sinks.video_writer import VideoWriter
from rest_bridge.types import FrameFormat
from tests.support.standins import standin_stages

FORMAT = FrameFormat(64, 64, 25)


@pytest.fixture
def voice(tmp_path: Path) -> Path:
    path = tmp_path / "voice.wav"
    samples = np.sin(np.arange(44_100 * 2) / 20) * np.linspace(0, 0.5, 44_100 * 2)
    soundfile.write(path, samples, 44_100, subtype="PCM_16")
    return path


def render(voice: Path, out: Path, told: list[float] | None = None, **options) -> Rendered:
    writer = options.pop("writer", None) or VideoWriter(out, FORMAT)
    with FileSource(voice, paced=False) as source, writer:
        pipeline = Pipeline(standin_stages(**options))
        return write_stream(
            source,
            pipeline,
            writer,
            FORMAT,
            lambda done, _: None if told is None else told.append(done),
            total_frames=50,
        )


def test_every_frame_is_written_once_with_the_whole_voice(voice, tmp_path):
    told: list[float] = []
    rendered = render(voice, tmp_path / "out.mov", told)
    assert rendered.num_frames == 50
    assert rendered.media_s == 2.0
    assert rendered.rtf < 5
    with av.open(str(rendered.path)) as container:
        pts = [float(frame.pts * frame.time_base) for frame in container.decode(video=0)]
    np.testing.assert_allclose(pts, np.arange(50) / 25, atol=1e-6)
    with av.open(str(rendered.path)) as container:
        heard = np.concatenate([f.to_ndarray().ravel() for f in container.decode(audio=0)])
    with FileSource(voice, paced=False) as source:
        said = source.read(96_000, 5).samples
    np.testing.assert_allclose(heard[: len(said)] / 32768, said, atol=1e-4)
    assert told == sorted(told)
    assert told[-1] == 1


@pytest.mark.parametrize("ending", [".mov", ".mp4"])
def test_the_same_command_gives_the_same_file(voice, tmp_path, ending):
    files = [render(voice, tmp_path / f"{k}{ending}").path.read_bytes() for k in range(2)]
    assert files[0] == files[1]


class FullDisk:
    """A writer whose disk is full after a few pictures."""

    path = Path("x.mp4")

    def __init__(self) -> None:
        self.left = 5

    def __enter__(self):
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def write(self, rgba, pts_ns) -> None:
        self.left -= 1
        if not self.left:
            raise SinkError("The disk is full.")

    def write_voice(self, samples, first_index) -> None:
        pass


def test_full_disk_ends_it_with_its_sentence(voice, tmp_path):
    with pytest.raises(SinkError, match="disk is full"):
        render(voice, tmp_path / "out.mp4", writer=FullDisk())


def test_failing_generator_ends_it_and_what_was_written_can_be_played(voice, tmp_path):
    out = tmp_path / "out.mp4"
    with pytest.raises(RuntimeError, match="stand-in generator fails"):
        render(voice, out, fail_at=10)
    with av.open(str(out)) as container:
        assert sum(1 for _ in container.decode(video=0)) >= 15


def test_bad_output_is_refused_before_anything_is_loaded(voice, tmp_path):
    with pytest.raises(SinkUnavailable, match=r"\.mp4"):
        render_file(voice, tmp_path / "out.avi", Config())
    with pytest.raises(SinkUnavailable, match="folder"):
        render_file(voice, tmp_path / "nowhere" / "out.mp4", Config())
    film = tmp_path / "voice.mp4"
    film.write_bytes(voice.read_bytes())
    with pytest.raises(ConfigError, match="replace"):
        render_file(film, film, Config())


def test_missing_voice_is_refused_before_anything_is_loaded(tmp_path):
    with pytest.raises(SourceError):
        render_file(tmp_path / "no.wav", tmp_path / "out.mp4", Config())
    assert not (tmp_path / "out.mp4").exists()

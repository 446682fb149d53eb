"""One static square holds the whole face; clips and tracks are whole or not there."""

from pathlib import Path

import av
import numpy as np
import pytest

pytest.importorskip("scipy")

from rest_bridge.training.prepare import clips
from rest_bridge.training.tracks import measure
from tests.training.prepare.films import points_at, voice


@pytest.mark.parametrize("middle", [(100.0, 80.0), (20.0, 20.0), (190.0, 140.0)])
def test_the_box_holds_every_point_of_every_frame_and_stays_in_the_picture(
    middle: tuple[float, float],
) -> None:
    points = points_at(40, middle=middle)
    points[:, :, 0] += np.linspace(-8, 8, 40)[:, None]  # the head sways
    box = clips.static_box(points, 200, 160)
    inside = points[..., :2].clip([0, 0], [200, 160])
    assert (inside >= [box.left - 1e-3, box.top - 1e-3]).all()
    assert (inside <= [box.left + box.side + 1e-3, box.top + box.side + 1e-3]).all()
    assert box.left >= -1e-3
    assert box.left + box.side <= 200 + 1e-3
    extent = (points[..., :2].max((0, 1)) - points[..., :2].min((0, 1))).max()
    assert box.side == pytest.approx(min(200, clips.MARGIN * extent), rel=0.01)


@pytest.mark.parametrize("size_px", [32, 128, 300])
def test_points_lie_in_the_clip_where_the_pixels_lie(size_px: int) -> None:
    picture = np.zeros((120, 160, 3), np.uint8)
    picture[58:62, 78:82] = 255  # its middle is at (80, 60)
    points = np.full((1, 66, 3), 0.9, np.float32)
    points[..., :2] = (80, 60)
    box = clips.Box(left=30.0, top=10.0, side=90.0)
    cut = clips.cut_out(picture, box, size_px)
    rows, columns = np.nonzero(cut[..., 0] > 127)
    found = np.array([columns.mean() + 0.5, rows.mean() + 0.5])
    np.testing.assert_allclose(found, clips.in_box(points, box, size_px)[0, 0, :2], atol=0.6)


def test_a_box_beyond_the_border_repeats_the_border() -> None:
    picture = np.full((50, 50, 3), 90, np.uint8)
    cut = clips.cut_out(picture, clips.Box(-30, -30, 110), 64)
    assert cut.shape == (64, 64, 3)
    assert (cut == 90).all()


def test_a_clip_is_25_pictures_a_second_with_16_khz_mono_sample_for_sample(tmp_path: Path) -> None:
    pictures = [np.full((64, 64, 3), 100 + k, np.uint8) for k in range(30)]
    samples = voice(1.2)
    clips.write_clip(tmp_path / "a.mkv", pictures, samples)
    with av.open(str(tmp_path / "a.mkv")) as container:
        assert container.streams.video[0].average_rate == 25
        assert len(list(container.decode(video=0))) == 30
    with av.open(str(tmp_path / "a.mkv")) as container:
        pieces = [f.to_ndarray() for f in container.decode(audio=0)]
        assert container.streams.audio[0].rate == 16_000
    heard = np.concatenate(pieces, 1)[0] / 32768
    np.testing.assert_allclose(heard, samples, atol=1e-4)
    assert [p.name for p in tmp_path.iterdir()] == ["a.mkv"]


def test_what_fails_leaves_nothing_behind(tmp_path: Path) -> None:
    def broken():
        yield np.zeros((64, 64, 3), np.uint8)
        raise OSError(28, "No space left on device")

    with pytest.raises(OSError, match="No space"):
        clips.write_clip(tmp_path / "a.mkv", broken(), voice(1.0))
    assert list(tmp_path.iterdir()) == []


def test_tracks_read_back_as_written(tmp_path: Path) -> None:
    points, samples = points_at(25), voice(1.0)
    track = measure(points)
    clips.write_track(tmp_path / "a.npz", track, points, clips.Box(1, 2, 3), samples, "Ana/1")
    again, heard, talker = clips.read_track(tmp_path / "a.npz")
    np.testing.assert_array_equal(again.aperture, track.aperture)
    np.testing.assert_array_equal(again.pose, track.pose)
    np.testing.assert_allclose(heard, samples, atol=1e-4)
    assert talker == "Ana/1"

"""Any film comes out at 25 pictures a second with its sound in step, or is refused by name."""

from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("av")
pytest.importorskip("scipy")

from rest_bridge.training.prepare import footage
from rest_bridge.training.prepare.footage import Refused
from tests.training.prepare.films import counted, voice, write_film


def read(path: Path) -> None:
    film = footage.inspect(path)
    footage.sound(film)
    list(footage.pictures(film))


def refused(path: Path) -> Refused:
    with pytest.raises(Refused) as caught:
        read(path)
    return caught.value


def test_25_pictures_a_second_come_out_as_they_are(tmp_path: Path) -> None:
    film = footage.inspect(write_film(tmp_path / "a.mkv", counted(50), voice(2.0)))
    shown = [picture.mean() for picture, damaged in footage.pictures(film) if not damaged]
    np.testing.assert_allclose(shown, [20 + 2 * k for k in range(50)], atol=3)


@pytest.mark.parametrize("rate", [Fraction(30), Fraction(24000, 1001), Fraction(60)])
def test_other_rates_show_the_picture_of_that_moment(tmp_path: Path, rate: Fraction) -> None:
    count = int(2 * rate)
    pictures = [np.full((64, 64, 3), 20 + int(100 * k / rate), np.uint8) for k in range(count)]
    film = footage.inspect(write_film(tmp_path / "a.mkv", pictures, voice(2.0), rate=rate))
    shown = np.array([picture.mean() for picture, _ in footage.pictures(film)])
    assert abs(len(shown) - 50) <= 1
    wanted = 20 + 100 * (np.arange(len(shown)) + 0.5) / 25
    assert np.abs(shown - wanted).max() <= 100 / float(rate) + 4


@pytest.mark.parametrize("late_s", [0.0, 0.24])
def test_sound_that_begins_later_than_the_pictures_stays_later(
    tmp_path: Path, late_s: float
) -> None:
    click = np.zeros(24_000, np.float32)
    click[8000:8100] = 0.5
    path = write_film(tmp_path / "a.mkv", counted(50), click + voice(1.5) * 0.05, sound_at_s=late_s)
    samples = footage.sound(footage.inspect(path))
    assert abs(int(np.abs(samples).argmax()) - (8050 + round(late_s * 16_000))) < 120


def test_pictures_shrink_to_the_longest_side_asked_for(tmp_path: Path) -> None:
    pictures = [np.zeros((60, 120, 3), np.uint8)] * 30
    film = footage.inspect(write_film(tmp_path / "a.mkv", pictures, voice(1.2)))
    assert (film.width, film.height) == (120, 60)
    small = next(iter(footage.pictures(film, longest_px=60)))[0]
    assert small.shape == (30, 60, 3)


@pytest.mark.parametrize(
    ("reason", "words"),
    [
        ("missing file", "no such file"),
        ("broken file", "cannot be opened"),
        ("no sound", "no sound"),
        ("no video", "no pictures"),
        ("silent", "dBFS"),
        ("wrong rate", "20 to 125"),
    ],
)
def test_what_cannot_serve_is_refused_with_its_reason(
    tmp_path: Path, reason: str, words: str
) -> None:
    path = tmp_path / "film.mkv"
    if reason == "broken file":
        path.write_bytes(np.random.default_rng(0).bytes(30_000))
    elif reason == "no sound":
        write_film(path, counted(30), None)
    elif reason == "no video":
        write_film(path, [], voice(1.0))
    elif reason == "silent":
        write_film(path, counted(30), voice(1.2, level=1e-5))
    elif reason == "wrong rate":
        write_film(path, counted(12), voice(1.2), rate=10)
    found = refused(path)
    assert found.reason == reason
    assert words in found.detail


def test_an_empty_file_and_a_cut_off_mp4_are_broken(tmp_path: Path) -> None:
    empty, cut = tmp_path / "empty.mp4", tmp_path / "cut.mp4"
    empty.touch()
    whole = write_film(tmp_path / "whole.mp4", counted(60), voice(2.4)).read_bytes()
    cut.write_bytes(whole[: len(whole) // 2])
    assert refused(empty).reason == "broken file"
    assert refused(cut).reason == "broken file"


def test_the_good_beginning_of_a_cut_off_mkv_is_used(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    pictures = [rng.integers(0, 255, (64, 64, 3), np.uint8) for _ in range(100)]
    whole = write_film(tmp_path / "whole.mkv", pictures, voice(4.0)).read_bytes()
    cut = tmp_path / "cut.mkv"
    cut.write_bytes(whole[: int(0.6 * len(whole))])
    film = footage.inspect(cut)
    count = len(list(footage.pictures(film)))
    assert 25 < count < 95


def test_damaged_pictures_are_marked_or_dropped_and_never_raise(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    pictures = [rng.integers(0, 255, (64, 64, 3), np.uint8) for _ in range(75)]
    data = bytearray(write_film(tmp_path / "whole.mkv", pictures, voice(3.0)).read_bytes())
    for place in rng.integers(len(data) // 3, len(data), 300):
        data[place] ^= 0xFF
    spoiled = tmp_path / "spoiled.mkv"
    spoiled.write_bytes(bytes(data))
    film = footage.inspect(spoiled)
    damaged = [bad for _, bad in footage.pictures(film)]
    assert any(damaged) or len(damaged) < 75

"""Cuts are found, stretches without a usable face are cut away with their reason."""

from itertools import pairwise

import numpy as np
import pytest

pytest.importorskip("cv2")

from rest_bridge.training.prepare import faces
from rest_bridge.training.prepare.faces import CUT, NO_FACE, Tracked, find_cuts, segments


def tracked(verdicts: list[str], cuts: tuple[int, ...] = ()) -> Tracked:
    marks = np.zeros(len(verdicts), bool)
    marks[list(cuts)] = True
    return Tracked(np.zeros((len(verdicts), 66, 3), np.float32), tuple(verdicts), marks)


def test_a_scene_change_is_a_cut_and_a_pan_or_a_flicker_is_none() -> None:
    rng = np.random.default_rng(0)
    one, two = rng.uniform(0, 255, (2, 27, 48))
    scene = np.concatenate([np.tile(one, (20, 1, 1)), np.tile(two, (20, 1, 1))])
    noisy = scene + rng.normal(0, 3, scene.shape)
    assert list(np.flatnonzero(find_cuts(noisy.astype(np.float32)))) == [20]
    pan = np.stack([np.roll(one, k, axis=1) for k in range(40)])
    assert not find_cuts(pan.astype(np.float32)).any()
    brighter = one[None] + np.linspace(0, 60, 40)[:, None, None]
    assert not find_cuts(brighter.astype(np.float32)).any()


def test_a_video_falls_into_its_good_stretches() -> None:
    verdicts = [""] * 60 + [NO_FACE] * 10 + [""] * 20 + [NO_FACE] * 5 + [""] * 80
    spans, lost = segments(tracked(verdicts), least_frames=50, most_frames=750)
    assert spans == [(0, 60), (95, 175)]
    assert lost == {NO_FACE: 15, "too short": 20}


def test_one_or_two_bad_frames_are_bridged_and_three_are_not() -> None:
    for gap, whole in ((1, True), (2, True), (3, False)):
        verdicts = [""] * 60 + [NO_FACE] * gap + [""] * 60
        spans, _ = segments(tracked(verdicts), least_frames=50, most_frames=750)
        assert (spans == [(0, len(verdicts))]) == whole


def test_a_cut_divides_and_short_scenes_are_refused_as_cuts() -> None:
    spans, lost = segments(tracked([""] * 100, (60,)), least_frames=50, most_frames=750)
    assert spans == [(0, 60)]
    assert lost == {CUT: 40}


def test_long_stretches_are_cut_into_equal_parts_that_leave_nothing_out() -> None:
    spans, lost = segments(tracked([""] * 1000), least_frames=50, most_frames=300)
    assert len(spans) == 4
    assert spans[0][0] == 0
    assert spans[-1][1] == 1000
    assert all(a[1] == b[0] for a, b in pairwise(spans))
    assert max(b - a for a, b in spans) <= 300
    assert not lost


def test_an_empty_video_has_no_stretch() -> None:
    assert segments(tracked([]), least_frames=50, most_frames=300) == ([], {})


def test_bridged_points_lie_between_their_neighbours() -> None:
    points = np.zeros((5, 66, 3), np.float32)
    points[:, :, 0] = np.arange(5)[:, None] * 10
    points[2] = 999
    usable = np.array([True, True, False, True, True])
    np.testing.assert_allclose(faces.bridge(points, usable)[2, :, 0], 20)

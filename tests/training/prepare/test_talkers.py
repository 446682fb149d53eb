"""Each talker is scaled by himself, lids are seen, silence is rest, and sides stay apart."""

from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("scipy")
pytest.importorskip("soxr")

from rest_bridge.features.mel import LogMel, MelConfig
from rest_bridge.training import curves, speech_data, speech_sessions
from rest_bridge.training.prepare import clips, talkers
from rest_bridge.training.splits import is_held_out
from rest_bridge.training.tracks import measure
from tests.training.prepare.films import points_at

MEL = LogMel(MelConfig(np.full(80, -5, np.float32), np.full(80, 2.5, np.float32)))
SECONDS = 3.6
T = (np.arange(int(25 * SECONDS)) + 0.5) / 25
SPEAKS = (T > 1.0) & (T < 3.0)
OPEN = SPEAKS * (0.5 + 0.5 * np.sin(2 * np.pi * 2.5 * T))


def speech() -> np.ndarray:
    t = np.arange(int(16_000 * SECONDS)) / 16_000
    buzz = 0.2 * np.sign(np.sin(2 * np.pi * 130 * t)) * ((t > 1.0) & (t < 3.0))
    return (buzz + 1e-4 * np.random.default_rng(0).standard_normal(len(t))).astype(np.float32)


def track_of(gain: float, rest: float = 0.0):
    return measure(points_at(len(T), opening=rest + gain * OPEN))


@pytest.mark.parametrize(("gain", "rest"), [(0.15, 0.0), (0.6, 0.0), (0.3, 0.08)])
def test_a_small_and_a_large_mouth_come_out_alike_and_rest_shut(gain: float, rest: float) -> None:
    (made,) = talkers.utterances_of([("x", track_of(gain, rest), speech())])
    gap = curves.lip_aperture(made.mouth)
    assert np.percentile(gap, 95) == pytest.approx(0.46, abs=0.1)
    assert gap[~SPEAKS][:20].max() < 0.03
    assert np.corrcoef(gap, OPEN)[0, 1] > 0.97


def test_silence_is_rest_and_the_edges_of_speech_are_not() -> None:
    rest = talkers.rest_frames(speech(), len(T))
    assert rest[T < 0.8].all()
    assert rest[T > 3.2].all()
    assert not rest[(T > 0.92) & (T < 3.08)].any()
    assert not talkers.rest_frames(np.zeros(0, np.float32), 10).any()


def test_lids_that_shut_are_seen_and_usual_ones_are_open() -> None:
    opening = np.full(100, 0.1, np.float32)
    opening += np.random.default_rng(0).normal(0, 0.004, 100).astype(np.float32)
    opening[40:43] = 0.03
    closure = talkers.lid_closure(opening)
    assert closure[40:43].min() > 0.9
    assert np.delete(closure, [40, 41, 42]).max() < 0.1
    assert not talkers.lid_closure(np.zeros(10, np.float32)).any()


def test_sessions_train_and_no_talker_is_on_both_sides(tmp_path: Path) -> None:
    names = [f"talker {k}" for k in range(40)]
    held = next(n for n in names if is_held_out("own", n, 0))
    seen = next(n for n in names if not is_held_out("own", n, 0))
    paths = []
    for number, name in enumerate((seen, seen, held)):
        path = tmp_path / f"clip_{number}.npz"
        points = points_at(len(T), opening=0.3 * OPEN)
        clips.write_track(path, measure(points), points, clips.Box(0, 0, 1), speech(), name)
        paths.append(path)
    counts = talkers.write_sessions(paths, tmp_path, MEL, seed=0)
    assert counts == {"train": 4, "held": 1}
    sessions = speech_sessions.load_sessions(tmp_path / "train-own.npz")
    assert {s.name.split("@")[0].rstrip("~") for s in sessions} == {"clip_0", "clip_1"}
    assert all(s.tracked and s.style == "own" for s in sessions)
    batch = next(speech_data.batches(sessions, batch_size=3, num_latents=12, seed=0))
    assert np.isfinite(batch.rig).all()
    before = (tmp_path / "train-own.npz").read_bytes()
    talkers.write_sessions(paths, tmp_path, MEL, seed=0)
    assert (tmp_path / "train-own.npz").read_bytes() == before


def test_a_single_talker_is_trained_on(tmp_path: Path) -> None:
    name = next(f"t{k}" for k in range(40) if is_held_out("own", f"t{k}", 0))
    points = points_at(len(T), opening=0.3 * OPEN)
    path = tmp_path / "clip.npz"
    clips.write_track(path, measure(points), points, clips.Box(0, 0, 1), speech(), name)
    assert talkers.write_sessions([path], tmp_path, MEL, seed=0)["train"] == 2

"""The pipeline is a pure function of samples and seed; each frame carries its own voice."""

import tracemalloc
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rest_bridge.errors import ConfigError
from rest_bridge.generator.life import LifePlanner
from rest_bridge.generator.sampler import latent_noise
from rest_bridge.generator.steering import Steering
from rest_bridge.lateness import LateAction, late_action
from rest_bridge.pipeline import Pipeline
from rest_bridge.rehearsal import rehearse
from rest_bridge.tiers import TIERS
from rest_bridge.types import FRAME_DURATION_NS, SAMPLES_PER_FRAME, AudioChunk, Frame
from tests.support.standins import StandInDecoder, standin_stages

VOICE = (np.random.default_rng(3).standard_normal(48_000) * 0.1).astype(np.float32)[:47_000]
MS = 1_000_000


def push_all(pipeline: Pipeline, voice: np.ndarray, sizes: list[int], *, first: int = 0):
    frames, position, turn = [], 0, 0
    while position < len(voice):
        part = voice[position : position + sizes[turn % len(sizes)]]
        position += len(part)
        turn += 1
        captured_ns = position * 1_000_000_000 // 48_000
        frames += pipeline.push(AudioChunk(part, 48_000, first + position - len(part), captured_ns))
    return frames + pipeline.finish()


def generate(
    sizes: list[int] | None = None, *, voice: np.ndarray = VOICE, **options
) -> list[Frame]:
    return push_all(Pipeline(standin_stages(), **options), voice, sizes or [960])


def assert_equal(left: list[Frame], right: list[Frame]) -> None:
    assert len(left) == len(right)
    for a, b in zip(left, right, strict=True):
        assert (a.index, a.pts_ns, a.rig.activity) == (b.index, b.pts_ns, b.rig.activity)
        np.testing.assert_array_equal(a.rgba, b.rgba)
        np.testing.assert_array_equal(a.rig.values, b.rig.values)
        np.testing.assert_array_equal(a.rig.visemes, b.rig.visemes)
        np.testing.assert_array_equal(a.voice.samples, b.voice.samples)


@settings(deadline=None, max_examples=15)
@given(
    sizes=st.lists(st.integers(1, 9000), min_size=1, max_size=6),
    chunk_latents=st.sampled_from([1, 3]),
    fps=st.sampled_from([25, 30]),
)
def test_streaming_matches_offline_for_any_chunk_size(sizes, chunk_latents, fps):
    options = {"chunk_latents": chunk_latents, "fps": fps}
    assert_equal(generate(sizes, **options), generate([len(VOICE)], **options))


def test_same_seed_gives_the_same_frames_and_another_seed_others():
    assert_equal(generate(seed=5), generate(seed=5))
    assert not np.array_equal(generate(seed=5)[3].rgba, generate(seed=6)[3].rgba)


@pytest.mark.parametrize("fps", [25, 30, 50, 60])
@pytest.mark.parametrize("chunk_latents", [1, 4])
def test_voice_of_all_frames_is_the_input_bit_by_bit(fps, chunk_latents):
    frames = generate([777], fps=fps, chunk_latents=chunk_latents)
    voice = np.concatenate([frame.voice.samples for frame in frames])
    np.testing.assert_array_equal(voice[: len(VOICE)], VOICE)
    assert not voice[len(VOICE) :].any()
    assert len(voice) - len(VOICE) < 48_000 // fps
    for frame in frames:
        assert frame.voice.first_index == frame.index * 48_000 // fps
        assert frame.voice.pts_ns == frame.pts_ns == frame.rig.pts_ns


def test_frames_have_no_gaps_and_lie_exactly_40_ms_apart():
    frames = generate()
    assert [f.index for f in frames] == list(range(25))
    assert [f.pts_ns for f in frames] == [k * FRAME_DURATION_NS for k in range(25)]


@pytest.mark.parametrize("sizes", [[480], [1920], [47_000]])
def test_capture_time_is_that_of_the_newest_sample_of_the_frame(sizes):
    for frame in generate(sizes):
        expected = (frame.index + 1) * FRAME_DURATION_NS
        assert frame.captured_ns == pytest.approx(expected, abs=MS)


def test_output_of_a_prefix_is_the_prefix_of_the_output():
    longer = generate()
    shorter = generate(voice=VOICE[: 48_000 // 2])
    # The last frames of the prefix hear silence in their look-ahead instead of what came next.
    assert_equal(shorter[:8], longer[:8])


def test_a_frame_comes_out_as_soon_as_its_look_ahead_is_there():
    pipeline = Pipeline(standin_stages(lookahead_ms=40))
    out_at = [
        (k + 1) * 10
        for k in range(100)
        for _ in pipeline.push(AudioChunk(np.zeros(480, np.float32), 48_000, k * 480, 0))
    ]
    assert out_at[:4] == [120, 120, 200, 200]


def test_first_frame_of_a_chunk_is_out_before_the_second_is_drawn():
    stages = standin_stages(lookahead_ms=0)
    frames = Pipeline(stages).stream(AudioChunk(VOICE[:3840], 48_000, 0, 0))
    next(frames)
    assert stages.decoder.num_pictures == 1
    assert len(list(frames)) == 1


def test_stream_may_start_at_any_sample_index():
    pipeline = Pipeline(standin_stages())
    assert_equal(push_all(pipeline, VOICE, [960], first=2**40), generate())


def test_gap_in_the_input_becomes_silence_and_time_goes_on():
    pipeline = Pipeline(standin_stages())
    frames = pipeline.push(AudioChunk(VOICE[:9600], 48_000, 0, 0))
    frames += pipeline.push(AudioChunk(VOICE[19_200:28_800], 48_000, 19_200, 0))
    frames += pipeline.finish()
    voice = VOICE[:28_800].copy()
    voice[9600:19_200] = 0
    assert_equal(frames, generate(voice=voice))


def test_samples_heard_before_are_ignored():
    pipeline = Pipeline(standin_stages())
    frames = pipeline.push(AudioChunk(VOICE[:9600], 48_000, 0, 0))
    frames += pipeline.push(AudioChunk(VOICE[4800:28_800], 48_000, 4800, 0))
    assert_equal(frames + pipeline.finish(), generate(voice=VOICE[:28_800]))


def test_empty_stream_gives_no_frames():
    assert Pipeline(standin_stages()).finish() == []


def test_one_sample_gives_one_frame():
    assert len(generate(voice=VOICE[:1])) == 1


def test_frame_rate_without_whole_samples_is_refused():
    with pytest.raises(ConfigError, match="29"):
        Pipeline(standin_stages(), fps=29)


@pytest.mark.parametrize("chunk", [0, 13])
def test_chunk_that_the_model_does_not_allow_is_refused(chunk):
    with pytest.raises(ConfigError, match="1 to 12"):
        Pipeline(standin_stages(), chunk_latents=chunk)


def test_speech_is_labelled():
    voice = np.concatenate([np.zeros(48_000, "f4"), VOICE, np.zeros(48_000, "f4")])
    labels = [frame.rig.activity for frame in generate(voice=voice)]
    assert labels[:25] == ["idle"] * 25
    assert labels[25:49].count("speaking") >= 12  # the stand-in's mouth opens by chance
    assert labels[-1] == "idle"


def test_rehearsal_measures_and_leaves_the_stream_untouched():
    pipeline = Pipeline(standin_stages(lookahead_ms=40), chunk_latents=2)
    rehearsal = rehearse(pipeline)
    assert rehearsal.num_samples == (2 * 80 + 40) * 48
    assert rehearsal.compute_ns > 0
    assert_equal(push_all(pipeline, VOICE, [960]), generate_with_lookahead_40())


def generate_with_lookahead_40() -> list[Frame]:
    return push_all(Pipeline(standin_stages(lookahead_ms=40), chunk_latents=2), VOICE, [960])


def test_late_chunks_first_lose_their_pictures_then_their_motion():
    assert late_action(-1) is LateAction.NOTHING
    assert late_action(1) is LateAction.PICTURES
    assert late_action(10**9) is LateAction.MOTION


@pytest.mark.parametrize("behind_ns", [1, 10**9])
def test_skipped_pictures_are_repeated_and_voice_has_no_gap(behind_ns):
    stages = standin_stages()
    pipeline = Pipeline(stages)
    frames: list[Frame] = []
    for k in range(0, 40_000, 480):
        late = 12_000 <= k < 24_000
        part = AudioChunk(VOICE[k : k + 480], 48_000, k, 0)
        frames += pipeline.push(part, behind_ns=behind_ns if late else 0)
    assert [f.index for f in frames] == list(range(len(frames)))
    voice = np.concatenate([f.voice.samples for f in frames])
    np.testing.assert_array_equal(voice, VOICE[: len(voice)])
    repeated = [f for f in frames if f.repeated]
    assert 4 <= len(repeated) <= 8
    for frame in repeated:
        np.testing.assert_array_equal(frame.rgba, frames[frame.index - 1].rgba)
    assert isinstance(stages.decoder, StandInDecoder)
    assert stages.decoder.num_pictures == len(frames) - len(repeated)
    if behind_ns < 10**8:  # motion went on without pictures: in time again, nothing differs
        np.testing.assert_array_equal(frames[-1].rgba, generate()[frames[-1].index].rgba)


def test_a_new_face_is_drawn_once_where_everything_is_late():
    stages = standin_stages()
    other = StandInDecoder(mark=9)
    pipeline = Pipeline(replace(stages, avatar_id="old"))
    frames: list[Frame] = []
    for k in range(0, 40_000, 480):
        if k == 12_000:
            pipeline.adopt(replace(stages, decoder=other, avatar_id="new"))
        part = AudioChunk(VOICE[k : k + 480], 48_000, k, 0)
        frames += pipeline.push(part, behind_ns=1 if k >= 9_600 else 0)
    worn = [f.avatar_id for f in frames]
    first = worn.index("new")
    assert worn == ["old"] * first + ["new"] * (len(worn) - first)
    assert first <= 12_000 // SAMPLES_PER_FRAME
    assert other.num_pictures == 1
    assert [f.repeated for f in frames[first:]] == [False] + [True] * (len(frames) - first - 1)


def test_noise_of_a_latent_frame_depends_on_seed_and_index_only():
    np.testing.assert_array_equal(latent_noise(1, 7, 5)[2], latent_noise(1, 9, 1)[0])
    assert not np.array_equal(latent_noise(1, 7, 1), latent_noise(2, 7, 1))
    assert not np.array_equal(latent_noise(1, 7, 1), latent_noise(1, 8, 1))
    noise = latent_noise(0, 0, 200)
    assert noise.std() == pytest.approx(1, abs=0.02)
    pairs = np.corrcoef(noise.reshape(200, -1))
    assert np.abs(pairs - np.eye(200)).max() < 0.4
    assert len(np.unique(noise)) > 0.999 * noise.size  # no stream is a shifted copy of another


def test_memory_stays_flat():
    pipeline = Pipeline(standin_stages())
    part = np.zeros(SAMPLES_PER_FRAME, np.float32)

    def run(first: int, count: int) -> None:
        for k in range(first, first + count):
            pipeline.push(AudioChunk(part, 48_000, k * SAMPLES_PER_FRAME, 0))

    run(0, 60)
    tracemalloc.start()
    run(60, 20)
    before = tracemalloc.get_traced_memory()[0]
    run(80, 200)
    grown = tracemalloc.get_traced_memory()[0] - before
    tracemalloc.stop()
    assert grown < 20_000


@pytest.mark.parametrize("fps", [25, 30])
def test_rig_is_known_before_the_pictures_are_drawn_and_is_the_one_that_frames_carry(fps):
    stages = standin_stages()
    pipeline = Pipeline(stages, fps=fps)
    early: list[tuple[int, object]] = []
    decoder = stages.decoder
    assert isinstance(decoder, StandInDecoder)
    pipeline.on_motion = lambda rigs: early.extend((decoder.num_pictures, rig) for rig in rigs)
    frames = push_all(pipeline, VOICE, [960])
    assert len(early) >= len(frames)
    for (num_drawn, rig), frame in zip(early, frames, strict=False):
        assert num_drawn <= frame.index
        assert (rig.index, rig.pts_ns) == (frame.index, frame.pts_ns)
        np.testing.assert_array_equal(rig.values, frame.rig.values)
        np.testing.assert_array_equal(rig.visemes, frame.rig.visemes)


def test_a_face_takes_over_at_a_chunks_border_and_motion_goes_on():
    plain, frames = generate(), []
    stages = standin_stages()
    pipeline = Pipeline(stages)
    for k in range(0, 40_000, 960):
        if k == 19_200:
            pipeline.adopt(replace(stages, decoder=StandInDecoder(9), avatar_id="other"))
        frames += pipeline.push(AudioChunk(VOICE[k : k + 960], 48_000, k, 0))
    marks = [int(f.rgba.reshape(-1)[-1]) for f in frames]
    border = marks.index(9)
    assert border % 2 == 0
    assert marks == [0] * border + [9] * (len(marks) - border)
    assert [f.avatar_id for f in frames[border - 1 : border + 1]] == ["", "other"]
    for mine, his in zip(frames, plain, strict=False):
        np.testing.assert_array_equal(mine.rig.values, his.rig.values)
        np.testing.assert_array_equal(mine.voice.samples, his.voice.samples)


@pytest.mark.parametrize("tier", TIERS)
@pytest.mark.parametrize("fps", [25, 30])
def test_a_tier_draws_as_many_pictures_as_it_says_and_loses_no_frame(tier, fps):
    stages = standin_stages().without_steps(tier)
    frames = push_all(Pipeline(stages, fps=fps), VOICE, [960])
    assert [f.index for f in frames] == list(range(len(frames)))
    assert {f.tier for f in frames} == {tier.name}
    fresh = [f.index for f in frames if not f.repeated]
    # The very first chunk is drawn whole: there is nothing to repeat yet.
    assert all(index % tier.every == 0 for index in fresh[4:])
    assert len(fresh) == pytest.approx(len(frames) / tier.every, abs=4)
    voice = np.concatenate([frame.voice.samples for frame in frames])
    np.testing.assert_array_equal(voice[: len(VOICE)], VOICE)


def test_steering_is_the_same_at_the_same_stream_time_whatever_the_chunking():
    def steered(sizes: list[int]) -> list[Frame]:
        pipeline = Pipeline(replace(standin_stages(), life=LifePlanner(3)))
        pipeline.steer(Steering(head_motion=0.5))
        return push_all(pipeline, VOICE[:19_200], sizes)

    assert_equal(steered([960]), steered([333]))


def test_resting_repeats_the_picture_and_goes_on_where_it_was():
    stages = standin_stages()
    pipeline = Pipeline(stages)
    frames: list[Frame] = []
    for k in range(0, 40_000, 480):
        pipeline.resting = 12_000 <= k < 24_000
        frames += pipeline.push(AudioChunk(VOICE[k : k + 480], 48_000, k, 0))
    assert [f.index for f in frames] == list(range(len(frames)))
    assert 4 <= sum(f.repeated for f in frames) <= 8
    assert not frames[-1].repeated

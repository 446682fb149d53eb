"""ASD and step distillation: what each loss is zero for, and what the answer is."""

import dataclasses
from pathlib import Path

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("scipy")

from rest_bridge.generator.conditions import (  # noqa: E402
    CONDITION_NAMES,
    EMOTION,
    EMOTIONS,
)
from rest_bridge.rig import RIG_INDEX, RIG_NAMES  # noqa: E402
from rest_bridge.training import losses, speech_data  # noqa: E402
from rest_bridge.training.distillation import (  # noqa: E402
    AsdLearner,
    DistillLearner,
    freeze,
    velocity,
)
from rest_bridge.training.expressions import expression_basis  # noqa: E402
from rest_bridge.training.motion_learner import begin_emotions, marks  # noqa: E402
from rest_bridge.training.settings import (  # noqa: E402
    AsdSettings,
    DistillSettings,
    ModelSettings,
)
from rest_bridge.training.speech_sessions import Session  # noqa: E402

torch.set_num_threads(1)
MODEL = ModelSettings(
    width=32, num_blocks=2, num_heads=2, feed_forward=32, window=3, audio_width=16, speech_width=24
)
B, T = 2, 12


@pytest.fixture
def batch(toy_sessions: list[Session]) -> speech_data.Batch:
    return next(speech_data.batches(toy_sessions, batch_size=B, num_latents=T, seed=0))


def chance() -> torch.Generator:
    return torch.Generator().manual_seed(0)


def lively(learner: AsdLearner | DistillLearner) -> None:
    """Give a fresh network something to say (its last layers begin at zero)."""
    torch.manual_seed(1)
    torch.nn.init.normal_(learner.dit.leave.weight, std=0.1)
    freeze(learner, {f"dit.{k}": v for k, v in learner.dit.state_dict().items()}, Path("x"))


def test_smoothness_is_zero_for_a_difference_that_is_linear_in_time() -> None:
    torch.manual_seed(0)
    student = torch.randn(B, T, 16, 4, 4)
    start, slope = torch.randn(2, B, 1, 16, 4, 4)
    linear = start + slope * torch.arange(T).reshape(1, T, 1, 1, 1)
    assert losses.velocity_smoothness(student, student + linear) < 1e-9
    assert losses.velocity_smoothness(student, student + linear.square()) > 0.1


def test_smoothness_spans_chunk_borders() -> None:
    # A step between two frames is seen wherever it lies; there is no border without a term.
    step = torch.zeros(T - 1, T, 1)
    for border in range(1, T):
        step[border - 1, border:] = 1.0
    seen = [float(losses.velocity_smoothness(s[None], torch.zeros(1, T, 1))) for s in step]
    assert min(seen) > 0


def test_contrast_is_least_for_equal_frames_and_greatest_for_swapped_ones() -> None:
    torch.manual_seed(0)
    teacher = torch.randn(B, T, 32)
    near = losses.velocity_contrast(teacher + 0.1 * torch.randn(B, T, 32), teacher, 0.1)
    swapped = losses.velocity_contrast(teacher.flip(1), teacher, 0.1)
    assert near < 0.1 < 2 < swapped


def test_teacher_and_student_share_noise_times_and_dropouts(batch: speech_data.Batch) -> None:
    settings = AsdSettings(drop_reference=0.5, drop_audio=0.5, chunk_latents=3)
    learner = AsdLearner(MODEL, settings)
    lively(learner)
    seen = []
    learner.teacher.forward_bidirectional = lambda *given, **named: (
        seen.append((given, named)) or torch.zeros_like(given[1])
    )
    scene = learner.scene(batch, chance())
    parts = learner.losses(batch, chance())
    (reference, noisy, t, audio, rows), named = seen[0]
    for given, own in ((reference, scene.reference), (noisy, scene.noisy), (t, scene.t),
                       (audio, scene.audio), (rows, scene.conditions),
                       (named["sink_known"], scene.sink_known)):  # fmt: skip
        torch.testing.assert_close(given, own)
    assert {"flow", "contrastive", "smoothness"} <= parts.keys()


def test_each_loss_of_asd_can_be_left_out(batch: speech_data.Batch) -> None:
    for name in ("contrastive", "smoothness"):
        settings = dataclasses.replace(AsdSettings(chunk_latents=3), **{name: 0.0})
        learner = AsdLearner(MODEL, settings)
        lively(learner)
        parts = learner.losses(batch, chance())
        assert name not in parts
        assert len({"contrastive", "smoothness"} & parts.keys()) == 1


def test_asd_moves_the_student_and_never_the_teacher(batch: speech_data.Batch) -> None:
    learner = AsdLearner(MODEL, AsdSettings(chunk_latents=3))
    lively(learner)
    torch.stack(list(learner.losses(batch, chance()).values())).sum().backward()
    assert all(p.grad is None for p in learner.teacher.parameters())
    trained = [p for group in learner.groups() for p in group["params"]]
    assert any(p.grad is not None and p.grad.abs().sum() > 0 for p in trained)
    assert not {id(p) for p in trained} & {id(p) for p in learner.teacher.parameters()}


def test_the_velocity_of_the_truth_is_noise_minus_data(batch: speech_data.Batch) -> None:
    learner = AsdLearner(MODEL, AsdSettings(chunk_latents=3, full_noise=1.0))
    scene = learner.scene(batch, chance())
    torch.testing.assert_close(velocity(scene.clean, scene), scene.noise - scene.clean)


def test_one_step_asks_for_what_one_step_of_the_frozen_student_says(
    batch: speech_data.Batch,
) -> None:
    settings = DistillSettings(sampling_steps=1, teacher_steps=1, rollouts=0.0, chunk_latents=3)
    learner = DistillLearner(MODEL, settings)
    lively(learner)
    assert learner.losses(batch, chance())["answer"] < 1e-9  # a copy of itself agrees


def test_more_steps_of_the_frozen_student_are_another_answer(batch: speech_data.Batch) -> None:
    settings = DistillSettings(sampling_steps=1, teacher_steps=8, rollouts=1.0, chunk_latents=3)
    learner = DistillLearner(MODEL, settings)
    lively(learner)
    parts = learner.losses(batch, chance())
    assert parts["answer"] > 1e-6
    torch.stack(list(parts.values())).sum().backward()
    assert all(p.grad is None for p in learner.frozen.parameters())


def test_closures_a_frame_early_or_late_are_as_good_as_in_time() -> None:
    measure = losses.RigLosses()
    rig = torch.zeros(1, 9, 58)
    rig[..., 6 + 17] = 1.0  # jawOpen, normalised
    closure = torch.zeros(1, 9)
    closure[0, 4] = 1
    shut_target = torch.zeros_like(rig)
    open_mouth = measure.closure_error(rig, shut_target, closure)
    assert open_mouth > 0.5
    for frame in (3, 4, 5):
        shut = rig.clone()
        shut[0, frame] = 0
        assert measure.closure_error(shut, shut_target, closure) == 0
    late = rig.clone()
    late[0, 6] = 0
    assert measure.closure_error(late, shut_target, closure) == open_mouth
    # Nothing is asked where the talker did not shut either.
    assert measure.closure_error(rig, rig, closure) == 0
    assert measure.still_error(rig, rig, torch.ones(1, 9)) == 0
    assert measure.still_error(rig, shut_target, torch.ones(1, 9)) > 0.5


def test_closures_and_rest_are_read_off_the_weights() -> None:
    weight = torch.tensor([[1.0, 2.0, 3.0, 4.0, 5.0]])
    closure, rest = marks(weight)
    assert closure.tolist() == [[0, 0, 0, 0.5, 1]]
    assert rest.tolist() == [[0, 0, 1, 0, 0]]


def test_a_network_that_learnt_no_emotions_begins_with_their_shapes() -> None:
    learner = AsdLearner(MODEL, AsdSettings())
    begin_emotions(learner.dit)
    rows = torch.zeros(1, len(EMOTIONS), len(CONDITION_NAMES))
    rows[0, :, EMOTION] = torch.eye(len(EMOTIONS))
    latents = learner.dit.obey(rows).unflatten(-1, (16, 4, 4))
    rig = learner.measure.to_normalised(latents) * learner.measure.scale
    wanted = torch.from_numpy(expression_basis()).repeat_interleave(2, 0)
    torch.testing.assert_close(rig[0], wanted, atol=1e-5, rtol=1e-4)


def test_one_shape_for_f_and_p_costs_where_they_are_spoken_and_nowhere_else() -> None:
    measure = losses.RigLosses()
    rig = torch.zeros(1, 12, len(RIG_NAMES))
    for frame, shape in ((4, {"mouthRollLower": 0.6}), (8, {"mouthPressLeft": 0.4,
                                                           "mouthRollLower": 0.42})):  # fmt: skip
        for name, value in shape.items():
            rig[0, frame, RIG_INDEX[name]] = value
    closure = torch.zeros(1, 12)
    closure[0, 8] = 1.0
    target = measure.normalise(rig)
    assert measure.bite_error(target, target, closure) == 0
    mean = rig.clone()
    mean[0, [4, 8]] = rig[0, [4, 8]].mean(0)
    assert measure.bite_error(measure.normalise(mean), target, closure) > 0.01
    elsewhere = rig.clone()
    elsewhere[0, 1] = rig[0, 8]
    assert measure.bite_error(measure.normalise(elsewhere), target, closure) == 0

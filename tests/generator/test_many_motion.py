"""Motion of many streams: what each would get alone, and a bad one fails alone."""

import threading
import time

import numpy as np
import pytest

from rest_bridge.errors import StateMismatch
from rest_bridge.generator.conditions import CONDITION_NAMES
from rest_bridge.generator.generator import NEXT_LATENT, MotionGenerator
from rest_bridge.generator.many_motion import (
    MOST_TOGETHER,
    ManyMotion,
    MotionRequest,
    least_together,
)
from rest_bridge.generator.motion_desk import MotionDesk, SharedMotion
from rest_bridge.inference.package import ModelPackage


@pytest.fixture(scope="module")
def package() -> ModelPackage:
    return ModelPackage.load(verify=False)


@pytest.fixture(scope="module")
def many(package: ModelPackage) -> ManyMotion:
    return ManyMotion(MotionGenerator(package), package)


def _requests(many: ManyMotion, package: ModelPackage, count: int) -> list[MotionRequest]:
    rng = np.random.default_rng(0)
    width = int(package.section("audio")["token_shape"][1])
    requests = []
    for number in range(count):
        avatar = 0.3 * rng.standard_normal((16, 4, 4)).astype(np.float32)
        requests.append(
            MotionRequest(
                rng.standard_normal((1, 2, width)).astype(np.float32),
                np.zeros((1, len(CONDITION_NAMES)), np.float32),
                many.alone.initial_state(avatar, first_latent=7 * number),
                rng.standard_normal((1, 16, 4, 4)).astype(np.float32),
            )
        )
    return requests


def _alone(many: ManyMotion, r: MotionRequest):
    return many.alone.step(r.audio_tokens, r.conditions, r.state, r.noise)


def test_a_stream_in_a_batch_moves_as_it_would_alone(many, package) -> None:
    if not many.batches:
        pytest.skip("this package has no dit_many.onnx")
    requests = _requests(many, package, 4)
    for _ in range(3):  # also with states that batches have written
        together = many.step(requests, many.alone.num_steps)
        for request, (latents, state) in zip(requests, together, strict=True):
            expected, after = _alone(many, request)
            np.testing.assert_allclose(latents, expected, atol=2e-3)
            assert state[NEXT_LATENT] == after[NEXT_LATENT]
            np.testing.assert_array_equal(state["state.position"], after["state.position"])
            np.testing.assert_allclose(state["state.keys"], after["state.keys"], atol=5e-3)
            many.alone.state_spec.check(state)
        requests = [
            MotionRequest(r.audio_tokens, r.conditions, state, r.noise)
            for r, (_, state) in zip(requests, together, strict=True)
        ]


class Counting:
    """A motion that notes batches; a request with negative noise fails."""

    def __init__(self) -> None:
        self.sizes: list[int] = []
        self.begun, self.go_on = threading.Event(), threading.Event()

    def step(self, requests, num_steps):
        self.sizes.append(len(requests))
        self.begun.set()
        self.go_on.wait(5)
        if any((r.noise < 0).any() for r in requests):
            raise StateMismatch("a bad stream")
        return [(r.noise + num_steps, {}) for r in requests]


def _ask_all(desk: MotionDesk, noises: list[float], counting: Counting) -> list[object]:
    answers: list[object] = [None] * len(noises)

    def ask(place: int) -> None:
        noise = np.full((1, 16, 4, 4), noises[place], np.float32)
        try:
            answers[place] = desk.ask(MotionRequest(noise[:, 0], noise, {}, noise), 2)[0][
                0, 0, 0, 0
            ]
        except StateMismatch as error:
            answers[place] = error

    threads = [threading.Thread(target=ask, args=(place,)) for place in range(len(noises))]
    threads[0].start()
    assert counting.begun.wait(5)
    for thread in threads[1:]:
        thread.start()
    for _ in range(5000):
        if len(desk._waiting) == len(noises) - 1:
            break
        threading.Event().wait(0.001)
    counting.go_on.set()
    for thread in threads:
        thread.join(5)
    return answers


def test_those_who_wait_go_together() -> None:
    counting = Counting()
    desk = MotionDesk(counting)
    assert _ask_all(desk, [1, 2, 3, 4, 5], counting) == [3, 4, 5, 6, 7]
    assert counting.sizes == [1, 4]
    assert desk.batches == {1: 1, 4: 1}


class Ticking:
    """A clock that somebody sets."""

    def __init__(self) -> None:
        self.now_s = 100.0

    def __call__(self) -> float:
        return self.now_s


def _request(noise: float) -> MotionRequest:
    array = np.full((1, 16, 4, 4), noise, np.float32)
    return MotionRequest(array[:, 0], array, {}, array)


def test_streams_that_came_together_before_wait_for_one_another() -> None:
    counting, clock = Counting(), Ticking()
    counting.go_on.set()
    desk = MotionDesk(counting, gather_s=1.0, clock=clock)
    for stream in ("one", "two", "far"):  # their first chunks, one after the other
        if stream == "far":
            clock.now_s += 20
        desk.ask(_request(1), 2, stream)
    clock.now_s = 200.0
    first = threading.Thread(target=desk.ask, args=(_request(1), 2, "one"))
    first.start()
    for _ in range(5000):
        if desk._waiting:
            break
        threading.Event().wait(0.001)
    assert counting.sizes == [1, 1, 1]  # "one" waits for "two"
    desk.ask(_request(1), 2, "two")
    first.join(5)
    assert not first.is_alive()
    assert counting.sizes == [1, 1, 1, 2]
    desk.ask(_request(1), 2, "far")  # was alone before: waits for nobody
    assert counting.sizes == [1, 1, 1, 2, 1]


def test_nobody_waits_longer_than_a_moment_or_for_one_that_left() -> None:
    counting = Counting()
    counting.go_on.set()
    desk = MotionDesk(counting, gather_s=0.01)
    for _ in range(2):
        for stream in ("one", "two"):
            desk.ask(_request(1), 2, stream)
    desk.ask(_request(1), 2, "one")  # "two" does not come
    assert counting.sizes == [1] * 5
    desk.leave("two")
    assert "two" not in desk._asked


class Slow:
    """A network whose runs take as long as they are told."""

    def __init__(self, seconds: dict[int, float]) -> None:
        self.seconds, self.count = seconds, 0

    def zeros(self, sizes):
        self.count = sizes["B"]
        return {}

    def run(self, inputs, outputs):
        begin_s = time.perf_counter()
        while time.perf_counter() - begin_s < self.seconds[self.count]:
            pass


@pytest.mark.parametrize(
    ("seconds", "least"),
    [
        ({2: 0.001, 4: 0.001, 8: 0.001}, 2),
        ({2: 0.009, 4: 0.001, 8: 0.001}, 4),
        ({2: 0.009, 4: 0.017, 8: 0.033}, MOST_TOGETHER + 1),
    ],
)
def test_streams_go_together_from_where_that_is_cheaper(seconds, least) -> None:
    assert least_together(Slow(seconds), alone_s=0.004, chunk_latents=1) == least


def test_no_more_go_together_than_allowed() -> None:
    counting = Counting()
    desk = MotionDesk(counting, most_together=2)
    assert _ask_all(desk, [1, 2, 3, 4, 5], counting) == [3, 4, 5, 6, 7]
    assert max(counting.sizes) == 2


def test_a_bad_stream_fails_alone() -> None:
    counting = Counting()
    found = _ask_all(MotionDesk(counting), [1, 2, -3, 4], counting)
    assert isinstance(found[2], StateMismatch)
    assert [one for one in found if not isinstance(one, StateMismatch)] == [3, 4, 6]


def test_a_shared_stage_behaves_like_a_motion_stage(many, package) -> None:
    stage = SharedMotion(MotionDesk(many), many, many.alone.num_steps)
    (request,) = _requests(many, package, 1)
    latents, _ = stage.step(request.audio_tokens, request.conditions, request.state, request.noise)
    np.testing.assert_array_equal(latents, _alone(many, request)[0])
    assert stage.with_steps(1).num_steps == 1
    assert stage.num_steps == many.alone.num_steps

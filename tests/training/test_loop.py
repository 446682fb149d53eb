"""The loop: exact resume after any kill, limits, several processes, damage and full disks."""

import dataclasses
import json
import multiprocessing
import os
import resource
import signal
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("tensorboard")
pytest.importorskip("scipy")

from rest_bridge.training.checkpoint import (  # noqa: E402
    CheckpointError,
    load_checkpoint,
    save_checkpoint,
)
from rest_bridge.training.loop import DivergedError, Loop  # noqa: E402
from rest_bridge.training.ranks import joined_ranks  # noqa: E402
from rest_bridge.training.speech_data import Batch  # noqa: E402
from tests.support.toy_training import TOY_STAGE, ToyLearner, toy_batch, toy_loop  # noqa: E402

torch.set_num_threads(1)
# Forked, since a new interpreter takes seconds to import torch.
FORK = multiprocessing.get_context("fork")


def train_slowly(out: Path) -> None:
    """Train at a pace at which a test can kill it anywhere."""

    def slowly(number: int) -> Batch:
        time.sleep(0.002)
        return toy_batch(number)

    Loop(ToyLearner(), slowly, TOY_STAGE, out, seed=3).run()


def train_together(out: Path, rank: int, port: int) -> None:
    """Train as one of two processes, with half of the micro-batches, as torchrun starts them."""
    os.environ.update(
        RANK=str(rank), WORLD_SIZE="2", LOCAL_RANK=str(rank), MASTER_ADDR="127.0.0.1",
        MASTER_PORT=str(port),
    )  # fmt: skip
    with joined_ranks() as ranks:
        toy_loop(out, dataclasses.replace(TOY_STAGE, accumulate=1), ranks=ranks).run()


def curve(out: Path) -> list[dict[str, float]]:
    lines = (out.parent / "toy.losses.jsonl").read_text().splitlines()
    return [json.loads(line) for line in lines]


@pytest.fixture(scope="module")
def straight(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run that nobody disturbed."""
    out = tmp_path_factory.mktemp("straight") / "toy.pt"
    assert toy_loop(out).run()
    return out


def assert_same_run(out: Path, other: Path) -> None:
    assert curve(out) == curve(other)
    first, second = load_checkpoint(out), load_checkpoint(other)
    for part in ("model", "ema"):
        for name, value in first[part].items():
            torch.testing.assert_close(value, second[part][name], atol=0, rtol=0)


def test_it_learns_and_averages(straight: Path) -> None:
    errors = [entry["error"] for entry in curve(straight)]
    assert len(errors) == TOY_STAGE.steps
    assert np.mean(errors[-10:]) < 0.7 * np.mean(errors[:10])
    saved = load_checkpoint(straight)
    assert not torch.equal(saved["model"]["weight"], saved["ema"]["weight"])


@pytest.mark.parametrize("stops", [(1,), (17,), (30, 31, 59)])
def test_a_resumed_run_is_the_same_run(straight: Path, tmp_path: Path, stops: tuple) -> None:
    out = tmp_path / "toy.pt"
    for steps in (*stops, TOY_STAGE.steps):
        toy_loop(out, dataclasses.replace(TOY_STAGE, steps=steps)).run()
    assert_same_run(straight, out)


def test_a_run_killed_at_any_moment_resumes_to_the_same_curve(
    straight: Path, tmp_path: Path
) -> None:
    out = tmp_path / "toy.pt"
    for kill_after_s in (0.05, 0.17, None):
        process = FORK.Process(target=train_slowly, args=(out,))
        process.start()
        process.join(kill_after_s)
        process.kill()
        process.join()
    assert load_checkpoint(out)["step"] == TOY_STAGE.steps
    assert_same_run(straight, out)


def test_sigterm_ends_a_run_between_two_steps_and_keeps_it(straight: Path, tmp_path: Path) -> None:
    out = tmp_path / "toy.pt"

    def batch_at(number: int):
        if number == 40:  # the 21st step of two micro-batches
            os.kill(os.getpid(), signal.SIGTERM)
        return toy_batch(number)

    loop = Loop(ToyLearner(), batch_at, TOY_STAGE, out, seed=3)
    assert not loop.run()
    assert load_checkpoint(out)["step"] == 21
    assert toy_loop(out).run()
    assert_same_run(straight, out)


def test_two_processes_take_the_step_of_two_micro_batches(
    straight: Path, tmp_path: Path, free_port: Callable[[], int]
) -> None:
    out, port = tmp_path / "toy.pt", free_port()
    processes = [FORK.Process(target=train_together, args=(out, r, port)) for r in range(2)]
    for process in processes:
        process.start()
    for process in processes:
        process.join(60)
        assert process.exitcode == 0
    for one, two in zip(curve(straight), curve(out), strict=True):
        assert one["error"] == pytest.approx(two["error"], rel=1e-4)
    first, second = load_checkpoint(straight)["model"], load_checkpoint(out)["model"]
    for name, value in first.items():
        torch.testing.assert_close(value, second[name], atol=1e-5, rtol=1e-4)


def test_seconds_end_a_run(tmp_path: Path) -> None:
    settings = dataclasses.replace(TOY_STAGE, steps=0, seconds=0.05)
    out = tmp_path / "toy.pt"
    assert toy_loop(out, settings).run()
    assert load_checkpoint(out)["step"] >= 1


def test_validation_runs_now_and_then_and_at_the_end(tmp_path: Path) -> None:
    settings = dataclasses.replace(TOY_STAGE, steps=5, validate_every_s=1000.0)
    seen: list[int] = []

    def validate(loop: Loop, told) -> None:
        seen.append(loop.step)
        told.add_metrics(loop.step, {"toy": {"r": 0.5}})

    toy_loop(tmp_path / "toy.pt", settings).run(validate)
    assert seen == [5]


def test_the_curve_of_steps_after_the_checkpoint_is_cut(tmp_path: Path) -> None:
    out = tmp_path / "toy.pt"
    toy_loop(out, dataclasses.replace(TOY_STAGE, steps=4)).run()
    with (tmp_path / "toy.losses.jsonl").open("a") as file:
        file.write('{"step": 5, "error": 99.0}\n{"step": 6, "err')  # a kill in the middle of a line
    toy_loop(out, dataclasses.replace(TOY_STAGE, steps=6)).run()
    assert [entry["step"] for entry in curve(out)] == [1, 2, 3, 4, 5, 6]
    assert curve(out)[4]["error"] < 99


def test_a_checkpoint_of_another_size_is_refused(straight: Path) -> None:
    with pytest.raises(
        CheckpointError, match=r"another size: weight is \[3, 8\] there and \[3, 5\]"
    ):
        Loop(ToyLearner(width=5), toy_batch, TOY_STAGE, straight, seed=3)


@pytest.mark.parametrize("content", [b"", b"not a checkpoint", None])
def test_a_damaged_checkpoint_is_refused(
    straight: Path, tmp_path: Path, content: bytes | None
) -> None:
    path = tmp_path / "toy.pt"
    path.write_bytes(straight.read_bytes()[:700] if content is None else content)
    with pytest.raises(CheckpointError, match=r"damaged or none at all .*toy\.pt"):
        toy_loop(path)


def test_a_full_disk_is_one_sentence_and_keeps_the_last_checkpoint(tmp_path: Path) -> None:
    path = tmp_path / "big.pt"
    save_checkpoint(path, {"step": 1})
    # A limit on file sizes fails a write just as a full disk does.
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, before[1]))
    try:
        with pytest.raises(CheckpointError, match=r"could not be written .* free some space"):
            save_checkpoint(path, {"step": 2, "x": torch.zeros(100_000)})
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert load_checkpoint(path)["step"] == 1
    assert [p.name for p in tmp_path.iterdir()] == ["big.pt"]


class Poisoned(ToyLearner):
    """Has no number for a loss in some steps."""

    def __init__(self, bad: range) -> None:
        super().__init__()
        self.bad, self.asked = bad, 0

    def losses(self, batch: Batch, chance: torch.Generator) -> dict[str, torch.Tensor]:
        parts = super().losses(batch, chance)
        micro = self.asked
        self.asked += 1
        if micro // TOY_STAGE.accumulate in self.bad:
            return {name: value * float("nan") for name, value in parts.items()}
        return parts


def test_a_step_without_a_number_leaves_the_weights_whole(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    out = tmp_path / "toy.pt"
    assert Loop(Poisoned(range(5, 8)), toy_batch, TOY_STAGE, out, seed=3).run()
    saved = load_checkpoint(out)
    assert saved["step"] == TOY_STAGE.steps
    assert all(torch.isfinite(value).all() for value in saved["model"].values())
    assert caplog.text.count("passed over") == 3
    assert "step 6 passed over" in caplog.text


def test_a_run_that_diverges_ends_with_one_sentence_and_keeps_its_checkpoint(
    tmp_path: Path,
) -> None:
    out = tmp_path / "toy.pt"
    toy_loop(out, dataclasses.replace(TOY_STAGE, steps=10)).run()
    before = load_checkpoint(out)["model"]
    with pytest.raises(DivergedError, match="20 steps in a row are no numbers"):
        Loop(Poisoned(range(99)), toy_batch, TOY_STAGE, out, seed=3).run()
    after = load_checkpoint(out)["model"]
    assert all(torch.equal(value, after[name]) for name, value in before.items())


def test_half_precision_goes_the_same_way(straight: Path, tmp_path: Path) -> None:
    out = tmp_path / "toy.pt"
    toy_loop(out, dataclasses.replace(TOY_STAGE, precision="bf16")).run()
    first, second = ([e["error"] for e in curve(path)] for path in (straight, out))
    assert np.mean(second[-10:]) == pytest.approx(np.mean(first[-10:]), rel=0.1)

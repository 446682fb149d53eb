"""The whole chain at toy size: sessions -> every stage -> export -> runtime."""

import dataclasses
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("scipy")
pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")
pytest.importorskip("tensorboard")

from rest_bridge.errors import ConfigError  # noqa: E402
from rest_bridge.features.encoder import SpeechEncoder  # noqa: E402
from rest_bridge.generator.conditions import CONDITION_INDEX  # noqa: E402
from rest_bridge.generator.generator import MotionGenerator  # noqa: E402
from rest_bridge.generator.life import LifePlanner  # noqa: E402
from rest_bridge.inference.package import ModelPackage  # noqa: E402
from rest_bridge.model.audio_encoder import SpeechConfig  # noqa: E402
from rest_bridge.model.audio_encoder import SpeechEncoder as SpeechNet  # noqa: E402
from rest_bridge.model.dit import DitConfig, StreamingDit  # noqa: E402
from rest_bridge.rig import RIG_INDEX  # noqa: E402
from rest_bridge.training import (  # noqa: E402
    export_motion,
    rollout,
    speech_data,
    speech_sessions,
    stages,
    train_speech,
)
from rest_bridge.training.__main__ import main  # noqa: E402
from rest_bridge.training.checkpoint import load_checkpoint  # noqa: E402
from rest_bridge.training.curve import LossCurve  # noqa: E402
from rest_bridge.training.motion_models import averaged_models  # noqa: E402
from rest_bridge.training.settings import read_settings  # noqa: E402
from rest_bridge.training.speech_sources import is_held_out  # noqa: E402
from tests.support.toy_training import MEL, toy_settings, toy_utterance  # noqa: E402

torch.set_num_threads(1)
Session = speech_sessions.Session
MOTION = ("speech", "teacher", "student", "asd", "distill")


@pytest.fixture(scope="module")
def trained(toy_folder: Path) -> Path:
    """Every stage trained by one command; returns the folder of the checkpoints."""
    assert main(["all", "--config", str(toy_settings(toy_folder))]) == 0
    return toy_folder / "run"


def told(folder: Path, stage: str, name: str) -> list[float]:
    """Losses of a stage, step by step."""
    return [entry[name] for entry in LossCurve.read(folder, stage)]


# --- data -----------------------------------------------------------------------------------------


def test_sessions_survive_storage(toy_sessions: list[Session], toy_folder: Path) -> None:
    for made, read in zip(
        toy_sessions, speech_sessions.load_sessions(toy_folder / "train-toy.npz"), strict=True
    ):
        for field in dataclasses.fields(made):
            np.testing.assert_array_equal(getattr(made, field.name), getattr(read, field.name))


def test_features_of_a_session_are_what_the_runtime_hears(toy_sessions: list[Session]) -> None:
    # One crop with its history gives the tokens that streaming from the start gives.
    torch.manual_seed(0)
    encoder = SpeechNet(SpeechConfig())
    whole = speech_data.compose(toy_sessions[0], version=0, first=0, num_latents=20, rng=None)
    part = speech_data.compose(toy_sessions[0], version=0, first=12, num_latents=8, rng=None)
    with torch.no_grad():
        tokens = train_speech.encode(encoder, torch.from_numpy(whole.mel))
        again = train_speech.encode(encoder, torch.from_numpy(part.mel))
    torch.testing.assert_close(tokens[:, 12:], again, atol=1e-5, rtol=1e-4)


def test_conditions_say_what_the_target_does(toy_sessions: list[Session]) -> None:
    batch = speech_data.compose(toy_sessions[0], version=1, first=0, num_latents=20, rng=None)
    rows, rig = batch.conditions[0], batch.rig[0]
    np.testing.assert_allclose(rig[:, RIG_INDEX["eyeBlinkLeft"]], rows[:, :2].ravel(), atol=1e-3)
    yaw = rig[:, 0].reshape(-1, 2).mean(1)
    np.testing.assert_allclose(yaw, 8 * rows[:, CONDITION_INDEX["yaw"]], atol=1e-3)


def test_step_n_of_the_batches_is_the_same_after_a_resume(toy_sessions: list[Session]) -> None:
    settings = {"batch_size": 2, "num_latents": 10, "seed": 3}
    stream = speech_data.batches(toy_sessions, **settings)
    for _ in range(3):
        next(stream)
    resumed = next(speech_data.batches(toy_sessions, **settings, first_step=3))
    np.testing.assert_array_equal(next(stream).mel, resumed.mel)


def test_held_out_clips_follow_the_written_splits() -> None:
    assert is_held_out("grid_other_talkers", "sbia1a.mp4", 0)
    assert is_held_out("facegood_audio2face", "3_15.flac", 5)
    assert sum(is_held_out("grid_s1_video", "x", i) for i in range(360)) == 12
    assert sum(is_held_out("librispeech_subset", "x", i) for i in range(251)) == 26
    assert is_held_out("espeak", "fi", 0)
    assert not is_held_out("espeak", "de", 0)


# --- stages ---------------------------------------------------------------------------------------


def test_every_stage_trains_in_one_command(trained: Path) -> None:
    for stage in MOTION:
        assert (trained / f"{stage}.pt").exists()
        assert any((trained / "tensorboard" / stage).iterdir())
    flow = told(trained, "teacher", "flow")
    assert np.mean(flow[-15:]) < 0.7 * np.mean(flow[:15])
    assert {"contrastive", "smoothness"} <= LossCurve.read(trained, "asd")[0].keys()
    assert "answer" in LossCurve.read(trained, "distill")[0]


def test_a_stage_begins_where_the_one_before_ended(trained: Path) -> None:
    # The student knows at its first steps what the teacher learnt.
    flow = {stage: told(trained, stage, "flow") for stage in ("teacher", "student")}
    assert np.mean(flow["student"][:10]) < 0.8 * np.mean(flow["teacher"][:10])


def test_finished_stages_are_passed_over(trained: Path) -> None:
    before = {stage: load_checkpoint(trained / f"{stage}.pt")["step"] for stage in MOTION}
    assert main(["all", "--config", str(trained.parent / "toy.toml")]) == 0
    after = {stage: load_checkpoint(trained / f"{stage}.pt")["step"] for stage in MOTION}
    assert before == after


def test_every_stage_resumes_to_the_same_curve(trained: Path, tmp_path: Path) -> None:
    config = str(trained.parent / "toy.toml")
    for stage in MOTION:
        begin = {"teacher": "speech", "student": "teacher", "asd": "student", "distill": "asd"}
        arguments = [stage, "--config", config, "--set", f"out={tmp_path}"]
        if stage in begin:
            arguments += ["--set", f"{stage}.start={trained / begin[stage]}.pt"]
        arguments += ["--set", f"asd.teacher={trained}/teacher.pt"]
        for steps in ("3", "6"):
            assert main([*arguments, "--steps", steps]) == 0
        assert LossCurve.read(tmp_path, stage) == LossCurve.read(trained, stage)[:6]


def test_the_trained_student_exports_and_runs(trained: Path, tmp_path: Path) -> None:
    saved = load_checkpoint(trained / "distill.pt")
    encoder, dit = averaged_models(saved)
    sessions = speech_sessions.load_sessions(trained.parent / "validation.npz")
    score, table = stages.score_models(saved, sessions)
    assert table["read"]["r"] > 0.3
    assert score > 0.3
    export_motion.export_motion(encoder, dit, MEL, tmp_path / "package", trained={})

    package = ModelPackage.load(tmp_path / "package")
    voice = toy_utterance(0).samples
    runtime = SpeechEncoder(package)
    tokens, _ = runtime.step(voice, runtime.initial_state())
    generator = MotionGenerator(package, num_steps=2, temperature=1.0)
    state, planner = generator.initial_state(np.zeros((1, 16, 4, 4), np.float32)), LifePlanner(0)
    noise = np.random.default_rng(0).standard_normal((12, 16, 4, 4)).astype(np.float32)
    parts = []
    for first in range(0, 12, 3):
        part = slice(first, first + 3)
        latents, state = generator.step(tokens[part], planner.plan(first, 3), state, noise[part])
        parts.append(latents)
    expected = rollout.stream(
        dit, torch.zeros(1, 16, 4, 4), torch.from_numpy(tokens[None, :12]),
        torch.from_numpy(planner.plan(0, 12)[None]), torch.from_numpy(noise[None]),
        num_steps=2, chunk_latents=3,
    )  # fmt: skip
    np.testing.assert_allclose(np.concatenate(parts), expected[0].numpy(), atol=2e-3)


@pytest.mark.parametrize(
    "choices", [{"context": "last"}, {"first_chunk": "reference", "sink_place": "slot"},
                {"first_chunk": "zeros", "order": "audio-self"}],
    ids=lambda c: "-".join(c.values()),
)  # fmt: skip
def test_the_runtime_streams_each_choice_as_training_does(
    choices: dict[str, str], tmp_path: Path
) -> None:
    torch.manual_seed(0)
    config = DitConfig(width=32, num_blocks=2, num_heads=2, feed_forward=32, window=3, **choices)
    dit, encoder = StreamingDit(config).eval(), SpeechNet(SpeechConfig())
    torch.nn.init.normal_(dit.leave.weight, std=0.1)
    export_motion.export_motion(encoder, dit, MEL, tmp_path, trained={})
    generator = MotionGenerator(ModelPackage.load(tmp_path), num_steps=2, temperature=1.0)
    rng = np.random.default_rng(0)
    tokens = rng.standard_normal((9, 2, 96)).astype(np.float32)
    noise, reference = rng.standard_normal((2, 9, 16, 4, 4)).astype(np.float32)
    rows = LifePlanner(0).plan(0, 9)
    parts, state = [], generator.initial_state(reference[:1])
    for first in range(0, 9, 3):
        part = slice(first, first + 3)
        latents, state = generator.step(tokens[part], rows[part], state, noise[part])
        parts.append(latents)
    expected = rollout.stream(
        dit, *(torch.from_numpy(x) for x in (reference[:1], tokens[None], rows[None], noise[None])),
        num_steps=2, chunk_latents=3,
    )  # fmt: skip
    np.testing.assert_allclose(np.concatenate(parts), expected[0].numpy(), atol=2e-3)


def test_one_cache_a_step_is_not_exported(tmp_path: Path) -> None:
    dit = StreamingDit(DitConfig(width=32, num_blocks=1, num_heads=2, context="level"))
    with pytest.raises(ConfigError, match="level keeps one cache a denoising step"):
        export_motion.export_motion(SpeechNet(SpeechConfig()), dit, MEL, tmp_path, trained={})
    assert not list(tmp_path.iterdir())


def test_a_blend_lies_between_its_parents(trained: Path, tmp_path: Path) -> None:
    parents, out = [trained / "teacher.pt", trained / "student.pt"], tmp_path / "blend.pt"
    words = ["blend", "--first", str(parents[0]), "--second", str(parents[1]), "--out", str(out)]
    assert main([*words, "--share", "0.25"]) == 0
    first, second, mixed = (load_checkpoint(path)["ema"] for path in (*parents, out))
    for name, value in mixed.items():
        torch.testing.assert_close(value, 0.75 * first[name] + 0.25 * second[name])
    averaged_models(load_checkpoint(out))
    assert main([*words, "--share", "1.5"]) == 2


# --- mistakes -------------------------------------------------------------------------------------


def test_an_export_that_disagrees_writes_nothing(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(export_motion, "_TOLERANCE", -1.0)
    config = DitConfig(width=32, num_blocks=1, num_heads=2, feed_forward=32)
    with pytest.raises(export_motion.ExportMismatch, match="differs from torch"):
        export_motion.export_motion(
            SpeechNet(SpeechConfig()), StreamingDit(config), MEL, tmp_path / "package", trained={}
        )
    assert not (tmp_path / "package").exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["teacher", "--set", "teacher.learning_rat=1"], "teacher.learning_rat is no setting"),
        (["student"], "There is no checkpoint {folder}/fresh/teacher.pt; train the stage before"),
        (["speech", "--set", "data={folder}/none"], "There is no training data in {folder}/none"),
        (["speech", "--set", "speech.num_latents=4000"], "shorter than a crop"),
        (["teacher", "--set", "teacher.start={run}/speech.pt", "--set", "model.audio_width=32"],
         "another size: leave.weight is [32, 48] there and [64, 48] by the settings"),
        (["vae"], "vae.data names no folder"),
        (["export-motion", "--checkpoint", "{run}/speech.pt", "--data", "{folder}"], "mel.npz"),
        (["evaluate-motion", "--checkpoint", "{run}/speech.pt", "--data", "{folder}"],
         "holds no DiT"),
    ],
)  # fmt: skip
def test_mistakes_are_one_sentence(
    trained: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], message: str
) -> None:
    def fill(text: str) -> str:
        return text.replace("{folder}", str(trained.parent)).replace("{run}", str(trained))

    words = [fill(word) for word in arguments]
    if "--checkpoint" not in words:
        fresh = ["--set", f"out={trained.parent}/fresh"]
        words = [words[0], "--config", str(trained.parent / "toy.toml"), *fresh, *words[1:]]
    assert main(words) == 2
    said = capsys.readouterr().err.strip()
    assert fill(message) in said
    assert len(said.splitlines()) == 1


def test_a_full_disk_stops_a_stage_with_one_sentence(trained: Path, tmp_path: Path) -> None:
    settings = str(trained.parent / "toy.toml")
    code = (
        "import resource, sys; resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, 200_000));"
        "from rest_bridge.training.__main__ import main; sys.exit(main(sys.argv[1:]))"
    )
    words = ["speech", "--config", settings, "--set", f"out={tmp_path}", "--steps", "2"]
    done = subprocess.run(
        [sys.executable, "-c", code, *words], capture_output=True, text=True, check=False,
        env={**os.environ, "OMP_NUM_THREADS": "1"}, timeout=120,
    )  # fmt: skip
    assert done.returncode == 2
    assert "could not be written" in done.stderr.splitlines()[-1]
    assert not list(tmp_path.glob("*.pt*"))
    assert read_settings(Path(settings)).speech.steps == 60

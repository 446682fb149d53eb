"""The whole chain at toy size: sessions -> SpeechAE -> DiT -> export -> runtime, and resume."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("scipy")
pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")

from rest_bridge.features.encoder import SpeechEncoder  # noqa: E402
from rest_bridge.features.mel import LogMel, MelConfig  # noqa: E402
from rest_bridge.generator.conditions import CONDITION_INDEX  # noqa: E402
from rest_bridge.generator.generator import MotionGenerator  # noqa: E402
from rest_bridge.generator.life import LifePlanner  # noqa: E402
from rest_bridge.inference.package import ModelPackage  # noqa: E402
from rest_bridge.rig import RIG_INDEX  # noqa: E402
from rest_bridge.training import (  # noqa: E402
    export_motion,
    rollout,
    speech_data,
    speech_metrics,
    speech_sessions,
    train_dit,
    train_speech,
)
from rest_bridge.training.__main__ import main  # noqa: E402
from rest_bridge.training.phonemes import Phone, tile  # noqa: E402
from rest_bridge.training.speech_sources import Utterance, is_held_out, rule_utterance  # noqa: E402

torch.set_num_threads(1)
MEL = MelConfig(np.full(80, -5, np.float32), np.full(80, 2.5, np.float32))


def toy_utterance(seed: int) -> Utterance:
    """Return two seconds of buzz (open) and gaps (shut)."""
    rng, phones, clock = np.random.default_rng(seed), [], 0.3
    samples = np.zeros(32_000, np.float32)
    while clock < 1.7:
        length = float(rng.uniform(0.1, 0.2))
        span = slice(int(clock * 16_000), int((clock + length) * 16_000))
        t = np.arange(span.stop - span.start) / 16_000
        samples[span] = 0.1 * np.sign(np.sin(2 * np.pi * 140 * t))
        phones.append(Phone("AA", clock, clock + length))
        clock += length
        phones.append(Phone("M", clock, clock + 0.1))
        clock += 0.1
    return rule_utterance(f"toy-{seed}", "read", samples, tile(phones, 2.0), "arpabet")


@pytest.fixture(scope="module")
def sessions() -> list[speech_sessions.Session]:
    mel, rng = LogMel(MEL), np.random.default_rng(0)
    voices = [toy_utterance(9).samples]
    chains = [[toy_utterance(2 * i), toy_utterance(2 * i + 1)] for i in range(3)]
    return [
        speech_sessions.build_session(
            speech_sessions.join_utterances(chain, rng, pauses=True),
            mel, rng, num_versions=2, history=voices[0], voices=voices,
        )
        for chain in chains
    ]  # fmt: skip


@pytest.fixture(scope="module")
def folder(
    sessions: list[speech_sessions.Session], tmp_path_factory: pytest.TempPathFactory
) -> Path:
    path = tmp_path_factory.mktemp("speech")
    speech_sessions.save_sessions(sessions, path / "train-toy.npz")
    speech_sessions.save_sessions(sessions[:1], path / "validation.npz")
    return path


def dit_run(folder: Path) -> train_dit.DitRun:
    return train_dit.DitRun(
        data=str(folder), speech=str(folder / "none.pt"), out=str(folder / "dit.pt"),
        batch_size=2, num_latents=12, width=32, num_blocks=2, num_heads=2, feed_forward=32,
        window=3,
    )  # fmt: skip


def test_sessions_survive_storage(sessions: list[speech_sessions.Session], folder: Path) -> None:
    for made, read in zip(
        sessions, speech_sessions.load_sessions(folder / "train-toy.npz"), strict=True
    ):
        for field in dataclasses.fields(made):
            np.testing.assert_array_equal(getattr(made, field.name), getattr(read, field.name))


def test_features_of_a_session_are_what_the_runtime_hears(
    sessions: list[speech_sessions.Session],
) -> None:
    # One crop with its history gives the tokens that streaming from the start gives.
    torch.manual_seed(0)
    encoder = train_dit.SpeechEncoder(train_dit.SpeechConfig())
    whole = speech_data.compose(sessions[0], version=0, first=0, num_latents=20, rng=None)
    part = speech_data.compose(sessions[0], version=0, first=12, num_latents=8, rng=None)
    with torch.no_grad():
        tokens = train_speech.encode(encoder, torch.from_numpy(whole.mel))
        again = train_speech.encode(encoder, torch.from_numpy(part.mel))
    torch.testing.assert_close(tokens[:, 12:], again, atol=1e-5, rtol=1e-4)


def test_conditions_say_what_the_target_does(sessions: list[speech_sessions.Session]) -> None:
    batch = speech_data.compose(sessions[0], version=1, first=0, num_latents=20, rng=None)
    rows, rig = batch.conditions[0], batch.rig[0]
    np.testing.assert_allclose(rig[:, RIG_INDEX["eyeBlinkLeft"]], rows[:, :2].ravel(), atol=1e-3)
    yaw = rig[:, 0].reshape(-1, 2).mean(1)
    np.testing.assert_allclose(yaw, 8 * rows[:, CONDITION_INDEX["yaw"]], atol=1e-3)


def test_step_n_of_the_batches_is_the_same_after_a_resume(
    sessions: list[speech_sessions.Session],
) -> None:
    settings = {"batch_size": 2, "num_latents": 10, "seed": 3}
    stream = speech_data.batches(sessions, **settings)
    for _ in range(3):
        next(stream)
    resumed = next(speech_data.batches(sessions, **settings, first_step=3))
    np.testing.assert_array_equal(next(stream).mel, resumed.mel)


def test_training_resumes_to_the_same_weights(folder: Path) -> None:
    sessions = speech_sessions.load_sessions(folder / "train-toy.npz")

    def steps(trainer: train_dit.Trainer, count: int) -> None:
        source = speech_data.batches(
            sessions, batch_size=2, num_latents=12, seed=1, first_step=trainer.step
        )
        for _ in range(count):
            trainer.train_step(next(source))

    straight = train_dit.Trainer(dit_run(folder))
    steps(straight, 4)
    begun = train_dit.Trainer(dit_run(folder))
    steps(begun, 2)
    path = folder / "resume.pt"
    train_dit.save_checkpoint(path, begun.state())
    resumed = train_dit.Trainer(dit_run(folder))
    resumed.restore(train_dit.load_checkpoint(path))
    steps(resumed, 2)
    for name, value in straight.model.state_dict().items():
        torch.testing.assert_close(value, resumed.model.state_dict()[name], atol=0, rtol=0)


def test_the_chain_learns_exports_and_runs(folder: Path, tmp_path: Path) -> None:
    speech = train_speech.SpeechRun(
        data=str(folder), out=str(folder / "speech.pt"), seconds=3, batch_size=4, num_latents=12
    )
    train_speech.train(speech)
    trainer = train_dit.Trainer(
        dataclasses.replace(dit_run(folder), speech=speech.out, learning_rate=3e-3)
    )
    sessions = speech_sessions.load_sessions(folder / "train-toy.npz")
    source = speech_data.batches(sessions, batch_size=4, num_latents=12, seed=1)
    flow = [trainer.train_step(next(source))["flow"] for _ in range(150)]
    assert np.mean(flow[-25:]) < 0.7 * np.mean(flow[:25])

    encoder, dit = train_dit.averaged_models(trainer.ema.shadow, trainer.dit.config)
    table = speech_metrics.summarise(speech_metrics.generate(encoder, dit, sessions[:1]))
    assert table["read"]["r"] > 0.3
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


def test_an_export_that_disagrees_writes_nothing(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(export_motion, "_TOLERANCE", -1.0)
    config = train_dit.DitConfig(width=32, num_blocks=1, num_heads=2, feed_forward=32)
    with pytest.raises(export_motion.ExportMismatch, match="differs from torch"):
        export_motion.export_motion(
            train_dit.SpeechEncoder(train_dit.SpeechConfig()), train_dit.StreamingDit(config),
            MEL, tmp_path / "package", trained={},
        )  # fmt: skip
    assert not (tmp_path / "package").exists()


def test_held_out_clips_follow_the_written_splits() -> None:
    assert is_held_out("grid_other_talkers", "sbia1a.mp4", 0)
    assert is_held_out("facegood_audio2face", "3_15.flac", 5)
    assert sum(is_held_out("grid_s1_video", "x", i) for i in range(360)) == 12
    assert sum(is_held_out("librispeech_subset", "x", i) for i in range(251)) == 26
    assert is_held_out("espeak", "fi", 0)
    assert not is_held_out("espeak", "de", 0)


def test_wrong_settings_are_one_sentence(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    settings = tmp_path / "dit.toml"
    settings.write_text('data = "x"\nspeech = "y"\nout = "z"\nlearning_rat = 1.0\n')
    for arguments, message in (
        (["dit", "--config", str(settings)], "learning_rat"),
        (["speech", "--config", str(tmp_path / "none.toml")], "cannot be read"),
        (["export-motion", "--checkpoint", "nowhere.pt", "--data", str(tmp_path)], "mel.npz"),
    ):
        assert main(arguments) == 2
        assert message in capsys.readouterr().err

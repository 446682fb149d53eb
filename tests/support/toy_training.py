"""Training at toy size: a voice of buzzes and gaps, settings, a learner of one matrix."""

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from rest_bridge.features.mel import LogMel, MelConfig
from rest_bridge.training import speech_sessions
from rest_bridge.training.loop import Loop
from rest_bridge.training.phonemes import Phone, tile
from rest_bridge.training.settings import StageSettings
from rest_bridge.training.speech_data import Batch
from rest_bridge.training.speech_sources import Utterance, rule_utterance

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


def toy_sessions() -> list[speech_sessions.Session]:
    """Return three sessions of some six seconds."""
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


TOY_MODEL = """
[model]
width = 32
num_blocks = 2
num_heads = 2
feed_forward = 32
window = 3
audio_width = 16
speech_width = 24
"""


def toy_settings(folder: Path, text: str = "") -> Path:
    """Write settings for data in `folder`, results in `folder`/run; returns their path."""
    stages = {
        "speech": "steps = 60",
        "teacher": "steps = 120\nchunk_latents = 3\nspeech_rate = 0.5\nfull_noise = 0.2",
        "student": "steps = 60\nchunk_latents = 0\nspeech_rate = 0.3\nfull_noise = 0.3\n"
                   "own_context = 0.3\ncontext_noise = 0.2\ndrop_context = 0.1",
        "asd": "steps = 20\nchunk_latents = 3\nfull_noise = 0.3",
        "distill": "steps = 20\nchunk_latents = 1",
    }  # fmt: skip
    common = "batch_size = 4\nnum_latents = 12\nlearning_rate = 3e-3\nwarm_up = 5\nema = 0.9\n"
    sections = "".join(f"[{name}]\n{common}{own}\n" for name, own in stages.items())
    path = folder / "toy.toml"
    head = f'data = "{folder}"\nout = "{folder}/run"\n'
    path.write_text(text or head + TOY_MODEL + sections)
    return path


class ToyLearner:
    """Learns one matrix from noisy numbers; all chance comes from outside."""

    def __init__(self, width: int = 8) -> None:
        torch.manual_seed(0)
        self.module: nn.Module = nn.Linear(width, 3)
        self.about: dict[str, Any] = {"width": width}

    def groups(self) -> list[dict[str, Any]]:
        return [{"params": list(self.module.parameters()), "share": 1.0}]

    def losses(self, batch: Batch, chance: torch.Generator) -> dict[str, Tensor]:
        x = torch.from_numpy(batch.mel)
        x = x + 0.1 * torch.randn(x.shape, generator=chance)
        y = torch.from_numpy(batch.rig)
        return {"error": (self.module(x) - y).square().mean()}


def toy_batch(number: int) -> Batch:
    """Return batch `number`, always the same."""
    rng = np.random.default_rng(number)
    x = rng.standard_normal((4, 8)).astype(np.float32)
    blank = np.zeros(1, np.float32)
    values = {"mel": x, "rig": np.tanh(x[:, :3])}
    return Batch(**{f.name: values.get(f.name, blank) for f in dataclasses.fields(Batch)})


TOY_STAGE = StageSettings(
    steps=60, accumulate=2, learning_rate=1e-2, warm_up=5, precision="float32", save_every_s=0.02
)


def toy_loop(out: Path, settings: StageSettings = TOY_STAGE, **options: Any) -> Loop:
    """Return a loop over toy batches."""
    return Loop(ToyLearner(), toy_batch, settings, out, seed=3, **options)

"""The pipeline with the trained parts of the shipped package: any chunking, same frames."""

from pathlib import Path

import numpy as np
import pytest

from rest_bridge.audio.file import FileSource
from rest_bridge.config import Config
from rest_bridge.gallery import FACES_PATH
from rest_bridge.loader import Loader
from rest_bridge.pipeline import Pipeline
from rest_bridge.rehearsal import rehearse
from rest_bridge.rig import RIG_INDEX
from rest_bridge.stages import Stages, load_stages
from rest_bridge.types import AudioChunk, Frame

SIZE_PX = 96
PARTS = ("speech_encoder.onnx", "dit.onnx", "dit_prefill.onnx")


@pytest.fixture(scope="module")
def stages(package_path: Path) -> Stages:
    missing = [name for name in PARTS if not (package_path / name).is_file()]
    if missing:
        pytest.skip(f"the model package has no {', '.join(missing)} yet")
    pytest.importorskip("onnxruntime")
    loader = Loader(Config.model_validate({"output": {"size": SIZE_PX}}))
    return load_stages(loader.package, loader.avatar(), size_px=SIZE_PX)


@pytest.fixture(scope="module")
def voice() -> np.ndarray:
    with FileSource(FACES_PATH / "voice.flac", paced=False) as source:
        return source.read(3 * 48_000, 10.0).samples[48_000:]


def generate(stages: Stages, voice: np.ndarray, sizes: list[int], **options) -> list[Frame]:
    pipeline = Pipeline(stages, **options)
    frames, position = [], 0
    while position < len(voice):
        part = voice[position : position + sizes[len(frames) % len(sizes)]]
        frames += pipeline.push(AudioChunk(part, 48_000, position, 0))
        position += len(part)
    return frames + pipeline.finish()


@pytest.mark.parametrize("options", [{}, {"chunk_latents": 3}, {"fps": 30}])
def test_streaming_equals_offline_bit_by_bit(stages, voice, options):
    offline = generate(stages, voice, [len(voice)], **options)
    streamed = generate(stages, voice, [333, 4800, 1921], **options)
    assert len(offline) == len(streamed) == 2 * options.get("fps", 25)
    for a, b in zip(offline, streamed, strict=True):
        np.testing.assert_array_equal(a.rgba, b.rgba)
        np.testing.assert_array_equal(a.rig.values, b.rig.values)


def test_the_mouth_moves_with_the_voice_and_rests_without(stages, voice):
    jaw = RIG_INDEX["jawOpen"]
    spoken = np.array([f.rig.values[jaw] for f in generate(stages, voice, [4800])])
    silent = np.array([f.rig.values[jaw] for f in generate(stages, 0 * voice, [4800])])
    assert spoken.std() > 3 * silent.std()
    assert silent[10:].max() < 0.1


def test_rehearsal_knows_the_look_ahead(stages):
    rehearsal = rehearse(Pipeline(stages), 3)
    assert 80 * 48 < rehearsal.num_samples <= 200 * 48

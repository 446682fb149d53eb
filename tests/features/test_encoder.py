"""SpeechAE at run time: equal bits in any chunking, the promised lookahead, exact save/restore."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rest_bridge.errors import StateMismatch
from rest_bridge.features.encoder import SpeechEncoder
from rest_bridge.inference.package import ModelPackage
from rest_bridge.types import FloatArray

pytest.importorskip("onnxruntime")

VOICE = (np.random.default_rng(0).standard_normal(16_000) * 0.05).astype(np.float32)


@pytest.fixture(scope="module")
def encoder() -> SpeechEncoder:
    return SpeechEncoder(ModelPackage.load())


def tokens_of(encoder: SpeechEncoder, samples: FloatArray, sizes: list[int]) -> FloatArray:
    state, parts, position = encoder.initial_state(), [], 0
    while position < len(samples):
        size = sizes[len(parts) % len(sizes)]
        tokens, state = encoder.step(samples[position : position + size], state)
        parts.append(tokens)
        position += size
    return np.concatenate(parts)


@settings(deadline=None, max_examples=8)
@given(st.lists(st.integers(50, 5000), min_size=1, max_size=5))
def test_any_chunking_gives_equal_bits(encoder: SpeechEncoder, sizes: list[int]) -> None:
    whole = tokens_of(encoder, VOICE, [len(VOICE)])
    np.testing.assert_array_equal(tokens_of(encoder, VOICE, sizes), whole)


def test_a_latent_frame_comes_out_one_lookahead_after_its_end(encoder: SpeechEncoder) -> None:
    for latent in (0, 3):
        needed = round(((latent + 1) * 0.08 + encoder.lookahead_s) * 16_000)
        assert len(tokens_of(encoder, VOICE[:needed], [160])) == latent + 1
        assert len(tokens_of(encoder, VOICE[: needed - 1], [160])) == latent


def test_later_samples_never_change_earlier_tokens(encoder: SpeechEncoder) -> None:
    changed = VOICE.copy()
    changed[8000:] = 0.3
    known = int((0.5 - encoder.lookahead_s) / 0.08)
    before, after = (tokens_of(encoder, v, [16_000]) for v in (VOICE, changed))
    np.testing.assert_array_equal(before[:known], after[:known])
    assert np.abs(before[known + 1] - after[known + 1]).max() > 1e-3


def test_a_saved_state_replays_exactly(encoder: SpeechEncoder, tmp_path: Path) -> None:
    _, state = encoder.step(VOICE[:5123], encoder.initial_state())
    encoder.state_spec.save(state, tmp_path / "state.npz")
    restored = encoder.state_spec.load(tmp_path / "state.npz")
    np.testing.assert_array_equal(
        encoder.step(VOICE[5123:], state)[0], encoder.step(VOICE[5123:], restored)[0]
    )


def test_a_state_of_another_package_is_refused(encoder: SpeechEncoder) -> None:
    state = encoder.initial_state()
    state["encoder.pending"] = np.zeros((3, 80), np.float32)
    with pytest.raises(StateMismatch, match=r"encoder\.pending"):
        encoder.state_spec.check(state)

"""Emotions written into the skip: a silent stream shows their shapes, whatever comes back to it."""

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("scipy")

from rest_bridge.model.dit import StreamingDit  # noqa: E402
from rest_bridge.model.dit_block import DitConfig  # noqa: E402
from rest_bridge.training.emotion_shapes import (  # noqa: E402
    borrow_wishes,
    settle_emotions,
    shown,
)
from rest_bridge.training.expressions import expression_basis  # noqa: E402

torch.set_num_threads(1)


def test_a_stream_shows_the_shapes_after_settling() -> None:
    torch.manual_seed(0)
    dit = StreamingDit(
        DitConfig(width=32, num_blocks=2, num_heads=2, feed_forward=32, audio_width=8, window=3)
    ).eval()
    torch.nn.init.normal_(dit.leave.weight, std=0.03)  # hears its own latents and context
    borrow_wishes(dit)
    wanted = torch.from_numpy(expression_basis())
    before = (wanted - shown(dit))[:, 6:].abs().max()
    assert settle_emotions(dit) < 0.1 * before

"""SpeechAE in torch: streamed equals offline, causal, with the receptive field it states."""

import pytest

torch = pytest.importorskip("torch")

from rest_bridge.model.audio_encoder import (  # noqa: E402
    MEL_PER_LATENT,
    SpeechConfig,
    SpeechEncoder,
    SpeechHeads,
)
from rest_bridge.model.layers import CausalConv  # noqa: E402

torch.set_num_threads(1)
SMALL = SpeechConfig(num_bins=10, widths=(8, 12, 12, 16), token_width=6)


@pytest.mark.parametrize("sizes", [[1] * 12, [5, 1, 6], [12]])
@torch.no_grad()
def test_streaming_equals_offline(sizes: list[int]) -> None:
    torch.manual_seed(0)
    encoder, mel = SpeechEncoder(SMALL), torch.randn(2, 12 * MEL_PER_LATENT, 10)
    offline, _ = encoder(mel, encoder.initial_state(2))
    state, parts = encoder.initial_state(2), []
    for chunk in mel.split([n * MEL_PER_LATENT for n in sizes], 1):
        tokens, state = encoder(chunk, state)
        parts.append(tokens)
    torch.testing.assert_close(torch.cat(parts, 1), offline, atol=1e-5, rtol=1e-5)


def test_a_token_hears_70_frames_and_no_future() -> None:
    torch.manual_seed(0)
    encoder = SpeechEncoder(SMALL)
    mel = torch.randn(1, 20 * MEL_PER_LATENT, 10, requires_grad=True)
    tokens, _ = encoder(mel, encoder.initial_state(1))
    tokens[0, 14].sum().backward()
    heard = mel.grad[0].abs().sum(-1).nonzero()[:, 0]
    assert heard.max() == 15 * MEL_PER_LATENT - 1
    assert heard.max() - heard.min() + 1 == 70


@pytest.mark.parametrize(("kernel", "stride", "dilation"), [(3, 1, 1), (3, 1, 4), (4, 2, 1)])
@torch.no_grad()
def test_causal_conv_is_a_convolution(kernel: int, stride: int, dilation: int) -> None:
    torch.manual_seed(0)
    conv = CausalConv(3, 5, kernel=kernel, stride=stride, dilation=dilation)
    x = torch.randn(2, 16, 3)
    y, state = conv(x, torch.zeros(2, conv.context, 3))
    weight = conv.linear.weight.unflatten(1, (kernel, 3)).permute(0, 2, 1)
    padded = torch.nn.functional.pad(x.transpose(1, 2), (conv.context, 0))
    expected = torch.nn.functional.conv1d(
        padded, weight, conv.linear.bias, stride=stride, dilation=dilation
    )
    torch.testing.assert_close(y, expected.transpose(1, 2), atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(state, x[:, 16 - conv.context :])


def test_contrast_prefers_the_own_frame_after_a_few_steps() -> None:
    from rest_bridge.training.losses import contrastive

    torch.manual_seed(0)
    encoder, heads = SpeechEncoder(SMALL), SpeechHeads(SMALL, num_rig=4, hidden=16)
    mel = torch.randn(2, 8 * MEL_PER_LATENT, 10)
    optimiser = torch.optim.Adam([*encoder.parameters(), *heads.parameters()], lr=3e-3)
    losses = []
    for _ in range(60):
        tokens, _ = encoder(mel, encoder.initial_state(2))
        loss = contrastive(heads(tokens, mel)[1])
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(float(loss.detach()))
    assert losses[-1] < 0.5 * losses[0]

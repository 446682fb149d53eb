"""Video VAE: the untrained decoder is the base flow; the latent's free part never moves the rig."""

import pytest

torch = pytest.importorskip("torch")

from rest_bridge.model.vae import VaeParams, VideoVae, base_grid, crop_parts, warp  # noqa: E402
from rest_bridge.training.latent_space import build_maps  # noqa: E402


@pytest.fixture(scope="module")
def vae() -> VideoVae:
    torch.manual_seed(0)
    maps = build_maps()
    return VideoVae(
        VaeParams(width=8, encoder_width=8),
        torch.from_numpy(maps["readout"]),
        torch.from_numpy(maps["rig_to_latent"]),
    ).eval()


def test_untrained_decoder_returns_the_base_flow_and_no_residual(vae: VideoVae) -> None:
    base = torch.randn(2, 2, 64, 64) * 0.05
    features = vae.reference_encoder(torch.rand(2, 3, 128, 128))
    with torch.no_grad():
        flow, residual, *_ = vae.decoder(torch.randn(2, 16, 4, 4), torch.eye(2), base, *features)
    torch.testing.assert_close(flow, base)
    assert residual.abs().max() == 0


def test_free_part_leaves_the_rig_read_out_alone(vae: VideoVae) -> None:
    rig = torch.randn(3, 2, 58)
    latent = vae.latent_of(rig, torch.randn(3, 256))
    torch.testing.assert_close(
        latent.flatten(1) @ vae.readout, rig.flatten(1), atol=1e-4, rtol=1e-4
    )


def test_zero_flow_is_the_identity_and_a_shift_shifts() -> None:
    image = torch.rand(1, 3, 64, 64)
    zero = torch.zeros(1, 2, 64, 64)
    torch.testing.assert_close(warp(image, zero, base_grid(64)), image, atol=1e-4, rtol=0)
    one_pixel = zero.clone()
    one_pixel[:, 0] = 2 / 64
    moved = warp(image, one_pixel, base_grid(64))
    torch.testing.assert_close(moved[..., :-1], image[..., 1:], atol=1e-4, rtol=0)


def test_part_crops_are_centred_on_their_boxes() -> None:
    image = torch.zeros(1, 3, 128, 128)
    image[..., 60:68, 30:38] = 1.0
    boxes = torch.tensor([[[34 / 128, 0.5, 0.1], [0.8, 0.5, 0.1], [0.5, 0.8, 0.2]]])
    parts = crop_parts(image, boxes)
    assert parts.shape == (1, 3, 3, 32, 32)
    assert parts[0, 0, :, 14:18, 14:18].min() > 0.9
    assert parts[0, 1:].max() == 0

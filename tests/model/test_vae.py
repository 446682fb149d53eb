"""Video VAE: untrained networks leave the importer's motion alone; the free part moves no rig."""

import pytest

torch = pytest.importorskip("torch")

from rest_bridge.model.head_motion import read  # noqa: E402
from rest_bridge.model.vae import NUM_MAPS, PART_SIZE, VaeParams, VideoVae, base_grid  # noqa: E402
from rest_bridge.training.vae import new_vae  # noqa: E402


@pytest.fixture(scope="module")
def vae() -> VideoVae:
    torch.manual_seed(0)
    return new_vae(VaeParams(width=8, reference_width=8, encoder_width=8)).eval()


def test_untrained_networks_change_neither_head_nor_flow(vae: VideoVae) -> None:
    base = torch.randn(2, 2, 64, 64) * 0.05
    with torch.no_grad():
        refined, pivot, *features = vae.reference_encoder(
            torch.rand(2, 3, 128, 128), torch.rand(2, NUM_MAPS, 64, 64)
        )
        correction, coarse, middle = vae.decoder(
            torch.randn(2, 16, 4, 4), torch.eye(2), base, *features
        )
    assert refined.shape == (2, 2, 64, 64)
    for nothing in (refined, pivot, correction, coarse, middle):
        assert nothing.abs().max() == 0


def test_the_decoder_reads_each_video_frame_of_a_latent(vae: VideoVae) -> None:
    torch.manual_seed(1)
    for head in (vae.decoder.flow_16, vae.decoder.flow_64):
        torch.nn.init.normal_(head.weight, std=0.1)
    features = vae.reference_encoder(torch.rand(1, 3, 128, 128), torch.rand(1, NUM_MAPS, 64, 64))
    features = [feature.repeat_interleave(2, 0) for feature in features[2:]]
    base = torch.zeros(2, 2, 64, 64)
    still, turned = torch.zeros(58), torch.randn(58)
    with torch.no_grad():
        both = [
            vae.decoder(vae.latent_of(torch.stack(pair)[None]).repeat(2, 1, 1, 1), torch.eye(2),
                        base, *features)[0]
            for pair in ((still, turned), (turned, turned))
        ]  # fmt: skip
    # The second frame is alike, up to the mean of the latent's channels; the first is not.
    first, second = (both[0] - both[1]).abs().amax((1, 2, 3))
    assert first > 3 * second


def test_free_part_leaves_the_rig_read_out_alone(vae: VideoVae) -> None:
    rig = torch.randn(3, 2, 58)
    latent = vae.latent_of(rig, torch.randn(3, 256))
    torch.testing.assert_close(
        latent.flatten(1) @ vae.readout, rig.flatten(1), atol=1e-4, rtol=1e-4
    )


def test_zero_flow_is_the_identity_and_a_shift_shifts() -> None:
    image = torch.rand(1, 3, 64, 64)
    zero = torch.zeros(1, 2, 64, 64)
    torch.testing.assert_close(read(image, zero, base_grid(64)), image, atol=1e-4, rtol=0)
    one_pixel = zero.clone()
    one_pixel[:, 0] = 2 / 64
    moved = read(image, one_pixel, base_grid(64))
    torch.testing.assert_close(moved[..., :-1], image[..., 1:], atol=1e-4, rtol=0)


def test_a_frame_is_encoded_alike_in_any_batch(vae: VideoVae) -> None:
    inputs = (torch.rand(3, 3, 128, 128), torch.rand(3, 3, 128, 128),
              torch.rand(3, 6, 3, PART_SIZE, PART_SIZE), torch.randn(3, 18))  # fmt: skip
    with torch.no_grad():
        rig, free = vae.encoder(*inputs)
        alone, _ = vae.encoder(*(value[1:2] for value in inputs))
    assert rig.shape == (3, 58)
    assert free.shape == (3, 128)
    torch.testing.assert_close(rig[1:2], alone, atol=1e-5, rtol=1e-4)

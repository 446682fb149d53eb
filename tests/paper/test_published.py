"""Our own modules compute what LTX-Video's published implementation computes, and take its weights.

Needs `diffusers` (`pip install diffusers`, 5 MB and small dependencies); skipped without it.
"""

import json
import struct
from pathlib import Path

import pytest
import torch

from rest_bridge.paper.dit import DitSizes, LtxDit, grid, places_of
from rest_bridge.paper.vae import LtxVae, VaeSizes
from rest_bridge.paper.weights import WeightsError, load_dit, load_vae, read_safetensors

SMALL = VaeSizes(latent_channels=4, widths=(8, 16, 16, 16), layers=(1, 2, 1, 1, 1),
                 decoder_widths=(8, 16, 16, 16), decoder_layers=(1, 2, 1, 1, 1))  # fmt: skip
SMALL_091 = VaeSizes(
    latent_channels=4, widths=(8, 16, 16, 16), layers=(1, 2, 1, 1, 1), decoder_widths=(8, 16, 32),
    decoder_layers=(1, 1, 2, 1), decoder_doubles=(True, True, True), timed=True,
    skips=(True, True, True), factor=(2, 2, 2), noise=(False, False, False, False),
)  # fmt: skip


def _theirs(sizes: VaeSizes):
    autoencoders = pytest.importorskip(
        "diffusers.models.autoencoders.autoencoder_kl_ltx", reason="pip install diffusers"
    )
    torch.manual_seed(0)
    model = autoencoders.AutoencoderKLLTXVideo(
        latent_channels=sizes.latent_channels, block_out_channels=sizes.widths,
        layers_per_block=sizes.layers, spatio_temporal_scaling=sizes.halves,
        decoder_block_out_channels=sizes.decoder_widths,
        decoder_layers_per_block=sizes.decoder_layers,
        decoder_spatio_temporal_scaling=sizes.decoder_doubles,
        decoder_inject_noise=sizes.noise, timestep_conditioning=sizes.timed,
        upsample_residual=sizes.skips, upsample_factor=sizes.factor, decoder_causal=sizes.causal,
    ).eval()  # fmt: skip
    model.latents_mean.normal_()
    model.latents_std.uniform_(0.5, 2.0)
    return model


@pytest.mark.parametrize("sizes", [SMALL, SMALL_091], ids=["0.9.0", "0.9.1"])
def test_the_vae_equals_the_published_one(sizes: VaeSizes) -> None:
    theirs = _theirs(sizes)
    ours = LtxVae(sizes).eval()
    load_vae(ours, theirs.state_dict())
    frames = torch.rand(2, 3, 9, 64, 64) * 2 - 1
    latents = torch.randn(2, 4, 2, 2, 2)
    time = torch.tensor([0.05, 0.3]) if sizes.timed else None
    with torch.no_grad():
        mean = theirs.encode(frames).latent_dist.mean
        assert torch.allclose(ours.encoder(frames), mean, atol=1e-5)
        expected = theirs.decode(latents, time).sample
        assert torch.allclose(ours.decoder(latents, time), expected, atol=1e-4)
        assert expected.shape == (2, 3, 9, 64, 64)
        # Normalisation both ways, with the file's own constants.
        shape = (1, -1, 1, 1, 1)
        raw = latents * theirs.latents_std.view(shape) + theirs.latents_mean.view(shape)
        whole = ours.decode(latents, time)
        assert torch.allclose(whole, theirs.decode(raw, time).sample, atol=1e-4)
        normalised = (mean - theirs.latents_mean.view(shape)) / theirs.latents_std.view(shape)
        assert torch.allclose(ours.encode(frames), normalised, atol=1e-4)


def _transformers(**options: int):
    transformers = pytest.importorskip(
        "diffusers.models.transformers.transformer_ltx", reason="pip install diffusers"
    )
    torch.manual_seed(0)
    theirs = transformers.LTXVideoTransformer3DModel(
        in_channels=6, out_channels=6, num_attention_heads=2, attention_head_dim=16,
        cross_attention_dim=32, num_layers=3, caption_channels=10,
    ).eval()  # fmt: skip
    sizes = DitSizes(channels=6, num_blocks=3, num_heads=2, head_width=16, text_width=10, rows=2,
                     columns=3, **options)  # fmt: skip
    return theirs, LtxDit(sizes).eval()


@pytest.mark.parametrize("audio_width", [0, 8])
@pytest.mark.parametrize("per_token", [False, True], ids=["one-time", "time-per-token"])
def test_the_transformer_equals_the_published_one(audio_width: int, per_token: bool) -> None:
    theirs, ours = _transformers(audio_width=audio_width)
    load_dit(ours, theirs.state_dict())
    scale = (8 / 25, 32.0, 32.0)
    tokens, text = torch.randn(2, 24, 6), torch.randn(2, 5, 10)
    mask = torch.tensor([[1, 1, 1, 1, 1], [1, 1, 0, 0, 0]])
    time = torch.rand(2, 24 if per_token else 1) * 1000
    audio = torch.randn(2, 4, 2, 8) if audio_width else None
    with torch.no_grad():
        expected = theirs(
            tokens, text, time if per_token else time[:, 0], mask, num_frames=4, height=2, width=3,
            rope_interpolation_scale=scale,
        ).sample  # fmt: skip
        places = places_of(grid(0, 4, 2, 3, scale), 32)
        bias = ((1 - mask.float()) * -10_000.0)[:, None, None]
        found, _ = ours(
            tokens, ours.know_time(time), places, ours.know_text(text), text_bias=bias, audio=audio
        )
    assert torch.allclose(found, expected, atol=1e-4)  # the audio begins with no say


def test_weights_of_another_size_are_refused_by_name() -> None:
    theirs, ours = _transformers(audio_width=0)
    state = dict(theirs.state_dict())
    state["proj_in.weight"] = torch.zeros(32, 7)
    with pytest.raises(WeightsError, match=r"enter.weight has the shape \[32, 7\]"):
        load_dit(ours, state)
    del state["transformer_blocks.1.attn1.to_k.weight"]
    with pytest.raises(WeightsError, match=r"lack a part of blocks.1.attention.enter.weight"):
        load_dit(ours, state)


def _write(path: Path, arrays: dict[str, torch.Tensor]) -> None:
    header, data = {}, b""
    for name, value in arrays.items():
        raw = value.contiguous().view(torch.uint8).numpy().tobytes()
        dtype = {torch.float32: "F32", torch.bfloat16: "BF16"}[value.dtype]
        header[name] = {
            "dtype": dtype,
            "shape": list(value.shape),
            "data_offsets": [len(data), len(data) + len(raw)],
        }
        data += raw
    text = json.dumps({"__metadata__": {"format": "pt"}, **header}).encode()
    path.write_bytes(struct.pack("<Q", len(text)) + text + data)


def test_safetensors_are_read_as_they_were_written(tmp_path: Path) -> None:
    arrays = {"a": torch.randn(2, 3), "b": torch.randn(4).to(torch.bfloat16)}
    _write(tmp_path / "w.safetensors", arrays)
    found = read_safetensors(tmp_path / "w.safetensors")
    assert set(found) == {"a", "b"}
    assert all(torch.equal(found[name], value) for name, value in arrays.items())


@pytest.mark.parametrize("keep", [0, 4, 20, -3])
def test_a_file_that_is_cut_short_is_one_sentence(tmp_path: Path, keep: int) -> None:
    path = tmp_path / "w.safetensors"
    _write(path, {"a": torch.randn(2, 3)})
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(WeightsError, match="cannot be read"):
        read_safetensors(path)

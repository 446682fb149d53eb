"""Published LTX-Video weights (safetensors, in diffusers' layout) for our own modules.

Only names and shapes are mapped; queries, keys and values that we multiply together are put
together. What a file lacks or has too much is an error that names it; the audio attention, which no
published file has, stays as it was initialised.
"""

import json
import re
import struct
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor

from rest_bridge.errors import RestBridgeError
from rest_bridge.paper.dit import LtxDit
from rest_bridge.paper.vae import LtxVae

_DTYPES = {
    "F64": torch.float64, "F32": torch.float32, "F16": torch.float16, "BF16": torch.bfloat16,
    "I64": torch.int64, "I32": torch.int32,
}  # fmt: skip
_MOST_HEADER_BYTES = 100_000_000

_VAE_NAMES = (
    (r"\bdown_blocks\.(\d+)\.resnets\.", r"levels.\1.blocks."),
    (r"\bdown_blocks\.(\d+)\.downsamplers\.0\.", r"levels.\1.halve."),
    (r"\bdown_blocks\.(\d+)\.conv_out\.", r"levels.\1.leave."),
    (r"\bup_blocks\.(\d+)\.resnets\.", r"levels.\1.blocks."),
    (r"\bup_blocks\.(\d+)\.upsamplers\.0\.", r"levels.\1.enlarge."),
    (r"\bup_blocks\.(\d+)\.conv_in\.", r"levels.\1.enter."),
    (r"\bup_blocks\.(\d+)\.time_embedder\.", r"levels.\1.time."),
    (r"\bmid_block\.resnets\.", "middle.blocks."),
    (r"\bmid_block\.time_embedder\.", "middle.time."),
    (r"\bdecoder\.time_embedder\.", "decoder.time."),
    (r"\btimestep_embedder\.linear_1\.", "enter."),
    (r"\btimestep_embedder\.linear_2\.", "leave."),
    (r"\bconv_in\.", "enter."),
    (r"\bconv_out\.", "leave."),
    (r"\bconv1\.", "first."),
    (r"\bconv2\.", "second."),
    (r"\bconv_shortcut\.", "short."),
    (r"\bnorm3\.", "short_norm."),
    (r"\bper_channel_scale1$", "first_noise"),
    (r"\bper_channel_scale2$", "second_noise"),
    (r"\bscale_shift_table$", "table"),
    (r"\btimestep_scale_multiplier$", "time_scale"),
    (r"^latents_mean$", "mean"),
    (r"^latents_std$", "deviation"),
)
_DIT_NAMES = (
    (r"^transformer_blocks\.", "blocks."),
    (r"\battn1\.norm_q\.", "attention.query_norm."),
    (r"\battn1\.norm_k\.", "attention.key_norm."),
    (r"\battn1\.to_out\.0\.", "attention.leave."),
    (r"\battn2\.norm_q\.", "text.query_norm."),
    (r"\battn2\.norm_k\.", "text.key_norm."),
    (r"\battn2\.to_out\.0\.", "text.leave."),
    (r"\battn2\.to_q\.", "text.query."),
    (r"\bff\.net\.0\.proj\.", "enter."),
    (r"\bff\.net\.2\.", "leave."),
    (r"\bscale_shift_table$", "table"),
    (r"^proj_in\.", "enter."),
    (r"^proj_out\.", "leave."),
    (r"^time_embed\.linear\.", "modulation."),
    (r"^time_embed\.emb\.timestep_embedder\.linear_1\.", "time.enter."),
    (r"^time_embed\.emb\.timestep_embedder\.linear_2\.", "time.leave."),
    (r"^caption_projection\.linear_1\.", "text.0."),
    (r"^caption_projection\.linear_2\.", "text.2."),
)


class WeightsError(RestBridgeError):
    """A file of weights is damaged, or made for another network."""


def read_safetensors(path: Path) -> dict[str, Tensor]:
    """Read a safetensors file (an 8-byte length, a JSON header, then the numbers).

    Args:
        path: the file.

    Returns:
        Name -> tensor.

    Raises:
        WeightsError: it is not such a file, or is cut short.
    """
    try:
        content = path.read_bytes()
        (length,) = struct.unpack("<Q", content[:8])
        if length > min(len(content) - 8, _MOST_HEADER_BYTES):
            raise ValueError("its header is longer than the file")
        header = json.loads(content[8 : 8 + length])
        header.pop("__metadata__", None)
        found: dict[str, Tensor] = {}
        for name, entry in header.items():
            begin, end = (8 + length + offset for offset in entry["data_offsets"])
            if not 0 <= begin <= end <= len(content):
                raise ValueError(f"{name} lies outside of it")
            data = bytearray(content[begin:end])
            values = (
                torch.frombuffer(data, dtype=_DTYPES[entry["dtype"]]) if data else torch.empty(0)
            )
            found[name] = values.reshape(entry["shape"])
    except (OSError, ValueError, KeyError, TypeError, struct.error) as error:
        raise WeightsError(
            f"The weights cannot be read ({error}); give the .safetensors file of an LTX-Video "
            f"release in diffusers' layout. {path}"
        ) from error
    return found


def load_vae(vae: LtxVae, published: Mapping[str, Tensor]) -> None:
    """Put published weights into the VAE.

    Args:
        vae: of the same release.
        published: from `read_safetensors`.

    Raises:
        WeightsError: names or shapes differ.
    """
    _load(vae, {_renamed(name, _VAE_NAMES): value for name, value in published.items()})


def load_dit(dit: LtxDit, published: Mapping[str, Tensor]) -> None:
    """Put published weights into the transformer; its audio attention keeps its own.

    Args:
        dit: of the same sizes.
        published: from `read_safetensors`; several files of one release together.

    Raises:
        WeightsError: names or shapes differ.
    """
    found: dict[str, Tensor] = {}
    parts: dict[str, dict[str, Tensor]] = {}
    for name, value in published.items():
        match = re.match(r"transformer_blocks\.(\d+)\.attn(\d)\.to_([qkv])\.(weight|bias)$", name)
        if match is None or (match[2] == "2" and match[3] == "q"):
            found[_renamed(name, _DIT_NAMES)] = value
            continue
        where = "attention.enter" if match[2] == "1" else "text.key_value"
        parts.setdefault(f"blocks.{match[1]}.{where}.{match[4]}", {})[match[3]] = value
    for name, pieces in parts.items():
        wanted = "qkv" if ".attention." in name else "kv"
        if set(pieces) != set(wanted):
            raise WeightsError(f"The weights lack a part of {name}; the file is incomplete.")
        found[name] = torch.cat([pieces[letter] for letter in wanted])
    kept = {n: v for n, v in dit.state_dict().items() if re.search(r"\bblocks\.\d+\.audio\.", n)}
    _load(dit, {**kept, **found})


def _renamed(name: str, rules: tuple[tuple[str, str], ...]) -> str:
    for pattern, replacement in rules:
        name = re.sub(pattern, replacement, name)
    return name


def _load(module: torch.nn.Module, found: Mapping[str, Tensor]) -> None:
    wanted = module.state_dict()
    missing, extra = sorted(wanted.keys() - found.keys()), sorted(found.keys() - wanted.keys())
    if missing or extra:
        raise WeightsError(
            f"These weights are for another network: missing {missing[:3]} ({len(missing)}), "
            f"unexpected {extra[:3]} ({len(extra)}); choose the sizes of the release."
        )
    for name, value in found.items():
        if value.shape != wanted[name].shape:
            raise WeightsError(
                f"{name} has the shape {list(value.shape)}, wanted is {list(wanted[name].shape)}; "
                "choose the sizes of the release."
            )
    module.load_state_dict(dict(found))

"""The bytes of pushed speech: golden, round trips, refusal of everything else."""

import json
from pathlib import Path
from typing import Any

import msgpack
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rest_bridge.audio.pcm import MAX_PAYLOAD_BYTES, PcmMessage, decode_pcm, encode_pcm
from rest_bridge.errors import WireError

GOLDEN = Path(__file__).parents[1] / "golden" / "speech"
RAMP = np.array([[-1.0], [-0.5], [0.0], [0.5], [1.0]], np.float32)
EXAMPLES = {
    "pcm_s16_mono": PcmMessage(RAMP, 16000, "s16le", "greeting-1"),
    "pcm_f32_stereo": PcmMessage(np.hstack([RAMP, -RAMP]), 44100, "f32le", "grüße", last=True),
    "pcm_flush": PcmMessage(np.zeros((0, 1), np.float32), 48000, "s16le", flush=True),
    "pcm_marks": PcmMessage(
        RAMP, 22050, "s16le", "line-7", begin=True, marks=((0, "bow"), (5, "Wörter"))
    ),
}


def plain(message: PcmMessage) -> dict[str, Any]:
    fields = {name: getattr(message, name) for name in message.__dataclass_fields__}
    return fields | {"samples": np.round(message.samples, 4).tolist()}


def reheader(data: bytes, **changes: Any) -> bytes:
    length = int.from_bytes(data[6:8], "little")
    header = msgpack.unpackb(data[8 : 8 + length]) | changes
    packed = msgpack.packb({key: value for key, value in header.items() if value is not ...})
    return data[:6] + len(packed).to_bytes(2, "little") + packed + data[8 + length :]


@pytest.mark.parametrize("name", EXAMPLES)
def test_golden_bytes_both_ways(name: str) -> None:
    data = (GOLDEN / f"{name}.bin").read_bytes()
    assert encode_pcm(EXAMPLES[name]) == data
    assert plain(decode_pcm(data)) == plain(EXAMPLES[name])


def test_golden_index_describes_every_message() -> None:
    index = json.loads((GOLDEN / "index.json").read_text())
    assert set(index) == set(EXAMPLES) == {path.stem for path in GOLDEN.glob("*.bin")}
    for name, entry in index.items():
        data = (GOLDEN / f"{name}.bin").read_bytes()
        end = 8 + int.from_bytes(data[6:8], "little")
        assert entry["bytes"] == len(data)
        assert entry["header"] == msgpack.unpackb(data[8:end])
        assert entry["payload_hex"] == data[end:].hex()


@settings(max_examples=60, deadline=None)
@given(
    num_samples=st.integers(0, 300),
    num_channels=st.sampled_from([1, 2]),
    rate_hz=st.integers(8000, 192000),
    sample_format=st.sampled_from(["s16le", "f32le"]),
    utterance=st.text(max_size=128),
    last=st.booleans(),
    flush=st.booleans(),
    begin=st.booleans(),
    names=st.lists(st.text(max_size=128), max_size=4),
)
def test_round_trip(
    num_samples, num_channels, rate_hz, sample_format, utterance, last, flush, begin, names
) -> None:
    samples = np.random.default_rng(num_samples).uniform(-1, 1, (num_samples, num_channels))
    message = PcmMessage(
        samples.astype(np.float32),
        rate_hz,
        sample_format,
        utterance,
        last,
        flush,
        begin,
        tuple((num_samples // (place + 1), name) for place, name in enumerate(names)),
    )
    back = decode_pcm(encode_pcm(message))
    assert np.abs(back.samples - message.samples).max(initial=0) < 2e-5
    assert plain(back) | {"samples": 0} == plain(message) | {"samples": 0}


def test_optional_fields_may_be_missing_and_unknown_ones_are_ignored() -> None:
    data = reheader(
        encode_pcm(EXAMPLES["pcm_s16_mono"]), utt=..., last=..., flush=..., future=[1, 2]
    )
    message = decode_pcm(data)
    assert (message.utterance, message.last, message.flush) == ("", False, False)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"fmt": "s24le"}, "s16le or f32le"),
        ({"rate": 7999}, "8000..192000"),
        ({"rate": 44100.0}, "8000..192000"),
        ({"ch": 3}, "1..2"),
        ({"n": 4}, "payload of 10 bytes"),
        ({"n": -1}, "integer"),
        ({"n": ...}, '"n" is missing'),
        ({"utt": "x" * 129}, "128"),
        ({"last": 1}, "true or false"),
        ({"begin": "yes"}, "true or false"),
        ({"marks": "bow"}, "array of at most 32"),
        ({"marks": [[0, "a"]] * 33}, "array of at most 32"),
        ({"marks": [[6, "late"]]}, r"offset in 0\.\.5"),
        ({"marks": [[True, "a"]]}, "a mark must be"),
        ({"marks": [[0, "a", 1]]}, "a mark must be"),
        ({"marks": [[0, "x" * 129]]}, "128"),
    ],
)
def test_wrong_field_is_named(changes: dict[str, Any], words: str) -> None:
    with pytest.raises(WireError, match=words):
        decode_pcm(reheader(encode_pcm(EXAMPLES["pcm_s16_mono"]), **changes))


def test_another_major_version_and_topic_are_refused() -> None:
    data = bytearray(encode_pcm(EXAMPLES["pcm_s16_mono"]))
    data[4] = 2
    with pytest.raises(WireError, match="update"):
        decode_pcm(bytes(data))
    with pytest.raises(WireError, match="unknown topic"):
        decode_pcm(b"RGBA" + bytes(data[4:]))


def test_not_finite_and_oversized_payloads_are_refused() -> None:
    with pytest.raises(WireError, match="finite"):
        encode_pcm(PcmMessage(np.full((3, 1), np.nan, np.float32), 16000, "f32le"))
    with pytest.raises(WireError, match="at most"):
        encode_pcm(PcmMessage(np.zeros((MAX_PAYLOAD_BYTES // 2 + 1, 1), np.float32), 16000))


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=80), st.sampled_from([b"", b"PCM_\x01\x00\x05\x00", b"PCM_\x01\x00"]))
def test_garbage_raises_only_wire_errors(data: bytes, prefix: bytes) -> None:
    with pytest.raises(WireError):
        decode_pcm(prefix + data)


@pytest.mark.parametrize("name", EXAMPLES)
def test_every_truncation_is_refused(name: str) -> None:
    data = encode_pcm(EXAMPLES[name])
    for end in range(len(data)):
        with pytest.raises(WireError):
            decode_pcm(data[:end])


def _write() -> None:
    """Write the golden files anew: `python -m tests.audio.test_pcm`."""
    index: dict[str, object] = {}
    for name, message in EXAMPLES.items():
        data = encode_pcm(message)
        (GOLDEN / f"{name}.bin").write_bytes(data)
        end = 8 + int.from_bytes(data[6:8], "little")
        index[name] = {
            "topic": "PCM_",
            "bytes": len(data),
            "header": msgpack.unpackb(data[8:end]),
            "payload_hex": data[end:].hex(),
        }
    text = json.dumps(index, indent=1, ensure_ascii=False)
    (GOLDEN / "index.json").write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    _write()

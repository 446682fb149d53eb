"""Fuzzes the Python decoders: golden messages, damaged; nothing but `WireError` may come out.

    python -m tests.fuzz.decoders --seconds 3600 [--seed 1]

With atheris installed (`pip install atheris`) the mutations are guided by coverage; without it they
are random. Both know the shape of a message: one in three changes a header's fields and joins the
message again, since bytes changed at random hardly get past the header. Not part of the test run;
tests/sinks/test_wire.py has a short one with hypothesis.
"""

import argparse
import contextlib
import random
import sys
import time
from pathlib import Path

import msgpack

try:
    import atheris
except ImportError:
    atheris = None

# Only our own code is watched; it must be imported here for that.
with atheris.instrument_imports(include=["rest_bridge"]) if atheris else contextlib.nullcontext():
    from rest_bridge.audio.pcm import decode_pcm, encode_pcm
    from rest_bridge.errors import WireError
    from rest_bridge.sinks.wire import decode, encode

GOLDEN = Path(__file__).parents[1] / "golden"
SEEDS = sorted(path.read_bytes() for path in GOLDEN.glob("*/*.bin"))


def check(data: bytes) -> bool:
    """Decode bytes as everything; whatever is accepted must survive a round trip."""
    accepted = False
    try:
        message = decode(data)
    except WireError:
        pass
    else:
        accepted = True
        try:
            again = encode(message)
        except WireError as error:  # unknown keys are gone, so nothing grows but float32 bodies
            raise AssertionError(f"accepted, but not sent again: {error}") from error
        assert encode(decode(again)) == again
    try:
        speech = decode_pcm(data)
    except WireError:
        return accepted
    encode_pcm(speech)
    return True


VALUES = (
    *(None, True, False, -1, 0, 1, 2, 3, 52, 67, 255, 512, 4096, 48000),
    *(2**31, 2**63 - 1, 2**64 - 1),
    *(0.0, -1.5, 1e308, float("nan"), float("inf"), "", "a", "x" * 300, "f32le", "s16le", "rgba"),
    *(b"", b"\x00" * 16, [], [1, 2], {}, {"a": 1}, "\u00e9" * 40, "open", "status", "straight"),
)
"""What a field may be replaced by: the edges of types and ranges, and words of the protocol."""


def mutate_fields(data: bytes, source: random.Random) -> bytes:
    """Return a message with some header fields changed, added or gone, its lengths right."""
    end = 8 + int.from_bytes(data[6:8], "little")
    try:
        header = msgpack.unpackb(data[8:end])
    except Exception:  # msgpack raises many; damaged headers are mutated as bytes
        return data
    if not isinstance(header, dict):
        return data
    payload = data[end:]
    for _ in range(source.choice((1, 1, 2, 4))):
        key = source.choice([*header, "extra"])
        match source.randrange(4):
            case 0:
                header.pop(key, None)
            case 1 if isinstance(header.get(key), int):
                header[key] = max(-(2**63), min(2**64 - 1, header[key] + source.choice((-1, 1))))
            case _:
                header[key] = source.choice(VALUES)
    if source.random() < 0.3:
        payload = payload[: source.randrange(len(payload) + 1)] or source.randbytes(16)
    packed = msgpack.packb(header)
    return data[:6] + (len(packed) & 0xFFFF).to_bytes(2, "little") + packed + payload


def mutate(source: random.Random, start: bytes | None = None) -> bytes:
    """Return a seed with bytes changed, removed, inserted, or joined with another one."""
    data = bytearray(source.choice(SEEDS) if start is None else start)
    if source.random() < 0.33:
        return mutate_fields(bytes(data), source)
    for _ in range(source.choice((1, 1, 2, 3, 8))):
        place = source.randrange(len(data) + 1)
        match source.randrange(6):
            case 0:
                data[place:place] = source.randbytes(source.randrange(1, 9))
            case 1:
                del data[place : place + source.randrange(1, 9)]
            case 2:
                other = source.choice(SEEDS)
                data[place:] = other[source.randrange(len(other)) :]
            case 3:
                marks = b"\xc0\xc1\xc4\xc7\xca\xcb\xcf\xd3\xd9\xdb\xdc\xdd\xde\xdf\x80\x90\xa0\xff"
                data[place : place + 1] = bytes((source.choice(marks),))
            case _:
                data[place : place + 1] = source.randbytes(1)
        if not data:
            break
    if len(data) >= 8 and source.random() < 0.3:  # often, let the header's length fit again
        data[6:8] = source.randrange(min(4096, len(data) - 7)).to_bytes(2, "little")
    return bytes(data)


def run_random(seconds: float, seed: int) -> None:
    """Fuzz without guidance and print how often."""
    source = random.Random(seed)
    end = time.monotonic() + seconds
    count = accepted = 0
    while time.monotonic() < end:
        for _ in range(1000):
            data = mutate(source)
            try:
                accepted += check(data)
            except Exception:
                print(f"failed on {data.hex()}")
                raise
            count += 1
    print(f"{count} executions, {accepted} accepted, seed {seed}, {seconds:.0f} s: no crash")


def run_guided(seconds: float) -> bool:
    """Fuzz with atheris; return False where it is missing."""
    if atheris is None:
        return False
    corpus = Path("build/fuzz-python")
    corpus.mkdir(parents=True, exist_ok=True)
    for number, data in enumerate(SEEDS):
        (corpus / f"seed-{number}").write_bytes(data)
    options = [sys.argv[0], f"-max_total_time={seconds:.0f}", "-max_len=4096", str(corpus)]

    def one(data: bytes) -> None:
        check(data)

    def mutated(data: bytes, max_size: int, seed: int) -> bytes:
        source = random.Random(seed)
        if source.random() < 0.3:
            return atheris.Mutate(data, max_size)
        return mutate(source, data)[:max_size]

    atheris.Setup(options, one, custom_mutator=mutated)
    atheris.Fuzz()
    return True


def main() -> None:
    """Fuzz for so long."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--seconds", type=float, default=3600.0)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--random", action="store_true", help="without atheris")
    options = parser.parse_args()
    if options.random or not run_guided(options.seconds):
        run_random(options.seconds, options.seed)


if __name__ == "__main__":
    main()

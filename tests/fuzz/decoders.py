"""Fuzzes the Python decoders: golden messages, damaged; nothing but `WireError` may come out.

    python -m tests.fuzz.decoders --seconds 3600 [--seed 1]

With atheris installed (`pip install atheris`) the mutations are guided by coverage; without it they
are random. Not part of the test run; tests/sinks/test_wire.py has a short one with hypothesis.
"""

import argparse
import contextlib
import random
import sys
import time
from pathlib import Path

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


def mutate(source: random.Random) -> bytes:
    """Return a seed with bytes changed, removed, inserted, or joined with another one."""
    data = bytearray(source.choice(SEEDS))
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

    atheris.Setup(options, one)
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

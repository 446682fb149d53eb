"""A dialogue: lines from a text-to-speech program, spoken by the face, one of them interrupted.

Start the daemon in one terminal and this in another:

    rest-bridge run --audio push
    python examples/npc_dialogue.py "Well met, traveller." "The road north is closed."

espeak-ng or flite makes the speech. Each line is opened as an utterance, pushed while the program
is still speaking, and told about in events; with --interrupt the last line is cut after a second,
as when the player walks away.
"""

import argparse
import io
import shutil
import subprocess
import sys
import time
import wave
from collections.abc import Iterator

from rest_bridge.client import BridgeClient
from rest_bridge.errors import RestBridgeError
from rest_bridge.speaker import Speaker

LINES = (
    "Well met, traveller. You have come a long way.",
    "The road to the north is closed, but I know another one.",
)


def speech(text: str) -> tuple[int, Iterator[bytes]]:
    """Return the sample rate and 16-bit mono PCM of a sentence, in pieces as they are made."""
    if program := shutil.which("espeak-ng") or shutil.which("espeak"):
        process = subprocess.Popen([program, "--stdout", "--", text], stdout=subprocess.PIPE)
        assert process.stdout is not None
        header = process.stdout.read(44)  # espeak-ng writes a plain wav header with no known length
        rate_hz = int.from_bytes(header[24:28], "little")
        return rate_hz, iter(lambda: process.stdout.read(4096), b"")  # type: ignore[union-attr]
    if program := shutil.which("flite"):
        done = subprocess.run([program, "-t", text, "-o", "/dev/stdout"], capture_output=True)
        with wave.open(io.BytesIO(done.stdout)) as file:
            return file.getframerate(), iter([file.readframes(file.getnframes())])
    sys.exit("Neither espeak-ng nor flite is installed; `apt install espeak-ng` brings one.")


def say(speaker: Speaker, name: str, text: str) -> None:
    """Push one line; a mark stands before its last word."""
    rate_hz, pieces = speech(text)
    with speaker.utterance(name, rate_hz=rate_hz) as line:
        line.mark("begin")
        for pcm in pieces:
            line.push(pcm[: len(pcm) // 2 * 2])
        line.mark("end")


def follow(bridge: BridgeClient, names: set[str], interrupt: str, timeout_s: float = 60.0) -> None:
    """Print what happens until all lines have finished; cut one a second after its start."""
    cut_s = None
    end_s = time.monotonic() + timeout_s
    while names and time.monotonic() < end_s:
        if cut_s is not None and time.monotonic() >= cut_s:
            cut_s, begin_s = None, time.monotonic()
            reply = bridge.request("flush", utterances=[interrupt])
            took_ms = (time.monotonic() - begin_s) * 1000
            print(f"  flush answered after {took_ms:.1f} ms: {reply['flushed']}")
        event = bridge.event(0.05)
        if event is None or event.kind != "speech" or event.body["utt"] not in names:
            continue
        body = event.body
        what = body["event"] + (f" {body['mark']!r}" if "mark" in body else "")
        cut = ", interrupted" if body.get("interrupted") else ""
        print(f"  {body['utt']}: {what} after {body['position'] / 1e9:.2f} s{cut}")
        if body["event"] == "started" and body["utt"] == interrupt:
            cut_s = time.monotonic() + 1.0
        if body["event"] == "finished":
            names.discard(body["utt"])
    if names:
        sys.exit(f"No end was heard of: {', '.join(sorted(names))}")


def main() -> None:
    """Speak the lines of the command line."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0] if __doc__ else "")
    parser.add_argument("lines", nargs="*", default=LINES)
    parser.add_argument("--interrupt", action="store_true", help="cut the last line after a second")
    parser.add_argument("--events", default="tcp://127.0.0.1:5571")
    parser.add_argument("--control", default="tcp://127.0.0.1:5572")
    parser.add_argument("--speech", default="tcp://127.0.0.1:5573")
    options = parser.parse_args()
    names = [f"line-{number}" for number in range(1, len(options.lines) + 1)]
    with (
        BridgeClient(
            frames="", events=options.events, control=options.control, voice=False, rig=False
        ) as bridge,
        Speaker(options.speech) as speaker,
    ):
        bridge.request("speech", timeout_s=5.0)  # says so if the daemon does not take speech
        for name, text in zip(names, options.lines, strict=True):
            print(f"{name}: {text}")
            say(speaker, name, text)
        follow(bridge, set(names), names[-1] if options.interrupt else "")


if __name__ == "__main__":
    try:
        main()
    except RestBridgeError as error:
        sys.exit(str(error))

"""Songs played on sampled instruments by fluidsynth: music that no training has heard.

    apt install fluidsynth timgm6mb-soundfont
    python -m rest_bridge.training.evaluation.sampled_songs FOLDER

Place in the flow: here -> `voicing` and `stillness` with `--songs FOLDER`. Twelve songs of 20 s:
bands of several styles, and instruments alone, some of which are like a voice (saxophone, muted
trumpet, flute, strings). Written as MIDI files here; the bank of sounds is General MIDI.
"""

import argparse
import random
import shutil
import struct
import subprocess
import sys
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Final

BANK: Final = Path("/usr/share/sounds/sf2/TimGM6mb.sf2")
_SECONDS: Final = 20
_TICKS: Final = 480
_SIXTEENTH: Final = _TICKS // 4
_CHORDS: Final = ((60, 64, 67), (65, 69, 72), (67, 71, 74), (57, 60, 64))
_BASS_STEPS: Final = (0, 3, 6, 8, 11, 14)
_DRUMS: Final = 9
_KICK, _SNARE, _HAT, _TOM = 36, 38, 42, 45

_HOUSE: Final = ((0, 4, 8, 12), (4, 12), range(0, 16, 2))
_ROCK: Final = ((0, 6, 8), (4, 12), range(0, 16, 2))
_HIP_HOP: Final = ((0, 7, 10), (4, 12), range(16))
_SWING: Final = ((0, 10), (4, 12), (0, 4, 7, 8, 12, 15))


@dataclass(frozen=True, slots=True)
class Song:
    """One song.

    Attributes:
        bpm: beats a minute.
        bass: General MIDI program, from 0; None for none.
        chords: likewise.
        tune: likewise.
        drums: sixteenths of kick, snare and hat; None for none.
    """

    bpm: int
    bass: int | None = None
    chords: int | None = None
    tune: int | None = None
    drums: tuple[Collection[int], Collection[int], Collection[int]] | None = None


SONGS: Final = {
    "rock": Song(124, 33, 29, 30, _ROCK),
    "house": Song(126, 38, 81, None, _HOUSE),
    "jazz": Song(110, 32, 26, 65, _SWING),
    "strings": Song(80, 43, 48, 40),
    "hip hop": Song(88, 39, 4, None, _HIP_HOP),
    "piano": Song(96, 0, 0, 0),
    "brass band": Song(112, 35, 61, 56, _ROCK),
    "drums alone": Song(105, drums=_HIP_HOP),
    "flute and guitar": Song(92, None, 24, 73),
    "organ": Song(100, 16, 16, 18, _HOUSE),
    "saxophone alone": Song(100, tune=66),
    "muted trumpet alone": Song(100, tune=59),
}

_Event = tuple[int, bytes]


def events(song: Song, seed: int) -> list[_Event]:
    """Return the song's MIDI messages with their ticks; the tune follows the seed."""
    chance = random.Random(seed)
    programs = enumerate((song.bass, song.chords, song.tune))
    found = [(0, bytes([0xC0 | part, one])) for part, one in programs if one is not None]
    for bar in range(int((_SECONDS + 4) * song.bpm / 240)):
        first, chord = bar * 16 * _SIXTEENTH, _CHORDS[bar % 4]
        if song.drums is not None:
            for key, steps in zip((_KICK, _SNARE, _HAT), song.drums, strict=True):
                for step in steps:
                    found += _note(_DRUMS, key, first + step * _SIXTEENTH, 1, 100)
            if bar % 4 == 3:
                for step in range(12, 16):
                    found += _note(_DRUMS, _TOM, first + step * _SIXTEENTH, 1, 100)
        if song.bass is not None:
            for step in _BASS_STEPS:
                found += _note(0, chord[0] - 24, first + step * _SIXTEENTH, 2, 100)
        if song.chords is not None:
            for step in (0, 8) if chance.random() < 0.5 else (2, 6, 10, 14):
                for pitch in chord:
                    found += _note(1, pitch, first + step * _SIXTEENTH, 4, 80)
        step = 0
        while song.tune is not None and step < 16:
            length = chance.choice((1, 2, 2, 4))
            if chance.random() < 0.8:
                pitch = chance.choice(chord) + chance.choice((0, 12)) + chance.choice((0, 0, 2))
                found += _note(2, pitch, first + step * _SIXTEENTH, length, 95)
            step += length
    return found


def midi_file(found: list[_Event], bpm: int) -> bytes:
    """Return a MIDI file of one track."""
    track = b"\0\xff\x51\x03" + struct.pack(">I", round(60e6 / bpm))[1:]
    before = 0
    for tick, message in sorted(found, key=lambda one: (one[0], one[1][0] & 0x10)):
        track += _variable(tick - before) + message
        before = tick
    track += b"\0\xff\x2f\0"
    head = b"MThd" + struct.pack(">IHHH", 6, 0, 1, _TICKS)
    return head + b"MTrk" + struct.pack(">I", len(track)) + track


def render(folder: Path) -> list[Path]:
    """Write all songs as WAV files.

    Args:
        folder: made if it is not there.

    Returns:
        The files.

    Raises:
        FileNotFoundError: fluidsynth or its bank of sounds is not installed.
    """
    if shutil.which("fluidsynth") is None or not BANK.is_file():
        raise FileNotFoundError(
            f"fluidsynth or {BANK} is missing; type: apt install fluidsynth timgm6mb-soundfont"
        )
    folder.mkdir(parents=True, exist_ok=True)
    made = []
    for seed, (name, song) in enumerate(SONGS.items()):
        notes, path = folder / f"{name}.mid", folder / f"{name}.wav"
        notes.write_bytes(midi_file(events(song, seed), song.bpm))
        command = ["fluidsynth", "-ni", "-q", "-r", "44100", "-F", str(path), str(BANK), str(notes)]
        subprocess.run(command, check=True, capture_output=True)
        notes.unlink()
        made.append(path)
    return made


def _note(part: int, pitch: int, tick: int, sixteenths: int, loud: int) -> list[_Event]:
    until = tick + sixteenths * _SIXTEENTH - 5
    return [(tick, bytes([0x90 | part, pitch, loud])), (until, bytes([0x80 | part, pitch, 0]))]


def _variable(number: int) -> bytes:
    """Return a number in as many groups of seven bits as it needs."""
    groups = [number & 127]
    while number := number >> 7:
        groups.insert(0, number & 127 | 128)
    return bytes(groups)


def main() -> int:
    """Render."""
    parser = argparse.ArgumentParser(prog="python -m rest_bridge.training.evaluation.sampled_songs")
    parser.add_argument("folder", type=Path)
    given = parser.parse_args()
    try:
        made = render(given.folder)
    except FileNotFoundError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    sys.stdout.write(f"{len(made)} songs in {given.folder}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())

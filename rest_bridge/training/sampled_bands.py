"""Bands and soloists by chance, played by fluidsynth: music that `voice_finder` learns from.

    apt install fluidsynth musescore-general-soundfont-small
    python -m rest_bridge.training.sampled_bands FOLDER --songs 160

Place in the flow: here -> WAV files -> `voice_finder --music`. Any General MIDI instrument may play
any part, those that sound like a voice (reeds, organs, horns, strings) more often. The bank of
sounds is another one than that of `evaluation.sampled_songs`, which stays unheard for tests.
"""

import argparse
import random
import subprocess
import sys
from pathlib import Path
from typing import Final

from rest_bridge.training.evaluation.sampled_songs import Song, events, midi_file

BANK: Final = Path("/usr/share/sounds/sf3/MuseScore_General_Lite.sf3")
_LIKE_A_VOICE: Final = (*range(16, 24), *range(40, 47), *range(48, 52), *range(56, 80))
"""Organs and accordions, bowed strings, string ensembles, brass, reeds, pipes: no choirs, no
voice pads."""
_SUNG: Final = frozenset({52, 53, 54, 85, 91})
"""Choirs and voices: nobody can say what they are."""
_LEAST_BPM, _MOST_BPM = 60, 170


def some_song(chance: random.Random) -> Song:
    """Return a song by chance: a whole band, two, or one alone."""

    def program() -> int:
        like = chance.random() < 0.55
        allowed = _LIKE_A_VOICE if like else [p for p in range(112) if p not in _SUNG]
        return chance.choice(allowed)

    drums = tuple(
        tuple(step for step in range(16) if chance.random() < often) for often in (0.3, 0.15, 0.5)
    )
    kind = chance.random()
    return Song(
        bpm=chance.randint(_LEAST_BPM, _MOST_BPM),
        bass=program() if kind > 0.45 and chance.random() < 0.8 else None,
        chords=program() if kind > 0.25 and chance.random() < 0.8 else None,
        tune=program() if kind < 0.8 else None,
        drums=(drums[0], drums[1], drums[2]) if kind > 0.6 else None,
    )


def render(folder: Path, count: int, seed: int, bank: Path = BANK) -> None:
    """Write songs as WAV files of 16 kHz.

    Args:
        folder: made if it is not there.
        count: of songs.
        seed: of all chance.
        bank: General MIDI sounds.

    Raises:
        FileNotFoundError: the bank is not installed.
    """
    if not bank.is_file():
        raise FileNotFoundError(
            f"{bank} is missing; type: apt install fluidsynth musescore-general-soundfont-small"
        )
    folder.mkdir(parents=True, exist_ok=True)
    for number in range(count):
        chance = random.Random(f"{seed} {number}")
        song = some_song(chance)
        notes, path = folder / f"{number:03d}.mid", folder / f"{number:03d}.wav"
        notes.write_bytes(midi_file(events(song, chance.randrange(2**31)), song.bpm))
        command = ["fluidsynth", "-ni", "-q", "-r", "16000", "-F", str(path), str(bank), str(notes)]
        subprocess.run(command, check=True, capture_output=True)
        notes.unlink()


def main() -> int:
    """Render."""
    parser = argparse.ArgumentParser(prog="python -m rest_bridge.training.sampled_bands")
    parser.add_argument("folder", type=Path)
    parser.add_argument("--songs", type=int, default=160)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--bank", type=Path, default=BANK)
    given = parser.parse_args()
    try:
        render(given.folder, given.songs, given.seed, given.bank)
    except FileNotFoundError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())

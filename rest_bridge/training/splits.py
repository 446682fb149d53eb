"""What training never sees: one function decides, and SPLITS.md says the same in words.

Place in the flow: read by `speech_sources`, `synthetic_voices`, `speech_conditions`, `evaluation`.
The split is by identity (talkers), by voice (synthetic ones) and by language.
"""

from typing import Final
from zlib import crc32

HELD_OUT_FACEGOOD: Final = "3_15"
HELD_OUT_LANGUAGES: Final = ("nl", "fi")
HELD_OUT_VARIANTS: Final = ("adam", "Alicia", "anika", "klatt4", "travis", "f1")
"""Voices of espeak-ng (language+variant) that only tests hear."""
_ALWAYS: Final = (
    "grid_other_talkers", "css10_multilingual", "picovoice_multilingual", "espeak-test",
)  # fmt: skip


def is_held_out(source: str, name: str, index: int) -> bool:
    """Say whether training must never see this clip.

    Args:
        source: folder of the assets; "espeak" or "flite" for voices that are made; "espeak-test"
            for the test sentences of configs/train/texts.toml; "own" for a user's own talkers.
        name: file name; the espeak-ng voice as LANGUAGE or LANGUAGE+VARIANT; the talker of "own".
        index: position in the manifest.

    Returns:
        True if it belongs to validation and test alone.
    """
    if source in _ALWAYS:
        return True
    if source == "grid_s1_video":
        return index % 30 == 0
    if source == "librispeech_subset":
        return index % 10 == 0
    if source == "facegood_audio2face":
        return name.startswith(HELD_OUT_FACEGOOD)
    if source == "ljspeech_samples":
        return name.startswith(("LJ001-0031", "LJ001-0032"))
    if source == "espeak":
        language, _, variant = name.partition("+")
        return language in HELD_OUT_LANGUAGES or variant in HELD_OUT_VARIANTS
    return source == "own" and crc32(name.encode()) % 10 == 0

"""Mouth targets of phones: viseme classes, their ARKit weights and how far they reach.

Place in the flow: `phonemes` -> here -> `curves`. The table was fitted in two steps: shapes by
hand, then the lip gap corrected against tracked lips of a GRID talker (STUDY-AUDIO section 1: the
gap is wide in IY, IH, EH, K and SH, shut in P/B/M, F/V, TH, R, narrow in W and UW). A third step
took the rounding of AO, UH, OW, R and SH from the GRID and FACEGOOD training parts (LOG.md, second
session): an English r protrudes the lips as much as a w does; trills and taps of other languages
(r, ɾ) don't, nor does the uvular r.

Silence is the closed, relaxed mouth: all weights zero (ARKit's neutral).
"""

import unicodedata
from typing import Final, NamedTuple

from rest_bridge.training.phonemes import Alphabet, Phone

CHANNELS: Final = (
    "jaw", "funnel", "pucker", "stretch", "lower_down", "upper_up", "roll_lower", "tongue", "smile",
)  # fmt: skip


class Viseme(NamedTuple):
    """A mouth shape and its strength against its neighbours.

    Attributes:
        shape: weights in `CHANNELS` order, 0..1.
        jaw_dominance: pull on the jaw; 1 is normal.
        lip_dominance: pull on the lips.
        before_s: reach of the flank before the phone (anticipation).
        after_s: reach of the flank after it (release).
    """

    shape: tuple[float, ...]
    jaw_dominance: float = 1.0
    lip_dominance: float = 1.0
    before_s: float = 0.070
    after_s: float = 0.060


#                  jaw  fun  puc  str  low  up   roll tong smile
VISEMES: Final[dict[str, Viseme]] = {
    "SIL": Viseme((0.00, 0.00, 0.00, 0.00, 0.00, 0.00, 0.00, 0.00, 0.00), 1.0, 1.0, 0.100, 0.070),
    "PP": Viseme((0.04, 0.00, 0.04, 0.00, 0.00, 0.00, 0.10, 0.00, 0.00), 1.2, 0.6, 0.050, 0.045),
    "FF": Viseme((0.05, 0.00, 0.00, 0.12, 0.00, 0.15, 0.75, 0.00, 0.00), 1.0, 0.8, 0.055, 0.050),
    "TH": Viseme((0.08, 0.00, 0.00, 0.12, 0.12, 0.05, 0.00, 0.60, 0.00), 0.9, 0.6, 0.050, 0.050),
    "DD": Viseme((0.14, 0.00, 0.00, 0.16, 0.24, 0.08, 0.00, 0.00, 0.00), 0.8, 0.6, 0.050, 0.050),
    "LL": Viseme((0.17, 0.00, 0.04, 0.04, 0.20, 0.05, 0.00, 0.25, 0.00), 0.6, 0.4, 0.050, 0.050),
    "KK": Viseme((0.26, 0.00, 0.00, 0.18, 0.28, 0.12, 0.00, 0.00, 0.00), 0.6, 0.45, 0.050, 0.050),
    "SS": Viseme((0.08, 0.00, 0.00, 0.32, 0.38, 0.18, 0.00, 0.00, 0.08), 1.6, 0.8, 0.050, 0.050),
    "CH": Viseme((0.14, 0.52, 0.20, 0.00, 0.42, 0.30, 0.00, 0.00, 0.00), 1.3, 2.0, 0.090, 0.060),
    "RR": Viseme((0.06, 0.32, 0.48, 0.00, 0.04, 0.00, 0.00, 0.00, 0.00), 0.8, 1.2, 0.080, 0.060),
    "WW": Viseme((0.08, 0.25, 0.85, 0.00, 0.00, 0.00, 0.00, 0.00, 0.00), 1.0, 2.5, 0.100, 0.060),
    "HH": Viseme((0.20, 0.00, 0.00, 0.00, 0.12, 0.05, 0.00, 0.00, 0.00), 0.15, 0.1, 0.040, 0.040),
    "AA": Viseme((0.52, 0.00, 0.00, 0.00, 0.30, 0.14, 0.00, 0.00, 0.00)),
    "AE": Viseme((0.42, 0.00, 0.00, 0.28, 0.30, 0.16, 0.00, 0.00, 0.06)),
    "AH": Viseme((0.33, 0.00, 0.00, 0.08, 0.22, 0.08, 0.00, 0.00, 0.00)),
    "AO": Viseme((0.42, 0.42, 0.28, 0.00, 0.16, 0.06, 0.00, 0.00, 0.00), 1.1, 1.4, 0.080, 0.070),
    "EH": Viseme((0.40, 0.00, 0.00, 0.26, 0.32, 0.16, 0.00, 0.00, 0.04)),
    "IH": Viseme((0.25, 0.00, 0.00, 0.30, 0.36, 0.20, 0.00, 0.00, 0.08)),
    "IY": Viseme((0.20, 0.00, 0.00, 0.45, 0.40, 0.22, 0.00, 0.00, 0.18)),
    "UH": Viseme((0.20, 0.30, 0.42, 0.00, 0.10, 0.04, 0.00, 0.00, 0.00), 1.0, 1.4),
    "UW": Viseme((0.12, 0.24, 0.76, 0.00, 0.08, 0.04, 0.00, 0.00, 0.00), 1.1, 2.2, 0.100, 0.080),
    "UE": Viseme((0.11, 0.30, 0.80, 0.00, 0.05, 0.00, 0.00, 0.00, 0.00), 1.1, 2.2, 0.100, 0.080),
    "OE": Viseme((0.25, 0.38, 0.55, 0.00, 0.14, 0.04, 0.00, 0.00, 0.00), 1.0, 1.6, 0.090, 0.070),
    "OW": Viseme((0.32, 0.34, 0.50, 0.00, 0.14, 0.04, 0.00, 0.00, 0.00), 1.1, 1.6, 0.090, 0.070),
    "ER": Viseme((0.22, 0.28, 0.15, 0.00, 0.20, 0.04, 0.00, 0.00, 0.00)),
    "SCHWA": Viseme((0.22, 0.00, 0.00, 0.08, 0.20, 0.06, 0.00, 0.00, 0.00), 0.5, 0.5, 0.060, 0.060),
}

_ARPABET: Final[dict[str, tuple[str, ...]]] = {
    "P": ("PP",), "B": ("PP",), "M": ("PP",), "F": ("FF",), "V": ("FF",), "TH": ("TH",),
    "DH": ("TH",), "T": ("DD",), "D": ("DD",), "N": ("DD",), "L": ("LL",), "K": ("KK",),
    "G": ("KK",), "NG": ("KK",), "S": ("SS",), "Z": ("SS",), "SH": ("CH",), "ZH": ("CH",),
    "CH": ("CH",), "JH": ("CH",), "R": ("RR",), "W": ("WW",), "HH": ("HH",), "Y": ("IY",),
    "AA": ("AA",), "AE": ("AE",), "AH": ("AH",), "AX": ("SCHWA",), "AO": ("AO",), "EH": ("EH",),
    "IH": ("IH",), "IY": ("IY",), "UH": ("UH",), "UW": ("UW",), "ER": ("ER",), "SIL": ("SIL",),
    "AW": ("AA", "UW"), "AY": ("AA", "IH"), "EY": ("EH", "IY"), "OW": ("OW", "UW"),
    "OY": ("AO", "IH"),
}  # fmt: skip

_IPA_CLASSES: Final = {
    "PP": "pbmɓʙɱ", "FF": "fvʋɸβ", "TH": "θð", "DD": "tdnʈɖɳɲcɟȶȵ", "LL": "lʎɫɭɬrɾɽ",
    "KK": "kgɡqɢŋɴxɣχʔħʕʀʁ", "SS": "szʦʣ", "CH": "ʃʒɕʑʂʐʧʤçʨʥ", "RR": "ɹɻ", "WW": "wʍɥ",
    "HH": "hɦ", "AA": "aɑɐ", "AE": "æ", "AH": "ʌɜɤ", "AO": "ɔɒ", "EH": "ɛeε", "IH": "ɪ",
    "IY": "ijɨʝ", "UH": "ʊ", "UW": "uʉ", "UE": "yʏ", "OE": "øœɵ", "OW": "o", "ER": "ɚɝ",
    "SCHWA": "əᵻɘɯ",
}  # fmt: skip
_IPA: Final = {symbol: name for name, symbols in _IPA_CLASSES.items() for symbol in symbols}


class VisemeSpan(NamedTuple):
    """One viseme of `VISEMES` and its span in seconds."""

    name: str
    start_s: float
    end_s: float


def to_visemes(phones: list[Phone], alphabet: Alphabet) -> list[VisemeSpan]:
    """Map phones to visemes; diphthongs are split 60/40, symbols without lip content dropped."""
    spans: list[VisemeSpan] = []
    for phone in phones:
        names = _names(phone.symbol, alphabet)
        if len(names) == 1:
            spans.append(VisemeSpan(names[0], phone.start_s, phone.end_s))
        elif len(names) > 1:
            middle = phone.start_s + 0.6 * (phone.end_s - phone.start_s)
            spans.append(VisemeSpan(names[0], phone.start_s, middle))
            spans.append(VisemeSpan(names[-1], middle, phone.end_s))
    return spans


def _names(symbol: str, alphabet: Alphabet) -> tuple[str, ...]:
    if symbol == "SIL":
        return ("SIL",)
    if alphabet == "arpabet":
        return _ARPABET.get(symbol.upper().rstrip("012"), ("SCHWA",))
    letters = unicodedata.normalize("NFD", symbol)  # "ä" is "a" with a sign that says no more
    names = tuple(_IPA[letter] for letter in letters if letter in _IPA)
    return names[:1] if len(names) > 1 and names[0] == names[-1] else names

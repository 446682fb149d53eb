"""What is demanded of the product and whether it is fulfilled (issue 3, STUDY-AUDIO 7)."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from rest_bridge.training.evaluation.bootstrap import Estimate, by_clip, estimate, estimate_ratio
from rest_bridge.training.evaluation.jobs import Row

Rows = Sequence[Row]
EIGHT: Final = (
    "German",
    "French",
    "Spanish",
    "Italian",
    "Russian",
    "Mandarin",
    "Japanese",
    "Hindi",
)


@dataclass(frozen=True, slots=True)
class Target:
    """One demand.

    Attributes:
        name: as in the table.
        goal: in words.
        low: least allowed mean.
        high: most allowed mean.
        measure: rows of everything -> the estimate; NaN if it was not measured.
        decimals: to show.
    """

    name: str
    goal: str
    low: float
    high: float
    measure: Callable[[Rows], Estimate]
    decimals: int = 2


@dataclass(frozen=True, slots=True)
class Verdict:
    """A demand and what was found; `met` is None where nothing was measured."""

    target: Target
    found: Estimate
    met: bool | None


def verdicts(rows: Rows) -> list[Verdict]:
    """Compare rows with every demand."""
    out: list[Verdict] = []
    for target in TARGETS:
        found = target.measure(rows)
        known = not math.isnan(found.mean)
        # Judged as it is shown: 0.599 is no 0.60 in one table and a 0.60 in the next.
        mean = round(found.mean, target.decimals) if known else math.nan
        out.append(Verdict(target, found, target.low <= mean <= target.high if known else None))
    return out


def mean_of(
    subset: str, groups: Sequence[str], measure: str, *, portraits: Sequence[str] = ()
) -> Callable[[Rows], Estimate]:
    """Return a measure: the mean over the clips of some groups."""

    def work(rows: Rows) -> Estimate:
        chosen = [
            row
            for row in rows
            if row.subset == subset
            and row.group in groups
            and (not portraits or row.portrait in portraits)
        ]
        return estimate(by_clip(chosen, measure))

    return work


def languages_to_english(rows: Rows) -> Estimate:
    """Return the eight languages' correlation within the sentence over that of English."""

    def values(names: Sequence[str]) -> list[float]:
        groups = [f"language: {name}" for name in names]
        return by_clip([r for r in rows if r.subset == "lips" and r.group in groups], "sentence")

    english, others = estimate(values(("English",))), estimate(values(EIGHT))
    scale = english.mean
    if math.isnan(scale) or math.isnan(others.mean):
        return Estimate(math.nan, math.nan, math.nan, 0)
    return Estimate(others.mean / scale, others.low / scale, others.high / scale, others.num_clips)


def drifting(rows: Rows) -> Estimate:
    """Return the share of slow measures whose slope over the hour is measurably not zero."""
    own = [r for r in rows if r.subset == "hour" and r.group.startswith("drift")]
    return estimate([r.values["drifts"] for r in own])


def _lips(group: str, measure: str) -> Callable[[Rows], Estimate]:
    return mean_of("lips", (group,), measure)


def _noise(condition: str) -> Callable[[Rows], Estimate]:
    return mean_of("lips", (f"strangers, {condition}", f"known talker, {condition}"), "r")


def _seam(kind: str) -> Callable[[Rows], Estimate]:
    """Sums over clips: the ratio of a clip of three seconds hangs on where its one blink lies."""

    def work(rows: Rows) -> Estimate:
        own = [r for r in rows if r.subset == "picture" and r.group == "seams, chunks of 1"]
        return estimate_ratio(
            *([r.values.get(f"energy_{place}_{kind}", math.nan) for r in own]
              for place in ("border", "inside"))
        )  # fmt: skip

    return work


_ANY: Final = math.inf
_BOTH: Final = ("strangers", "known talker")
_SILENT: Final = ("digital silence", "quiet room", "hum")
_NOISY: Final = ("white noise 10 dB", "pink noise 10 dB", "keyboard")

TARGETS: Final = (
    Target("strangers: aperture, whole clip", "≥ 0.65", 0.65, _ANY, _lips("strangers", "r")),
    Target("strangers: within the sentence", "≥ 0.60", 0.60, _ANY, _lips("strangers", "sentence")),
    Target("strangers: matched − mismatched", "≥ 0.40", 0.40, _ANY, _lips("strangers", "gain")),
    Target("known talker, unseen sentences: whole clip", "≥ 0.70", 0.70, _ANY,
           _lips("known talker", "r")),
    Target("opening range over the real one", "0.8–1.2", 0.8, 1.2,
           mean_of("lips", _BOTH, "range")),
    Target("lag, ms", "within ± 40", -40, 40, mean_of("lips", _BOTH, "lag_ms"), 0),
    Target("p, b, m closed", "≥ 0.80", 0.80, _ANY, mean_of("lips", _BOTH, "closed")),
    Target("p, b, m closed, read speech", "≥ 0.80", 0.80, _ANY, _lips("read speech", "closed")),
    Target("silence: spread over that of speech", "≤ 0.25", 0, 0.25,
           mean_of("lips", [f"silence: {n}" for n in _SILENT], "rest_spread")),
    Target("noisy silence: spread over that of speech", "≤ 0.25", 0, 0.25,
           mean_of("lips", [f"silence: {n}" for n in _NOISY], "rest_spread")),
    Target("white noise 10 dB: whole clip", "≥ 0.60", 0.60, _ANY, _noise("white noise 10 dB")),
    Target("babble 10 dB: whole clip", "≥ 0.50", 0.50, _ANY, _noise("babble 10 dB")),
    Target("babble 10 dB, talker spoke before: whole clip", "≥ 0.50", 0.50, _ANY,
           _noise("babble 10 dB, talker spoke before")),
    Target("eight languages over English", "≥ 0.90", 0.90, _ANY, languages_to_english),
    Target("blinks a minute", "8–25", 8, 25, mean_of("life", ("motion",), "blinks_a_minute"), 1),
    Target("flow error on unseen people, px at 128", "≤ 1.0", 0, 1.0,
           mean_of("reconstruction", ("rendered people",), "flow_px")),
    Target("eyes as sharp as the still", "0.9–1.1", 0.9, 1.1,
           mean_of("picture", ("sharpness",), "eyes")),
    Target("mouth as sharp as the still", "0.9–1.1", 0.9, 1.1,
           mean_of("picture", ("sharpness",), "mouth")),
    Target("seam: border energy over inside, rig", "≤ 1.1", 0, 1.1,
           _seam("rig")),
    Target("seam: border energy over inside, pictures", "≤ 1.1", 0, 1.1,
           _seam("pictures")),
    Target("an hour: share of measures that drift", "0.05 by chance", 0, 0.1, drifting),
    Target("a wish shows within, s", "≤ 0.5", 0, 0.5,
           mean_of("life", ("wish: smile", "wish: gaze", "wish: happy", "wish: angry"), "seconds")),
    Target("a wish's largest step in a frame, share", "≤ 0.35", 0, 0.35,
           mean_of("life", ("wish: smile", "wish: happy", "wish: angry"), "jump")),
    Target("transparent edge: fringe over the still's", "≤ 1.2", 0, 1.2,
           mean_of("halo", ("transparent portraits",), "fringe_ratio")),
)  # fmt: skip

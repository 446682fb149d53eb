"""Two benches side by side: what became faster or slower, also where the machine was busier then.

Times are compared twice: as they are, and by the calibration of each run (a fixed piece of work,
`machine.calibration_work`, in between the measured one; only before it in reports of old versions),
which takes out most of a faster computer or a busier moment.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, cast

from rich.table import Table

from rest_bridge.errors import ConfigError

_TIMES: Final[dict[str, tuple[str, ...]]] = {
    "real-time factor": ("offline", "rtf"),
    "features, ms": ("offline", "stages", "features", "p50_ms"),
    "motion, ms": ("offline", "stages", "motion", "p50_ms"),
    "decode, ms": ("offline", "stages", "decode", "p50_ms"),
    "chunk, ms": ("offline", "stages", "chunk", "p50_ms"),
}
_FACTS: Final[dict[str, tuple[str, ...]]] = {
    "latency p50, ms": ("live", "latency", "p50_ms"),
    "latency p95, ms": ("live", "latency", "p95_ms"),
    "latency p99, ms": ("live", "latency", "p99_ms"),
    "latency max, ms": ("live", "latency", "max_ms"),
    "repeated frames": ("live", "repeated"),
    "dropped samples": ("live", "dropped_samples"),
    "first generated frame, s": ("live", "first_frame_s"),
    "peak memory, MB": ("peak_rss_mb",),
}
_SAME: Final = ("size_px", "fps", "chunk")


@dataclass(frozen=True, slots=True)
class Line:
    """One figure of both runs.

    Attributes:
        name: what it is.
        before: in the earlier run.
        after: in this one.
        ratio: after / before; 0 where there is nothing to divide.
        calibrated: the same in units of each run's calibration; 0 for what is no compute time.
    """

    name: str
    before: float
    after: float
    ratio: float
    calibrated: float


def read_report(path: Path) -> dict[str, Any]:
    """Read the JSON line of an earlier `rest-bridge bench --json`.

    Raises:
        ConfigError: it cannot be read, or is none.
    """
    try:
        content: Any = json.loads(path.expanduser().read_text(encoding="utf-8").splitlines()[-1])
    except (OSError, ValueError, IndexError) as error:
        raise ConfigError(
            f"{path} cannot be compared with ({error}); give a file written by "
            "`rest-bridge bench --json > FILE`."
        ) from error
    if not isinstance(content, dict) or "offline" not in content:
        raise ConfigError(
            f"{path} is no report of `rest-bridge bench --json`; write one and compare with that."
        )
    return cast(dict[str, Any], content)


def compare(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[Line]:
    """Compare two reports.

    Args:
        before: from `read_report`.
        after: from `bench_card.as_dict`.

    Raises:
        ConfigError: they were made with other sizes, rates or chunks.
    """
    other = [key for key in _SAME if before.get(key) != after.get(key)]
    if other:
        facts = ", ".join(f"{key} {before.get(key)} and {after.get(key)}" for key in other)
        raise ConfigError(
            f"The two reports cannot be compared: they were made with {facts}; repeat one of them."
        )
    scale = _scale(before, after)
    lines = [_line(name, before, after, way, scale) for name, way in _TIMES.items()]
    lines += [_line(name, before, after, way, 0.0) for name, way in _FACTS.items()]
    return [line for line in lines if line.before or line.after]


def table(lines: list[Line]) -> Table:
    """Return the comparison for a terminal."""
    shown = Table()
    for column in ("", "before", "now", "now / before", "calibrated"):
        shown.add_column(column, justify="right" if column else "left")
    for line in lines:
        ratio = f"{line.ratio:.2f}" if line.ratio else ""
        calibrated = f"{line.calibrated:.2f}" if line.calibrated else ""
        shown.add_row(line.name, f"{line.before:.2f}", f"{line.after:.2f}", ratio, calibrated)
    return shown


def _scale(before: Mapping[str, Any], after: Mapping[str, Any]) -> float:
    """Return by how much the machine was quicker in the later run; 0 if that is not known."""
    for way in (("offline", "calibration_ms"), ("calibration_ms",)):
        then, now = (_value(one, way) for one in (before, after))
        if then and now:
            return then / now
    return 0.0


def _line(
    name: str,
    before: Mapping[str, Any],
    after: Mapping[str, Any],
    way: tuple[str, ...],
    scale: float,
) -> Line:
    then, now = (_value(one, way) for one in (before, after))
    ratio = now / then if then else 0.0
    return Line(name, then, now, ratio, ratio * scale)


def _value(report: Mapping[str, Any], way: tuple[str, ...]) -> float:
    found: Any = report
    for key in way:
        found = found.get(key, 0.0) if isinstance(found, Mapping) else 0.0
    return float(found)

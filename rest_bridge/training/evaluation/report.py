"""Rows -> one report: JSON with every number, Markdown with the demands first.

Place in the flow: `jobs` -> here -> docs/evaluation.md, MODEL_CARD.md (`card`), a terminal.
"""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from rest_bridge.errors import ConfigError
from rest_bridge.training.evaluation.bootstrap import Estimate, by_clip, estimate
from rest_bridge.training.evaluation.jobs import Row, as_json
from rest_bridge.training.evaluation.targets import verdicts

TITLES: Final = {
    "rig": "The generator's rig, without pictures",
    "lips": "Lips in the pictures",
    "reconstruction": "Frames whose truth is known",
    "picture": "Sharpness and seams",
    "halo": "Transparent edges",
    "life": "Blinks, head, rig, wishes",
    "hour": "One hour",
    "sync": "Sound against lips",
    "realism": "Realism",
}
_DECIMALS: Final = {"lag_ms": 0, "offset_own_ms": 0, "offset_ms": 0, "blinks_a_minute": 1,
                    "psnr_db": 1, "psnr_face_db": 1, "confidence": 2, "mean": 3}  # fmt: skip
_FINE: Final = ("fid_own", "slope", "slope_low", "slope_high", "first", "last",
                "open_rig", "most_rig", "tremble_deg", "identity")  # fmt: skip
_WITHOUT_INTERVAL: Final = ("_low", "_high", "_items")
_SKIPPED: Final = ("confidence", "energy_border_rig", "energy_inside_rig",
                   "energy_border_pictures", "energy_inside_pictures")  # fmt: skip


@dataclass(frozen=True, slots=True)
class Report:
    """A finished evaluation.

    Attributes:
        about: package, program, settings, machine, judges, time.
        rows: everything that was measured.
    """

    about: Mapping[str, Any]
    rows: Sequence[Row]

    def as_dict(self) -> dict[str, Any]:
        """Return the report as JSON wants it."""
        return {
            "about": dict(self.about),
            "targets": [
                {"name": v.target.name, "goal": v.target.goal, "met": v.met, **_numbers(v.found)}
                for v in verdicts(self.rows)
            ],
            "groups": [
                {"subset": s, "group": g, "measures": {m: _numbers(e) for m, e in found.items()}}
                for (s, g), found in summarise(self.rows).items()
            ],
            "rows": [as_json(row) for row in self.rows],
        }


def summarise(rows: Sequence[Row]) -> dict[tuple[str, str], dict[str, Estimate]]:
    """Return (subset, group) -> measure -> mean over clips with its interval."""
    grouped: dict[tuple[str, str], list[Row]] = {}
    for row in rows:
        grouped.setdefault((row.subset, row.group), []).append(row)
    out: dict[tuple[str, str], dict[str, Estimate]] = {}
    for key, members in grouped.items():
        measures = dict.fromkeys(name for row in members for name in row.values)
        found = {m: estimate(by_clip(members, m)) for m in measures}
        out[key] = {m: e for m, e in found.items() if e.num_clips}
    return out


def as_markdown(report: Report) -> str:
    """Return the demands and a table for each subset."""
    about = [f"- {name}: {value}" for name, value in report.about.items()]
    lines = [*about, "", *target_lines(report.rows), "", tables_markdown(report)]
    return "\n".join(lines).rstrip() + "\n"


def tables_markdown(report: Report) -> str:
    """Return a table for each subset, under its title."""
    lines: list[str] = []
    groups = summarise(report.rows)
    for subset, title in TITLES.items():
        own = {group: found for (s, group), found in groups.items() if s == subset}
        if own:
            lines += [f"### {title}", ""]
            for table in _tables(own):
                lines += [*table, ""]
    return "\n".join(lines).rstrip()


def target_lines(rows: Sequence[Row]) -> list[str]:
    """Return the table of demands; what was not measured is left out."""
    lines = ["| demand | goal | measured [95 %] | clips | met |", "| --- | --- | --- | --- | --- |"]
    for verdict in verdicts(rows):
        if verdict.met is None:
            continue
        shown = _shown(verdict.found, verdict.target.decimals)
        met = "yes" if verdict.met else "**no**"
        lines.append(
            f"| {verdict.target.name} | {verdict.target.goal} | {shown} | "
            f"{verdict.found.num_clips} | {met} |"
        )
    return lines


def _tables(groups: Mapping[str, Mapping[str, Estimate]]) -> list[list[str]]:
    """Lay groups with the same measures into one table."""
    by_measures: dict[tuple[str, ...], list[str]] = {}
    for group, found in groups.items():
        names = tuple(sorted(m for m in found if m not in _SKIPPED))
        by_measures.setdefault(_family(names), []).append(group)
    tables: list[list[str]] = []
    for members in by_measures.values():
        names = list(dict.fromkeys(m for g in members for m in groups[g] if m not in _SKIPPED))
        lines = ["| group | clips | " + " | ".join(_title(n) for n in names) + " |"]
        lines.append("| --- " * (len(names) + 2) + "|")
        for group in members:
            found = groups[group]
            clips = max(e.num_clips for e in found.values())
            cells = [_shown(found[n], _places(n), n) if n in found else "" for n in names]
            lines.append(f"| {group} | {clips} | " + " | ".join(cells) + " |")
        tables.append(lines)
    return tables


def _family(names: tuple[str, ...]) -> tuple[str, ...]:
    """Groups of one family share a table although some lack a measure."""
    marks = ("sentence", "open_rig", "rest_spread_rig", "slope", "psnr_db", "eyes", "border_rig",
             "seconds", "yaw_r", "yaw_sd_deg", "sync_d_own", "fid_own", "fvd_own",
             "fringe")  # fmt: skip
    found = tuple(mark for mark in marks if mark in names)
    return found or names


def _title(name: str) -> str:
    return name.replace("_", " ")


def _places(name: str) -> int:
    return 4 if name in _FINE else _DECIMALS.get(name.removeprefix("still_"), 2)


def _shown(found: Estimate, decimals: int, name: str = "") -> str:
    if math.isnan(found.mean):
        return ""
    text = f"{found.mean:.{decimals}f}"
    if math.isnan(found.low) or name.endswith(_WITHOUT_INTERVAL):
        return text
    return f"{text} [{found.low:.{decimals}f}, {found.high:.{decimals}f}]"


def _numbers(found: Estimate) -> dict[str, float | int | None]:
    values = {"mean": found.mean, "low": found.low, "high": found.high}
    return {
        **{k: round(v, 5) if math.isfinite(v) else None for k, v in values.items()},
        "clips": found.num_clips,
    }


def write(report: Report, folder: Path) -> tuple[Path, Path]:
    """Write report.json and report.md.

    Args:
        report: to write.
        folder: must exist.

    Returns:
        The two paths.
    """
    json_path, text_path = folder / "report.json", folder / "report.md"
    json_path.write_text(json.dumps(report.as_dict(), indent=1), encoding="utf-8")
    text_path.write_text(as_markdown(report), encoding="utf-8")
    return json_path, text_path


def read(path: Path) -> Report:
    """Read a report.json.

    Raises:
        ConfigError: it is missing or no report.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        rows = [
            Row(
                r["subset"], r["group"], r["clip"], r["portrait"],
                {k: math.nan if v is None else float(v) for k, v in r["values"].items()},
            )
            for r in content["rows"]
        ]  # fmt: skip
        return Report(content["about"], rows)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ConfigError(
            f"This is no report of `rest-bridge evaluate` ({error}); make one first: {path}"
        ) from None

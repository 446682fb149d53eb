"""What a bench found, for people and programs: a card, a picture of the latency, one line of JSON.

Knows nothing of measuring.
"""

from dataclasses import asdict
from typing import Any

from rich.table import Table

from rest_bridge.bench import Report
from rest_bridge.histogram import latency_svg
from rest_bridge.latency import STAGES
from rest_bridge.metrics import Summary


def as_dict(report: Report) -> dict[str, Any]:
    """Return the report as plain numbers and texts, rounded, for one JSON line."""

    def rounded(value: Any) -> Any:
        if isinstance(value, float):
            return round(value, 3)
        if isinstance(value, dict):
            return {key: rounded(item) for key, item in value.items()}
        if isinstance(value, list):
            return [rounded(item) for item in value]
        return value

    return rounded(asdict(report))


def picture(report: Report) -> str:
    """Return the latency as an SVG picture: histogram, and where it goes."""
    medians = {name: s.p50_ms for name, s in report.live.stages.items() if name in STAGES}
    return latency_svg(
        f"rest_bridge {report.version}, {report.live.voice}, {report.size_px} px",
        report.live.latencies_ms,
        medians,
        goals_ms={"median": 150, "p95": 200},
    )


def card(report: Report) -> Table:
    """Return the report as a table for a terminal."""
    table = Table(title=f"rest_bridge {report.version} · {report.machine}", title_justify="left")
    table.add_column("")
    for column in ("p50", "p95", "p99", "max"):
        table.add_column(column, justify="right")
    offline, live = report.offline, report.live
    table.add_row("[bold]live")
    table.add_row("latency, ms", *_milliseconds(live.latency))
    for name, summary in live.stages.items():
        table.add_row(f"  {name}", *_milliseconds(summary), style="dim")
    table.add_row("fast rig values, ms", *_milliseconds(live.fast_rig))
    table.add_row("frames per second", f"{live.fps:.2f}")
    changes = ", ".join(f"{name} {count}" for name, count in live.tiers.items() if count)
    table.add_row("changes of tier", changes or "none")
    table.add_row("repeated frames", str(live.repeated))
    table.add_row("portrait shown after, s", f"{live.first_still_s:.2f}")
    table.add_row("first generated frame after, s", f"{live.first_frame_s:.2f}", end_section=True)
    table.add_row("[bold]compute")
    for name, summary in offline.stages.items():
        table.add_row(f"{name}, ms", *_milliseconds(summary))
    table.add_row("real-time factor", f"{offline.rtf:.3f}")
    table.add_row("frames per second, offline", f"{offline.frames_per_s:.1f}", end_section=True)
    table.add_row("peak memory, MB", f"{report.peak_rss_mb:.0f}")
    table.add_row("provider", ", ".join(sorted(set(report.providers.values()))))
    table.add_row("vector instructions", " ".join(report.cpu_features) or "unknown")
    between_ms = offline.calibration_ms
    table.add_row("calibration, ms", f"{report.calibration_ms:.2f}, in between {between_ms:.2f}")
    table.caption = (
        f"{report.model}, {report.size_px} px, {report.fps} fps, chunk of {report.chunk * 80} ms"
    )
    return table


def _milliseconds(summary: Summary) -> tuple[str, ...]:
    values = (summary.p50_ms, summary.p95_ms, summary.p99_ms, summary.max_ms)
    return tuple(f"{value:.1f}" for value in values)

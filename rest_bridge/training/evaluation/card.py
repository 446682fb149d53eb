"""Writes the tables of the model card from a report.

The card's words are written by people; what stands between the marks of this module is written by
it (`python -m rest_bridge.training.evaluation.card`). Place in the flow: report.json -> here
-> MODEL_CARD.md and docs/evaluation.md.
"""

import argparse
import json
import re
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from rest_bridge.errors import ConfigError, RestBridgeError
from rest_bridge.inference.package import DEFAULT_PACKAGE
from rest_bridge.training.evaluation import report
from rest_bridge.training.evaluation.bootstrap import by_clip, estimate
from rest_bridge.training.evaluation.targets import verdicts

_MARK: Final = "<!-- evaluation:{name}{end} -->"
_SIZE_UNIT: Final = 1e6


def main(arguments: list[str] | None = None) -> int:
    """Fill the marked places of some Markdown files; returns the exit code."""
    parser = argparse.ArgumentParser(description="Write the evaluation into Markdown files.")
    parser.add_argument("--report", type=Path, required=True, help="report.json of `evaluate`")
    parser.add_argument("--package", type=Path, default=DEFAULT_PACKAGE)
    parser.add_argument("--before", type=Path, default=None, help="report.json to compare with")
    parser.add_argument("files", type=Path, nargs="+", help="Markdown files with marked places")
    options = parser.parse_args(arguments)
    try:
        before = report.read(options.before) if options.before else None
        tables = card_tables(report.read(options.report), options.package, before)
        for path in options.files:
            path.write_text(filled(path.read_text(encoding="utf-8"), tables), encoding="utf-8")
            print(path)
    except (RestBridgeError, OSError) as error:
        print(error, file=sys.stderr)
        return 2
    return 0


def card_tables(
    found: report.Report, package: Path, before: report.Report | None = None
) -> dict[str, str]:
    """Return name of the place -> Markdown.

    Args:
        found: the report.
        package: the model package that it speaks of.
        before: another package's report under the same program, for a column beside.
    """
    return {
        "targets": "\n".join(report.target_lines(found.rows)),
        "tables": report.tables_markdown(found),
        "about": "\n".join(f"- {name}: {value}" for name, value in found.about.items()),
        "lips": _lips(found),
        "size": _size(package),
        "comparison": _comparison(found, before) if before else "",
    }


def filled(text: str, tables: Mapping[str, str]) -> str:
    """Put tables into the marked places of a text.

    A place is `<!-- evaluation:NAME -->` ... `<!-- evaluation:NAME end -->`, each on its own line.

    Args:
        text: Markdown.
        tables: name -> Markdown.

    Returns:
        The text with every marked place replaced; what no table names stays.

    Raises:
        ConfigError: a mark has no end.
    """
    for name in re.findall(r"<!-- evaluation:([a-z]+) -->", text):
        start, stop = _MARK.format(name=name, end=""), _MARK.format(name=name, end=" end")
        if stop not in text:
            raise ConfigError(f"The place {start} has no end; write {stop} below it.")
        if tables.get(name):
            before, _, rest = text.partition(start)
            _, _, after = rest.partition(stop)
            text = f"{before}{start}\n{tables[name]}\n{stop}{after}"
    return text


def _lips(found: report.Report) -> str:
    """The card's table of lips by group and portrait."""
    measures = ("r", "sentence", "other", "lag_ms", "range", "closed")
    lines = ["| group | clips | r | sentence | other | lag, ms | range | p/b/m closed |",
             "| --- | --- | --- | --- | --- | --- | --- | --- |"]  # fmt: skip
    for group in ("strangers", "known talker"):
        own = [row for row in found.rows if row.subset == "lips" and row.group == group]
        portraits = dict.fromkeys(row.portrait for row in own)
        for name in ("", *portraits):
            rows = [row for row in own if not name or row.portrait == name]
            values = [estimate(by_clip(rows, measure)) for measure in measures]
            cells = " | ".join(
                f"{v.mean:+.0f}" if m == "lag_ms" else f"{v.mean:.2f}" if v.num_clips else ""
                for m, v in zip(measures, values, strict=True)
            )
            if rows:
                title = f"{group}, {name}" if name else f"**{group}**"
                lines.append(f"| {title} | {values[0].num_clips} | {cells} |")
    return "\n".join(lines)


def _size(package: Path) -> str:
    try:
        manifest: dict[str, Any] = json.loads((package / "manifest.json").read_text())
    except (OSError, ValueError) as error:
        raise ConfigError(f"The package's manifest cannot be read ({error}): {package}") from None
    total = sum(int(entry["bytes"]) for entry in manifest["files"].values())
    return f"{manifest['name']} {manifest['version']}: {total / _SIZE_UNIT:.1f} MB in all."


def _comparison(found: report.Report, before: report.Report) -> str:
    """Both packages beside each demand."""
    old = {v.target.name: v for v in verdicts(before.rows)}
    lines = ["| demand | goal | before | now |", "| --- | --- | --- | --- |"]
    for verdict in verdicts(found.rows):
        name, places = verdict.target.name, verdict.target.decimals
        other = old[name]
        if verdict.met is None or other.met is None:
            continue
        cells = " | ".join(
            f"{v.found.mean:.{places}f}{'' if v.met else ' (missed)'}" for v in (other, verdict)
        )
        lines.append(f"| {name} | {verdict.target.goal} | {cells} |")
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())

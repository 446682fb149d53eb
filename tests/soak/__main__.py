"""`python -m tests.soak hours [N]`, `... live [--minutes M]`, `... clicks [--mic 1] [--out -1]`,
`... latency [--picture X.svg]`."""

import argparse
import sys
from pathlib import Path


def main() -> int:
    """Run one of the soak tests; returns its exit code."""
    parser = argparse.ArgumentParser(prog="python -m tests.soak", description=__doc__)
    kinds = parser.add_subparsers(dest="kind", required=True)
    hours = kinds.add_parser("hours", help="eight hours of stream by virtual time")
    hours.add_argument("hours", type=int, nargs="?", default=8)
    live = kinds.add_parser("live", help="thirty minutes with real devices that fail")
    live.add_argument("--minutes", type=float, default=30.0)
    live.add_argument("--face", action="store_true", help="the real generator, not a flash")
    live.add_argument("--only", default="", help="this fault only, a part of its name")
    clicks = kinds.add_parser("clicks", help="sound against picture at every outlet, for minutes")
    clicks.add_argument("--minutes", type=float, default=10.0)
    clicks.add_argument("--mic", type=int, default=0, choices=(-1, 0, 1), help="200 ppm slow, fast")
    clicks.add_argument("--out", type=int, default=0, choices=(-1, 0, 1), help="the output's")
    clicks.add_argument("--no-browser", action="store_true")
    latency = kinds.add_parser("latency", help="rest-bridge bench with a virtual microphone")
    latency.add_argument("--seconds", type=float, default=20.0)
    latency.add_argument("--picture", type=Path)
    latency.add_argument("--json", action="store_true")
    given = parser.parse_args()
    if given.kind == "latency":
        from tests.soak import latency as soak_latency

        return soak_latency.main(given.seconds, given.picture, json=given.json)
    if given.kind == "clicks":
        from tests.soak import clicks as soak_clicks

        return soak_clicks.main(
            given.minutes, mic=given.mic, out=given.out, browser=not given.no_browser
        )
    if given.kind == "hours":
        from tests.soak import hours as soak_hours

        return soak_hours.main(given.hours)
    from tests.soak import live as soak_live

    return soak_live.main(given.minutes, face=given.face, only=given.only)


if __name__ == "__main__":
    sys.exit(main())

"""A process for tests of Ctrl-C: a daemon of stand-ins that records. Arguments: file, stage.

Stage "live" speaks, "loading" never finishes loading the model, "portrait" never the portrait.
"""

import sys
import threading
from pathlib import Path

import numpy as np

from rest_bridge.daemon import Daemon
from rest_bridge.graph import Graph, Outlet
from rest_bridge.pipeline import Pipeline
from rest_bridge.sinks.recorder import Recorder
from tests.support.standins import StandInSource, standin_stages


def never() -> None:
    print("waiting", flush=True)  # noqa: T201 - the test reads it
    threading.Event().wait()


def main() -> None:
    path, stage = Path(sys.argv[1]), sys.argv[2]
    still = np.full((64, 64, 4), 200, np.uint8)
    voice = (np.random.default_rng(0).standard_normal(48_000 * 60) * 0.1).astype(np.float32)
    graph = Graph(
        still=lambda: (never() if stage == "portrait" else None, still)[1],
        pipeline=lambda: (
            never() if stage == "loading" else None,
            Pipeline(standin_stages(lookahead_ms=40)),
        )[1],
        source=lambda: StandInSource(voice),
        outlets=lambda: [Outlet(Recorder(path), required=True)],
    )
    daemon = Daemon(
        graph,
        on_status=lambda s: print(s.phase, s.presented, flush=True),  # noqa: T201 - the test reads it
    )
    outcome = daemon.run()
    print("interrupted" if outcome.interrupted else "ended", flush=True)  # noqa: T201


if __name__ == "__main__":
    main()

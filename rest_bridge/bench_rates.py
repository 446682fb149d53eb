"""What a frame rate costs: `rest-bridge bench --rates 25,60`, all rates in turns in one process.

A second of voice at each rate, then the next second: what else the machine does then strikes all of
them alike. CPU seconds for a second of stream, of the generator alone, and with a ZeroMQ subscriber
and a virtual camera's conversion beside it, which take every frame.
"""

import statistics
import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from rich.table import Table

from rest_bridge.audio.file import FileSource
from rest_bridge.config import Config
from rest_bridge.config_sources import changed
from rest_bridge.errors import ConfigError
from rest_bridge.gallery import Progress
from rest_bridge.loader import Loader
from rest_bridge.machine import describe_machine
from rest_bridge.metrics import Metrics
from rest_bridge.pipeline import Pipeline
from rest_bridge.rehearsal import rehearse
from rest_bridge.stage_profile import Outlets
from rest_bridge.types import VOICE_RATE_HZ, Frame

RATES: Final = (25, 60)
_READ_SAMPLES: Final = VOICE_RATE_HZ // 25


@dataclass(frozen=True, slots=True)
class RateCost:
    """What one rate costs.

    Attributes:
        fps: frames a second.
        cores: CPU seconds of the generator for a second of stream, the median.
        ratio: over the first rate's, the median of each round's.
        low, high: the smallest and the largest round's ratio.
        publish: CPU seconds of publishing to one subscriber, for a second of stream.
        camera: of converting for a virtual camera of 1280 x 720.
    """

    fps: int
    cores: float
    ratio: float
    low: float
    high: float
    publish: float
    camera: float


def parse_rates(text: str) -> tuple[int, ...]:
    """Read rates like "25,60".

    Raises:
        ConfigError: it is no such list.
    """
    try:
        rates = tuple(int(part) for part in text.split(","))
    except ValueError as error:
        raise ConfigError(f"--rates {text} is not possible; say for instance 25,60.") from error
    if len(rates) < 2:
        raise ConfigError("--rates compares at least two rates; say for instance 25,60.")
    return rates


def measure(
    config: Config,
    voice: Path,
    *,
    seconds: float,
    rates: Sequence[int] = RATES,
    progress: Progress | None = None,
) -> list[RateCost]:
    """Measure what each rate costs.

    Args:
        config: face, size, model.
        voice: audio file, repeated as needed.
        seconds: of voice at each rate, at least two.
        rates: frames a second; the first one is what the others are compared with.
        progress: called with the fraction done and what is being done.

    Returns:
        A line for each rate.

    Raises:
        RestBridgeError: a rate, the face, the model or the voice cannot be used.
    """
    report = progress or (lambda _done, _text: None)
    rounds = max(2, round(seconds))
    with ExitStack() as stack:
        runs = [_Run(config, voice, fps, stack) for fps in rates]
        for number in range(rounds):
            report(number / rounds, "in turns")
            for run in runs:
                run.second()
    report(1.0, "done")
    return summarise({run.fps: run.costs for run in runs})


def summarise(costs: dict[int, list[tuple[float, float, float]]]) -> list[RateCost]:
    """Turn rounds into lines.

    Args:
        costs: rate -> generator, publishing and camera of each round, CPU seconds.
    """
    first = next(iter(costs.values()))
    found: list[RateCost] = []
    for fps, rounds in costs.items():
        ratios = [mine[0] / base[0] for mine, base in zip(rounds, first, strict=True)]
        own, publish, camera = (statistics.median(one[k] for one in rounds) for k in range(3))
        found.append(
            RateCost(
                fps, round(own, 4), round(statistics.median(ratios), 3), round(min(ratios), 3),
                round(max(ratios), 3), round(publish, 4), round(camera, 4),
            )
        )  # fmt: skip
    return found


class _Run:
    """A stream at one rate that is driven second by second."""

    def __init__(self, config: Config, voice: Path, fps: int, stack: ExitStack) -> None:
        loader = Loader(changed(config, {"output.fps": fps}, "the bench"))
        self.fps = fps
        self.costs: list[tuple[float, float, float]] = []
        self._pipeline: Pipeline = loader.pipeline(Metrics(), "live")
        rehearse(self._pipeline)
        self._source = stack.enter_context(FileSource(voice, paced=False, loop=True))
        self._outlets = Outlets(config.output.size, fps)
        stack.callback(self._outlets.close)
        self.second()  # fills caches
        self.costs.clear()

    def second(self) -> None:
        """Run a second of stream, and note what it took.

        Each frame is let go before the next ones are made, as the daemon does.
        """
        generated_s = published_s = 0.0
        last: Frame | None = None
        for _ in range(VOICE_RATE_HZ // _READ_SAMPLES):
            chunk = self._source.read(_READ_SAMPLES, 10.0)
            begin_s = time.process_time()
            frames = self._pipeline.push(chunk)
            made_s = time.process_time()
            for frame in frames:
                self._outlets.publish(frame)
            generated_s += made_s - begin_s
            published_s += time.process_time() - made_s
            last = frames[-1] if frames else last
        assert last is not None, "a second of voice makes frames"
        begin_s = time.process_time()
        self._outlets.convert(last)
        converted_s = self.fps * (time.process_time() - begin_s)
        self.costs.append((generated_s, published_s, converted_s))


def card(found: Sequence[RateCost]) -> Table:
    """Return the lines as a table for a terminal."""
    table = Table(title=describe_machine(), title_justify="left")
    base = found[0].fps
    for column in ("fps", "cores", f"over {base} fps", "rounds", "publish", "camera"):
        table.add_column(column, justify="right")
    for one in found:
        table.add_row(
            str(one.fps), f"{one.cores:.3f}", f"{one.ratio:.2f}", f"{one.low:.2f}-{one.high:.2f}",
            f"{one.publish:.3f}", f"{one.camera:.3f}",
        )  # fmt: skip
    table.caption = "CPU seconds for a second of stream: the generator, one subscriber, one camera"
    return table

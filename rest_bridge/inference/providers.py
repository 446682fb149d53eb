"""Which provider of ONNX Runtime computes a graph: measured once on this computer, then remembered.

Our graphs are small: a GPU's launches may take longer than the CPU's arithmetic, so what is built
in says nothing. Where only the CPU is there, nothing is measured and nothing is written.
"""

import json
import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, cast

from platformdirs import user_cache_dir

from rest_bridge.errors import PackageError
from rest_bridge.inference.package import ModelPackage
from rest_bridge.inference.session import NAMES, PROVIDERS, Session, import_onnxruntime
from rest_bridge.whole_file import write_whole

AUTO: Final = "auto"
_RUNS: Final = 12
_WARM_UP: Final = 3
_GAIN: Final = 0.9
"""A provider must take less than this share of the CPU's time: a draw is not worth a device."""
_GAIN_OVER_PARTS: Final = 0.65
"""The same where the CPU runs a graph in parts, in 0.73 of the time that the whole one takes it."""

Opener = Callable[[str], Session]
"""Opens the graph with a provider."""

_log = logging.getLogger(__name__)
_said: set[str] = set()
"""Providers of which was said that they do not work here."""


@dataclass(frozen=True, slots=True)
class Choice:
    """What computes a graph, and why.

    Attributes:
        provider: a name of `session.PROVIDERS`.
        milliseconds: of one run with each provider that works; empty if nothing was measured.
        refused: provider -> why it does not work here.
    """

    provider: str
    milliseconds: Mapping[str, float]
    refused: Mapping[str, str]

    @property
    def sentence(self) -> str:
        """The choice in words, for a person."""
        parts = [f"{name} {took:.2f} ms" for name, took in self.milliseconds.items()]
        parts += [f"{name} does not work ({why})" for name, why in self.refused.items()]
        about = f": {', '.join(parts)}" if parts else ""
        return f"{self.provider} computes{about}"


def choose(
    package: ModelPackage,
    graph: str,
    wanted: str,
    *,
    threads: int = 1,
    cache: Path | None = None,
    sizes: Mapping[str, int] | None = None,
) -> Choice:
    """Choose what computes a graph.

    Args:
        package: the model package.
        graph: its graph.
        wanted: "auto" to take what is fastest here, or a name of `session.PROVIDERS`.
        threads: CPU threads.
        cache: file that remembers measurements; in the user's cache folder if None.
        sizes: fixed sizes of dimensions, with which it will run: the CPU's DiT then takes half.

    Returns:
        The choice; "cpu" where what was wanted does not work, which is then also logged.

    Raises:
        PackageError: ONNX Runtime is missing, or the graph.
    """
    if wanted == "cpu":
        return Choice("cpu", {}, {})
    ort = import_onnxruntime()
    built_in = [NAMES[name] for name in ort.get_available_providers() if name in NAMES]
    if wanted != AUTO and wanted not in built_in:
        choice = Choice("cpu", {}, {wanted: f"this ONNX Runtime has {', '.join(built_in)}"})
        if wanted not in _said:  # once, and not for each of the networks
            _said.add(wanted)
            _log.warning(
                "model.provider = %s does not work here (this ONNX Runtime has %s), so the CPU "
                "computes; %s.", wanted, ", ".join(built_in), _remedy(wanted),
            )  # fmt: skip
        return choice
    others = [name for name in built_in if name != "cpu"]
    if not others:
        return Choice("cpu", {}, {})
    path = cache or Path(user_cache_dir("rest_bridge")) / "providers.json"
    fixed = "".join(f" {name}={size}" for name, size in sorted((sizes or {}).items()))
    key = f"{package.digest(graph)} {ort.__version__} {','.join(built_in)} {threads}{fixed}"
    known = _read(path)
    timings = known.get(key)
    if timings is None:
        timings = measure(
            lambda provider: package.session(
                graph, threads=threads, provider=provider, sizes=sizes
            ),
            ["cpu", *others],
        )
        _write(path, {**known, key: timings})
    in_parts = package.has(f"{graph}_0.onnx")
    choice = decide(timings, wanted, gain=_GAIN_OVER_PARTS if in_parts else _GAIN)
    level = logging.WARNING if wanted not in (AUTO, choice.provider) else logging.INFO
    _log.log(level, "%s: %s", graph, choice.sentence)
    return choice


def measure(open_with: Opener, providers: list[str]) -> dict[str, float | str]:
    """Time a graph with each provider.

    Args:
        open_with: opens it.
        providers: which.

    Returns:
        Provider -> milliseconds of the median run, or a text that says why it does not work.
    """
    found: dict[str, float | str] = {}
    for provider in providers:
        try:
            found[provider] = _median_ms(open_with(provider), provider)
        except Exception as error:  # noqa: BLE001 - drivers fail in ways of their own
            found[provider] = str(error).splitlines()[0][:200] if str(error) else repr(error)
    return found


def decide(timings: Mapping[str, float | str], wanted: str, *, gain: float = _GAIN) -> Choice:
    """Choose by measured times.

    Args:
        timings: from `measure`.
        wanted: "auto", or the provider that a person asked for.
        gain: share of the CPU's time that another provider must stay below.
    """
    times = {name: took for name, took in timings.items() if not isinstance(took, str)}
    refused = {name: why for name, why in timings.items() if isinstance(why, str)}
    if wanted != AUTO:
        return Choice(wanted if wanted in times else "cpu", times, refused)
    best = min(times, key=lambda name: times[name], default="cpu")
    if best != "cpu" and times[best] > gain * times.get("cpu", float("inf")):
        best = "cpu"
    return Choice(best, times, refused)


def _median_ms(session: Session, provider: str) -> float:
    if session.provider != provider:
        raise PackageError(f"ONNX Runtime fell back to {session.provider}")
    inputs = session.zeros()
    times_ns: list[int] = []
    for _ in range(_WARM_UP + _RUNS):
        begin_ns = time.perf_counter_ns()
        session.run(inputs)
        times_ns.append(time.perf_counter_ns() - begin_ns)
    return round(sorted(times_ns[_WARM_UP:])[_RUNS // 2] / 1e6, 4)


def _remedy(wanted: str) -> str:
    known = {
        "cuda": 'pip install "rest-bridge[gpu]" in place of the extra cpu',
        "tensorrt": 'pip install "rest-bridge[gpu]" and tensorrt in place of the extra cpu',
        "openvino": "pip install onnxruntime-openvino in place of onnxruntime",
        "directml": "pip install onnxruntime-directml in place of onnxruntime (Windows)",
        "coreml": "ONNX Runtime has it on macOS only",
    }
    assert wanted in PROVIDERS, "the configuration allows no other names"
    return known[wanted]


def _read(path: Path) -> dict[str, dict[str, float | str]]:
    try:
        content: Any = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return cast(dict[str, dict[str, float | str]], content) if isinstance(content, dict) else {}


def _write(path: Path, content: Mapping[str, Mapping[str, float | str]]) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_whole(path, json.dumps(content, indent=1))
    except OSError as error:  # it is measured again the next time
        _log.info("the measured providers cannot be kept: %s", error)

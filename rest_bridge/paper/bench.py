"""`python -m rest_bridge.paper.bench`: the paper's size on this device, beside REST's 27.4 fps.

Random weights: speed does not depend on them. Frames are counted as REST counts them: a chunk is
768 query and 1,792 key tokens, 24 frames; backbone fps is without encoders and decoding. One run:

    eager        two passes a step, text, times and places anew in each, as a plain implementation
    batched      both branches in one pass, text, sink, times and places kept
    graph        the same as one CUDA graph a chunk (on a GPU)
    8 steps, 4 steps without guidance    what distillation would leave
    compiled     the graph of blocks that torch.compile has fused; last, since compiling takes long

`--preset toy` runs the same code in seconds on a CPU. Each part stops when its share of `--seconds`
is over, and says how many chunks it had. A part that fails says why in its line, and where only the
graph or the compiler fails, the part is measured without it: no failure ends the run.
"""

import argparse
import json
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Final

import torch
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from rest_bridge.errors import ConfigError, RestBridgeError
from rest_bridge.paper.dit import DitSizes, LtxDit
from rest_bridge.paper.seam import Seam, measure
from rest_bridge.paper.stream import ChunkDecoder, ChunkStream, Recipe, captured, latents_of
from rest_bridge.paper.vae import RELEASE_091, LtxVae, VaeSizes

REST_FPS: Final = 27.4
"""Backbone, 121 frames in 4.416 s on an A100, 8 steps of two passes (REST.md, 4.2)."""
FRAMES: Final = 24
TEXT_TOKENS: Final = 128
_WARM_UP: Final = 2
_MOST_CHUNKS: Final = 200
_COMPILING_S: Final = 60.0
"""Seconds that must be left for compiling to be begun."""
Run = Callable[[Tensor, Tensor], Tensor]
TOY_DIT: Final = DitSizes(channels=8, num_blocks=2, num_heads=2, head_width=16, text_width=12,
                          audio_width=16, rows=2, columns=2)  # fmt: skip
TOY_VAE: Final = VaeSizes(
    latent_channels=8,
    widths=(8, 16, 16, 16),
    layers=(1,) * 5,
    decoder_widths=(8, 16, 16, 16),
    decoder_layers=(1,) * 5,
)


@dataclass(frozen=True, slots=True)
class Line:
    """One measured way.

    Attributes:
        name: of the way.
        chunks: that were measured; 0 where the time was over.
        backbone_fps: frames over the DiT's time.
        fps: frames over everything's time; 0 where only the DiT was measured.
        chunk_p50_ms: from a chunk's noise to its frames (or latents).
        chunk_p95_ms: of the same.
        tflops: operations of the DiT a second, in 10^12.
        peak_gb: memory of the device at most.
        times_rest: backbone_fps over REST's.
        note: why it was not measured, or what else to know.
    """

    name: str
    chunks: int = 0
    backbone_fps: float = 0.0
    fps: float = 0.0
    chunk_p50_ms: float = 0.0
    chunk_p95_ms: float = 0.0
    tflops: float = 0.0
    peak_gb: float = 0.0
    times_rest: float = 0.0
    note: str = ""


@dataclass
class Result:
    """Everything of a run.

    Attributes:
        device: its name.
        preset: sizes.
        dtype: of weights and activations.
        parameters_b: of DiT and decoder, in 10^9.
        peak_tflops: measured in a large matrix product.
        pass_tflop: operations of one DiT pass.
        decode_tflop: operations of decoding a chunk with its neighbours.
        floor_ms: of a chunk at the measured peak: guided 8 steps, 8 and 4 steps alone, decode.
        lines: the ways.
        seams: decoding in chunks.
    """

    device: str
    preset: str
    dtype: str
    parameters_b: float
    peak_tflops: float
    pass_tflop: float
    decode_tflop: float
    floor_ms: dict[str, float]
    lines: list[Line] = field(default_factory=list)
    seams: list[Seam] = field(default_factory=list)


class Bench:
    """Networks and inputs of one run."""

    def __init__(
        self, dit: DitSizes, vae: VaeSizes, device: str, dtype: torch.dtype, seconds: float
    ) -> None:
        """Make the networks with random weights.

        Args:
            dit: sizes of the transformer.
            vae: sizes of the VAE.
            device: "cpu" or "cuda".
            dtype: of weights and activations.
            seconds: for everything.
        """
        torch.manual_seed(0)
        self.device, self.dtype = torch.device(device), dtype
        self._end_s = time.monotonic() + seconds
        with torch.device(self.device):
            self.dit = LtxDit(dit).to(dtype).eval().requires_grad_(False)
            self.vae = LtxVae(vae).to(dtype).eval().requires_grad_(False)
        self.vae.decoder.to(memory_format=torch.channels_last_3d)
        if self.device.type == "cuda":
            torch.backends.cudnn.benchmark = True
        self.noise = self._random(1, dit.queries, dit.channels)
        self.audio = self._random(1, dit.chunk, 2, max(1, dit.audio_width))
        self.reference = self._random(1, dit.tokens, dit.channels)
        self.text = self._random(1, TEXT_TOKENS, dit.text_width)
        self.time = torch.full((1,), 0.05, device=self.device) if vae.timed else None

    def _random(self, *shape: int) -> Tensor:
        return torch.randn(*shape, device=self.device, dtype=self.dtype)

    @property
    def left_s(self) -> float:
        """Seconds until the time is over."""
        return self._end_s - time.monotonic()

    def stream(self, recipe: Recipe, *, plain: bool = False) -> ChunkStream:
        """Begin a stream."""
        return ChunkStream(self.dit, recipe, self.reference, self.text, plain=plain)

    def wait(self) -> None:
        """Wait for the device."""
        if self.device.type == "cuda":
            torch.cuda.synchronize()

    def peak_tflops(self) -> float:
        """Return what the device does in a product of large matrices, 10^12 a second."""
        size = 8192 if self.device.type == "cuda" else 512
        a, b = self._random(size, size), self._random(size, size)
        times = self.times(lambda: a @ b, share_s=1.0)
        return 2 * size**3 / min(times) / 1e12

    def times(self, work: Callable[[], object], *, share_s: float) -> list[float]:
        """Return seconds of runs, as many as fit in a share of the time that is left."""
        for _ in range(_WARM_UP):
            work()
        self.wait()
        found: list[float] = []
        end_s = time.monotonic() + min(share_s, max(0.0, self.left_s))
        while len(found) < _MOST_CHUNKS and (not found or time.monotonic() < end_s):
            begin_s = time.perf_counter()
            work()
            self.wait()
            found.append(time.perf_counter() - begin_s)
        return found

    def line(
        self, name: str, recipe: Recipe, *, plain: bool, graph: bool, share_s: float,
        compiled: bool = False,
    ) -> Line:  # fmt: skip
        """Measure the backbone in one way; a failure is what its line says."""
        if self.left_s <= (_COMPILING_S if compiled else 0):
            return Line(name, note="no time left")
        return self._safely(name, lambda: self._line(name, recipe, plain, graph, share_s, compiled))

    def _line(
        self, name: str, recipe: Recipe, plain: bool, graph: bool, share_s: float, compiled: bool
    ) -> Line:
        self._forget_peak()
        run: Run = self.stream(recipe, plain=plain).generate
        note = ""
        if compiled:
            note = self._compile(run)
        try:
            if graph:
                run, why = self.captured(run)
                note = "; ".join(part for part in (note, why) if part)
            times = self.times(lambda: run(self.noise, self.audio), share_s=share_s)
        finally:
            self._forget_compiled()
        passes = recipe.steps * recipe.branches
        operations = passes * self.dit.sizes.pass_operations()
        return replace(self._made(name, times, times, operations), note=note)

    def captured(self, run: Run) -> tuple[Run, str]:
        """Return a function as a CUDA graph, or itself and why that did not work."""
        try:
            return captured(run, self.noise, self.audio), ""
        except Exception as error:  # noqa: BLE001 - drivers fail in ways of their own
            self._recover()
            return run, f"without a CUDA graph, launched by Python ({_first_line(error)})"

    def _compile(self, run: Run) -> str:
        """Let torch.compile fuse the blocks; return why that did not work, or nothing."""
        try:
            for block in self.dit.blocks:
                block.compile(dynamic=False)
            run(self.noise, self.audio)  # compiling happens here
            self.wait()
        except Exception as error:  # noqa: BLE001 - no compiler, no Triton, unsupported code
            self._forget_compiled()
            self._recover()
            return f"not compiled ({_first_line(error)})"
        return ""

    def _forget_compiled(self) -> None:
        for block in self.dit.blocks:
            block._compiled_call_impl = None  # noqa: SLF001 - torch has no way back but this

    def _safely(self, name: str, work: Callable[[], Line]) -> Line:
        try:
            return work()
        except Exception as error:  # noqa: BLE001 - the other parts are still worth measuring
            self._recover()
            return Line(name, note=f"failed ({_first_line(error)})")

    def _recover(self) -> None:
        """Give back what a failed part held; what the device still reports is part of it."""
        if self.device.type == "cuda":
            try:
                torch.cuda.synchronize()
                torch.cuda.empty_cache()
            except RuntimeError:
                pass  # the next part says so itself

    def end_to_end(self, recipe: Recipe, *, graph: bool, pipelined: bool, share_s: float) -> Line:
        """Measure backbone and decoding, one after the other or beside each other."""
        name = "with decode, " + ("beside each other" if pipelined else "one after the other")
        if self.left_s <= 0:
            return Line(name, note="no time left")
        if pipelined and self.device.type != "cuda":
            return Line(name, note="needs a second stream of a GPU")
        return self._safely(name, lambda: self._end_to_end(name, recipe, graph, pipelined, share_s))

    def _end_to_end(
        self, name: str, recipe: Recipe, graph: bool, pipelined: bool, share_s: float
    ) -> Line:
        self._forget_peak()
        run: Run = self.stream(recipe).generate
        decoder, note = ChunkDecoder(self.vae), ""
        if graph:
            run, note = self.captured(run)
        sizes = self.dit.sizes
        if pipelined:
            work = self._pipelined(run, decoder)
        else:

            def work() -> Tensor:
                tokens = run(self.noise, self.audio)
                return decoder.decode(latents_of(tokens, sizes), self.time)

        backbone = self.times(lambda: run(self.noise, self.audio), share_s=share_s / 4)
        times = self.times(work, share_s=share_s)
        operations = recipe.steps * recipe.branches * sizes.pass_operations()
        return replace(self._made(name, backbone, times, operations, whole=True), note=note)

    def _pipelined(self, run: Run, decoder: ChunkDecoder) -> Callable[[], object]:
        """Return what generates a chunk while the one before it is decoded on a second stream."""
        side = torch.cuda.Stream()
        ready: list[Tensor] = [latents_of(run(self.noise, self.audio), self.dit.sizes)]

        def work() -> None:
            main = torch.cuda.current_stream()
            before = ready.pop()
            side.wait_stream(main)
            with torch.cuda.stream(side):
                frames = decoder.decode(before, self.time)
                before.record_stream(side)
            ready.append(latents_of(run(self.noise, self.audio), self.dit.sizes))
            main.wait_stream(side)
            frames.record_stream(main)

        return work

    def decode_line(self, *, share_s: float) -> Line:
        """Measure decoding alone."""
        if self.left_s <= 0:
            return Line("decode alone", note="no time left")
        return self._safely("decode alone", lambda: self._decode_line(share_s))

    def _decode_line(self, share_s: float) -> Line:
        decoder, sizes = ChunkDecoder(self.vae), self.dit.sizes
        latents = latents_of(self.noise, sizes)
        times = self.times(lambda: decoder.decode(latents, self.time), share_s=share_s)
        p50, p95 = _percentiles(times)
        return Line(
            "decode alone", len(times), fps=FRAMES * len(times) / sum(times), chunk_p50_ms=p50,
            chunk_p95_ms=p95, peak_gb=self._peak_gb(),
        )  # fmt: skip

    def decode_operations(self) -> float:
        """Return operations of decoding a chunk with its neighbours, counted without computing."""
        with torch.device("meta"):
            vae = LtxVae(self.vae.sizes)
            latents = torch.randn(1, self.vae.sizes.latent_channels, self.dit.sizes.chunk + 3,
                                  self.dit.sizes.rows, self.dit.sizes.columns)  # fmt: skip
            noisy = None if self.time is None else torch.zeros(1)
        with FlopCounterMode(display=False) as counter:
            vae.decoder(latents, noisy)
        return float(counter.get_total_flops())

    def _made(
        self, name: str, backbone: list[float], times: list[float], operations: float,
        *, whole: bool = False,
    ) -> Line:  # fmt: skip
        p50, p95 = _percentiles(times)
        mean = sum(backbone) / len(backbone)
        return Line(
            name, len(times), FRAMES / mean, FRAMES * len(times) / sum(times) if whole else 0.0,
            p50, p95, operations / mean / 1e12, self._peak_gb(), FRAMES / mean / REST_FPS,
        )  # fmt: skip

    def _forget_peak(self) -> None:
        if self.device.type == "cuda":
            torch.cuda.empty_cache()
            torch.cuda.reset_peak_memory_stats()

    def _peak_gb(self) -> float:
        if self.device.type == "cuda":
            return torch.cuda.max_memory_allocated() / 1e9
        return 0.0


def run(
    preset: str, device: str, seconds: float, *, seams: bool = True, half: bool | None = None
) -> Result:
    """Measure everything.

    Args:
        preset: "paper", "paper-0.9.1" (its wider, timed decoder) or "toy".
        device: "cpu", "cuda", or "auto".
        seconds: for everything; parts that do not fit are left out and say so.
        seams: also measure what decoding in chunks costs.
        half: compute in bfloat16; as the device suits if None.

    Raises:
        ConfigError: the device cannot run this.
    """
    device = _device(preset, device)
    wide = device != "cuda" if half is None else not half
    dtype = torch.float32 if wide else torch.bfloat16
    dit, vae = {
        "paper": (DitSizes(), VaeSizes()), "paper-0.9.1": (DitSizes(), RELEASE_091),
        "toy": (TOY_DIT, TOY_VAE),
    }[preset]  # fmt: skip
    bench = Bench(dit, vae, device, dtype, seconds)
    on_gpu = device == "cuda"
    guided, alone, fewer = Recipe(8, 6.0), Recipe(8, 1.0), Recipe(4, 1.0)
    peak, passes, decode = bench.peak_tflops(), dit.pass_operations(), bench.decode_operations()
    floors = {
        "8 steps x 2": 16 * passes, "8 steps": 8 * passes, "4 steps": 4 * passes, "decode": decode
    }  # fmt: skip
    weights = sum(p.numel() for m in (bench.dit, bench.vae.decoder) for p in m.parameters())
    result = Result(
        torch.cuda.get_device_name() if on_gpu else "CPU", preset, str(dtype).split(".")[-1],
        weights / 1e9, peak, passes / 1e12, decode / 1e12,
        {name: operations / peak / 1e9 for name, operations in floors.items()},
    )  # fmt: skip
    share_s = seconds / 12
    ways = [
        ("eager, 8 steps x 2", guided, True, False), ("batched, 8 steps x 2", guided, False, False),
        ("graph, 8 steps x 2", guided, False, True), ("graph, 8 steps", alone, False, True),
        ("graph, 4 steps", fewer, False, True),
    ]  # fmt: skip
    for name, recipe, plain, graph in ways:
        shown = name if on_gpu else name.replace("graph", "batched")
        if any(line.name == shown for line in result.lines):
            continue  # without a GPU there are no graphs to compare
        result.lines.append(
            bench.line(shown, recipe, plain=plain, graph=graph and on_gpu, share_s=share_s)
        )
    result.lines.append(bench.decode_line(share_s=share_s))
    for pipelined in (False, True):
        result.lines.append(
            bench.end_to_end(alone, graph=on_gpu, pipelined=pipelined, share_s=2 * share_s)
        )
    if seams and bench.left_s > 0:
        few = latents_of(bench.noise, dit).repeat(1, 1, 4, 1, 1)
        latents = torch.randn_like(few)
        try:
            result.seams = measure(bench.vae, latents, chunk=dit.chunk)
        except Exception as error:  # noqa: BLE001 - what was measured before is still shown
            result.lines.append(Line("seams", note=f"failed ({_first_line(error)})"))
    if on_gpu:
        name = "compiled graph, 8 steps x 2"
        result.lines.append(
            bench.line(name, guided, plain=False, graph=True, share_s=share_s, compiled=True)
        )
    return result


def _device(preset: str, device: str) -> str:
    """Return "cuda" or "cpu".

    Raises:
        ConfigError: CUDA is wanted and missing, or the paper's size would run on a CPU unasked.
    """
    found = torch.cuda.is_available()
    if device == "cuda" and not found:
        raise ConfigError(
            "PyTorch sees no CUDA device here; install a PyTorch with CUDA and NVIDIA's driver, or "
            "run the same code in small: --preset toy --device cpu."
        )
    if device == "auto":
        if not found and preset != "toy":
            raise ConfigError(
                "The paper's size takes ten minutes a chunk without a GPU, and PyTorch sees none; "
                "run the same code in small with --preset toy, or insist with --device cpu."
            )
        return "cuda" if found else "cpu"
    return device


def _first_line(error: Exception) -> str:
    lines = str(error).strip().splitlines()
    return f"{type(error).__name__}: {lines[0][:160]}" if lines else type(error).__name__


def _percentiles(times: Sequence[float]) -> tuple[float, float]:
    values = torch.tensor(sorted(times)) * 1e3
    return float(values.quantile(0.5)), float(values.quantile(0.95))


def table(result: Result) -> str:
    """Return the run as a table in Markdown."""
    lines = [
        f"{result.device}, {result.preset}, {result.dtype}, {result.parameters_b:.2f} B weights, "
        f"matrix product {result.peak_tflops:.1f} TFLOP/s; a pass {result.pass_tflop:.3f}, "
        f"decode {result.decode_tflop:.3f} TFLOP",
        "floor of a chunk at that peak, ms: "
        + ", ".join(f"{name} {ms:.1f}" for name, ms in result.floor_ms.items()),
        "",
        "| way | chunks | backbone fps | x REST | fps with decode | chunk p50 / p95 ms | TFLOP/s | "
        "GB | |",
        "|---|---|---|---|---|---|---|---|---|",
        f"| REST, A100 (published) | | {REST_FPS} | 1.0 | | 876 | | 11 | 8 steps x 2 |",
    ]
    for one in result.lines:
        fps = f"{one.fps:.1f}" if one.fps else ""
        backbone = f"{one.backbone_fps:.1f} | {one.times_rest:.1f}" if one.backbone_fps else " | "
        lines.append(
            f"| {one.name} | {one.chunks} | {backbone} | {fps} | {one.chunk_p50_ms:.1f} / "
            f"{one.chunk_p95_ms:.1f} | {one.tflops:.2f} | {one.peak_gb:.1f} | {one.note} |"
        )
    if result.seams:
        lines += ["", "| known | held | error | at borders | latents decoded for a new one |",
                  "|---|---|---|---|---|"]  # fmt: skip
        lines += [
            f"| {s.known} | {s.held} | {s.error:.4f} | {s.border:.4f} | {s.cost:.2f} |"
            for s in result.seams
        ]
    return "\n".join(lines)


def as_dict(result: Result) -> dict[str, Any]:
    """Return the run as plain numbers and texts."""
    return asdict(result)


def main() -> int:
    """Print the table, and one JSON line last; return the exit code."""
    parser = argparse.ArgumentParser(description="The paper's size on this device.")
    parser.add_argument("--preset", choices=("paper", "paper-0.9.1", "toy"), default="paper")
    parser.add_argument("--device", choices=("auto", "cpu", "cuda"), default="auto")
    parser.add_argument("--seconds", type=float, default=300.0)
    parser.add_argument("--no-seams", action="store_true")
    args = parser.parse_args()
    try:
        result = run(args.preset, args.device, args.seconds, seams=not args.no_seams)
    except RestBridgeError as error:
        print(error, file=sys.stderr)
        return 2
    print(table(result))
    print(json.dumps(as_dict(result)))
    return 0


if __name__ == "__main__":
    sys.exit(main())

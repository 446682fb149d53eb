"""Networks and inputs of one run at the paper's size, and each way of running them, measured.

Place in the flow: sizes, device and time -> here -> `table.Line`; `bench` says which ways there
are. A way that fails says why in its line, and where only the graph or the compiler fails, it is
measured without: no failure ends a run.
"""

import gc
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Final

import torch
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from rest_bridge.paper.dit import DitSizes, LtxDit
from rest_bridge.paper.seam import Seam, measure
from rest_bridge.paper.stream import ChunkDecoder, ChunkStream, Recipe, captured, latents_of
from rest_bridge.paper.table import FRAMES, REST_FPS, Line
from rest_bridge.paper.vae import LtxVae, VaeSizes

TEXT_TOKENS: Final = 128
_WARM_UP: Final = 2
_MOST_CHUNKS: Final = 200
_COMPILING_S: Final = 60.0
"""Seconds that must be left for compiling to be begun."""
Run = Callable[[Tensor, Tensor], Tensor]


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

    def stream(self, recipe: Recipe, *, plain: bool = False, faces: int = 1) -> ChunkStream:
        """Begin a stream, or some that move together."""
        reference = self.reference.repeat(faces, 1, 1)
        return ChunkStream(self.dit, recipe, reference, self.text, plain=plain)

    def wait(self) -> None:
        """Wait for the device."""
        if self.device.type == "cuda":
            torch.cuda.synchronize()

    def peak_tflops(self) -> float:
        """Return what the device does in a product of large matrices, 10^12 a second.

        The fastest of some: what the clock allows, as the floor wants it.
        """
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

    def faces_line(
        self, name: str, recipe: Recipe, count: int, *, graph: bool, share_s: float
    ) -> Line:
        """Measure the backbone of some faces in one batch; fps are those of all together."""
        if self.left_s <= 0:
            return Line(name, note="no time left")
        return self._safely(name, lambda: self._faces_line(name, recipe, count, graph, share_s))

    def _faces_line(
        self, name: str, recipe: Recipe, count: int, graph: bool, share_s: float
    ) -> Line:
        self._forget_peak()
        run: Run = self.stream(recipe, faces=count).generate
        noise, audio = (x.repeat(count, *[1] * (x.ndim - 1)) for x in (self.noise, self.audio))
        note = ""
        if graph:
            run, note = self.captured(run, noise, audio)
        times = self.times(lambda: run(noise, audio), share_s=share_s)
        operations = recipe.steps * recipe.branches * self.dit.sizes.pass_operations()
        line = self._made(name, times, times, operations, faces=count)
        each = f"{line.backbone_fps / count:.1f} fps each"
        return replace(line, note="; ".join(part for part in (each, note) if part))

    def captured(
        self, run: Run, noise: Tensor | None = None, audio: Tensor | None = None
    ) -> tuple[Run, str]:
        """Return a function as a CUDA graph, or itself and why that did not work."""
        try:
            noise = self.noise if noise is None else noise
            return captured(run, noise, self.audio if audio is None else audio), ""
        except Exception as error:  # noqa: BLE001 - drivers fail in ways of their own
            why = first_line(error)
        self._recover()  # out here: an error in hand holds on to what its frames held
        return run, f"without a CUDA graph, launched by Python ({why})"

    def _compile(self, run: Run) -> str:
        """Let torch.compile fuse the blocks; return why that did not work, or nothing."""
        try:
            for block in self.dit.blocks:
                block.compile(dynamic=False)
            run(self.noise, self.audio)  # compiling happens here
            self.wait()
            return ""
        except Exception as error:  # noqa: BLE001 - no compiler, no Triton, unsupported code
            why = first_line(error)
        self._forget_compiled()
        self._recover()
        return f"not compiled ({why})"

    def _forget_compiled(self) -> None:
        for block in self.dit.blocks:
            block._compiled_call_impl = None  # noqa: SLF001 - torch has no way back but this

    def _safely(self, name: str, work: Callable[[], Line]) -> Line:
        try:
            return work()
        except Exception as error:  # noqa: BLE001 - the other parts are still worth measuring
            why = first_line(error)
        self._recover()
        return Line(name, note=f"failed ({why})")

    def _recover(self) -> None:
        """Give back what a failed part held; what the device still reports is part of it."""
        gc.collect()
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
        self._forget_peak()
        decoder, sizes = ChunkDecoder(self.vae), self.dit.sizes
        latents = latents_of(self.noise, sizes)
        times = self.times(lambda: decoder.decode(latents, self.time), share_s=share_s)
        p50, p95 = _percentiles(times)
        held, reserved = self._memory_gb()
        return Line(
            "decode alone", len(times), fps=FRAMES * len(times) / sum(times), chunk_p50_ms=p50,
            chunk_p95_ms=p95, peak_gb=held, reserved_gb=reserved,
        )  # fmt: skip

    def seams(self) -> list[Seam]:
        """Measure what decoding in chunks costs, on four chunks of noise."""
        self._forget_peak()
        few = latents_of(self.noise, self.dit.sizes).repeat(1, 1, 4, 1, 1)
        # Many shapes, each once: trying out every kernel for each would take minutes.
        with torch.backends.cudnn.flags(enabled=True, benchmark=False):
            return measure(self.vae, torch.randn_like(few), chunk=self.dit.sizes.chunk)

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
        *, whole: bool = False, faces: int = 1,
    ) -> Line:  # fmt: skip
        p50, p95 = _percentiles(times)
        mean = sum(backbone) / len(backbone) / faces
        return Line(
            name, len(times), FRAMES / mean, FRAMES * len(times) / sum(times) if whole else 0.0,
            p50, p95, operations / mean / 1e12, *self._memory_gb(), FRAMES / mean / REST_FPS,
        )  # fmt: skip

    def _forget_peak(self) -> None:
        gc.collect()  # a graph's memory goes with the last closure that replays it
        if self.device.type == "cuda":
            torch.cuda.empty_cache()
            torch.cuda.reset_peak_memory_stats()

    def _memory_gb(self) -> tuple[float, float]:
        """Return what tensors and what PyTorch held at most since `_forget_peak`."""
        if self.device.type == "cuda":
            cuda = torch.cuda
            return cuda.max_memory_allocated() / 1e9, cuda.max_memory_reserved() / 1e9
        return 0.0, 0.0


def first_line(error: Exception) -> str:
    """Return what an error says, in one line."""
    lines = str(error).strip().splitlines()
    return f"{type(error).__name__}: {lines[0][:160]}" if lines else type(error).__name__


def _percentiles(times: Sequence[float]) -> tuple[float, float]:
    values = torch.tensor(sorted(times)) * 1e3
    return float(values.quantile(0.5)), float(values.quantile(0.95))

"""`python -m rest_bridge.paper.bench`: the paper's size on this device, beside REST's 27.4 fps.

Random weights: speed does not depend on them. Frames are counted as REST counts them: a chunk is
768 query and 1,792 key tokens, 24 frames; backbone fps is without encoders and decoding. One run:

    eager        two passes a step, text, times and places anew in each, as a plain implementation
    batched      both branches in one pass, text, sink, times and places kept
    graph        the same as one CUDA graph a chunk (on a GPU)
    8 steps, 4 steps without guidance    what distillation would leave
    4 steps, N faces    as many streams in one batch, 1 to 64 on a GPU
    compiled     the graph of blocks that torch.compile has fused; last, since compiling takes long

`--preset toy` runs the same code in seconds on a CPU. Each part stops when its share of `--seconds`
is over, and says how many chunks it had. Each row is shown as soon as it is measured and kept in
`--out FILE`; a run that is stopped (Ctrl-C, `timeout`) still prints the table of what was done.
"""

import argparse
import json
import signal
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

import torch

from rest_bridge.errors import ConfigError, RestBridgeError
from rest_bridge.paper.dit import DitSizes
from rest_bridge.paper.measuring import Bench, first_line
from rest_bridge.paper.stream import Recipe
from rest_bridge.paper.table import Line, Result, as_dict, row, table
from rest_bridge.paper.vae import RELEASE_091, VaeSizes

TOY_DIT: Final = DitSizes(channels=8, num_blocks=2, num_heads=2, head_width=16, text_width=12,
                          audio_width=16, rows=2, columns=2)  # fmt: skip
TOY_VAE: Final = VaeSizes(
    latent_channels=8,
    widths=(8, 16, 16, 16),
    layers=(1,) * 5,
    decoder_widths=(8, 16, 16, 16),
    decoder_layers=(1,) * 5,
)
PRESETS: Final = {
    "paper": (DitSizes(), VaeSizes()),
    "paper-0.9.1": (DitSizes(), RELEASE_091),
    "toy": (TOY_DIT, TOY_VAE),
}
_PARTS: Final = 16
"""Shares of the time: one for each way, two for those with decoding."""
_FACES: Final = {"cuda": (4, 16, 64), "cpu": (2, 4)}
"""That move together, beside the one of the other ways."""
_STOPPED: Final = "stopped before its end; what is missing was not measured"


def run(
    preset: str,
    device: str,
    seconds: float,
    *,
    seams: bool = True,
    half: bool | None = None,
    shown: Callable[[Result], None] | None = None,
) -> Result:
    """Measure everything.

    Args:
        preset: of `PRESETS`: "paper", "paper-0.9.1" (its wider, timed decoder) or "toy".
        device: "cpu", "cuda", or "auto".
        seconds: for everything; parts that do not fit are left out and say so.
        seams: also measure what decoding in chunks costs.
        half: compute in bfloat16; as the device suits if None.
        shown: called with what there is whenever a line is added.

    Returns:
        What was measured; as far as it came, where somebody stopped it.

    Raises:
        ConfigError: the device cannot run this.
    """
    device = _device(preset, device)
    wide = device != "cuda" if half is None else not half
    bench = Bench(*PRESETS[preset], device, torch.float32 if wide else torch.bfloat16, seconds)
    result = _begun(bench, preset)
    try:
        for line in _lines(bench, result, seconds / _PARTS, seams=seams):
            result.lines.append(line)
            if shown is not None:
                shown(result)
    except KeyboardInterrupt:
        result.note = _STOPPED
    return result


def _begun(bench: Bench, preset: str) -> Result:
    """Return a result without lines: what is known before."""
    on_gpu = bench.device.type == "cuda"
    passes, decode = bench.dit.sizes.pass_operations(), bench.decode_operations()
    peak = bench.peak_tflops()
    floors = {
        "8 steps x 2": 16 * passes, "8 steps": 8 * passes, "4 steps": 4 * passes, "decode": decode
    }  # fmt: skip
    weights = sum(p.numel() for m in (bench.dit, bench.vae.decoder) for p in m.parameters())
    name = torch.cuda.get_device_name() if on_gpu else "CPU"
    return Result(
        f"{name}, PyTorch {torch.__version__}", preset, str(bench.dtype).split(".")[-1],
        weights / 1e9, peak, passes / 1e12, decode / 1e12,
        {name: operations / peak / 1e9 for name, operations in floors.items()},
    )  # fmt: skip


def _lines(bench: Bench, result: Result, share_s: float, *, seams: bool) -> Iterator[Line]:
    """Yield one line after the other; the seams are put into the result."""
    on_gpu = bench.device.type == "cuda"
    guided, alone, fewer = Recipe(8, 6.0), Recipe(8, 1.0), Recipe(4, 1.0)
    yield bench.line("eager, 8 steps x 2", guided, plain=True, graph=False, share_s=share_s)
    yield bench.line("batched, 8 steps x 2", guided, plain=False, graph=False, share_s=share_s)
    kind = "graph" if on_gpu else "batched"
    if on_gpu:  # without one there are no graphs to compare
        yield bench.line("graph, 8 steps x 2", guided, plain=False, graph=True, share_s=share_s)
    for name, recipe in ((f"{kind}, 8 steps", alone), (f"{kind}, 4 steps", fewer)):
        yield bench.line(name, recipe, plain=False, graph=on_gpu, share_s=share_s)
    yield bench.decode_line(share_s=share_s)
    for pipelined in (False, True):
        yield bench.end_to_end(alone, graph=on_gpu, pipelined=pipelined, share_s=2 * share_s)
    for count in _FACES[bench.device.type]:
        name = f"{kind}, 4 steps, {count} faces"
        yield bench.faces_line(name, fewer, count, graph=on_gpu, share_s=share_s)
    if seams and bench.left_s > 0:
        try:
            result.seams = bench.seams()
        except Exception as error:  # noqa: BLE001 - what was measured before is still shown
            yield Line("seams", note=f"failed ({first_line(error)})")
    if on_gpu:
        name = "compiled graph, 8 steps x 2"
        yield bench.line(name, guided, plain=False, graph=True, share_s=share_s, compiled=True)


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


def main() -> int:
    """Print the table, and one JSON line last; return the exit code."""
    parser = argparse.ArgumentParser(description="The paper's size on this device.")
    parser.add_argument("--preset", choices=tuple(PRESETS), default="paper")
    parser.add_argument("--device", choices=("auto", "cpu", "cuda"), default="auto")
    parser.add_argument("--seconds", type=float, default=300.0)
    parser.add_argument("--no-seams", action="store_true")
    parser.add_argument("--out", type=Path, help="keep what was measured here, after each row")
    args = parser.parse_args()

    def shown(result: Result) -> None:
        print(row(result.lines[-1]), file=sys.stderr, flush=True)
        if args.out is not None:
            args.out.write_text(json.dumps(as_dict(result)) + "\n", encoding="utf-8")

    before = signal.signal(signal.SIGTERM, _interrupt)  # `timeout` ends a run like Ctrl-C
    try:
        result = run(args.preset, args.device, args.seconds, seams=not args.no_seams, shown=shown)
    except RestBridgeError as error:
        print(error, file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("Stopped before anything was measured.", file=sys.stderr)
        return 130
    finally:
        signal.signal(signal.SIGTERM, before)
    if args.out is not None:
        args.out.write_text(json.dumps(as_dict(result)) + "\n", encoding="utf-8")
    print(table(result))
    print(json.dumps(as_dict(result)), flush=True)
    return 130 if result.note else 0


def _interrupt(_number: int, _frame: object) -> None:
    raise KeyboardInterrupt


if __name__ == "__main__":
    sys.exit(main())

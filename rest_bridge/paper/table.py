"""What a run at the paper's size found, as a table in Markdown and as plain numbers.

Knows nothing of networks or devices. Frames are counted as REST counts them.
"""

from dataclasses import asdict, dataclass, field
from typing import Any, Final

from rest_bridge.paper.seam import Seam

REST_FPS: Final = 27.4
"""Backbone, 121 frames in 4.416 s on an A100, 8 steps of two passes (REST.md, 4.2)."""
FRAMES: Final = 24
"""Of a chunk."""


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
        peak_gb: memory of the device that tensors held at most.
        reserved_gb: that PyTorch held at most, graphs and work space included.
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
    reserved_gb: float = 0.0
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
        note: what cut the run short.
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
    note: str = ""
    seams: list[Seam] = field(default_factory=list)


def table(result: Result) -> str:
    """Return the run as a table in Markdown."""
    shown = [
        f"{result.device}, {result.preset}, {result.dtype}, {result.parameters_b:.2f} B weights, "
        f"matrix product {result.peak_tflops:.1f} TFLOP/s; a pass {result.pass_tflop:.3f}, "
        f"decode {result.decode_tflop:.3f} TFLOP",
        "floor of a chunk at that peak, ms: "
        + ", ".join(f"{name} {ms:.1f}" for name, ms in result.floor_ms.items()),
        "",
        "| way | chunks | backbone fps | x REST | fps with decode | chunk p50 / p95 ms | TFLOP/s | "
        "GB (reserved) | |",
        "|---|---|---|---|---|---|---|---|---|",
        f"| REST, A100 (published) | | {REST_FPS} | 1.0 | | 876 | | 11 | 8 steps x 2 |",
        *(row(one) for one in result.lines),
    ]
    if result.note:
        shown += ["", result.note]
    if result.seams:
        shown += ["", "| known | held | error | at borders | latents decoded for a new one |",
                  "|---|---|---|---|---|"]  # fmt: skip
        shown += [
            f"| {s.known} | {s.held} | {s.error:.4f} | {s.border:.4f} | {s.cost:.2f} |"
            for s in result.seams
        ]
    return "\n".join(shown)


def row(one: Line) -> str:
    """Return a way as a row of the table."""
    fps = f"{one.fps:.1f}" if one.fps else ""
    backbone = f"{one.backbone_fps:.1f} | {one.times_rest:.1f}" if one.backbone_fps else " | "
    times = f"{one.chunk_p50_ms:.1f} / {one.chunk_p95_ms:.1f}" if one.chunks else ""
    memory = f"{one.peak_gb:.1f} ({one.reserved_gb:.1f})" if one.reserved_gb else ""
    tflops = f"{one.tflops:.2f}" if one.tflops else ""
    return (
        f"| {one.name} | {one.chunks or ''} | {backbone} | {fps} | {times} | {tflops} | {memory} "
        f"| {one.note} |"
    )


def as_dict(result: Result) -> dict[str, Any]:
    """Return the run as plain numbers and texts."""
    return asdict(result)

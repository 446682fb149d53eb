"""Streaming at the paper's size, in small: what is kept equals what is computed anew."""

import json

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from rest_bridge.paper import bench, measuring
from rest_bridge.paper.dit import DitSizes, LtxDit, rotate
from rest_bridge.paper.seam import measure
from rest_bridge.paper.stream import (
    ChunkDecoder,
    ChunkStream,
    Recipe,
    captured,
    latents_of,
    slots,
)
from rest_bridge.paper.vae import LtxVae

SIZES = bench.TOY_DIT


@pytest.fixture(scope="module")
def dit() -> LtxDit:
    torch.manual_seed(1)
    dit = LtxDit(SIZES).eval()
    for block in dit.blocks:  # published weights begin without audio; here it shall be heard
        torch.nn.init.normal_(block.audio.leave.weight, std=0.2)
    return dit


def _inputs(seed: int) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    noise = torch.randn(1, SIZES.queries, SIZES.channels, generator=generator)
    return noise, torch.randn(1, SIZES.chunk, 2, SIZES.audio_width, generator=generator)


def _stream(dit: LtxDit, recipe: Recipe, *, plain: bool) -> ChunkStream:
    torch.manual_seed(2)
    reference = torch.randn(1, SIZES.tokens, SIZES.channels)
    return ChunkStream(dit, recipe, reference, torch.randn(1, 5, SIZES.text_width), plain=plain)


def test_the_papers_sizes_count_as_rest_counts() -> None:
    sizes = DitSizes()
    assert (sizes.queries, sizes.keys, sizes.width) == (768, 1792, 2048)
    # 3.9 in REST.md counts keys and values of text and audio for every token; kept ones cost none.
    assert sizes.pass_operations() / 1e12 == pytest.approx(3.22, abs=0.05)


@pytest.mark.parametrize("guidance", [1.0, 6.0])
def test_what_is_kept_gives_what_is_computed_anew(dit: LtxDit, guidance: float) -> None:
    recipe = Recipe(3, guidance)
    kept, anew = (_stream(dit, recipe, plain=plain) for plain in (False, True))
    for seed in range(3):
        noise, audio = _inputs(seed)
        one, other = kept.generate(noise, audio), anew.generate(noise, audio)
        assert torch.allclose(one, other, atol=2e-4 * float(other.abs().max()))


@pytest.mark.parametrize("guidance", [1.0, 6.0])
def test_faces_that_move_together_move_as_each_would_alone(dit: LtxDit, guidance: float) -> None:
    torch.manual_seed(3)
    references = torch.randn(3, SIZES.tokens, SIZES.channels)
    text, recipe = torch.randn(1, 5, SIZES.text_width), Recipe(2, guidance)
    together = ChunkStream(dit, recipe, references, text)
    alone = [ChunkStream(dit, recipe, one[None], text) for one in references]
    for chunk in range(2):  # the second one hears the context of the first
        inputs = [_inputs(10 * chunk + face) for face in range(3)]
        found = together.generate(*(torch.cat(parts) for parts in zip(*inputs, strict=True)))
        for face, one in enumerate(alone):
            expected = one.generate(*inputs[face])
            assert torch.allclose(found[face : face + 1], expected, atol=2e-4)
    assert not torch.allclose(found[0], found[1], atol=0.1)


def test_a_chunk_depends_on_the_one_before_and_on_its_voice(dit: LtxDit) -> None:
    recipe = Recipe(2, 1.0)
    noise, audio = _inputs(0)
    first, second = (_stream(dit, recipe, plain=False) for _ in range(2))
    second.generate(*_inputs(9))
    alone = first.generate(noise, audio)
    assert not torch.allclose(alone, second.generate(noise, audio), atol=1e-4)
    fresh = _stream(dit, recipe, plain=False)
    assert not torch.allclose(alone, fresh.generate(noise, audio * 0), atol=1e-4)


def test_kept_keys_are_turned_to_the_contexts_slot(dit: LtxDit) -> None:
    stream = _stream(dit, Recipe(2, 1.0), plain=False)
    places = slots(SIZES, torch.device("cpu"))
    key = torch.randn(1, SIZES.queries, SIZES.width)
    heads = dit.blocks[0].attention.heads
    turned = stream._turned_back(heads(rotate(key, places["chunk"])))
    assert torch.allclose(turned, heads(rotate(key, places["context"])), atol=1e-5)


def test_the_state_never_grows_and_the_reference_stays(dit: LtxDit) -> None:
    stream = _stream(dit, Recipe(1, 6.0), plain=False)
    before = [known.keys.clone() for known in stream._before[0]]
    for seed in range(4):
        stream.generate(*_inputs(seed))
    for old, new in zip(before, stream._before[0], strict=True):
        assert new.keys.shape == old.shape
        assert old.shape[2] == SIZES.keys - SIZES.queries
        assert torch.equal(new.keys[:, :, : SIZES.tokens], old[:, :, : SIZES.tokens])
        assert not torch.allclose(new.keys[:, :, SIZES.tokens :], old[:, :, SIZES.tokens :])


@pytest.mark.parametrize("held", [0, 1])
def test_every_chunk_gives_its_frames(held: int) -> None:
    torch.manual_seed(0)
    decoder = ChunkDecoder(LtxVae(bench.TOY_VAE).eval(), known=1, held=held)
    shapes = [decoder.decode(torch.randn(1, 8, 3, 1, 1)).shape for _ in range(3)]
    assert [shape[2] for shape in shapes] == [8 * (3 - held), 24, 24]
    assert shapes[0][3:] == (32, 32)


def test_more_neighbours_make_the_seam_smaller() -> None:
    torch.manual_seed(0)
    vae = LtxVae(bench.TOY_VAE).eval()
    found = {(s.known, s.held): s for s in measure(vae, torch.randn(1, 8, 9, 1, 1))}
    assert found[2, 0].error < found[0, 0].error
    assert found[2, 1].error < found[2, 0].error  # the published decoder looks ahead
    assert found[2, 1].cost > found[0, 0].cost


def test_the_bench_prints_its_table_beside_rest_and_one_line_of_json(monkeypatch, capsys) -> None:
    monkeypatch.setattr(measuring, "_MOST_CHUNKS", 2)
    monkeypatch.setattr(
        "sys.argv", ["bench", "--preset", "toy", "--device", "cpu", "--seconds", "90"]
    )
    bench.main()
    *shown, last = capsys.readouterr().out.strip().splitlines()
    result = json.loads(last)
    names = [line["name"] for line in result["lines"]]
    assert names[0] == "eager, 8 steps x 2"
    assert "with decode, beside each other" in names
    assert any("27.4" in line for line in shown)
    backbone = {line["name"]: line["backbone_fps"] for line in result["lines"]}
    assert backbone["batched, 4 steps"] > 0
    notes = {line["name"]: line["note"] for line in result["lines"]}
    for count in (2, 4):
        name = f"batched, 4 steps, {count} faces"
        assert notes[name] == f"{backbone[name] / count:.1f} fps each"
    assert result["decode_tflop"] > 0
    assert len(result["seams"]) == 8


def _bench() -> measuring.Bench:
    return measuring.Bench(bench.TOY_DIT, bench.TOY_VAE, "cpu", torch.float32, 60.0)


def test_without_graphs_or_a_compiler_the_part_is_measured_and_says_so(monkeypatch) -> None:
    monkeypatch.setattr(measuring, "_MOST_CHUNKS", 1)
    monkeypatch.setattr(measuring, "_COMPILING_S", 0.0)

    def no_compiler(self, **_options: object) -> None:
        raise RuntimeError("no Triton here\nand more lines")

    monkeypatch.setattr(torch.nn.Module, "compile", no_compiler)
    made = _bench()
    line = made.line(
        "all", Recipe(2, 6.0), plain=False, graph=True, share_s=0.1, compiled=True
    )  # this machine has no CUDA, so capturing fails as it may on another
    assert line.backbone_fps > 0
    assert "not compiled (RuntimeError: no Triton here)" in line.note
    assert "without a CUDA graph" in line.note
    line = made.end_to_end(Recipe(1, 1.0), graph=True, pipelined=False, share_s=0.1)
    assert line.fps > 0
    assert "without a CUDA graph" in line.note


def test_a_part_that_fails_does_not_end_the_run(monkeypatch) -> None:
    monkeypatch.setattr(measuring, "_MOST_CHUNKS", 1)

    def broken(*_args: object, **_options: object) -> None:
        raise RuntimeError("CUDA error: out of memory")

    monkeypatch.setattr(measuring.ChunkDecoder, "decode", broken)
    monkeypatch.setattr(measuring, "measure", broken)
    found = {line.name: line for line in bench.run("toy", "cpu", 30.0).lines}
    assert found["batched, 4 steps"].backbone_fps > 0
    for name in ("decode alone", "with decode, one after the other", "seams"):
        assert found[name].note == "failed (RuntimeError: CUDA error: out of memory)"


def test_the_types_of_a_gpu_run_through(monkeypatch) -> None:
    monkeypatch.setattr(measuring, "_MOST_CHUNKS", 1)
    found = bench.run("toy", "cpu", 30.0, half=True)
    assert found.dtype == "bfloat16"
    assert not [line.note for line in found.lines if "failed" in line.note]
    assert len(found.seams) == 8


def test_compiled_blocks_are_forgotten_afterwards() -> None:
    made = _bench()
    called = []
    made.dit.blocks[0]._compiled_call_impl = lambda *a, **k: called.append(1)
    made._forget_compiled()
    made.stream(Recipe(1, 1.0)).generate(made.noise, made.audio)
    assert called == []


def test_the_papers_size_is_not_begun_on_a_cpu_unasked(monkeypatch, capsys) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    for arguments in (["bench"], ["bench", "--device", "cuda"]):
        monkeypatch.setattr("sys.argv", arguments)
        assert bench.main() == 2
        assert "--preset toy" in capsys.readouterr().err


def test_parts_beyond_the_time_are_left_out_and_say_so() -> None:
    found = bench.run("toy", "cpu", 0.0)
    assert {line.note for line in found.lines} == {"no time left"}
    assert "no time left" in bench.table(found)
    assert latents_of(torch.zeros(1, SIZES.queries, SIZES.channels), SIZES).shape == (1, 8, 3, 2, 2)


def test_each_row_is_shown_and_kept_as_soon_as_it_is_there(monkeypatch, tmp_path, capsys) -> None:
    monkeypatch.setattr(measuring, "_MOST_CHUNKS", 1)
    kept = tmp_path / "kept.json"
    seen: list[int] = []

    def stopped(self, **_options: object) -> None:
        seen.append(len(json.loads(kept.read_text())["lines"]))
        raise KeyboardInterrupt

    monkeypatch.setattr(measuring.Bench, "decode_line", stopped)
    monkeypatch.setattr(
        "sys.argv", ["bench", "--preset", "toy", "--device", "cpu", "--out", str(kept)]
    )
    assert bench.main() == 130
    shown = capsys.readouterr()
    assert seen == [4]
    assert "| batched, 4 steps | 1 |" in shown.err
    assert "stopped before its end" in shown.out
    assert len(json.loads(kept.read_text())["lines"]) == 4


def test_a_capture_that_fails_leaves_the_stream_where_it_was(monkeypatch) -> None:
    """PyTorch itself stays on the capturing stream; the next part would run there."""
    streams = ["the default one"]

    class Context:
        def __init__(self, *_args: object, **_options: object) -> None:
            pass

        def __enter__(self) -> None:
            streams.append("another")

        def __exit__(self, *_args: object) -> None:
            if self.fails:
                raise RuntimeError("capture failed")
            streams.pop()

        fails = False

        def wait_stream(self, _other: object) -> None:
            pass

    class Failing(Context):
        fails = True

    class Default:
        def wait_stream(self, _other: object) -> None:
            pass

    monkeypatch.setattr(torch.cuda, "current_stream", Default)
    monkeypatch.setattr(torch.cuda, "Stream", Context)
    monkeypatch.setattr(torch.cuda, "stream", Context)
    monkeypatch.setattr(torch.cuda, "CUDAGraph", object)
    monkeypatch.setattr(torch.cuda, "graph", Failing)
    monkeypatch.setattr(torch.cuda, "set_stream", lambda _stream: streams.pop())
    with pytest.raises(RuntimeError, match="capture failed"):
        captured(lambda a, b: a, torch.zeros(1), torch.zeros(1))
    assert streams == ["the default one"]


def test_nothing_in_a_chunk_waits_for_the_device_or_brings_memory_from_the_host(
    dit: LtxDit,
) -> None:
    """What a CUDA graph forbids, seen in the operations themselves, without a GPU."""
    stream = _stream(dit, Recipe(2, 6.0), plain=False)
    noise, audio = _inputs(0)
    stream.generate(noise, audio)  # what is made once is made while warming up
    seen: set[str] = set()

    class Watch(TorchDispatchMode):
        def __torch_dispatch__(self, func, types, args=(), kwargs=None):
            seen.add(str(func))
            return func(*args, **(kwargs or {}))

    kept = [tensor.data_ptr() for known in stream._before[0] for tensor in known]
    with Watch():
        stream.generate(noise, audio)
    forbidden = ("_local_scalar_dense", "nonzero", "lift_fresh", "masked_select", "unique",
                 "aten.arange", "aten.linspace", "aten._to_copy.default(cpu)")  # fmt: skip
    assert "aten.mm.default" in str(seen) or "aten.addmm.default" in str(seen)
    assert not [name for name in seen for one in forbidden if one in name]
    assert kept == [tensor.data_ptr() for known in stream._before[0] for tensor in known]


@pytest.mark.slow
@pytest.mark.parametrize("preset", ["paper", "paper-0.9.1"])
def test_the_papers_size_fits_together_without_computing_anything(preset: str) -> None:
    """Every shape, type and device of the full size, on PyTorch's device without memory."""
    made = measuring.Bench(*bench.PRESETS[preset], "meta", torch.bfloat16, 60.0)
    for recipe, plain in ((Recipe(2, 6.0), True), (Recipe(2, 6.0), False), (Recipe(2, 1.0), False)):
        stream = made.stream(recipe, plain=plain)
        for _ in range(2):
            tokens = stream.generate(made.noise, made.audio)
        assert tokens.shape == (1, 768, 128)
        assert tokens.dtype == torch.bfloat16
        assert str(tokens.device) == "meta"
    decoder = ChunkDecoder(made.vae)
    for _ in range(2):
        frames = decoder.decode(latents_of(tokens, made.dit.sizes), made.time)
    assert frames.shape == (1, 3, 24, 512, 512)

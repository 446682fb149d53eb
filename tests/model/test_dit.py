"""Streaming DiT: streamed chunks equal the masked clip, the cache forgets, the sink stays."""

from pathlib import Path

import pytest

torch = pytest.importorskip("torch")

from rest_bridge.model.attention import attend, rotate  # noqa: E402
from rest_bridge.model.cache import UNWRITTEN, Cache  # noqa: E402
from rest_bridge.model.dit import LEAST_T, StreamingDit  # noqa: E402
from rest_bridge.model.dit_block import CHOICES, DitConfig  # noqa: E402

torch.set_num_threads(1)
B, T = 2, 11


def make(patch: int = 4, window: int = 3, **choices: str) -> StreamingDit:
    torch.manual_seed(0)
    config = DitConfig(
        patch=patch, width=32, num_blocks=2, num_heads=2, feed_forward=48, audio_width=8,
        num_conditions=5, window=window, **choices,
    )  # fmt: skip
    dit = StreamingDit(config).eval()
    torch.nn.init.normal_(dit.leave.weight, std=0.1)
    return dit


def clip() -> dict[str, torch.Tensor]:
    torch.manual_seed(1)
    return {
        "reference": torch.randn(B, 16, 4, 4),
        "context": torch.randn(B, T, 16, 4, 4),
        "noisy": torch.randn(B, T, 16, 4, 4),
        "t": torch.rand(B, T) * 0.9 + 0.1,
        "audio": torch.randn(B, T, 2, 8),
        "conditions": torch.randn(B, T, 5),
    }


def streamed(
    dit: StreamingDit,
    data: dict[str, torch.Tensor],
    chunk: torch.Tensor,
    *,
    first: int = 0,
    context_t: float = 0.0,
):
    """Clean predictions of each chunk, streamed; and the caches after each."""
    cache, parts, caches = dit.empty_cache(data["reference"], first), [], []
    for number in chunk.unique():
        rows = (chunk == number).nonzero()[:, 0]
        part = slice(int(rows[0]), int(rows[-1]) + 1)
        position = torch.tensor([first + part.start])
        rest = (data["audio"][:, part], data["conditions"][:, part], cache, position)
        t = data["t"][:, part]
        velocity, written = dit(data["noisy"][:, part], t, *rest)
        scale = t.clamp(min=LEAST_T)[:, :, None, None, None]
        parts.append(data["noisy"][:, part] - scale * velocity)
        if dit.config.context == "level":
            cache = written  # what this very pass remembers
        else:
            level = torch.full_like(t, context_t)
            _, cache = dit(data["context"][:, part], level, *rest)
        caches.append(cache)
    return torch.cat(parts, 1), caches


@pytest.mark.parametrize("patch", [2, 4])
@pytest.mark.parametrize("lengths", [[1] * T, [3, 3, 3, 2], [4, 1, 2, 1, 3], [T]])
@torch.no_grad()
def test_streaming_equals_the_masked_clip_for_any_chunks(patch: int, lengths: list[int]) -> None:
    dit, data = make(patch), clip()
    chunk = torch.repeat_interleave(torch.arange(len(lengths)), torch.tensor(lengths))
    known = torch.ones(B, dtype=torch.bool)
    offline = dit.forward_training(**data, chunk=chunk, sink_known=known, context_known=known)
    online, _ = streamed(dit, data, chunk)
    torch.testing.assert_close(online, offline, atol=2e-5, rtol=1e-4)


VARIANTS = [{name: value} for name, values in CHOICES.items() for value in values[1:]] + [
    {"first_chunk": "reference", "sink_place": "slot", "order": "audio-self", "context": "level"}
]


@pytest.mark.parametrize("choices", VARIANTS, ids=lambda c: "-".join(c.values()))
@pytest.mark.parametrize("lengths", [[1] * T, [3, 3, 3, 2]])
@torch.no_grad()
def test_each_choice_streams_as_it_trains(choices: dict[str, str], lengths: list[int]) -> None:
    dit, data = make(**choices), clip()
    chunk = torch.repeat_interleave(torch.arange(len(lengths)), torch.tensor(lengths))
    known = torch.ones(B, dtype=torch.bool)
    context_t = 0.5 if dit.config.context == "last" else 0.0
    offline = dit.forward_training(
        **data, chunk=chunk, sink_known=known, context_known=known,
        context_t=torch.full((B, T), context_t),
    )  # fmt: skip
    online, _ = streamed(dit, data, chunk, context_t=context_t)
    torch.testing.assert_close(online, offline, atol=2e-5, rtol=1e-4)


@pytest.mark.parametrize("choices", VARIANTS, ids=lambda c: "-".join(c.values()))
@torch.no_grad()
def test_each_choice_makes_a_difference(choices: dict[str, str]) -> None:
    data, chunk, known = clip(), torch.arange(T), torch.ones(B, dtype=torch.bool)
    masks = {"chunk": chunk, "sink_known": known, "context_known": known}
    plain, changed = make(), make(**choices)
    if choices == {"context": "last"}:  # a matter of what is remembered, not of the network
        return
    assert not torch.allclose(
        plain.forward_training(**data, **masks), changed.forward_training(**data, **masks)
    )


@torch.no_grad()
def test_the_student_with_its_cache_is_block_causal_attention_over_the_whole_clip() -> None:
    # With a window that forgets nothing, the cached loop equals one pass with a block-causal mask.
    dit, data = make(window=T, context="level"), clip()
    chunk = torch.arange(T) // 3
    known = torch.ones(B, dtype=torch.bool)
    online, _ = streamed(dit, data, chunk)
    causal = chunk[:, None] >= chunk[None]
    mask = torch.zeros(B, 1 + T, 1 + T, dtype=torch.bool)
    mask[:, :, 0], mask[:, 1:, 1:] = True, causal
    start = torch.searchsorted(chunk, chunk)
    whole = dit._clip_pass(
        data["reference"], [(data["noisy"], data["t"])], data["audio"], data["conditions"],
        mask, start,
    )  # fmt: skip
    torch.testing.assert_close(online, whole, atol=2e-5, rtol=1e-4)
    masked = dit.forward_training(**data, chunk=chunk, sink_known=known, context_known=known)
    torch.testing.assert_close(masked, whole, atol=2e-5, rtol=1e-4)


def test_the_teacher_sees_the_whole_clip_and_the_reference() -> None:
    dit, data = make(), clip()
    rest = {k: data[k] for k in ("reference", "noisy", "t", "audio", "conditions")}
    for name in ("reference", "noisy", "audio"):
        rest[name].requires_grad_()
    out = dit.forward_bidirectional(**rest, sink_known=torch.tensor([True, False]))
    out[:, 5].sum().backward()
    for name in ("noisy", "audio"):
        assert rest[name].grad.abs().flatten(2).sum((0, 2)).min() > 0, name
    heard = rest["reference"].grad.abs().flatten(1).sum(1)
    assert heard[0] > 0
    assert heard[1] == 0


@torch.no_grad()
def test_chunk_2_and_chunk_200_have_the_same_positions_and_memory_stays_the_same() -> None:
    dit, data = make(window=3, sink_place="slot"), clip()
    cache, part = dit.empty_cache(data["reference"]), slice(0, 3)
    results, sizes = {}, set()
    for number in range(201):
        arguments = (data["audio"][:, part], data["conditions"][:, part], cache)
        position = torch.tensor([3 * number])
        if number in (2, 200):
            # Both look at the same keys, from the same distances.
            same = cache._replace(keys=results.get("keys", cache.keys),
                                  values=results.get("values", cache.values))  # fmt: skip
            results.setdefault("keys", cache.keys)
            results.setdefault("values", cache.values)
            t = data["t"][:, part]
            out, _ = dit(data["noisy"][:, part], t, *arguments[:2], same, position)
            results[number] = (out, cache.position - position)
        _, cache = dit(data["context"][:, part], torch.zeros(B, 3), *arguments, position)
        sizes.add(sum(part.numel() for part in cache))
    for two, later in zip(results[2], results[200], strict=True):
        torch.testing.assert_close(two, later, atol=0, rtol=0)
    assert len(sizes) == 1


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="reads Linux's /proc")
@torch.no_grad()
def test_memory_is_constant_over_ten_thousand_chunks() -> None:
    config = DitConfig(width=8, num_blocks=1, num_heads=1, feed_forward=8, audio_width=4,
                       num_conditions=2, window=2)  # fmt: skip
    dit = StreamingDit(config).eval()
    cache = dit.empty_cache(torch.randn(1, 16, 4, 4))
    latents, rest = torch.randn(1, 1, 16, 4, 4), (torch.randn(1, 1, 2, 4), torch.randn(1, 1, 2))
    t = torch.zeros(1, 1)
    sizes, pages = set(), []
    for number in range(10_000):
        velocity, cache = dit(latents, t, *rest, cache, torch.tensor([number]))
        sizes.add(sum(part.numel() for part in cache))
        if number % 1000 == 999:
            pages.append(int(Path("/proc/self/statm").read_text().split()[1]))
    assert len(sizes) == 1
    assert pages[-1] - pages[1] < 256  # of 4 KiB: a cache that grew would take thousands
    assert cache.keys.shape == (1, 1, 1, 2, 8)
    assert torch.isfinite(velocity).all()
    assert cache.position.tolist() == [9998, 9999]


def test_the_future_has_no_gradient() -> None:
    dit, data = make(), clip()
    chunk = torch.tensor([0, 0, 0, 1, 1, 2, 2, 2, 3, 3, 3])
    known = torch.ones(B, dtype=torch.bool)
    for name in ("context", "noisy", "audio", "conditions"):
        data[name].requires_grad_()
    out = dit.forward_training(**data, chunk=chunk, sink_known=known, context_known=known)
    out[:, 3:5].sum().backward()  # chunk 1
    for name in ("noisy", "audio", "conditions"):
        grad = data[name].grad.abs().flatten(2).sum((0, 2))
        assert grad[5:].max() == 0, name
        assert grad[3:5].min() > 0, name
    context = data["context"].grad.abs().flatten(2).sum((0, 2))
    assert context[3:].max() == 0
    assert context[:3].min() > 0


@torch.no_grad()
def test_only_the_window_and_the_sink_are_remembered() -> None:
    dit, data = make(window=3), clip()
    chunk = torch.arange(T)
    known = torch.ones(B, dtype=torch.bool)
    base = dit.forward_training(**data, chunk=chunk, sink_known=known, context_known=known)

    def change(name: str, index: int | None) -> torch.Tensor:
        other = {k: v.clone() for k, v in data.items()}
        (other[name] if index is None else other[name][:, index]).add_(1.0)
        out = dit.forward_training(**other, chunk=chunk, sink_known=known, context_known=known)
        return (out - base).abs().flatten(2).amax((0, 2))

    # A block sees three frames back, so two blocks see six.
    touched = change("context", 1)
    assert touched[2] > 1e-5
    assert touched[8:].max() == 0
    assert change("reference", None).min() > 1e-6


@torch.no_grad()
def test_a_dropped_reference_and_context_have_no_influence() -> None:
    dit, data = make(), clip()
    chunk = torch.arange(T)
    none, some = torch.zeros(B, dtype=torch.bool), torch.ones(B, dtype=torch.bool)
    base = dit.forward_training(**data, chunk=chunk, sink_known=none, context_known=none)
    data["reference"] = data["reference"] + 1
    data["context"][:, ::2] += 1
    other = dit.forward_training(**data, chunk=chunk, sink_known=none, context_known=none)
    torch.testing.assert_close(base, other)
    assert not torch.allclose(
        base, dit.forward_training(**data, chunk=chunk, sink_known=some, context_known=some)
    )


@torch.no_grad()
def test_a_days_position_gives_the_same_bits_and_the_cache_never_grows() -> None:
    dit, data = make(), clip()
    chunk = torch.arange(T)
    young, young_caches = streamed(dit, data, chunk)
    old, old_caches = streamed(dit, data, chunk, first=24 * 3600 * 25 // 2)
    torch.testing.assert_close(young, old, atol=0, rtol=0)
    shapes = {tuple(c.shape for c in cache) for cache in young_caches + old_caches}
    assert len(shapes) == 1


@torch.no_grad()
def test_unwritten_rows_cannot_leak() -> None:
    dit, data = make(), clip()
    empty = dit.empty_cache(data["reference"])
    assert (empty.position == UNWRITTEN).all()
    dirty = empty._replace(keys=torch.full_like(empty.keys, 1e4),
                           values=torch.full_like(empty.values, 1e4))  # fmt: skip
    part = slice(0, 2)

    def run(cache: Cache) -> torch.Tensor:
        return dit(
            data["noisy"][:, part], data["t"][:, part], data["audio"][:, part],
            data["conditions"][:, part], cache, torch.tensor([0]),
        )[0]  # fmt: skip

    torch.testing.assert_close(run(empty), run(dirty), atol=0, rtol=0)


def test_rotation_depends_on_distance_only() -> None:
    torch.manual_seed(0)
    q, k = torch.randn(2, 5, 16), torch.randn(2, 5, 16)
    place = torch.arange(5.0)
    near = rotate(q, place) @ rotate(k, place).transpose(-1, -2)
    far = rotate(q, place + 7) @ rotate(k, place + 7).transpose(-1, -2)
    torch.testing.assert_close(near, far, atol=1e-4, rtol=1e-4)


def test_a_query_without_any_key_stays_finite() -> None:
    q = torch.randn(1, 1, 2, 8)
    out = attend(
        q, q, q, torch.arange(2.0), torch.arange(2.0), sink_keys=q[:, :, :1],
        sink_values=q[:, :, :1], mask=torch.zeros(1, 1, 2, 3, dtype=torch.bool),
    )  # fmt: skip
    assert torch.isfinite(out).all()

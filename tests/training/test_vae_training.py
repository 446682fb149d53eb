"""The video VAE's training at toy size: it learns, it resumes exactly, it refuses bad data."""

import json
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from rest_bridge.errors import ConfigError  # noqa: E402
from rest_bridge.rig import RIG_INDEX, RIG_NAMES  # noqa: E402
from rest_bridge.training import vae as training  # noqa: E402
from rest_bridge.training import vae_data  # noqa: E402
from rest_bridge.training.checkpoint import CheckpointError  # noqa: E402
from rest_bridge.training.export_vae import load_vae  # noqa: E402
from rest_bridge.training.latent_space import ARKIT_SCALE, build_maps  # noqa: E402
from rest_bridge.training.mirrored_faces import mirror  # noqa: E402
from rest_bridge.training.vae_data import Shards, shard_paths  # noqa: E402
from rest_bridge.training.vae_losses import (  # noqa: E402
    decode,
    flow_losses,
    head_flow,
    induced,
    rig_losses,
)

SAMPLES = 4


def _write_shard(path: Path, seed: int) -> None:
    """A blob on grey that turns: the importer takes its depth to be half of what it is."""
    rng = np.random.default_rng(seed)
    cells = (np.arange(64, dtype=np.float32) + 0.5) / 64
    x, y = np.meshgrid(cells, cells)
    blob = np.exp(-(((x - 0.5) ** 2 + (y - 0.45) ** 2) / 0.06)).astype(np.float32)
    rig = np.zeros((SAMPLES, 4, len(RIG_NAMES)), np.float32)
    rig[..., 0] = rng.uniform(-12, 12, (SAMPLES, 4))
    turn = np.sin(np.radians(rig[..., 0]))[..., None, None]
    flow = np.zeros((SAMPLES, 4, 64, 64, 2), np.float32)
    flow[..., 0] = -2 * 0.3 * blob * turn
    points = np.tile(np.array([0.5, 0.6], np.float32), (66, 1))
    points[36:42], points[42:48], points[8] = [0.4, 0.42], [0.6, 0.42], [0.5, 0.8]
    boxes = np.array([[0.4, 0.42, 0.1], [0.6, 0.42, 0.1], [0.5, 0.62, 0.15]], np.float32)
    shape = (SAMPLES, 4)
    np.savez(
        path,
        ref=rng.integers(0, 256, (SAMPLES, 128, 128, 3), np.uint8),
        frames=rng.integers(0, 256, (*shape, 128, 128, 3), np.uint8),
        flow=flow.astype(np.float16),
        vis=np.full((*shape, 64, 64), 255, np.uint8),
        alpha_ref=np.full((SAMPLES, 128, 128), 255, np.uint8),
        alpha=np.broadcast_to((blob > 0.3) * np.uint8(255), (*shape, 64, 64)),
        rig_rel=rig,
        landmarks_ref=np.tile(points, (SAMPLES, 1, 1)),
        boxes=np.tile(boxes, (*shape, 1, 1)),
        boxes_ref=np.tile(boxes, (SAMPLES, 1, 1)),
        parts=rng.integers(0, 256, (*shape, 3, 48, 48, 3), np.uint8),
        parts_ref=rng.integers(0, 256, (SAMPLES, 3, 48, 48, 3), np.uint8),
        kind=np.zeros(SAMPLES, np.int8),
        skin=np.zeros((*shape, 64, 64, 2), np.float16),
        depth=np.tile((0.15 * blob).astype(np.float16), (SAMPLES, 1, 1)),
        weight=np.ones((SAMPLES, 64, 64), np.float16),
        person=np.full((SAMPLES, 64, 64), 255, np.uint8),
        pivot=np.tile(np.array([0.5, 0.9], np.float32), (SAMPLES, 1)),
        eye_distance=np.full(SAMPLES, 0.2, np.float32),
        bare=np.zeros(SAMPLES, bool),
    )


@pytest.fixture(scope="module")
def data(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("shards")
    _write_shard(folder / "train_0000.npz", 0)
    _write_shard(folder / "val_0000.npz", 1)
    return folder


def _run(data: Path, out: Path, steps: tuple[int, int, int], **more) -> training.VaeRun:
    settings = {
        "seconds": 600.0, "batch_size": 2, "frames": 2, "width": 4, "reference_width": 4,
        "encoder_width": 4, "precision": "float32", "validate_every_s": 0.0, "save_every_s": 0.0,
    }  # fmt: skip
    return training.VaeRun(data=str(data), out=str(out / "vae.pt"), steps=steps,
                           shares=(0.4, 0.4, 0.2), **(settings | more))  # fmt: skip


def _curve(out: Path, part: str) -> list[dict[str, float]]:
    lines = (out / f"vae.{part}.losses.jsonl").read_text(encoding="utf-8").splitlines()
    return [json.loads(line) for line in lines if "posed" in line or "rig" in line]


def test_all_parts_run_and_a_stopped_run_continues_to_the_same_curve(data, tmp_path) -> None:
    whole, halves = tmp_path / "whole", tmp_path / "halves"
    assert training.train(_run(data, whole, (4, 2, 2)))
    training.train(_run(data, halves, (2, 1, 1)))
    for part, steps in zip(training.PARTS, (2, 1, 1), strict=True):
        saved = torch.load(halves / f"vae.{part}.pt", weights_only=True)
        assert saved["step"] == steps
    # The halves' later parts began from an earlier decoder: only its own curve can be compared.
    for part in ("encoder", "joint"):
        (halves / f"vae.{part}.pt").unlink()
    training.train(_run(data, halves, (4, 2, 2)))
    for part in training.PARTS:
        first = torch.load(whole / f"vae.{part}.pt", weights_only=True)
        second = torch.load(halves / f"vae.{part}.pt", weights_only=True)
        assert first["step"] == second["step"]
        for name, value in first["model"].items():
            torch.testing.assert_close(second["model"][name], value, atol=1e-6, rtol=1e-5)
    vae, _ = load_vae(whole / "vae.pt")
    assert vae.params.width == 4


def test_the_refined_head_learns_the_true_depth(data) -> None:
    shards = Shards(shard_paths(data, "train"))
    run = training.VaeRun(str(data), "", width=4, reference_width=8, encoder_width=4)
    torch.manual_seed(0)
    learner = training.VaeLearner(run, "decoder")
    optimiser = torch.optim.AdamW(learner.groups()[0]["params"], 4e-3)
    errors = []
    for number in range(25):
        batch = shards.batch_at(number, 4, 2, 1)
        losses = learner.losses(batch, torch.Generator())
        errors.append(float(losses["posed"].detach()))
        optimiser.zero_grad()
        torch.stack(list(losses.values())).sum().backward()
        optimiser.step()
    assert np.mean(errors[-5:]) < 0.6 * np.mean(errors[:3])


def test_in_the_mirror_the_importer_errs_as_much_and_twice_is_once(data) -> None:
    shards = Shards(shard_paths(data, "train"))
    rows, times = np.arange(4), np.tile([0, 1], (4, 1))
    true, batch = shards.batch(rows, times), shards.batch(rows, times)
    maps = build_maps()
    who = np.array([True, False, True, True])

    def error(one: vae_data.Batch) -> torch.Tensor:
        return (head_flow(one, one["pose"]) - one["flow"]).abs().mean((1, 2, 3))

    mirror(batch, who, maps["rig_mean"], maps["rig_scale"])
    torch.testing.assert_close(error(batch), error(true), rtol=1e-3, atol=1e-6)
    turned = torch.from_numpy(np.repeat(who, 2))
    torch.testing.assert_close(batch["pose"][turned, 0], -true["pose"][turned, 0])
    for name in ("ref", "parts", "flow"):
        assert not torch.equal(batch[name], true[name]), name
    mirror(batch, who, maps["rig_mean"], maps["rig_scale"])
    for name, value in true.items():
        torch.testing.assert_close(batch[name], value, rtol=1e-4, atol=1e-5, msg=name)


def test_a_misjudged_yaw_tilts_the_depth_and_puts_the_neck_aside(data, monkeypatch) -> None:
    shards = Shards(shard_paths(data, "train"))
    true = shards.batch(np.arange(4), np.tile([0, 1], (4, 1)))
    nothing_else = dict.fromkeys(vae_data.MISJUDGED, 0.0) | {"yaw": 0.05}
    monkeypatch.setattr(vae_data, "MISJUDGED", nothing_else)
    batch = dict(true)
    eyes = np.tile(np.float32([0.5, 0.42]), (4, 1))
    vae_data.misjudge(batch, eyes, np.random.default_rng(2))
    tilt = (batch["maps"] - true["maps"])[:, 0]
    row, unit = round(0.42 * 64), 0.2
    yaw = -(tilt[:, row, 37] - tilt[:, row, 26]) / (11 / 64 / unit)
    assert float(yaw.abs().max()) > 0.02
    torch.testing.assert_close(
        batch["pivot"][:, 0] - true["pivot"][:, 0], -1.5 * yaw * unit, rtol=0.15, atol=1e-4
    )
    assert float(tilt[:, row, 31:33].abs().max()) < 0.01  # the eyes stay where they are seen
    assert torch.equal(batch["maps"][:, 1:], true["maps"][:, 1:])
    assert torch.equal(batch["pivot"][:, 1], true["pivot"][:, 1])


def test_cells_beside_the_person_do_not_count(data) -> None:
    shards = Shards(shard_paths(data, "train"))
    batch = shards.batch(np.arange(2), np.tile([0, 1], (2, 1)))
    vae = training.new_vae(training.VaeRun("", "", width=4, reference_width=4).params())
    latent = vae.latent_of(batch["rig"].view(-1, 2, 58))
    with torch.no_grad():
        before = flow_losses(decode(vae, latent, batch), batch)["flow"]
        batch["flow"] = torch.where(batch["alpha"] > 0.7, batch["flow"], 0.5)
        after = flow_losses(decode(vae, latent, batch), batch)["flow"]
    torch.testing.assert_close(before, after)


def test_rigs_that_move_the_same_differ_little() -> None:
    scale = build_maps()["rig_scale"]

    def rig(**values: float) -> torch.Tensor:
        out = torch.zeros(1, len(RIG_NAMES))
        for name, value in values.items():
            out[0, RIG_INDEX[name]] = value / float(scale[RIG_INDEX[name]])
        return out

    def gap(first: torch.Tensor, second: torch.Tensor) -> float:
        return float(rig_losses(first, second)["rig"])

    none = rig()
    assert gap(none, none) == 0
    blink, jaw = rig(eyeBlinkLeft=0.5), rig(jawOpen=0.3)
    gaze = rig(eyeLookOutLeft=0.5, eyeLookInRight=0.5)
    hidden = rig(tongueOut=0.5)
    assert min(gap(none, blink), gap(none, jaw), gap(none, gaze)) > 10 * gap(none, hidden)
    # In and out cancel: what counts is where the eye looks.
    both = rig(eyeLookOutLeft=0.3, eyeLookInLeft=0.3)
    assert gap(none, both) < 0.3 * gap(none, rig(eyeLookOutLeft=0.6))
    assert induced().shape[1] == len(RIG_NAMES)
    assert ARKIT_SCALE > 0


def test_damaged_shards_are_skipped_with_name_and_reason(data, tmp_path, caplog) -> None:
    (tmp_path / "train_0000.npz").write_bytes((data / "train_0000.npz").read_bytes())
    (tmp_path / "train_0001.npz").write_bytes(b"PK\x03\x04 cut off")
    with np.load(data / "train_0000.npz") as archive:
        kept = {name: archive[name] for name in archive.files}
    np.savez(tmp_path / "train_0002.npz", **{k: v for k, v in kept.items() if k != "skin"})
    kept["flow"] = np.full_like(kept["flow"], np.nan)
    np.savez(tmp_path / "train_0003.npz", **kept)
    assert len(Shards(shard_paths(tmp_path, "train"))) == SAMPLES
    for name, why in (("0001", "zip"), ("0002", "it lacks skin"), ("0003", "no numbers")):
        told = [r.getMessage() for r in caplog.records if f"train_{name}" in r.getMessage()]
        assert told, name
        assert why in told[0].lower()


def test_no_data_and_foreign_checkpoints_are_refused_in_one_sentence(tmp_path) -> None:
    with pytest.raises(ConfigError, match="no shards"):
        training.train(_run(tmp_path, tmp_path, (1, 0, 0)))
    torch.save({"ema": {}}, tmp_path / "other.pt")
    with pytest.raises(CheckpointError, match="not the video VAE"):
        load_vae(tmp_path / "other.pt")

"""The phone network at toy size: labels, exact resume, export, and a package that is refused."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("scipy")
pytest.importorskip("tensorboard")
pytest.importorskip("onnxruntime")

from rest_bridge.errors import PackageError  # noqa: E402
from rest_bridge.features.encoder import SpeechEncoder as RuntimeEncoder  # noqa: E402
from rest_bridge.features.mel import LogMel, MelConfig  # noqa: E402
from rest_bridge.inference.package import DEFAULT_PACKAGE, ModelPackage  # noqa: E402
from rest_bridge.model.audio_encoder import MEL_PER_LATENT  # noqa: E402
from rest_bridge.rig import ARTICULATIONS  # noqa: E402
from rest_bridge.training import export_phones, phone_labels, phone_metrics, phones  # noqa: E402
from rest_bridge.training.curves import rig_from_channels, viseme_curves  # noqa: E402
from rest_bridge.training.phonemes import Phone  # noqa: E402
from rest_bridge.training.settings import PhoneSettings  # noqa: E402
from rest_bridge.training.speech_sessions import LOOKAHEAD_FRAMES, Session  # noqa: E402
from rest_bridge.training.visemes import to_visemes  # noqa: E402
from rest_bridge.types import FloatArray  # noqa: E402

torch.set_num_threads(1)
VOICE = (np.random.default_rng(0).standard_normal(24_000) * 0.05).astype(np.float32)


def mouth_of(word: str) -> FloatArray:
    """Return the labels [25, C] of a second: silence, one consonant from 0.48 to 0.6 s, an a."""
    spans = [Phone("SIL", 0, 0.4), Phone("AA", 0.4, 0.48), Phone(word, 0.48, 0.6),
             Phone("AA", 0.6, 1.0)]  # fmt: skip
    times_s = (np.arange(25) + 0.5) / 25
    channels, closure = viseme_curves(to_visemes(spans, "arpabet"), times_s)
    mouth = rig_from_channels(channels, closure)
    return phone_labels.from_mouth(mouth, closure, times_s < 0.3)


@pytest.mark.parametrize(
    ("phone", "name"), [("P", "shut"), ("B", "shut"), ("M", "shut"), ("F", "teeth"), ("V", "teeth")]
)
def test_labels_tell_p_from_f_at_the_right_time(phone: str, name: str) -> None:
    told = dict(zip(ARTICULATIONS, mouth_of(phone).T, strict=True))
    other = "teeth" if name == "shut" else "shut"
    assert told[name][13] > 0.9  # 0.54 s
    assert told[other].max() < 0.3
    assert told[name][:9].max() < 0.1
    assert told[name][18:].max() < 0.1
    np.testing.assert_array_equal(told["silent"] > 0.5, np.arange(25) < 7)


def test_rounding_is_by_degree() -> None:
    u, o, i = (mouth_of(p)[13, ARTICULATIONS.index("round")] for p in ("UW", "AO", "IY"))
    assert u > o > i
    assert i < 0.1


def test_a_tracked_talker_gets_the_labels_of_his_phones(toy_sessions: list[Session]) -> None:
    session = toy_sessions[0]
    spoken = [Phone("SIL", 0, 0.4), Phone("F", 0.4, 0.6), Phone("AA", 0.6, 5.0)]
    session = Session(**{**{n: getattr(session, n) for n in session.__slots__},
                         "style": "grid", "name": "clip.mp4"})  # fmt: skip
    found = phone_labels.labels(session, {"clip.mp4": spoken})
    assert found is not None
    assert found[12, ARTICULATIONS.index("teeth")] > 0.9
    assert phone_labels.labels(session, {}) is None


def toy_source() -> tuple[PhoneSettings, phones.Labelled]:
    rng = np.random.default_rng(0)
    count = 30
    marks = np.zeros((2 * count, len(ARTICULATIONS)), np.float32)
    marks[:, 0] = np.repeat(rng.random(count) < 0.5, 2)
    mel = rng.normal(0, 0.1, (1, 64 + 8 * count + 8, 80)).astype(np.float16)
    # A shut latent frame sounds loud in its own block, look-ahead included.
    for latent in np.flatnonzero(marks[::2, 0]):
        first = 64 + 8 * latent + LOOKAHEAD_FRAMES
        mel[0, first : first + 8] += 2
    blank = np.zeros((2 * count, 58), np.float16)
    session = Session("toy", "read", mel, blank, np.zeros((1, 2 * count, 9), np.float32),
                      np.zeros((1, count, 3), np.float32), np.zeros((2 * count, 2), np.float32),
                      False, np.ones(2 * count, np.float32), np.zeros(2 * count, np.float16),
                      np.zeros(2 * count, bool))  # fmt: skip
    settings = PhoneSettings(
        steps=40, batch_size=4, num_latents=12, learning_rate=5e-3, warm_up=5, ema=0.9,
        precision="float32", width=16,
    )  # fmt: skip
    return settings, phones.Labelled(session, marks)


def test_the_network_learns_what_it_hears_and_reads_it_back() -> None:
    settings, known = toy_source()
    learner, source = phones.PhoneLearner(settings), phones.batch_source([known], settings, 0)
    optimiser = torch.optim.AdamW(learner.net.parameters(), 5e-3)
    for number in range(40):
        optimiser.zero_grad()
        sum(learner.losses(source(number), torch.Generator()).values()).backward()
        optimiser.step()
    told = phones.read_aloud(learner.net.eval(), known.session)
    table = phone_metrics.judged([(known.session, known.labels, told)])
    precision, recall, f1, found = table["read speech"]["shut"].values()
    assert min(precision, recall, f1, found) > 0.9


def test_batches_depend_on_their_number_alone() -> None:
    settings, known = toy_source()
    one, other = (phones.batch_source([known], settings, 3) for _ in range(2))
    one(0)
    np.testing.assert_array_equal(one(5).mel, other(5).mel)
    assert np.abs(one(5).mel - one(6).mel).max() > 0


def test_counts_of_precision_and_recall() -> None:
    score = phone_metrics.Score()
    wanted = np.array([0, 1, 1, 0, 0, 0, 1, 1, 0, 0, 0, 0], bool)
    told = np.array([0, 0, 1, 1, 0, 0, 0, 0, 0, 0, 1, 0], bool)
    score.add(wanted, told)
    precision, recall, f1, found = score.values()
    assert (precision, recall, found) == (1 / 3, 1 / 4, 1 / 2)
    assert f1 == pytest.approx(2 / 7)
    assert score.false_alarms == 1


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The shipped package with a toy phone network in it."""
    folder = tmp_path_factory.mktemp("package") / "nano"
    shutil.copytree(DEFAULT_PACKAGE, folder)
    torch.manual_seed(0)
    net = phones.SpeechEncoder(phones.phone_config(16))
    known = ModelPackage.load(folder)
    mel = MelConfig.from_arrays(known.arrays("audio"), known.section("audio"))
    export_phones.export_phones(net.eval(), mel, folder, step=0)
    return folder


def heard(encoder: RuntimeEncoder, sizes: list[int]) -> FloatArray:
    state, parts, position = encoder.initial_state(), [], 0
    while position < len(VOICE):
        size = sizes[len(parts) % len(sizes)]
        _, marks, state = encoder.hear(VOICE[position : position + size], state)
        parts.append(marks)
        position += size
    return np.concatenate(parts)


def test_streamed_equals_offline_to_the_bit_and_equals_training(package: Path) -> None:
    loaded = ModelPackage.load(package)
    encoder = RuntimeEncoder(loaded)
    whole = heard(encoder, [len(VOICE)])
    np.testing.assert_array_equal(heard(encoder, [160]), whole)
    np.testing.assert_array_equal(heard(encoder, [1000, 77, 5000]), whole)
    # The torch network on the features of the whole sound, as training hears it.
    torch.manual_seed(0)
    net = phones.SpeechEncoder(phones.phone_config(16)).eval()
    export_phones.round_weights(net)
    mel = LogMel(MelConfig.from_arrays(loaded.arrays("audio"), loaded.section("audio")))
    before = np.zeros((8 * MEL_PER_LATENT - LOOKAHEAD_FRAMES) * 160, np.float32)
    frames, _ = mel.step(np.concatenate([before, VOICE]), mel.initial_state())
    count = len(frames) // MEL_PER_LATENT
    blocks = torch.from_numpy(frames[None, : count * MEL_PER_LATENT])
    with torch.no_grad():
        told, _ = net(blocks, net.initial_state(1))
    np.testing.assert_allclose(torch.sigmoid(told)[0, 8:].numpy(), whole, atol=2e-4)


def test_tokens_are_the_same_with_and_without_the_part(package: Path) -> None:
    with_part, without = (RuntimeEncoder(ModelPackage.load(p)) for p in (package, DEFAULT_PACKAGE))
    (one, _), (other, _) = (e.step(VOICE, e.initial_state()) for e in (with_part, without))
    np.testing.assert_array_equal(one, other)
    assert with_part.articulates


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"names": ["shut"]}, "tells shut, this rest_bridge wants"),
        ({"mel_mark": 1}, "other constants"),
    ],
)
def test_a_part_that_does_not_belong_is_refused(
    package: Path, tmp_path: Path, change: dict[str, object], sentence: str
) -> None:
    folder = tmp_path / "changed"
    shutil.copytree(package, folder)
    manifest = json.loads((folder / "manifest.json").read_text())
    manifest["phones"].update(change)
    (folder / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(PackageError, match=sentence):
        RuntimeEncoder(ModelPackage.load(folder))


def test_a_damaged_part_is_named(package: Path, tmp_path: Path) -> None:
    folder = tmp_path / "damaged"
    shutil.copytree(package, folder)
    path = folder / "phones.onnx"
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(PackageError, match=r"phones\.onnx has \d+ bytes instead of"):
        ModelPackage.load(folder)


def test_the_command_says_in_one_sentence_what_is_missing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert phones.main(["--set", f"data={tmp_path}", "--out", str(tmp_path / "p.pt")]) == 2
    assert "speech-data" in capsys.readouterr().err
    words = ["--checkpoint", str(tmp_path / "no.pt"), "--data", str(tmp_path)]
    assert export_phones.main([*words, "--package", str(tmp_path)]) == 2
    assert "no.pt" in capsys.readouterr().err


def test_training_goes_on_where_it_stopped(
    toy_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    given = ["--set", f"data={toy_folder}", "--set", "phones.num_latents=12",
             "--set", "phones.batch_size=2", "--set", "phones.width=16",
             "--out", str(tmp_path / "p.pt")]  # fmt: skip
    assert phones.main([*given, "--steps", "2"]) == 0
    assert phones.main([*given, "--steps", "4"]) == 0
    assert int(torch.load(tmp_path / "p.pt")["step"]) == 4
    assert capsys.readouterr().out.count("| group |") == 2

"""Providers: chosen by their measured time, remembered, and given up with a clear word."""

import json
import logging
from pathlib import Path

import pytest

from rest_bridge.errors import PackageError
from rest_bridge.inference import providers
from rest_bridge.inference.package import ModelPackage
from rest_bridge.inference.providers import choose, decide, measure


class FakeRuntime:
    """An ONNX Runtime that claims providers which are not there."""

    __version__ = "0.0"

    def get_available_providers(self) -> list[str]:
        return ["CUDAExecutionProvider", "AzureExecutionProvider", "CPUExecutionProvider"]


@pytest.fixture(scope="module")
def package() -> ModelPackage:
    return ModelPackage.load(verify=False)


def test_the_fastest_provider_is_taken() -> None:
    assert decide({"cpu": 2.0, "cuda": 0.5, "openvino": 1.0}, "auto").provider == "cuda"


def test_a_device_that_gains_nothing_is_not_taken() -> None:
    assert decide({"cpu": 1.0, "cuda": 0.95}, "auto").provider == "cpu"


def test_a_graph_that_the_cpu_runs_in_parts_must_be_beaten_by_more() -> None:
    timings = {"cpu": 3.9, "openvino": 3.4}
    assert decide(timings, "auto").provider == "openvino"
    assert decide(timings, "auto", gain=0.65).provider == "cpu"


def test_what_a_person_names_is_taken_even_if_slower() -> None:
    assert decide({"cpu": 1.0, "cuda": 3.0}, "cuda").provider == "cuda"


def test_a_provider_that_fails_falls_back_and_says_why() -> None:
    choice = decide({"cpu": 1.0, "cuda": "libcublas is missing"}, "cuda")
    assert choice.provider == "cpu"
    assert "libcublas is missing" in choice.sentence
    assert "cpu 1.00 ms" in choice.sentence


def test_only_a_cpu_means_no_measurement(package: ModelPackage, tmp_path: Path) -> None:
    cache = tmp_path / "providers.json"
    found = choose(package, "speech_encoder", "auto", cache=cache)
    if found.milliseconds:
        pytest.skip("this computer has another provider")
    assert found.provider == "cpu"
    assert not cache.exists()


def test_a_real_graph_is_timed_and_a_silent_fall_back_is_noticed(package: ModelPackage) -> None:
    def opener(provider: str):
        # ONNX Runtime without CUDA opens on the CPU, as it does where a driver is missing.
        return package.session("speech_encoder", provider="cpu" if provider == "cuda" else provider)

    found = measure(opener, ["cpu", "cuda"])
    assert float(found["cpu"]) > 0
    assert "fell back to cpu" in str(found["cuda"])


def test_measurements_are_remembered(
    package: ModelPackage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(providers, "import_onnxruntime", FakeRuntime)
    calls: list[list[str]] = []

    def fake(_open_with: object, names: list[str]) -> dict[str, float | str]:
        calls.append(names)
        return {"cpu": 2.0, "cuda": 1.0}

    monkeypatch.setattr(providers, "measure", fake)
    cache = tmp_path / "deep" / "providers.json"
    for _ in range(2):
        assert choose(package, "dit", "auto", cache=cache).provider == "cuda"
    assert calls == [["cpu", "cuda"]]
    assert len(json.loads(cache.read_text())) == 1


def test_a_damaged_memory_is_measured_again(
    package: ModelPackage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(providers, "import_onnxruntime", FakeRuntime)
    monkeypatch.setattr(providers, "measure", lambda _o, _n: {"cpu": 1.0, "cuda": "no driver"})
    cache = tmp_path / "providers.json"
    cache.write_text("{")
    assert choose(package, "dit", "auto", cache=cache).provider == "cpu"


def test_a_provider_that_is_not_built_in_is_one_warning_with_the_remedy(
    package: ModelPackage, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(providers, "_said", set())
    with caplog.at_level(logging.WARNING):
        for graph in ("dit", "decoder", "dit"):  # once for all networks
            assert choose(package, graph, "tensorrt").provider == "cpu"
    (record,) = caplog.records
    assert "tensorrt does not work here" in record.message
    assert "so the CPU computes" in record.message
    assert "pip install" in record.message


def test_networks_are_timed_with_the_sizes_that_they_run_with(
    package: ModelPackage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(providers, "import_onnxruntime", FakeRuntime)
    opened: list[object] = []

    def fake(open_with: providers.Opener, names: list[str]) -> dict[str, float | str]:
        open_with("cpu")
        return dict.fromkeys(names, 1.0)

    def session(_name: str, **options: object) -> object:
        opened.append(options["sizes"])
        return object()

    monkeypatch.setattr(providers, "measure", fake)
    monkeypatch.setattr(package, "session", session)
    cache = tmp_path / "providers.json"
    for sizes in ({"T": 1}, {"T": 2}, {"T": 1}, None):
        choose(package, "dit", "auto", cache=cache, sizes=sizes)
    assert opened == [{"T": 1}, {"T": 2}, None]  # each is remembered by itself


def test_a_graph_that_is_missing_is_an_error(package: ModelPackage) -> None:
    with pytest.raises(PackageError):
        package.digest("no_such_graph")

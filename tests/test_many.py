"""Several faces in one process: ports of their own, shared networks, failures that stay alone."""

import threading
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile

from rest_bridge import bench_faces
from rest_bridge.config import Config
from rest_bridge.errors import AvatarError, ConfigError, SourceError, SourceTimeout
from rest_bridge.graph import Graph, Outlet
from rest_bridge.many import PORT_STEP, Ensemble, SharedParts, check_faces, face_configs
from rest_bridge.pipeline import Pipeline
from rest_bridge.turns import TakingTurns, Turns
from rest_bridge.types import AudioChunk
from tests.support.standins import StandInDecoder, StandInSink, StandInSource, standin_stages

ENDLESS = np.zeros(48_000 * 60, np.float32)


def test_each_face_has_ports_and_a_seed_of_its_own() -> None:
    faces = face_configs(Config(), ["luna", "maya", "luna"])
    assert list(faces) == ["luna", "maya", "luna-3"]
    frames = [str(config.endpoints.frames) for config in faces.values()]
    assert frames == [f"tcp://127.0.0.1:{5570 + PORT_STEP * k}" for k in range(3)]
    assert [config.preview.port for config in faces.values()] == [5580, 5600, 5620]
    assert [config.generator.seed for config in faces.values()] == [0, 1, 2]
    check_faces(faces)


def test_two_faces_on_one_port_are_refused_by_name() -> None:
    with pytest.raises(ConfigError, match="one and two both want port 5570"):
        check_faces({"one": Config(), "two": Config()})


def test_faces_of_different_models_are_refused() -> None:
    faces = face_configs(Config(), ["luna", "maya"])
    two_threads = Config.model_validate({"model": {"threads": 2}})
    faces["maya"] = face_configs(two_threads, ["luna", "maya"])["maya"]
    with pytest.raises(ConfigError, match="share the networks"):
        check_faces(faces)


@pytest.mark.parametrize("count", [0, 65])
def test_no_faces_and_too_many_are_refused(count: int) -> None:
    with pytest.raises(ConfigError, match="serve 1 to 64"):
        check_faces({str(k): Config() for k in range(count)})


def _graph(sink: StandInSink, voice: np.ndarray = ENDLESS, **parts) -> Graph:
    graph = Graph(
        still=parts.pop("still", lambda: np.zeros((8, 8, 4), np.uint8)),
        pipeline=lambda: Pipeline(standin_stages(lookahead_ms=40), metrics=graph.metrics),
        source=parts.pop("source", lambda: StandInSource(voice)),
        outlets=lambda: [Outlet(sink, required=True)],
    )
    return graph


def _no_face() -> np.ndarray:
    raise AvatarError("There is no face in no_face.png.")


def _dead() -> StandInSource:
    raise SourceError("The microphone is gone.")


@pytest.mark.parametrize("broken", [{"still": _no_face}, {"source": _dead}])
def test_a_face_that_fails_ends_alone_and_says_why(broken: dict) -> None:
    sinks = {"good": StandInSink(), "bad": StandInSink(), "fine": StandInSink()}
    told: list[tuple[str, str]] = []
    ensemble = Ensemble(
        face_configs(Config(), list(sinks)),
        seconds=1.2,
        on_message=lambda name, text: told.append((name, text)),
        graph_of=lambda name, _: _graph(sinks[name], **(broken if name == "bad" else {})),
    )
    ends = {end.name: end for end in ensemble.run()}
    assert ends["bad"].outcome is None
    assert ends["bad"].error
    for name in ("good", "fine"):
        assert ends[name].error == ""
        assert len(sinks[name].frames) == 30
    assert [name for name, text in told if "other faces go on" in text] == ["bad"]


class FailsLater(StandInDecoder):
    """Draws some pictures, then none."""

    def decode(self, latents, wanted=None):
        if self.num_pictures >= 10:
            raise ValueError("a bad picture")
        return super().decode(latents, wanted)


def test_a_face_that_fails_while_all_draw_leaves_its_place_to_the_others() -> None:
    sinks = {"good": StandInSink(), "bad": StandInSink(), "fine": StandInSink()}
    turns = Turns(1)  # one place for the three: a place that is kept would stop them all

    def graph_of(name: str, _config: Config) -> Graph:
        decoder = FailsLater() if name == "bad" else StandInDecoder()
        stages = replace(standin_stages(lookahead_ms=40), decoder=TakingTurns(decoder, turns, name))
        graph = _graph(sinks[name])
        return replace(graph, pipeline=lambda: Pipeline(stages, metrics=graph.metrics))

    ensemble = Ensemble(face_configs(Config(), list(sinks)), seconds=1.6, graph_of=graph_of)
    ends = {end.name: end for end in ensemble.run()}
    assert ends["bad"].outcome is None
    assert "a bad picture" in ends["bad"].error
    assert turns._free == 1
    for name in ("good", "fine"):
        assert ends[name].error == ""
        assert len(sinks[name].frames) == 40
        fresh = [frame.index for frame in sinks[name].frames if not frame.repeated]
        assert fresh[-1] >= 30  # still drawn long after the tenth picture, when the bad one ended


class Stalls(StandInSource):
    """A voice that delivers half a second and then nothing more, without saying why."""

    def read(self, num_samples: int, timeout_s: float) -> AudioChunk:
        if self._next >= 24_000:
            self._closed.wait(timeout_s)
            raise SourceTimeout("nothing came")
        return super().read(num_samples, timeout_s)


def test_a_face_whose_voice_stalls_keeps_its_picture_and_holds_up_nobody() -> None:
    sinks = {"good": StandInSink(), "stalled": StandInSink(), "fine": StandInSink()}
    turns = Turns(1)

    def graph_of(name: str, _config: Config) -> Graph:
        decoder = TakingTurns(StandInDecoder(), turns, name)
        stages = replace(standin_stages(lookahead_ms=40), decoder=decoder)
        voice = Stalls if name == "stalled" else StandInSource
        graph = _graph(sinks[name], source=lambda: voice(ENDLESS))
        return replace(graph, pipeline=lambda: Pipeline(stages, metrics=graph.metrics))

    ensemble = Ensemble(face_configs(Config(), list(sinks)), seconds=1.6, graph_of=graph_of)
    assert [end.error for end in ensemble.run()] == ["", "", ""]
    for sink in sinks.values():  # whoever is silent is shown all the same
        assert [frame.index for frame in sink.frames] == list(range(40))
    for name in ("good", "fine"):
        fresh = [frame.index for frame in sinks[name].frames if not frame.repeated]
        assert fresh[-1] >= 30  # drawn long after the other voice went quiet


def test_stopping_ends_every_face() -> None:
    sinks = {"one": StandInSink(), "two": StandInSink()}
    ensemble = Ensemble(
        face_configs(Config(), list(sinks)), graph_of=lambda name, _: _graph(sinks[name])
    )
    thread = threading.Thread(target=ensemble.run)
    thread.start()
    while not all(sink.frames for sink in sinks.values()):
        threading.Event().wait(0.01)
    assert set(ensemble.statuses()) == {"one", "two"}
    ensemble.stop()
    thread.join(10)
    assert not thread.is_alive()


def test_counts_double_and_end_with_what_was_asked_for() -> None:
    assert bench_faces.counts(1) == [1]
    assert bench_faces.counts(8) == [1, 2, 4, 8]
    assert bench_faces.counts(6) == [1, 2, 4, 6]


def test_the_bench_of_faces_measures_each_number(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Shared(SharedParts):
        def pipeline(self, loader, name, metrics):
            return Pipeline(self._taking_turns(standin_stages(lookahead_ms=40), name))

    monkeypatch.setattr(bench_faces, "SharedParts", Shared)
    voice = tmp_path / "voice.wav"
    soundfile.write(voice, 0.2 * np.sin(np.arange(96_000) / 30), 48_000)
    found = bench_faces.measure(Config(), voice, most=2, seconds=0.6)
    assert [(one.num_faces, one.together) for one in found] == [(1, False), (2, False), (2, True)]
    assert all(one.cores >= 0 and one.rtf >= 0 for one in found)
    assert found[-1].needed_cores() >= found[-1].cores
    assert bench_faces.card(found).row_count == 3

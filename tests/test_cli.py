"""The command line as a stranger meets it: exit codes, one sentence, JSON, no heavy imports."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from rest_bridge import __version__, cli
from rest_bridge.commands import configuration, learning
from rest_bridge.commands.options import parse_settings
from rest_bridge.errors import ConfigError, PackageError


def run(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, str, str]:
    """Run one command line in this process; return its exit code, stdout and stderr."""
    code = cli.run(words)
    captured = capsys.readouterr()
    return code, captured.out, captured.err


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(capsys, "--version") == (0, f"rest-bridge {__version__}\n", "")


def test_the_module_is_the_command() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "rest_bridge", "--version"], capture_output=True, text=True
    )
    assert (done.returncode, done.stdout) == (0, f"rest-bridge {__version__}\n")


def test_every_command_has_help(capsys: pytest.CaptureFixture[str]) -> None:
    code, shown, _ = run(capsys, "--help")
    assert code == 0
    for command in ("demo", "run", "render", "devices", "doctor", "bench", "config", "avatar"):
        assert f" {command} " in shown
        assert run(capsys, command, "--help")[0] == 0


@pytest.mark.parametrize("words", [["bogus"], ["config", "bogus"], ["doctor", "--bogus"]])
def test_wrong_usage_is_code_2_without_traceback(
    capsys: pytest.CaptureFixture[str], words: list[str]
) -> None:
    code, _, shown = run(capsys, *words)
    assert code == 2
    assert "bogus" in shown
    assert "Traceback" not in shown


def _failing(error: BaseException):
    def fail(*_: object, **__: object) -> None:
        raise error

    return fail


@pytest.mark.parametrize(
    ("error", "code", "text"),
    [
        (PackageError("The package is gone; reinstall."), 1, "Error: The package is gone"),
        (ConfigError("No such key."), 2, "Error: No such key."),
        (OSError(28, "No space left on device", "/x/y.mp4"), 1, "disk is full"),
        (ValueError("odd"), 1, "--debug"),
        (KeyboardInterrupt(), 130, ""),
    ],
)
def test_errors_become_one_sentence_and_an_exit_code(
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    error: BaseException,
    code: int,
    text: str,
) -> None:
    monkeypatch.setattr(configuration, "configure", _failing(error))
    got, _, shown = run(capsys, "config", "show")
    assert got == code
    assert text in shown
    assert shown.count("\n") == (1 if text else 0)


@pytest.mark.parametrize("words", [["--debug", "config", "show"], ["config", "show", "--debug"]])
def test_debug_shows_the_traceback_wherever_it_stands(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, words: list[str]
) -> None:
    monkeypatch.setattr(configuration, "configure", _failing(ValueError("odd")))
    code, _, shown = run(capsys, *words)
    assert code == 1
    assert "Traceback" in shown


def test_config_init_writes_what_validate_accepts(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    path = tmp_path / "new" / "c.toml"
    assert run(capsys, "config", "init", str(path))[0] == 0
    assert run(capsys, "config", "validate", str(path))[0] == 0
    code, _, shown = run(capsys, "config", "init", str(path))
    assert code == 2
    assert "--force" in shown
    assert run(capsys, "config", "init", str(path), "--force")[0] == 0


def test_config_init_without_a_path_writes_the_file_that_is_then_read(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert run(capsys, "config", "init", "--force")[0] == 0
    code, shown, _ = run(capsys, "config", "show", "--json")
    assert code == 0
    assert json.loads(shown)["file"] == str(configuration.default_path())
    configuration.default_path().unlink()


def test_config_show_tells_where_each_value_comes_from(capsys: pytest.CaptureFixture[str]) -> None:
    code, shown, _ = run(capsys, "config", "show", "--json", "--set", "output.size=720")
    rows = {row["key"]: row for row in json.loads(shown)["values"]}
    assert code == 0
    assert rows["output.size"] == {
        "key": "output.size",
        "value": 720,
        "origin": "command line",
    }
    assert rows["output.fps"]["origin"] == "default"


def test_doctor_reports_a_broken_configuration_and_goes_on(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REST_BRIDGE_AUDIO_SORCE", "mic")
    code, shown, _ = run(capsys, "doctor", "--json")
    report = json.loads(shown)
    assert (code, report["ok"]) == (1, False)
    assert report["checks"][0]["status"] == "fail"
    assert "REST_BRIDGE_AUDIO_SOURCE" in report["checks"][0]["detail"]
    assert len(report["checks"]) > 5


def test_settings() -> None:
    assert parse_settings(["a.b=c", 'd.e = "f=g"']) == {"a.b": "c", "d.e": "f=g"}
    with pytest.raises(ConfigError, match="="):
        parse_settings(["output.size"])


@pytest.mark.parametrize("command", ["train", "export", "evaluate"])
def test_training_commands_list_their_stages_and_refuse_others(
    capsys: pytest.CaptureFixture[str], command: str
) -> None:
    code, shown, _ = run(capsys, command)
    assert code == 0
    assert "landmarks" in shown
    code, _, shown = run(capsys, command, "bogus")
    assert code == 2
    assert "landmarks" in shown


def test_training_without_torch_names_the_extra(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(learning.importlib.util, "find_spec", lambda _: None)
    code, _, shown = run(capsys, "train", "vae")
    assert code == 1
    assert "rest-bridge[cpu,train]" in shown


def test_every_stage_is_a_module_that_is_there() -> None:
    modules = {words[0] for stages in learning.STAGES.values() for words in stages.values()}
    root = Path(cli.__file__).parent.parent
    for module in modules:
        path = root / module.replace(".", "/")
        assert path.with_suffix(".py").is_file() or (path / "__main__.py").is_file()

"""The example for Kubernetes says what the program understands; no cluster is wanted.

Whether it is what Kubernetes understands: `pip install kubernetes-validate` and
`kubernetes-validate --strict examples/kubernetes/face.yaml`.
"""

import tomllib
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from typer.testing import CliRunner

from rest_bridge.cli import app
from rest_bridge.config import Config

FOLDER = Path(__file__).resolve().parent.parent / "examples" / "kubernetes"


@pytest.fixture(scope="module")
def parts() -> dict[str, dict[str, Any]]:
    yaml = pytest.importorskip("yaml", reason="pip install pyyaml")
    documents = yaml.safe_load_all((FOLDER / "face.yaml").read_text(encoding="utf-8"))
    return {one["kind"]: one for one in documents}


def _container(parts: dict[str, dict[str, Any]]) -> dict[str, Any]:
    (container,) = parts["Deployment"]["spec"]["template"]["spec"]["containers"]
    return container


def _understood(words: list[str]) -> None:
    """Raise where the program has no such command or option: `--help` acts after all are read."""
    result = CliRunner().invoke(app, [*words, "--help"])
    assert result.exit_code == 0, result.output


def test_the_configuration_is_one_and_its_ports_are_the_services(parts) -> None:
    config = Config.model_validate(tomllib.loads(parts["ConfigMap"]["data"]["face.toml"]))
    addresses = config.endpoints
    wanted = {
        urlsplit(str(getattr(addresses, name))).port
        for name in ("frames", "events", "control", "audio_in")
    }
    assert {one["containerPort"] for one in _container(parts)["ports"]} == wanted
    assert {one["port"] for one in parts["Service"]["spec"]["ports"]} == wanted
    names = {one["name"] for one in _container(parts)["ports"]}
    assert {one["targetPort"] for one in parts["Service"]["spec"]["ports"]} == names


def test_an_unknown_option_would_be_noticed() -> None:
    with pytest.raises(AssertionError):
        _understood(["run", "--no-such-option"])


def test_keys_lie_where_the_configuration_looks_for_them(parts) -> None:
    config = Config.model_validate(tomllib.loads(parts["ConfigMap"]["data"]["face.toml"]))
    mounts = {one["name"]: one["mountPath"] for one in _container(parts)["volumeMounts"]}
    assert mounts["keys"] == config.endpoints.keys
    (secret,) = (
        one["secret"]
        for one in parts["Deployment"]["spec"]["template"]["spec"]["volumes"]
        if one["name"] == "keys"
    )
    paths = {one["path"] for one in secret["items"]}
    assert {"server.toml", "local.key", "allowed/local.pub"} <= paths  # the probe is `local`


def test_the_program_knows_the_commands(parts) -> None:
    container = _container(parts)
    _understood(container["args"])
    for probe in ("startupProbe", "readinessProbe"):
        program, *words = container[probe]["exec"]["command"]
        assert program == "rest-bridge"
        _understood(words)
    lines = (FOLDER / "Dockerfile").read_text(encoding="utf-8").splitlines()
    (copied,) = (line.split()[1:-1] for line in lines if line.startswith("COPY pyproject"))
    assert all((FOLDER.parent.parent / name).is_file() for name in copied)

"""The configuration: precedence, provenance, refusals, and that every key is explained."""

import tomllib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rest_bridge.config import Config, key_names, number_range, sections
from rest_bridge.config_sources import environment_name, load_config, nearest_key
from rest_bridge.config_text import config_text, toml_value
from rest_bridge.errors import ConfigError

ROOT = Path(__file__).parent.parent


def write(path: Path, text: str) -> Path:
    path.write_text(text, encoding="utf-8")
    return path


def test_command_line_wins_over_environment_over_file_over_default(tmp_path: Path) -> None:
    path = write(tmp_path / "c.toml", "[camera]\nwidth = 100\nheight = 100\nfps = 30\n")
    environment = {"REST_BRIDGE_CAMERA_WIDTH": "200", "REST_BRIDGE_CAMERA_HEIGHT": "200"}
    loaded = load_config(path, environment=environment, overrides={"camera.width": 300})
    assert (loaded.config.camera.width, loaded.config.camera.height) == (300, 200)
    assert (loaded.config.camera.fps, loaded.config.audio.source) == (30, "mic")
    assert loaded.origins["camera.width"] == "command line"
    assert loaded.origins["camera.height"] == "environment variable REST_BRIDGE_CAMERA_HEIGHT"
    assert loaded.origins["camera.fps"] == f"file {path}"
    assert loaded.origins["audio.source"] == "default"


def test_without_any_source_all_values_are_the_defaults() -> None:
    assert load_config(environment={}).config == Config()


def test_options_left_out_do_not_override() -> None:
    assert load_config(environment={}, overrides={"output.size": None}).config == Config()


def test_the_file_may_be_named_by_the_environment(tmp_path: Path) -> None:
    path = write(tmp_path / "c.toml", "[generator]\nseed = 7\n")
    loaded = load_config(environment={"REST_BRIDGE_CONFIG": str(path)})
    assert (loaded.config.generator.seed, loaded.path) == (7, path)


@pytest.mark.parametrize("key", key_names())
def test_every_key_can_be_set_by_environment_and_by_command_line(key: str) -> None:
    section, _, name = key.partition(".")
    value = getattr(getattr(Config(), section), name)
    text = toml_value(value).strip('"')
    assert load_config(environment={environment_name(key): text}).config == Config()
    assert load_config(environment={}, overrides={key: text}).config == Config()


@pytest.mark.parametrize("key", key_names())
def test_every_key_is_explained_and_every_number_has_a_range_that_is_enforced(key: str) -> None:
    section, _, name = key.partition(".")
    field = sections()[section].model_fields[name]
    assert field.description
    assert field.description.endswith(".")
    if type(field.default) in (int, float):
        limits = number_range(section, name)
        assert limits is not None
        for beyond in (limits[0] - 4, limits[1] + 4):
            with pytest.raises(ConfigError, match=rf"{key} = .*{limits[0]}"):
                load_config(environment={}, overrides={key: beyond})


@pytest.mark.parametrize(
    ("text", "nearest"),
    [
        ("[audio]\nsorce = 'mic'\n", "audio.source"),
        ("[output]\nsiez = 3\n", "output.size"),
        ("[camera]\nopen_browser = true\n", "preview.open_browser"),
        ("[cammera]\nenabled = true\n", "camera"),
        ("size = 3\n", "output.size"),
    ],
)
def test_unknown_keys_are_refused_naming_the_nearest(
    tmp_path: Path, text: str, nearest: str
) -> None:
    path = write(tmp_path / "c.toml", text)
    with pytest.raises(ConfigError, match="Unknown") as caught:
        load_config(path, environment={})
    assert nearest in str(caught.value)
    assert str(path) in str(caught.value)


def test_unknown_variables_with_our_prefix_are_refused() -> None:
    with pytest.raises(ConfigError, match="REST_BRIDGE_AUDIO_SOURCE"):
        load_config(environment={"REST_BRIDGE_AUDIO_SORCE": "mic"})


def test_variables_of_others_are_left_alone() -> None:
    load_config(environment={"PATH": "/bin", "REST_BRIDGE_ASSETS": "/data"})


@given(st.sampled_from(key_names()), st.data())
def test_a_key_with_two_letters_swapped_finds_itself(key: str, data: st.DataObject) -> None:
    position = data.draw(st.integers(0, len(key) - 2))
    swapped = key[:position] + key[position + 1] + key[position] + key[position + 2 :]
    assert nearest_key(swapped).rpartition(".")[2] == key.rpartition(".")[2]


@pytest.mark.parametrize(
    ("key", "value", "part"),
    [
        ("output.size", "wide", "whole number"),
        ("output.size", 511, "multiple of 2"),
        ("output.fps", 29, "24, 25, 30, 50, 60"),
        ("audio.loop", "perhaps", "true or false"),
        ("audio.gain_db", "nan", "finite"),
        ("model.provider", "tpu", "'auto', 'cpu', 'cuda'"),
        ("endpoints.frames", "ipc:///tmp/x", "tcp://127.0.0.1"),
        ("endpoints.frames", "tcp://127.0.0.1:99999", "port"),
        ("endpoints.frames", "tcp://0.0.0.0:5570", "insecure"),
        ("preview.token", "a b", "letters"),
    ],
)
def test_a_value_that_is_not_allowed_is_one_sentence_with_key_value_and_rule(
    key: str, value: object, part: str
) -> None:
    with pytest.raises(ConfigError) as caught:
        load_config(environment={}, overrides={key: value})
    message = str(caught.value)
    assert part in message
    assert key.partition(".")[2] in message
    assert "\n" not in message


def test_insecure_allows_other_addresses() -> None:
    overrides = {"endpoints.frames": "tcp://0.0.0.0:5570", "endpoints.insecure": True}
    assert load_config(environment={}, overrides=overrides).config.endpoints.insecure


@pytest.mark.parametrize("content", [b"[audio\n", b"\xff\xfe", b"a = 1\na = 2\n"])
def test_a_file_that_is_not_toml_is_one_sentence(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "c.toml"
    path.write_bytes(content)
    with pytest.raises(ConfigError, match="not valid TOML"):
        load_config(path, environment={})


def test_a_missing_file_or_a_folder_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="config init"):
        load_config(tmp_path / "none.toml", environment={})
    with pytest.raises(ConfigError, match="cannot be read"):
        load_config(tmp_path, environment={})


def test_the_written_file_names_every_key_and_changes_nothing(tmp_path: Path) -> None:
    text = config_text()
    for key in key_names():
        assert f"#{key.partition('.')[2]} = " in text
    assert load_config(write(tmp_path / "c.toml", text), environment={}).config == Config()


def test_a_written_configuration_loads_as_itself(tmp_path: Path) -> None:
    overrides = {"audio.source": 'Näme "with" \\ all\tsorts', "output.size": 640}
    config = load_config(environment={}, overrides=overrides).config
    path = write(tmp_path / "c.toml", config_text(config))
    assert load_config(path, environment={}).config == config


@given(st.text(st.characters(blacklist_categories=("Cs",))))
def test_any_text_survives_toml(text: str) -> None:
    assert tomllib.loads(f"key = {toml_value(text)}") == {"key": text}


@pytest.mark.parametrize("path", sorted(ROOT.glob("configs/*.toml")), ids=lambda p: p.name)
def test_every_file_in_configs_loads(path: Path) -> None:
    assert load_config(path, environment={}).path == path


def test_the_reference_file_is_the_one_that_the_program_writes() -> None:
    assert (ROOT / "configs/reference.toml").read_text(encoding="utf-8") == config_text()

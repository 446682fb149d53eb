"""What there is in a running OBS: kinds of sources, inputs, scenes; asked over an `ObsLink`."""

from collections.abc import Mapping
from typing import Any, Final, Protocol

NATIVE: Final = "rest_bridge_source"
BROWSER: Final = "browser_source"
_MICROPHONES: Final = (
    "pulse_input_capture", "alsa_input_capture", "wasapi_input_capture",
    "coreaudio_input_capture", "jack_output_capture",
)  # fmt: skip
HELD_MS: Final[Mapping[str, int]] = {"low": 15, "balanced": 40, "smooth": 150}
"""How long the native source holds picture and voice back, by its latency mode (settings.hpp)."""


class Asks(Protocol):
    """What answers requests: an `ObsLink`, or a test's own."""

    def ask(self, request: str, **arguments: Any) -> dict[str, Any]:
        """Send a request and return its answer."""
        ...


def kinds(obs: Asks) -> set[str]:
    """Return the kinds of sources that this OBS can make."""
    return set(obs.ask("GetInputKindList", unversioned=True)["inputKinds"])


def inputs(obs: Asks, kind: str | None = None) -> list[dict[str, Any]]:
    """Return the inputs, or those of an (unversioned) kind."""
    found: list[dict[str, Any]] = obs.ask("GetInputList")["inputs"]
    return [i for i in found if kind is None or i["unversionedInputKind"] == kind]


def microphones(obs: Asks) -> list[str]:
    """Return the names of what captures a microphone."""
    return [i["inputName"] for i in inputs(obs) if i["unversionedInputKind"] in _MICROPHONES]


def program_scene(obs: Asks) -> str:
    """Return the name of the scene that is on the air."""
    return str(obs.ask("GetCurrentProgramScene")["currentProgramSceneName"])


def scene_items(obs: Asks, scene: str) -> list[dict[str, Any]]:
    """Return the items of a scene; each with sourceName, sceneItemId, sceneItemEnabled."""
    return list(obs.ask("GetSceneItemList", sceneName=scene)["sceneItems"])


def our_inputs(obs: Asks) -> list[dict[str, Any]]:
    """Return the inputs that show our face: native ones, and browser sources of our page."""
    browser = [
        item
        for item in inputs(obs, BROWSER)
        if "source=1" in str(settings_of(obs, item["inputName"]).get("url", ""))
    ]
    return [*inputs(obs, NATIVE), *browser]


def settings_of(obs: Asks, name: str) -> dict[str, Any]:
    """Return an input's settings with its kind's defaults below them."""
    reply = obs.ask("GetInputSettings", inputName=name)
    defaults = obs.ask("GetInputDefaultSettings", inputKind=reply["inputKind"])
    return {**defaults["defaultInputSettings"], **reply["inputSettings"]}


def offset_ms(obs: Asks, name: str) -> int:
    """Return an input's audio sync offset in milliseconds."""
    return int(obs.ask("GetInputAudioSyncOffset", inputName=name)["inputAudioSyncOffset"])


def is_muted(obs: Asks, name: str) -> bool:
    """Whether an input is muted in the mixer."""
    return bool(obs.ask("GetInputMute", inputName=name)["inputMuted"])

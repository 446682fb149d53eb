"""Sections of the outputs that carry the face's parameters instead of its picture."""

from typing import Literal

from pydantic import Field

from rest_bridge.config_section import Section


class RigSection(Section):
    """What the outputs of rig values have in common."""

    enabled: bool = Field(default=False, description="Send rig values there.")
    path: Literal["matched", "fast"] = Field(
        default="matched",
        description='"matched" sends with the pictures and the delayed voice; "fast" as soon as '
        "the motion is known, ahead of them, for an avatar drawn elsewhere.",
    )
    rate: int = Field(
        default=60,
        ge=25,
        le=120,
        description="Instants per second; other rates than 25 are interpolated, which costs 40 "
        "milliseconds.",
    )


class VmcSection(RigSection):
    """VMC receivers: VSeeFace, Warudo, Unity, Godot, Blender (extra `osc`)."""

    host: str = Field(default="127.0.0.1", description="Where the receiver runs.")
    port: int = Field(default=39539, ge=1, le=65535, description="UDP port of the receiver.")
    naming: Literal["vrm0", "vrm1", "arkit", "ARKit"] = Field(
        default="vrm1",
        description="Names of the avatar's expressions: VRM 0, VRM 1, or the 52 of a perfect-sync "
        "avatar as browInnerUp (arkit) or BrowInnerUp (ARKit).",
    )


class LiveLinkSection(RigSection):
    """Unreal Engine, as Epic's Live Link Face app does."""

    host: str = Field(default="127.0.0.1", description="Where Unreal runs.")
    port: int = Field(default=11111, ge=1, le=65535, description="UDP port of its source.")
    subject: str = Field(
        default="rest_bridge", min_length=1, max_length=63, description="Name that Unreal lists."
    )


class VTubeStudioSection(RigSection):
    """VTube Studio: moves the Live2D model that is loaded there."""

    host: str = Field(default="127.0.0.1", description="Where VTube Studio runs.")
    port: int = Field(
        default=0, ge=0, le=65535, description="Port of its API. 0: found by its announcement."
    )
    rate: int = Field(
        default=30, ge=25, le=60, description="Instants per second; each waits for an answer."
    )


class RigLinesSection(RigSection):
    """One line of JSON an instant, for any program."""

    target: str = Field(
        default="-", description='File or named pipe to write; "-" is standard output.'
    )
    rate: int = Field(default=25, ge=25, le=120, description="Instants per second.")

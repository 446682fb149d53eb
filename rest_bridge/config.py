"""What a person may choose: sections and keys of a configuration, with units, ranges, defaults.

The lowest layer: it knows no devices, no model and no files of its own. Reading files, environment
variables and options is `config_sources`; writing a commented file is `config_text`.
Every key has a description, every number a unit and a range: `config init` prints them.
"""

from typing import Annotated, Any, Final, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field, model_validator

from rest_bridge.config_rig import (
    LiveLinkSection,
    RigLinesSection,
    VmcSection,
    VTubeStudioSection,
)
from rest_bridge.config_section import Section
from rest_bridge.types import FRAME_RATE_HZ

LOOPBACK_HOSTS: Final = frozenset({"127.0.0.1", "localhost", "[::1]", "::1"})
FRAME_RATES: Final = (24, 25, 30, 50, 60)
"""Rates at which a frame holds a whole number of the voice's 48,000 samples a second."""


def _check_endpoint(value: str) -> str:
    parts = urlsplit(value)
    try:
        port = parts.port
    except ValueError:
        port = None
    if parts.scheme != "tcp" or not parts.hostname or not port:
        raise ValueError('must look like "tcp://127.0.0.1:5570" with a port from 1 to 65535')
    return value


def _check_frame_rate(value: int) -> int:
    if value in FRAME_RATES:
        return value
    raise ValueError(f"is not possible: must be one of {', '.join(map(str, FRAME_RATES))}")


FrameRate = Annotated[int, AfterValidator(_check_frame_rate)]
Endpoint = Annotated[str, AfterValidator(_check_endpoint)]


class AvatarSection(Section):
    """The face."""

    picture: str = Field(
        default="default",
        description="The face: name of a built-in one (see `rest-bridge avatar list`), a picture "
        "(png, jpg, webp, ...) or an avatar file (.npz) made by `rest-bridge avatar import`.",
    )
    landmarks: str = Field(
        default="",
        description="File with 66 landmarks [[x, y], ...] in pixels of the picture (json), where "
        "the automatic ones err. Empty: found automatically.",
    )
    style: Literal["auto", "photo", "painting", "drawn"] = Field(
        default="auto", description="How to paint what a picture does not show, like closed eyes."
    )
    face: int = Field(
        default=0,
        ge=0,
        le=99,
        description="Which face to take where a picture has several, 1 = the largest. 0: only one "
        "is accepted.",
    )
    mouth_open: str = Field(
        default="", description="The same picture with an open mouth. Empty: painted."
    )
    eyes_closed: str = Field(
        default="", description="The same picture with closed eyes. Empty: painted."
    )


class ModelSection(Section):
    """The trained networks and what computes them."""

    package: str = Field(
        default="",
        description="Folder of the model package. Empty: the one that came with rest_bridge.",
    )
    provider: Literal["auto", "cpu", "cuda", "tensorrt", "directml", "coreml", "openvino"] = Field(
        default="auto",
        description="What computes: auto measures what your ONNX Runtime offers, once, and takes "
        "the fastest; a name takes that one, and the CPU, with a warning, where it does not work.",
    )
    threads: int = Field(
        default=1,
        ge=1,
        le=64,
        description="CPU threads of each network; 1 is best up to 512 pixels.",
    )


class AudioSection(Section):
    """The voice that the face speaks with."""

    source: str = Field(
        default="mic",
        description="Where the voice comes from: mic, system (what the computer plays), push (PCM "
        "sent to endpoints.audio_in), the name of a device (see `rest-bridge devices`), or a file.",
    )
    gain_db: float = Field(
        default=0.0, ge=-40, le=40, description="Gain before anything else, decibels."
    )
    gate_db: float = Field(
        default=-90.0,
        ge=-90,
        le=-10,
        description="Quieter than this is silence: keeps fans and keyboards from the face and from "
        "the voice output. Decibels of full scale; -90 lets everything through.",
    )
    nearest_db: float = Field(
        default=9.0,
        ge=0,
        le=40,
        description="Voices so much softer than the nearest talker's move no lips: other people in "
        "the room. Live voices only; decibels; 0 lets every voice move them.",
    )
    voices_only: bool = Field(
        default=True,
        description="Music, typing, noise and a crowd without anybody in front move no lips, only "
        "sound with a near voice in it does (singing, too). Live voices only.",
    )
    foreground: Literal["live", "always", "never"] = Field(
        default="never",
        description="Hear the nearest talker alone: other voices, music and noise behind the voice "
        "hardly reach the lips (on trial: loses a little in steady noise). With live voices, "
        "always (files and pushed voices, too), or never.",
    )
    loop: bool = Field(default=False, description="Start a file again when it has ended.")
    latency_ms: int = Field(
        default=40, ge=10, le=500, description="Latency asked of the sound device, milliseconds."
    )


class OutputSection(Section):
    """The picture that is generated, a square."""

    size: int = Field(
        default=512, ge=64, le=2048, multiple_of=2, description="Width and height, pixels, even."
    )
    fps: FrameRate = Field(
        default=FRAME_RATE_HZ,
        ge=24,
        le=60,
        description="Frames per second: 24, 25, 30, 50 or 60. The motion is generated at 25 and "
        "interpolated for other rates.",
    )


class EndpointsSection(Section):
    """ZeroMQ addresses (plugins/PROTOCOL.md)."""

    enabled: bool = Field(default=True, description="Publish frames, rig values, voice and events.")
    frames: Endpoint = Field(
        default="tcp://127.0.0.1:5570", description="Frames: XPUB, lossy, newest first."
    )
    events: Endpoint = Field(
        default="tcp://127.0.0.1:5571",
        description="Rig values, delayed voice, events, statistics: PUB.",
    )
    control: Endpoint = Field(
        default="tcp://127.0.0.1:5572", description="Commands and replies: ROUTER."
    )
    audio_in: Endpoint = Field(
        default="tcp://127.0.0.1:5573", description='Pushed PCM, opened with audio.source = "push".'
    )
    insecure: bool = Field(
        default=False,
        description="Allow addresses other than this computer's own without keys. Anyone on that "
        "network can then watch and steer; there is no encryption.",
    )
    keys: str = Field(
        default="",
        description="Folder of keys (see rest-bridge keys): connections are encrypted, and only "
        "those whom you allowed may connect, from other computers, too. Empty: no keys.",
    )

    @model_validator(mode="after")
    def _loopback_unless_insecure(self) -> "EndpointsSection":
        for name in ("frames", "events", "control", "audio_in"):
            value = str(getattr(self, name))
            is_open = urlsplit(value).hostname not in LOOPBACK_HOSTS
            if is_open and not self.insecure and not self.keys:
                raise ValueError(
                    f'{name} = "{value}" can be reached from other computers; use 127.0.0.1, '
                    "or make keys with `rest-bridge keys new` and set endpoints.keys, or set "
                    "endpoints.insecure = true if everybody may connect"
                )
        return self


class PreviewSection(Section):
    """The page that shows the face in a browser or as an OBS browser source."""

    enabled: bool = Field(default=True, description="Serve the preview page.")
    port: int = Field(default=5580, ge=1, le=65535, description="Port on 127.0.0.1.")
    open_browser: bool = Field(default=False, description="Open the page when the daemon starts.")
    token: str = Field(
        default="",
        max_length=128,
        pattern=r"^[A-Za-z0-9_-]*$",
        description="Secret in the page's address. Empty: a new one at every start; set one to "
        "keep an OBS browser source valid.",
    )


class CameraSection(Section):
    """The virtual camera (extra `cam`)."""

    enabled: bool = Field(default=False, description="Send to a virtual camera.")
    device: str = Field(
        default="",
        description='Device, like "/dev/video10" or "OBS Virtual Camera". Empty: the first.',
    )
    backend: Literal["", "obs", "unitycapture", "v4l2loopback"] = Field(
        default="", description="Empty: the first that works."
    )
    width: int = Field(
        default=1280, ge=64, le=4096, multiple_of=4, description="Width, pixels, by 4."
    )
    height: int = Field(
        default=720, ge=64, le=4096, multiple_of=2, description="Height, pixels, even."
    )
    fps: int = Field(
        default=30, ge=5, le=60, description="Frames per second; the last one is repeated."
    )
    fit: Literal["contain", "cover", "stretch"] = Field(
        default="contain", description="How the square is put into the camera's shape."
    )
    background: str = Field(
        default="#202428",
        description="Behind and beside the face, as cameras have no transparency: #RRGGBB, a "
        "colour's name, a picture file, or blur (the portrait itself, out of focus).",
    )
    mirror: bool = Field(
        default=False,
        description="Swap left and right. Call programs mirror your own view by themselves.",
    )


class RecordingSection(Section):
    """Recording what is shown and heard."""

    path: str = Field(
        default="",
        description="File to write; its ending chooses the format: .mp4 (H.264 + AAC), .webm "
        "(VP9 + Opus, transparent), .mov (ProRes 4444, transparent). Empty: no recording.",
    )
    background: str = Field(
        default="#202428",
        description="Behind the face in formats without transparency: #RRGGBB, a colour's name, "
        "or a picture file.",
    )


class VoiceOutSection(Section):
    """The voice, delayed by exactly as much as the picture."""

    device: str = Field(
        default="",
        description="Output device by name, or default (see `rest-bridge devices`). Empty: none.",
    )
    gain_db: float = Field(default=0.0, ge=-40, le=20, description="Gain, decibels.")
    offset_ms: int = Field(
        default=0,
        ge=-200,
        le=1000,
        description="Extra delay of this output against the picture, milliseconds.",
    )


class GeneratorSection(Section):
    """How the motion is generated."""

    seed: int = Field(
        default=0,
        ge=0,
        le=2**31 - 1,
        description="Same seed and voice: same frames. Any whole number.",
    )
    steps: int = Field(
        default=0,
        ge=0,
        le=32,
        description="Denoising steps per chunk; more is finer and slower. 0: the model's own.",
    )
    chunk: int = Field(
        default=0,
        ge=0,
        le=12,
        description="Latent frames of 80 milliseconds generated together, whatever the voice is. "
        "0: as the next three keys say.",
    )
    chunk_live: int = Field(
        default=1,
        ge=1,
        le=12,
        description="The same for microphones and what the computer plays; 1 has least latency.",
    )
    chunk_push: int = Field(
        default=1,
        ge=1,
        le=12,
        description="The same for pushed speech; 1 shows the first frame soonest.",
    )
    chunk_file: int = Field(
        default=2,
        ge=1,
        le=12,
        description="The same for files, whose latency nobody sees: longer ones take less time.",
    )
    articulation: float = Field(
        default=1.0,
        ge=0,
        le=1,
        description="How much lips are shaped by what is said: p, b, m shut, f, v on the teeth, "
        "o, u round. 0: only as the motion network has them.",
    )
    tier: Literal["auto", "full", "lean", "sparse", "still"] = Field(
        default="auto",
        description="Effort: auto makes less while the computer is short of time. full, lean "
        "(fewer steps, smaller picture), sparse (every second picture), still (four a second).",
    )


class SteeringSection(Section):
    """What is asked of the face from the start; `rest-bridge ctl expression` changes it live."""

    expression: str = Field(
        default="",
        description="Like happy, happy=0.6 or happy=0.5,brow=-0.3: neutral, happy, sad, angry, "
        "surprised and smile from 0 to 1, brow from -1 (frown) to 1 (raised). Empty: neutral.",
    )
    gaze: str = Field(
        default="",
        description="Where the eyes look, x,y from -1 to 1, x to the picture's right, y up; 0,0 is "
        "at the viewer. Empty: they wander.",
    )
    head_motion: float = Field(
        default=1.0, ge=0, le=2, description="Amount of head motion: 0 still, 1 normal, 2 vivid."
    )
    blink_rate: float = Field(
        default=1.0, ge=0, le=3, description="Blinks as a multiple of the usual rate; 0 never."
    )


class LoggingSection(Section):
    """What is written about a run; never the voice or the picture."""

    level: Literal["debug", "info", "warning", "error"] = Field(
        default="warning", description="Least important message that is still shown."
    )
    file: str = Field(
        default="", description="Also write messages to this file. Empty: only stderr."
    )


class Config(Section):
    """All sections. `Config()` holds the defaults.

    Attributes:
        avatar: the face.
        model: networks and what computes them.
        audio: the voice in.
        output: size and rate of the picture.
        endpoints: ZeroMQ addresses.
        preview: page for browsers.
        camera: virtual camera.
        recording: file out.
        voice_out: delayed voice.
        vmc: rig values to VMC receivers.
        live_link: rig values to Unreal Engine.
        vtube_studio: rig values to VTube Studio.
        rig_lines: rig values as lines of JSON.
        generator: seed, steps, chunks, tier.
        steering: expression, gaze, head motion, blinks.
        logging: level and file.
    """

    avatar: AvatarSection = AvatarSection()
    model: ModelSection = ModelSection()
    audio: AudioSection = AudioSection()
    output: OutputSection = OutputSection()
    endpoints: EndpointsSection = EndpointsSection()
    preview: PreviewSection = PreviewSection()
    camera: CameraSection = CameraSection()
    recording: RecordingSection = RecordingSection()
    voice_out: VoiceOutSection = VoiceOutSection()
    vmc: VmcSection = VmcSection()
    live_link: LiveLinkSection = LiveLinkSection()
    vtube_studio: VTubeStudioSection = VTubeStudioSection()
    rig_lines: RigLinesSection = RigLinesSection()
    generator: GeneratorSection = GeneratorSection()
    steering: SteeringSection = SteeringSection()
    logging: LoggingSection = LoggingSection()


def sections() -> dict[str, type[Section]]:
    """Return the section classes by name, in the order of the file."""
    found: dict[str, type[Section]] = {}
    for name, field in Config.model_fields.items():
        assert isinstance(field.annotation, type)
        assert issubclass(field.annotation, Section)
        found[name] = field.annotation
    return found


def key_names() -> list[str]:
    """Return every key as "section.key", in the order of the file."""
    return [f"{s}.{key}" for s, cls in sections().items() for key in cls.model_fields]


def number_range(section: str, key: str) -> tuple[Any, Any] | None:
    """Return the allowed (lowest, highest) of a numeric key, or None for other keys."""
    low = high = None
    for rule in sections()[section].model_fields[key].metadata:
        low = getattr(rule, "ge", low)
        high = getattr(rule, "le", high)
    return None if low is None or high is None else (low, high)

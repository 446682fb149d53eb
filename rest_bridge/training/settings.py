"""Settings of a training run: one TOML file, a section for the model and one for each stage.

Place in the flow: configs/train/*.toml -> here -> `stages`. Every key is checked: a wrong name or a
wrong kind of value is one sentence that names the file, the key and what is possible.
"""

import dataclasses
import tomllib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, TypeVar, cast, get_type_hints

from rest_bridge.errors import ConfigError
from rest_bridge.model.audio_encoder import SpeechConfig
from rest_bridge.model.dit import DitConfig

SHIPPED_STEPS: Final = 1
"""Denoising steps that the package takes by default, hence those by which weights are judged: with
two, the first guess stands in what the second step reads, and hides what was learnt (LOG.md)."""
STAGES: Final = ("vae", "speech", "teacher", "student", "asd", "distill")
"""In the order in which they build on one another."""
_CHOICES: Final[dict[str, tuple[str, ...]]] = {
    "precision": ("bf16", "float32"), "contrast_on": ("velocity", "clean"),
}  # fmt: skip
_COUNTS: Final = (
    "batch_size", "accumulate", "num_latents", "sampling_steps", "teacher_steps", "validate_steps",
)  # fmt: skip
_SHARES: Final = (
    "ema", "babble", "tract", "synchronous", "full_noise", "drop_audio", "drop_reference",
    "drop_context", "own_context", "truth", "rollouts",
)  # fmt: skip
Settings = TypeVar("Settings")


@dataclass(frozen=True, slots=True)
class ModelSettings:
    """Size of SpeechAE and DiT, and what the paper leaves open; see `DitConfig`, `SpeechConfig`."""

    patch: int = 4
    width: int = 192
    num_blocks: int = 6
    num_heads: int = 6
    feed_forward: int = 576
    window: int = 6
    context: str = "clean"
    sink_place: str = "timeless"
    first_chunk: str = "masked"
    order: str = "self-audio"
    audio_width: int = 96
    speech_width: int = 96

    def dit(self) -> DitConfig:
        """Return the DiT's configuration."""
        values = dataclasses.asdict(self)
        del values["speech_width"]
        return DitConfig(**values)

    def speech(self) -> SpeechConfig:
        """Return SpeechAE's configuration: its channels grow by a third at each halving of time."""
        widths = [round(self.speech_width * share / 3) for share in (3, 4, 5, 6)]
        return SpeechConfig(widths=(widths[0], widths[1], widths[2], widths[3]),
                            token_width=self.audio_width)  # fmt: skip


@dataclass(frozen=True, slots=True)
class StageSettings:
    """What every stage has.

    Attributes:
        start: checkpoint to begin from; empty for the stage before.
        steps, seconds: when to stop; 0 for no limit. A resumed run counts its earlier steps, and
            the seconds of this start.
        batch_size, accumulate: crops of a micro-batch, micro-batches of a step.
        num_latents: length of a crop in latent frames of 80 ms.
        learning_rate, warm_up, weight_decay, clip: of AdamW; steps of warm-up; gradient norm.
        decay_from: share of `steps` after which the rate falls to a tenth in a half cosine.
        ema: decay of the averaged weights that are validated, handed on and exported.
        precision: "bf16" (autocast) or "float32".
        save_every_s, validate_every_s: wall clock; 0 for never.
        validate_steps: denoising steps of the validation; as many as shall be shipped.
        babble: share of crops behind whose talker others talk, mixed anew each time.
        tract: share of crops with another vocal tract or a missing band, drawn anew each time.
    """

    start: str = ""
    steps: int = 0
    seconds: float = 0.0
    batch_size: int = 24
    accumulate: int = 1
    num_latents: int = 32
    learning_rate: float = 5e-4
    warm_up: int = 100
    weight_decay: float = 0.01
    clip: float = 1.0
    decay_from: float = 1.0
    ema: float = 0.997
    precision: str = "bf16"
    save_every_s: float = 120.0
    validate_every_s: float = 0.0
    validate_steps: int = SHIPPED_STEPS
    babble: float = 0.0
    tract: float = 0.0


@dataclass(frozen=True, slots=True)
class SpeechSettings(StageSettings):
    """SpeechAE alone.

    Attributes:
        contrastive, probe: weights of the losses beside the reconstruction.
    """

    contrastive: float = 0.1
    probe: float = 1.0


@dataclass(frozen=True, slots=True)
class MotionSettings(StageSettings):
    """What teacher, student and distillation share.

    Attributes:
        speech_rate: SpeechAE's share of the learning rate; 0 freezes it.
        chunk_latents: latent frames of a chunk; 0 draws 1 to 4, one most often.
        synchronous: share of clips with one flow time for all chunks.
        full_noise: share of flow times that are exactly 1, where every sampler begins.
        drop_audio, drop_reference: shares of crops without each.
        motion: weight of the loss on frame differences, those inside a latent frame and those
            across its border alike.
        closure, still: weights of the losses on lips that must shut and on lips at rest.
        bite: weight of the loss on the shape of lips in p, b, m against f, v.
    """

    speech_rate: float = 0.0
    chunk_latents: int = 3
    synchronous: float = 0.5
    full_noise: float = 0.0
    drop_audio: float = 0.1
    drop_reference: float = 0.1
    motion: float = 1.0
    closure: float = 0.5
    still: float = 0.5
    bite: float = 0.0


@dataclass(frozen=True, slots=True)
class StudentSettings(MotionSettings):
    """The streaming student.

    Attributes:
        drop_context: share of crops without Context-Cache.
        context_noise: largest noise on the context, latent units.
        own_context: share of steps whose context is the student's own prediction.
    """

    drop_context: float = 0.0
    context_noise: float = 0.0
    own_context: float = 0.0


@dataclass(frozen=True, slots=True)
class AsdSettings(StudentSettings):
    """Asynchronous streaming distillation.

    Attributes:
        teacher: its checkpoint; empty for the stage of that name.
        contrastive, smoothness: weights of InfoNCE and of second differences (paper: 0.2, 0.2).
        temperature: of InfoNCE.
        contrast_on: "velocity" as in the paper, or "clean" (predicted x_0, without the noise that
            both velocities share).
    """

    teacher: str = ""
    contrastive: float = 0.2
    smoothness: float = 0.2
    temperature: float = 0.1
    contrast_on: str = "velocity"


@dataclass(frozen=True, slots=True)
class DistillSettings(StudentSettings):
    """Step distillation.

    Attributes:
        sampling_steps: denoising steps that the student shall need.
        teacher_steps: steps of the frozen student for one of these.
        truth: weight of the data beside the frozen student's answer, 0 to 1.
        rollouts: share of steps on a context that the student really streamed.
    """

    sampling_steps: int = 2
    teacher_steps: int = 4
    truth: float = 0.5
    rollouts: float = 0.5


@dataclass(frozen=True, slots=True)
class PhoneSettings(StageSettings):
    """The phone network; see `training.phones`. `start` names a checkpoint with a SpeechAE.

    Attributes:
        width: channels at 100 Hz; a third more at each halving of time.
    """

    width: int = 96


@dataclass(frozen=True, slots=True)
class VaeSettings:
    """The video VAE; see `training.vae`.

    Attributes:
        data: folder of its shards; empty leaves the stage out of `all`.
        seconds, batch_size, frames, learning_rate, width, reference_width, encoder_width: as in
            `training.vae.VaeRun`.
    """

    data: str = ""
    seconds: float = 3600.0
    batch_size: int = 10
    frames: int = 4
    learning_rate: float = 1.5e-3
    width: int = 12
    reference_width: int = 20
    encoder_width: int = 24


@dataclass(frozen=True, slots=True)
class TrainSettings:
    """A whole run.

    Attributes:
        data: folder written by `speech-data`.
        out: folder for checkpoints, loss curves and TensorBoard.
        seed: of weights, batches and noise.
        threads: of each process; 0 leaves it to torch.
        model, vae, speech, teacher, student, asd, distill, phones: sections.
    """

    data: str
    out: str = "runs/nano"
    seed: int = 1
    threads: int = 1
    model: ModelSettings = field(default_factory=ModelSettings)
    vae: VaeSettings = field(default_factory=VaeSettings)
    speech: SpeechSettings = field(default_factory=SpeechSettings)
    teacher: MotionSettings = field(default_factory=MotionSettings)
    student: StudentSettings = field(default_factory=StudentSettings)
    asd: AsdSettings = field(default_factory=AsdSettings)
    distill: DistillSettings = field(default_factory=DistillSettings)
    phones: PhoneSettings = field(default_factory=PhoneSettings)


def read_settings(path: Path, changes: list[str] | None = None) -> TrainSettings:
    """Read a run's settings.

    Args:
        path: a TOML file.
        changes: "section.key=value" (or "key=value"), applied over the file; values as in TOML,
            a bare word is a string.

    Raises:
        ConfigError: the file cannot be read, a key is unknown or a value of the wrong kind.
    """
    try:
        with path.open("rb") as file:
            values = tomllib.load(file)
    except OSError as error:
        raise ConfigError(
            f"The training settings cannot be read ({error.strerror}): {path}"
        ) from error
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"The training settings are not TOML ({error}): {path}") from error
    for change in changes or []:
        _apply(values, change)
    settings = _build(TrainSettings, values, "", path)
    settings.model.dit()
    return settings


def _apply(values: dict[str, Any], change: str) -> None:
    name, equals, text = change.partition("=")
    *sections, key = name.strip().split(".")
    if not equals or not key or len(sections) > 1:
        raise ConfigError(f'"{change}" changes no setting; write section.key=value.')
    try:
        value = tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        value = text.strip()
    for section in sections:
        values = values.setdefault(section, {})
    values[key] = value


def _build(kind: type[Settings], values: Any, where: str, path: Path) -> Settings:
    if not isinstance(values, dict):
        raise ConfigError(f"{where.rstrip('.')} must be a section of its own in {path}.")
    hints = get_type_hints(kind)
    table = cast(dict[str, Any], values)
    unknown = sorted(table.keys() - hints.keys())
    if unknown:
        raise ConfigError(
            f"{where}{unknown[0]} is no setting; known are {', '.join(sorted(hints))}: {path}"
        )
    built = {name: _value(hints[name], value, where + name, path) for name, value in table.items()}
    try:
        return kind(**built)
    except TypeError as error:
        raise ConfigError(f"The training settings lack `data`, the folder to read: {path}"
                          ) from error  # fmt: skip


def _value(wanted: type[Any], value: Any, where: str, path: Path) -> Any:
    if dataclasses.is_dataclass(wanted):
        return _build(wanted, value, f"{where}.", path)
    if wanted is float and isinstance(value, int) and not isinstance(value, bool):
        value = float(value)
    if type(value) is not wanted:
        raise ConfigError(
            f"{where} = {value!r} must be of kind {wanted.__name__}, not {type(value).__name__}: "
            f"{path}"
        )
    if wanted in (int, float) and value < 0:
        raise ConfigError(f"{where} = {value} must not be negative: {path}")
    _check_range(where, value, path)
    return value


def _check_range(where: str, value: Any, path: Path) -> None:
    name = where.rpartition(".")[2]
    known = _CHOICES.get(name)
    if known and value not in known:
        raise ConfigError(
            f"{where} = {value!r} does not exist; choose {' or '.join(known)}: {path}"
        )
    if name in _COUNTS and value < 1:
        raise ConfigError(f"{where} = {value} must be at least 1: {path}")
    if name in _SHARES and value > 1:
        raise ConfigError(f"{where} = {value} is a share and must not be above 1: {path}")

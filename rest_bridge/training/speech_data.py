"""Sessions of speech with motion -> features, targets and conditions, stored and served in batches.

Place in the flow: `speech_sources` -> here -> `train_speech`, `train_dit`. A session is a stretch
of one source with pauses before and after; it is stored in several versions (another life, another
degradation of the sound, normaliser warm or cold). What depends on the reference picture and on
hotkeys is composed when a batch is drawn.

Shape letters: B batch, T latent frames, F = 2T video frames, M mel frames, V versions.
"""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from rest_bridge.errors import ConfigError
from rest_bridge.features.mel import FRAMES_PER_SECOND, LogMel, MelConfig
from rest_bridge.generator import conditions
from rest_bridge.generator.life import LifePlanner
from rest_bridge.rig import RIG_INDEX, mirror_rig
from rest_bridge.training import augment_audio, prosody
from rest_bridge.training.curves import gaussian_smooth
from rest_bridge.training.speech_sources import Utterance
from rest_bridge.types import FRAME_RATE_HZ, LATENT_STRIDE, MODEL_RATE_HZ

FloatArray = npt.NDArray[np.float32]

LOOKAHEAD_FRAMES: Final = 4
"""Mel frames (10 ms) that SpeechAE hears beyond a latent frame's end."""
MEL_PER_LATENT: Final = LATENT_STRIDE * FRAMES_PER_SECOND // FRAME_RATE_HZ
HISTORY_LATENTS: Final = 8
"""Latent frames of sound before a crop; SpeechAE remembers no more than this."""
_SAMPLES_PER_FRAME: Final = MODEL_RATE_HZ // FRAME_RATE_HZ
_STYLE_SHARES: Final = {"grid": 2.0, "facegood": 2.0, "read": 2.4, "synthetic": 1.4,
                        "foreign": 0.8, "negative": 0.25}  # fmt: skip


@dataclass(slots=True)
class Session:
    """One stretch of a source, stored.

    Attributes:
        name, style: of its first utterance; style "negative" has no voice.
        mel: float16 [V, H + M, 80], H = HISTORY_LATENTS * 8 + lookahead frames of history.
        mouth: float16 [F, 58], mouth (and tracked brows).
        life: float32 [V, F, 9]: blink, gaze x, gaze y, then the six pose values (slow part).
        slow: float32 [V, T, 3]: slow pose in degrees, the condition.
        accents: float32 [F, 2]: nod in degrees, brow raise; both scaled by `amount`.
        tracked: the pose is real, with its own accents inside.
        weight: float32 [F], 3 on closures and rest.
        closure: float16 [F]. rest: bool [F].
    """

    name: str
    style: str
    mel: npt.NDArray[np.float16]
    mouth: npt.NDArray[np.float16]
    life: FloatArray
    slow: FloatArray
    accents: FloatArray
    tracked: bool
    weight: FloatArray
    closure: npt.NDArray[np.float16]
    rest: npt.NDArray[np.bool_]

    @property
    def num_latents(self) -> int:
        """Whole latent frames."""
        return len(self.mouth) // LATENT_STRIDE


@dataclass(frozen=True, slots=True)
class Batch:
    """Arrays of one training step; see `compose`.

    Attributes:
        mel: float32 [B, (HISTORY_LATENTS + T) * 8, 80].
        rig: float32 [B, 2T, 58], the target.
        reference: float32 [B, 58], rig of the reference picture.
        conditions: float32 [B, T, len(CONDITION_NAMES)].
        weight: float32 [B, 2T], 5 on closures, 3 on rest, else 1.
    """

    mel: FloatArray
    rig: FloatArray
    reference: FloatArray
    conditions: FloatArray
    weight: FloatArray


# --- building -------------------------------------------------------------------------------------


def join_utterances(
    parts: Sequence[Utterance], rng: np.random.Generator, *, pauses: bool
) -> Utterance:
    """Chain utterances with pauses of silence between, before and after them.

    Args:
        parts: of one style.
        rng: source of the pauses' lengths.
        pauses: False chains them as they are.
    """

    def pause() -> Utterance:
        long = rng.random() < 0.06
        seconds = float(rng.uniform(3, 7) if long else rng.uniform(0.25, 1.5))
        count = int(seconds * FRAME_RATE_HZ) if pauses else 0
        return _silence(count)

    pieces: list[Utterance] = [pause()]
    for part in parts:
        count = min(len(part.mouth), len(part.samples) // _SAMPLES_PER_FRAME)
        pieces += [_cut(part, count), pause()]
    pieces = [p for p in pieces if len(p.mouth)]
    poses = [p.pose for p in pieces if p.pose is not None]
    brows = [p.brow for p in pieces if p.brow is not None]
    return Utterance(
        name=parts[0].name,
        style=parts[0].style,
        samples=np.concatenate([p.samples for p in pieces]),
        mouth=np.concatenate([p.mouth for p in pieces]),
        closure=np.concatenate([p.closure for p in pieces]),
        rest=np.concatenate([p.rest for p in pieces]),
        pose=np.concatenate(poses) if len(poses) == len(pieces) else None,
        brow=np.concatenate(brows) if len(brows) == len(pieces) else None,
    )


def _cut(part: Utterance, count: int) -> Utterance:
    return Utterance(
        part.name, part.style, part.samples[: count * _SAMPLES_PER_FRAME], part.mouth[:count],
        part.closure[:count], part.rest[:count],
        None if part.pose is None else part.pose[:count],
        None if part.brow is None else part.brow[:count],
    )  # fmt: skip


def _silence(num_frames: int) -> Utterance:
    return Utterance(
        "pause", "pause", np.zeros(num_frames * _SAMPLES_PER_FRAME, np.float32),
        np.zeros((num_frames, 58), np.float32), np.zeros(num_frames, np.float32),
        np.ones(num_frames, bool),
    )  # fmt: skip


def negative_utterance(index: int, rng: np.random.Generator, seconds: float = 12.0) -> Utterance:
    """Make sound without a voice (noise, hum, chords, knocks): the mouth stays shut."""
    count = int(seconds * FRAME_RATE_HZ)
    num_samples = count * _SAMPLES_PER_FRAME
    t = np.arange(num_samples) / MODEL_RATE_HZ
    slope = float(rng.uniform(-6, 0))
    sound = augment_audio.coloured_noise(num_samples, rng, slope_db_per_octave=slope)
    kind = index % 3
    if kind == 1:  # chords of plucked or held strings
        sound *= 0.02
        for start in np.arange(0, seconds, float(rng.uniform(0.25, 0.8))):
            since = np.maximum(t - start, 0)
            envelope = (t >= start) * np.exp(-since * float(rng.uniform(1.0, 5.0)))
            for root in rng.choice([110, 131, 165, 196, 220, 262, 330, 392], 3):
                for harmonic in range(1, 6):
                    tone = np.sin(2 * np.pi * float(root) * harmonic * since) / harmonic
                    sound += (0.3 * envelope * tone).astype(np.float32)
    elif kind == 2:  # knocks and clicks
        sound *= 0.02
        for start in rng.uniform(0, seconds - 0.2, 30):
            first = int(start * MODEL_RATE_HZ)
            length = int(rng.integers(200, 3000))
            decay = np.exp(-np.arange(length) / (0.2 * length))
            knock = rng.standard_normal(length) * decay
            stop = min(first + length, num_samples)
            sound[first:stop] += knock[: stop - first].astype(np.float32)
    level = 10 ** (float(rng.uniform(-46, -20)) / 20)
    sound = (sound / (np.sqrt(np.mean(sound**2)) + 1e-9) * level).astype(np.float32)
    utterance = _silence(count)
    return Utterance(
        f"negative-{index}", "negative", np.clip(sound, -1, 1), utterance.mouth,
        utterance.closure, utterance.rest,
    )  # fmt: skip


def build_session(
    utterance: Utterance,
    mel: LogMel,
    rng: np.random.Generator,
    *,
    num_versions: int,
    history: FloatArray,
    voices: Sequence[FloatArray],
) -> Session:
    """Turn a chained utterance into a stored session.

    Args:
        utterance: from `join_utterances`.
        mel: the features.
        rng: source of lives and degradations.
        num_versions: 1 for clean only; the first is always clean.
        history: float32 [S], sound of the same talker that came before (any length).
        voices: other talkers, for babble.
    """
    count = len(utterance.mouth) // LATENT_STRIDE * LATENT_STRIDE
    times_s = (np.arange(count) + 0.5) / FRAME_RATE_HZ
    samples = utterance.samples[: count * _SAMPLES_PER_FRAME]
    mels, lives, slows = [], [], []
    for version in range(num_versions):
        degraded = version > 0 and rng.random() < 0.6
        mels.append(
            _features(samples, history, mel, rng, voices if degraded else None, version=version)
        )
        planner = LifePlanner(int(rng.integers(2**31)))
        pose = np.zeros((count, 6), np.float32)
        if utterance.pose is not None:
            pose[:] = utterance.pose[:count]
            slow = gaussian_smooth(pose[:, :3], 15)
        else:
            pose[:, :3] = planner.sway_deg(times_s)
            slow = pose[:, :3]
        slows.append(slow.reshape(-1, LATENT_STRIDE, 3).mean(1))
        blink, gaze = planner.blink(times_s), planner.gaze(times_s)
        lives.append(np.concatenate([blink[:, None], gaze, pose], 1))
    mouth = utterance.mouth[:count].copy()
    if utterance.brow is not None:
        brow = utterance.brow[:count]
        mouth += conditions.expression_to_rig(np.zeros_like(brow), brow)
    moving = utterance.pose is None and utterance.style != "negative"
    moments = prosody.accents(samples) if moving else []
    rest, closure = utterance.rest[:count], utterance.closure[:count]
    return Session(
        name=utterance.name,
        style=utterance.style,
        mel=np.stack(mels).astype(np.float16),
        mouth=mouth.astype(np.float16),
        life=np.stack(lives).astype(np.float32),
        slow=np.stack(slows).astype(np.float32),
        accents=prosody.accent_curves(moments, times_s),
        tracked=utterance.pose is not None,
        weight=(1 + 2 * np.maximum(closure, rest)).astype(np.float32),
        closure=closure.astype(np.float16),
        rest=rest,
    )


def _features(
    samples: FloatArray,
    history: FloatArray,
    mel: LogMel,
    rng: np.random.Generator,
    voices: Sequence[FloatArray] | None,
    *,
    version: int,
) -> FloatArray:
    kept = HISTORY_LATENTS * MEL_PER_LATENT * MODEL_RATE_HZ // FRAMES_PER_SECOND
    before = history[-4 * MODEL_RATE_HZ :]
    kind = float(rng.random())
    if version > 0 and kind < 0.3:  # a stream that has just begun
        before = np.zeros(kept, np.float32)
    elif version > 0 and kind < 0.45:  # somebody who was silent for a while
        before = np.zeros(int(rng.integers(5, 20)) * MODEL_RATE_HZ, np.float32)
    if len(before) < kept:
        before = np.concatenate([np.zeros(kept - len(before), np.float32), before])
    # The lookahead of the last latent frame hears silence beyond the end.
    tail = np.zeros(LOOKAHEAD_FRAMES * MODEL_RATE_HZ // FRAMES_PER_SECOND, np.float32)
    sound = np.concatenate([before, samples, tail])
    if voices is not None:
        sound = augment_audio.degrade(sound, voices, rng)
    room = rng.standard_normal(len(sound)) * 10 ** (float(rng.uniform(-92, -66)) / 20)
    if rng.random() < 0.75:  # else the pauses are digital silence
        sound = sound + room.astype(np.float32)
    if version > 0:
        sound = augment_audio.random_gain(sound, rng)
    frames, _ = mel.step(sound.astype(np.float32), mel.initial_state())
    wanted = HISTORY_LATENTS * MEL_PER_LATENT + len(samples) // 160 + LOOKAHEAD_FRAMES
    return frames[-wanted:]


def measure_mel(utterances: Sequence[Utterance], rng: np.random.Generator) -> MelConfig:
    """Mean and deviation of the log-mel of some training speech at usual levels."""
    blank = MelConfig(np.zeros(80, np.float32), np.ones(80, np.float32))
    mel = LogMel(blank)
    rows: list[FloatArray] = []
    for index in rng.choice(len(utterances), min(60, len(utterances)), replace=False):
        samples = augment_audio.random_gain(utterances[int(index)].samples, rng)
        starts = range(0, len(samples) - 400, 1600)
        rows += [mel.log_mel(samples[start : start + 400]) for start in starts]
    table = np.stack(rows)
    return MelConfig(table.mean(0).astype(np.float32), table.std(0).astype(np.float32))


# --- storage --------------------------------------------------------------------------------------

_ARRAYS: Final = ("mel", "mouth", "life", "slow", "accents", "weight", "closure", "rest")


def save_sessions(sessions: Sequence[Session], path: Path) -> None:
    """Write sessions to one .npz (arrays) with their names and styles."""
    arrays: dict[str, Any] = {}
    for number, session in enumerate(sessions):
        for name in _ARRAYS:
            arrays[f"{number}.{name}"] = getattr(session, name)
    index = [{"name": s.name, "style": s.style, "tracked": s.tracked} for s in sessions]
    arrays["index"] = np.frombuffer(json.dumps(index).encode(), np.uint8)
    np.savez(path, **arrays)


def load_sessions(path: Path) -> list[Session]:
    """Read what `save_sessions` wrote."""
    with np.load(path, allow_pickle=False) as archive:
        index = json.loads(archive["index"].tobytes().decode())
        return [
            Session(**entry, **{name: archive[f"{number}.{name}"] for name in _ARRAYS})
            for number, entry in enumerate(index)
        ]


# --- batches --------------------------------------------------------------------------------------


def compose(
    session: Session,
    *,
    version: int,
    first: int,
    num_latents: int,
    rng: np.random.Generator | None,
) -> Batch:
    """Cut one crop and add what depends on the reference and on wishes; a batch of one.

    Args:
        session: to cut from.
        version: which sound and life.
        first: first latent frame.
        num_latents: T.
        rng: source of references, wishes and dropped conditions; None for a neutral reference,
            no wishes and all conditions but the style given (validation).
    """
    latents = slice(first, first + num_latents)
    frames = slice(first * LATENT_STRIDE, (first + num_latents) * LATENT_STRIDE)
    count = num_latents * LATENT_STRIDE
    mel_first = first * MEL_PER_LATENT + LOOKAHEAD_FRAMES
    mel_stop = mel_first + (HISTORY_LATENTS + num_latents) * MEL_PER_LATENT
    smile, brow, amount = np.zeros(count, np.float32), np.zeros(count, np.float32), 1.0
    reference = np.zeros(58, np.float32)
    if rng is not None:
        reference = random_reference(rng)
        amount = 1.0 if rng.random() < 0.4 else float(rng.uniform(0, 2))
        smile = _wish(rng, count, 0.0, 0.9)
        brow = _wish(rng, count, -0.7, 0.8)
    life = session.life[version, frames]
    rig = session.mouth[frames] * articulation(session.style)
    rig += conditions.eyes_to_rig(life[:, 0], life[:, 1:3])
    pose = life[:, 3:9].copy()
    raised = brow
    if not session.tracked:
        accents = session.accents[frames] * np.float32(amount)
        pose[:, 1] += accents[:, 0]
        raised = np.clip(brow + accents[:, 1], -1, 1)
        pose[:, 3] = 0.010 * pose[:, 0]
        pose[:, 4] = -0.012 * pose[:, 1]
        pose[:, 5] = 0.002 * pose[:, 1]
    # A reference that smiles goes on smiling, a little less.
    smiling = np.maximum(smile, reference[RIG_INDEX["mouthSmileLeft"]]).astype(np.float32)
    rig += conditions.expression_to_rig(smiling, raised)
    rig[:, :6] += pose + reference[:6]
    rig[:, 6:] = np.clip(rig[:, 6:], 0, 1)
    rows = conditions.condition_rows(
        blink=life[:, 0],
        gaze=life[:, 1:3],
        slow_pose_deg=session.slow[version, latents],
        smile=smile.reshape(-1, LATENT_STRIDE).mean(1),
        brow=brow.reshape(-1, LATENT_STRIDE).mean(1),
        amount=amount,
        style=session.style if rng is not None and session.style in conditions.STYLES else None,
    )
    if session.tracked:  # whose accents and brows are what they are
        rows[:, [conditions.CONDITION_INDEX["amountGiven"], 11]] = 0
    batch = Batch(
        session.mel[version, mel_first:mel_stop].astype(np.float32)[None],
        rig[None], reference[None], rows[None],
        (session.weight[frames] + 2 * session.closure[frames].astype(np.float32))[None],
    )  # fmt: skip
    return batch if rng is None else _vary(batch, rng)


def articulation(style: str) -> FloatArray:
    """Return float32 [58]: factors on the mouth of a source.

    Rule curves of running speech open a jaw to 0.28 (95 %) and squared error takes another fifth
    off: mumbling, on a screen. Lips that shut stay shut.
    """
    factors = np.ones(58, np.float32)
    wide = {"read": 1.35, "synthetic": 1.3, "foreign": 1.3}.get(style, 1.15)
    for name in ("jawOpen", "mouthClose", "mouthLowerDownLeft", "mouthLowerDownRight",
                 "mouthUpperUpLeft", "mouthUpperUpRight"):  # fmt: skip
        factors[RIG_INDEX[name]] = wide
    return factors


def _vary(batch: Batch, rng: np.random.Generator) -> Batch:
    """Mirror half of the crops and drop groups of conditions."""
    rows = batch.conditions.copy()
    rig, reference = batch.rig, batch.reference
    if rng.random() < 0.5:
        rig, reference = mirror_rig(rig), mirror_rig(reference)
        for name in ("gazeX0", "gazeX1", "yaw", "roll"):
            rows[..., conditions.CONDITION_INDEX[name]] *= -1
    groups = (conditions.EYES, conditions.POSE, conditions.EXPRESSION, conditions.AMOUNT)
    for flag, group in enumerate(groups):
        if rng.random() < 0.12:
            rows[..., group] = 0
            rows[..., 12 + flag] = 0
    if rng.random() < 0.4:
        rows[..., conditions.STYLE] = 0
    return Batch(batch.mel, rig, reference, rows, batch.weight)


def _wish(rng: np.random.Generator, count: int, low: float, high: float) -> FloatArray:
    """Return a wish that is off, constant, or changes once: float32 [count]."""
    kind = float(rng.random())
    if kind < 0.5:
        return np.zeros(count, np.float32)
    start, end = rng.uniform(low, high, 2)
    middle = float(rng.uniform(0, count)) if kind > 0.8 else 1e9
    blend = np.clip((np.arange(count) - middle) / 12, 0, 1)
    return (start + (end - start) * blend).astype(np.float32)


def random_reference(rng: np.random.Generator) -> FloatArray:
    """Return float32 [58]: the state in which a reference picture may have been taken."""
    rig = np.zeros(58, np.float32)
    if rng.random() < 0.7:
        rig[:6] = rng.normal(0, (5.0, 3.5, 2.5, 0.03, 0.03, 0.02))
    if rng.random() < 0.4:
        smile = float(rng.uniform(0, 0.6))
        for name in ("mouthSmileLeft", "mouthSmileRight"):
            rig[RIG_INDEX[name]] = smile
    if rng.random() < 0.25:
        rig[RIG_INDEX["jawOpen"]] = float(rng.uniform(0, 0.25))
        for name in ("mouthLowerDownLeft", "mouthLowerDownRight"):
            rig[RIG_INDEX[name]] = float(rng.uniform(0, 0.3))
    if rng.random() < 0.2:
        rig[[RIG_INDEX["eyeBlinkLeft"], RIG_INDEX["eyeBlinkRight"]]] = float(rng.uniform(0, 0.3))
    return rig


def batches(
    sessions: Sequence[Session],
    *,
    batch_size: int,
    num_latents: int,
    seed: int,
    first_step: int = 0,
) -> Iterator[Batch]:
    """Yield training batches for ever; step n depends on the seed and n only (exact resume).

    Raises:
        ConfigError: there are no sessions.
    """
    if not sessions:
        raise ConfigError(
            "There is no training data; write it with `rest-bridge train speech-data` and name "
            "its folder in the settings (`data`)."
        )
    by_style: dict[str, list[Session]] = {}
    for session in sessions:
        if session.num_latents >= num_latents:
            by_style.setdefault(session.style, []).append(session)
    styles = sorted(by_style)
    shares = np.array([_STYLE_SHARES[s] for s in styles])
    lengths = {s: np.array([float(x.num_latents) for x in by_style[s]]) for s in styles}
    step = first_step
    while True:
        rng = np.random.default_rng([seed, step])
        crops: list[Batch] = []
        for style_index in rng.choice(len(styles), batch_size, p=shares / shares.sum()):
            style = styles[int(style_index)]
            odds = lengths[style] / lengths[style].sum()
            session = by_style[style][int(rng.choice(len(odds), p=odds))]
            version = int(rng.integers(len(session.mel)))
            first = int(rng.integers(session.num_latents - num_latents + 1))
            crops.append(
                compose(session, version=version, first=first, num_latents=num_latents, rng=rng)
            )
        yield stack(crops)
        step += 1


def stack(crops: Sequence[Batch]) -> Batch:
    """Join batches of equal length along B."""
    return Batch(
        *(
            np.concatenate([getattr(crop, name) for crop in crops])
            for name in ("mel", "rig", "reference", "conditions", "weight")
        )
    )

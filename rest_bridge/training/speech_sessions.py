"""Sessions: stretches of speech with motion, turned into features and targets and stored.

Place in the flow: `speech_sources` -> here (once, by `speech_prepare`) -> `speech_data`. A session
is a stretch of one source with pauses before and after; it is stored in several versions (another
life, another degradation of the sound, normaliser warm or cold).

Shape letters: T latent frames, F = 2T video frames, M mel frames, V versions, S samples.
"""

import json
import logging
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from rest_bridge.features.mel import LogMel
from rest_bridge.generator import conditions
from rest_bridge.generator.life import LifePlanner
from rest_bridge.training import prosody, session_features
from rest_bridge.training.curves import gaussian_smooth
from rest_bridge.training.session_features import (
    HISTORY_LATENTS,
    LOOKAHEAD_FRAMES,
    MEL_PER_LATENT,
)
from rest_bridge.training.speech_sources import Utterance, silent_utterance
from rest_bridge.types import FRAME_RATE_HZ, LATENT_STRIDE, MODEL_RATE_HZ

log = logging.getLogger(__name__)
FloatArray = npt.NDArray[np.float32]

_SAMPLES_PER_FRAME: Final = MODEL_RATE_HZ // FRAME_RATE_HZ


@dataclass(slots=True)
class Session:
    """One stretch of a source, stored.

    Attributes:
        name, style: of its first utterance; style "negative" has no voice.
        mel: float16 [V, H + M, 80], H = HISTORY_LATENTS * 8 of history + the stored lookahead.
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


# --- building -------------------------------------------------------------------------------------


def join_utterances(
    parts: Sequence[Utterance], rng: np.random.Generator, *, pauses: bool
) -> Utterance:
    """Chain utterances with pauses of silence between, before and after them.

    Args:
        parts: of one style.
        rng: source of the pauses' lengths.
        pauses: False chains them as they are.

    Returns:
        One utterance with the name of the first.
    """

    def pause() -> Utterance:
        kind = float(rng.random())
        # Between sentences, to think, to listen.
        low, high = (0.25, 1.4) if kind < 0.8 else (1.4, 4) if kind < 0.93 else (4, 10)
        count = int(float(rng.uniform(low, high)) * FRAME_RATE_HZ) if pauses else 0
        return silent_utterance("pause", "pause", count)

    pieces: list[Utterance] = [pause()]
    for part in parts:
        count = min(len(part.mouth), len(part.samples) // _SAMPLES_PER_FRAME)
        pieces += [_cut(part, count), pause()]
    pieces = [p for p in pieces if len(p.mouth)]
    poses = [p.pose for p in pieces if p.pose is not None]
    brows = [p.brow for p in pieces if p.brow is not None]
    lids = [p.lids for p in pieces if p.lids is not None]
    return Utterance(
        name=parts[0].name,
        style=parts[0].style,
        samples=np.concatenate([p.samples for p in pieces]),
        mouth=np.concatenate([p.mouth for p in pieces]),
        closure=np.concatenate([p.closure for p in pieces]),
        rest=np.concatenate([p.rest for p in pieces]),
        pose=np.concatenate(poses) if len(poses) == len(pieces) else None,
        brow=np.concatenate(brows) if len(brows) == len(pieces) else None,
        lids=np.concatenate(lids) if len(lids) == len(pieces) else None,
    )


def _cut(part: Utterance, count: int) -> Utterance:
    return Utterance(
        part.name, part.style, part.samples[: count * _SAMPLES_PER_FRAME], part.mouth[:count],
        part.closure[:count], part.rest[:count],
        None if part.pose is None else part.pose[:count],
        None if part.brow is None else part.brow[:count],
        None if part.lids is None else part.lids[:count],
    )  # fmt: skip


def build_session(
    utterance: Utterance,
    mel: LogMel,
    rng: np.random.Generator,
    *,
    num_versions: int,
    history: FloatArray,
    voices: Sequence[FloatArray],
    num_crowded: int = 0,
) -> Session:
    """Turn a chained utterance into a stored session.

    Args:
        utterance: from `join_utterances`.
        mel: the features.
        rng: source of lives and degradations.
        num_versions: 1 for clean only; the first is always clean.
        history: float32 [S], sound of the same talker that came before (any length).
        voices: other talkers, for babble.
        num_crowded: further versions among other talkers, over music or in noise; see `crowded`.

    Returns:
        The session, in whole latent frames.
    """
    count = len(utterance.mouth) // LATENT_STRIDE * LATENT_STRIDE
    times_s = (np.arange(count) + 0.5) / FRAME_RATE_HZ
    samples = utterance.samples[: count * _SAMPLES_PER_FRAME]
    speaks = utterance.style != "negative"
    spoken = prosody.phrases(samples) if speaks else []
    mels, lives, slows = [], [], []
    for version in range(num_versions + num_crowded):
        if version >= num_versions:
            mels.append(session_features.crowded_features(samples, history, mel, rng, voices))
        else:
            degraded = version > 0 and rng.random() < 0.6
            mels.append(
                session_features.session_features(
                    samples, history, mel, rng, voices if degraded else None, version=version
                )
            )
        life = _life(utterance, spoken, times_s, rng)
        slow = life[:, 3:6]
        if utterance.pose is not None:
            slow = gaussian_smooth(life[:, 3:6], 15)
        slows.append(slow.reshape(-1, LATENT_STRIDE, 3).mean(1))
        lives.append(life)
    mouth = utterance.mouth[:count].copy()
    if utterance.brow is not None:
        brow = utterance.brow[:count]
        mouth += conditions.expression_to_rig(np.zeros_like(brow), brow)
    accents = np.zeros((count, 2), np.float32)
    if utterance.pose is None and speaks:
        accents = prosody.accent_curves(prosody.accents(samples), times_s)
        accents += prosody.melody_curves(samples, spoken, times_s)
        accents[:, 1] = np.minimum(accents[:, 1], 0.8)
    rest, closure = utterance.rest[:count], utterance.closure[:count]
    return Session(
        name=utterance.name,
        style=utterance.style,
        mel=np.stack(mels).astype(np.float16),
        mouth=mouth.astype(np.float16),
        life=np.stack(lives).astype(np.float32),
        slow=np.stack(slows).astype(np.float32),
        accents=accents,
        tracked=utterance.pose is not None,
        weight=(1 + 2 * np.maximum(closure, rest)).astype(np.float32),
        closure=closure.astype(np.float16),
        rest=rest,
    )


def _life(
    utterance: Utterance,
    spoken: list[prosody.Phrase],
    times_s: npt.NDArray[np.float64],
    rng: np.random.Generator,
) -> FloatArray:
    """Return float32 [F, 9]: blink, gaze x and y, pose; by chance and by what is said."""
    planner = LifePlanner(int(rng.integers(2**31)))
    pose = np.zeros((len(times_s), 6), np.float32)
    if utterance.pose is not None:
        pose[:] = utterance.pose[: len(times_s)]
    else:
        pose[:, :3] = planner.sway_deg(times_s)
        pose[:, 1] += prosody.listening_nods(spoken, times_s, rng)
    if rng.random() < 0.35:  # a life that doesn't listen, as the runtime's planner has it
        spoken = []
    if utterance.lids is not None:
        blink = utterance.lids[: len(times_s)]
    else:
        blink = prosody.blinks(planner, spoken, times_s, rng)
    gaze = prosody.glances(planner, spoken, times_s, rng) if spoken else planner.gaze(times_s)
    return np.concatenate([blink[:, None], gaze, pose], 1).astype(np.float32)


# --- storage --------------------------------------------------------------------------------------

_ARRAYS: Final = ("mel", "mouth", "life", "slow", "accents", "weight", "closure", "rest")


def save_sessions(sessions: Sequence[Session], path: Path) -> None:
    """Write sessions to one .npz (arrays) with their names and styles; whole or not at all.

    Args:
        sessions: any.
        path: of the file.

    Raises:
        OSError: it cannot be written; what was begun is removed.
    """
    arrays: dict[str, Any] = {}
    for number, session in enumerate(sessions):
        for name in _ARRAYS:
            arrays[f"{number}.{name}"] = getattr(session, name)
    index = [{"name": s.name, "style": s.style, "tracked": s.tracked} for s in sessions]
    arrays["index"] = np.frombuffer(json.dumps(index).encode(), np.uint8)
    part = path.with_suffix(".part")
    try:
        with part.open("wb") as file:
            np.savez(file, **arrays)
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)


def load_sessions(path: Path) -> list[Session]:
    """Read what `save_sessions` wrote."""
    with path.open("rb") as file, np.load(file, allow_pickle=False) as archive:
        index = json.loads(archive["index"].tobytes().decode())
        return [
            Session(**entry, **{name: archive[f"{number}.{name}"] for name in _ARRAYS})
            for number, entry in enumerate(index)
        ]


def usable_sessions(path: Path) -> list[Session]:
    """Read what of a file can be trained on; damage is passed over with a warning that names it."""
    try:
        sessions = load_sessions(path)
    except (OSError, ValueError, KeyError, TypeError, EOFError, zipfile.BadZipFile) as error:
        log.warning("sessions left out (damaged: %s): %s", error, path)
        return []
    usable: list[Session] = []
    for session in sessions:
        fault = _fault(session)
        if fault:
            log.warning("session %s left out (%s): %s", session.name, fault, path)
        else:
            usable.append(session)
    return usable


def _fault(session: Session) -> str:
    """Say why a stored session cannot be trained on; empty if it can."""
    versions, frames = len(session.mel), len(session.mouth)
    least = (HISTORY_LATENTS + session.num_latents) * MEL_PER_LATENT + LOOKAHEAD_FRAMES
    lengths = [x.shape[:2] for x in (session.life, session.slow)]
    whole = session.mel.ndim == 3 and session.mel.shape[1] >= least and versions > 0
    whole = whole and lengths == [(versions, frames), (versions, frames // LATENT_STRIDE)]
    per_frame = (session.accents, session.weight, session.closure, session.rest)
    if not whole or any(len(x) != frames for x in per_frame):
        return "its arrays do not fit together"
    values = (session.mel, session.mouth, session.life, session.slow, session.accents)
    if not all(np.isfinite(x).all() for x in values):
        return "it holds values that are no numbers"
    return ""

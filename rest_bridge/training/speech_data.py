"""Batches for training: crops of stored sessions with references, wishes and conditions.

Place in the flow: `speech_sessions` -> here -> `train_speech`, `train_dit`. What depends on the
reference picture and on hotkeys is composed when a batch is drawn.

Shape letters: B batch, T latent frames, F = 2T video frames.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from rest_bridge.errors import ConfigError
from rest_bridge.generator import conditions
from rest_bridge.rig import RIG_INDEX, mirror_rig
from rest_bridge.training import expressions
from rest_bridge.training.mel_babble import BabbleMixer
from rest_bridge.training.mel_tract import change_talker
from rest_bridge.training.speech_sessions import (
    HISTORY_LATENTS,
    LOOKAHEAD_FRAMES,
    MEL_PER_LATENT,
    Session,
)
from rest_bridge.types import LATENT_STRIDE

FloatArray = npt.NDArray[np.float32]

_NORMALISER_FRAMES: Final = 400
"""Sound before a crop over which the running normaliser settles."""
_STYLE_SHARES: Final = {"grid": 2.0, "facegood": 2.0, "read": 2.8, "synthetic": 1.4,
                        "foreign": 1.2, "negative": 0.8, "own": 2.0}  # fmt: skip


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


# --- batches --------------------------------------------------------------------------------------


def compose(
    session: Session,
    *,
    version: int,
    first: int,
    num_latents: int,
    rng: np.random.Generator | None,
    mel: FloatArray | None = None,
) -> Batch:
    """Cut one crop and add what depends on the reference and on wishes; a batch of one.

    Args:
        session: to cut from.
        version: which sound and life.
        first: first latent frame.
        num_latents: T.
        rng: source of references, wishes and dropped conditions; None for a neutral reference,
            no wishes and all conditions but the style given (validation).
        mel: sound of the whole session to hear instead of its own, [H + M, 80].

    Returns:
        The crop, B = 1.
    """
    latents = slice(first, first + num_latents)
    frames = slice(first * LATENT_STRIDE, (first + num_latents) * LATENT_STRIDE)
    count = num_latents * LATENT_STRIDE
    mel_first = first * MEL_PER_LATENT + LOOKAHEAD_FRAMES
    mel_stop = mel_first + (HISTORY_LATENTS + num_latents) * MEL_PER_LATENT
    heard = session.mel[version] if mel is None else mel
    smile, brow, amount = np.zeros(count, np.float32), np.zeros(count, np.float32), 1.0
    emotions = np.zeros((count, len(conditions.EMOTIONS)), np.float32)
    reference = np.zeros(58, np.float32)
    mirrored = rng is not None and rng.random() < 0.5
    if rng is not None:
        emotions = expressions.random_strengths(rng, count)
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
    if mirrored:
        rig, reference = mirror_rig(rig), mirror_rig(reference)
    # After the mirror: the stronger side of a smile stays where it is.
    closure = session.closure[frames].astype(np.float32)
    rig = expressions.express(rig, emotions, closure)
    rows = conditions.condition_rows(
        blink=life[:, 0],
        gaze=life[:, 1:3],
        slow_pose_deg=session.slow[version, latents],
        smile=smile.reshape(-1, LATENT_STRIDE).mean(1),
        brow=brow.reshape(-1, LATENT_STRIDE).mean(1),
        amount=amount,
        emotions=emotions.reshape(-1, LATENT_STRIDE, emotions.shape[1]).mean(1),
        style=session.style if rng is not None and session.style in conditions.STYLES else None,
    )
    if session.tracked:  # whose accents and brows are what they are
        rows[:, [conditions.CONDITION_INDEX["amountGiven"], 11]] = 0
    batch = Batch(
        heard[mel_first:mel_stop].astype(np.float32)[None],
        rig[None], reference[None], rows[None],
        (session.weight[frames] + 2 * closure)[None],
    )  # fmt: skip
    if mirrored:
        for name in ("gazeX0", "gazeX1", "yaw", "roll"):
            rows[:, conditions.CONDITION_INDEX[name]] *= -1
    if rng is not None:
        _drop(rows, rng)
    return batch


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
    if style in ("read", "synthetic", "foreign"):
        factors[[RIG_INDEX["mouthFunnel"], RIG_INDEX["mouthPucker"]]] = 1.15
    return factors


def _drop(rows: FloatArray, rng: np.random.Generator) -> None:
    """Leave groups of conditions to the network, in place."""
    for flag in conditions.GROUPS:
        if rng.random() < 0.12:
            conditions.drop_group(rows, flag)
    if rng.random() < 0.4:
        rows[:, conditions.STYLE] = 0


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
    mixer: BabbleMixer | None = None,
    babble: float = 0.0,
    tract: float = 0.0,
) -> Iterator[Batch]:
    """Yield training batches for ever; step n depends on the seed and n only (exact resume).

    Args:
        sessions: to draw from; those shorter than a crop are left out.
        batch_size: B.
        num_latents: T of each crop.
        seed: of all chance.
        first_step: number of the first batch.
        mixer: puts other talkers behind the talker; None for never.
        babble: share of crops in which it does.
        tract: share of crops with another vocal tract or a missing band; see `mel_tract`.

    Yields:
        Batches of `batch_size` crops.

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
    talking = [session for session in sessions if session.style != "negative"]
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
            mel = None
            if mixer is not None and style != "negative" and rng.random() < babble:
                others = [talking[int(k)].mel[0] for k in
                          rng.integers(len(talking), size=mixer.num_voices(rng))]  # fmt: skip
                start = first * MEL_PER_LATENT + LOOKAHEAD_FRAMES
                stop = start + (HISTORY_LATENTS + num_latents) * MEL_PER_LATENT
                heard = slice(max(0, start - _NORMALISER_FRAMES), stop)
                mel = np.zeros(session.mel[version].shape, np.float32)
                mel[heard] = mixer.mix(session.mel[version][heard], others, rng)
            crop = compose(session, version=version, first=first, num_latents=num_latents, rng=rng,
                           mel=mel)  # fmt: skip
            if tract and rng.random() < tract:
                crop.mel[0] = change_talker(crop.mel[0], rng)
            crops.append(crop)
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

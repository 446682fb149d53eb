"""Utterances to shards of sessions on disk: reproducible one by one, resumed at the next one.

Place in the flow: `speech_prepare`, `prepare.talkers` -> here -> train-*.npz, held-*.npz. What a
session holds follows from the seed and its name alone, so a shard does not depend on whether those
before it were built in the same run.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final
from zlib import crc32

import numpy as np

from rest_bridge.features.mel import LogMel
from rest_bridge.training import speech_sessions
from rest_bridge.training.speech_sessions import Session
from rest_bridge.training.speech_sources import Utterance
from rest_bridge.types import FRAME_RATE_HZ, LATENT_STRIDE, FloatArray

CHAIN_S: Final = 12.0
"""Utterances of one synthetic voice are chained to sessions of about this length."""
SHARD_SESSIONS: Final = 96
_SPOKEN: Final = ("read", "synthetic", "foreign")


def build(
    utterances: Sequence[Utterance],
    mel: LogMel,
    voices: Sequence[FloatArray],
    *,
    num_versions: int,
    seed: int,
    num_crowded: int = 0,
) -> list[Session]:
    """Chain utterances of one voice to about 12 s each and turn them into sessions.

    Args:
        utterances: of any talkers, one voice after the other.
        mel: the features.
        voices: other talkers, for babble.
        num_versions: of each session.
        seed: with a session's name it decides all its chance.
        num_crowded: further versions in a crowd; see `crowded`.

    Returns:
        A session for each chain, in their order.
    """
    chains = _chains(utterances)
    return [
        _session(chains, k, mel, voices, num_versions=num_versions, seed=seed,
                 num_crowded=num_crowded)
        for k in range(len(chains))
    ]  # fmt: skip


def write_shards(
    utterances: Sequence[Utterance],
    mel: LogMel,
    voices: Sequence[FloatArray],
    out: Path,
    stem: str,
    *,
    num_versions: int,
    seed: int,
    num_crowded: int = 0,
) -> Iterator[float]:
    """Write STEM-000.npz, STEM-001.npz, ...; those that are there are left as they are.

    Args:
        utterances: of any talkers, one voice after the other.
        mel: the features.
        voices: other talkers, for babble.
        out: folder to write to.
        stem: of the file names.
        num_versions: of each session.
        seed: of all chance.
        num_crowded: further versions in a crowd; see `crowded`.

    Yields:
        float: seconds of each shard (one version), 0 for one that was there.

    Raises:
        OSError: a shard cannot be written; those before it stay.
    """
    chains = _chains(utterances)
    for number, first in enumerate(range(0, len(chains), SHARD_SESSIONS)):
        path = out / f"{stem}-{number:03d}.npz"
        if path.exists():
            yield 0.0
            continue
        places = range(first, min(first + SHARD_SESSIONS, len(chains)))
        sessions = [
            _session(chains, k, mel, voices, num_versions=num_versions, seed=seed,
                     num_crowded=num_crowded)
            for k in places
        ]  # fmt: skip
        speech_sessions.save_sessions(sessions, path)
        yield sum(s.num_latents for s in sessions) * LATENT_STRIDE / FRAME_RATE_HZ


def _session(
    chains: Sequence[Sequence[Utterance]],
    number: int,
    mel: LogMel,
    voices: Sequence[FloatArray],
    *,
    num_versions: int,
    seed: int,
    num_crowded: int = 0,
) -> Session:
    joined, rng = _join(chains[number], seed)
    pauses = chains[number][0].style in _SPOKEN
    # Speech of the same talker before the session warms the normaliser; one that speaks first
    # hears his own sentence mirrored.
    before = joined.samples[::-1].copy()
    if number and not pauses:
        before = _join(chains[number - 1], seed)[0].samples
    return speech_sessions.build_session(
        joined, mel, rng, num_versions=num_versions, history=before, voices=voices,
        num_crowded=num_crowded,
    )  # fmt: skip


def _join(chain: Sequence[Utterance], seed: int) -> tuple[Utterance, np.random.Generator]:
    rng = np.random.default_rng([seed, crc32(chain[0].name.encode())])
    pauses = chain[0].style in _SPOKEN
    return speech_sessions.join_utterances(chain, rng, pauses=pauses), rng


def _chains(utterances: Sequence[Utterance]) -> list[list[Utterance]]:
    chains: list[list[Utterance]] = []
    for utterance in utterances:
        if utterance.style in ("synthetic", "foreign") and chains:
            last = chains[-1]
            seconds = sum(len(u.samples) for u in last) / 16_000
            if _voice(last[0]) == _voice(utterance) and seconds < CHAIN_S:
                last.append(utterance)
                continue
        chains.append([utterance])
    return chains


def _voice(utterance: Utterance) -> tuple[str, bool]:
    return utterance.name.rsplit("-", 1)[0], utterance.name.endswith("~")

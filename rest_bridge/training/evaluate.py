"""Measures the product in its pictures: lips tracked in the rendered frames against real lips.

Held-out recorded speech drives portraits that no network was trained on; the lip aperture is then
tracked in the pictures by OpenSeeFace (a ruler from outside, not part of the product) and compared
with the aperture tracked the same way in the talker's own video, or with his measured curve.
Knows nothing of how the model works: it drives the same `Pipeline` that a user runs.

`r` is Pearson's correlation at zero lag; `r_sentence` the same within the spoken sentence (silence
alone gives r = 0.5 to 0.7, see STUDY-AUDIO section 0); `r_other` compares with another sentence.
Lag > 0: the made lips are late. Shape letters: F video frames, S samples.
"""

import argparse
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

import av
import cv2
import numpy as np

from rest_bridge.avatar import Avatar
from rest_bridge.inference.package import ModelPackage
from rest_bridge.pipeline import Pipeline
from rest_bridge.rig import RIG_INDEX
from rest_bridge.stages import load_stages
from rest_bridge.training.speech_sources import is_held_out, read_manifest
from rest_bridge.training.tracks import LandmarkTracker, measure
from rest_bridge.types import FRAME_RATE_HZ, VOICE_RATE_HZ, AudioChunk, ByteArray, FloatArray

LAGS_MS: Final = np.arange(-200, 201, 20)
GREY: Final = 128
BLINK_CLOSED: Final = 0.5
"""A blink is counted when both lids pass this closure."""


@dataclass(frozen=True, slots=True)
class Clip:
    """Held-out speech with the lips that belong to it.

    Attributes:
        name: of the clip.
        talker: who speaks; none of their speech or pictures is in the training data unless
            `talker_in_training`.
        voice: float32 [S], 48 kHz mono.
        aperture: float32 [F] at 25 fps, the real inner lip gap.
        sentence: first and last video frame of the spoken sentence.
        talker_in_training: other recordings of this talker were trained on.
    """

    name: str
    talker: str
    voice: FloatArray
    aperture: FloatArray
    sentence: tuple[int, int]
    talker_in_training: bool


@dataclass(frozen=True, slots=True)
class Score:
    """How one portrait spoke one clip."""

    clip: str
    talker: str
    talker_in_training: bool
    portrait: str
    r: float
    r_sentence: float
    r_other: float
    r_rig: float
    lag_ms: float
    range_share: float
    blinks: int
    head_yaw_range_deg: float
    confidence: float


def read_video(path: Path) -> tuple[ByteArray, FloatArray]:
    """Decode a talking-head clip.

    Args:
        path: the video file.

    Returns:
        frames: uint8 [F, H, W, 3] RGB.
        voice: float32 [S], 48 kHz mono.
    """
    with av.open(str(path)) as container:
        frames = [f.to_ndarray(format="rgb24") for f in container.decode(video=0)]
    return np.stack(frames), read_voice(path)


def read_voice(path: Path) -> FloatArray:
    """Decode a file's sound to float32 [S], 48 kHz mono."""
    resampler = av.AudioResampler("fltp", "mono", VOICE_RATE_HZ)
    parts: list[FloatArray] = []
    with av.open(str(path)) as container:
        for frame in container.decode(audio=0):
            parts += [out.to_ndarray()[0] for out in resampler.resample(frame)]
        parts += [out.to_ndarray()[0] for out in resampler.resample(None)]
    return np.concatenate(parts).astype(np.float32)


def sentence_span(voice: FloatArray, num_frames: int) -> tuple[int, int]:
    """Find the first and last video frame with speech, by loudness well above the room's."""
    count = VOICE_RATE_HZ // FRAME_RATE_HZ
    whole = len(voice) // count
    level_db = 10 * np.log10((voice[: whole * count].reshape(whole, count) ** 2).mean(1) + 1e-9)
    room_db = np.percentile(level_db, 10)
    loud = np.flatnonzero(level_db > room_db + 0.4 * (level_db.max() - room_db))
    return max(0, int(loud[0]) - 1), min(num_frames, int(loud[-1]) + 2)


def drive(
    package: ModelPackage, avatar: Avatar, voice: FloatArray, *, size_px: int, seed: int
) -> tuple[list[ByteArray], FloatArray]:
    """Run the pipeline over a whole clip.

    Args:
        package: the model package under test.
        avatar: the portrait.
        voice: float32 [S], 48 kHz mono.
        size_px: width and height of the pictures.
        seed: of the stream.

    Returns:
        frames: list of uint8 [H, W, 4].
        rig: float32 [F, 58].
    """
    pipeline = Pipeline(load_stages(package, avatar, size_px=size_px, seed=seed), seed=seed)
    frames = pipeline.push(AudioChunk(voice, VOICE_RATE_HZ, 0, 0)) + pipeline.finish()
    return [f.rgba for f in frames], np.stack([f.rig.values for f in frames])


def on_grey(rgba: Sequence[ByteArray]) -> ByteArray:
    """Composite on grey for the tracker: uint8 [F, H, W, 3]."""
    alpha = np.stack([f[..., 3:] for f in rgba]).astype(np.float32) / 255
    colour = np.stack([f[..., :3] for f in rgba]).astype(np.float32)
    return (colour * alpha + GREY * (1 - alpha)).round().astype(np.uint8)


def pearson(a: FloatArray, b: FloatArray) -> float:
    """Return the correlation of two curves; 0 where one does not move."""
    a, b = a - a.mean(), b - b.mean()
    scale = float(np.sqrt((a * a).sum() * (b * b).sum()))
    return float((a * b).sum() / scale) if scale > 1e-9 else 0.0


def best_lag_ms(real: FloatArray, made: FloatArray) -> float:
    """Return by how much the made curve is late, by the best correlation within 200 ms."""
    times = np.arange(len(real)) * 1000.0 / FRAME_RATE_HZ
    r = [pearson(real, np.interp(times + lag, times, made)) for lag in LAGS_MS]
    return float(LAGS_MS[int(np.argmax(r))])


def count_blinks(rig: FloatArray) -> int:
    """Count how often both lids pass half closed.

    Read off the rig: the outside ruler sees no blinks at all (LOG.md, 0.06 a minute on real
    video); that the lids close in the picture is for the contact sheets.
    """
    shut = rig[:, [RIG_INDEX["eyeBlinkLeft"], RIG_INDEX["eyeBlinkRight"]]].min(1) > BLINK_CLOSED
    return int((np.diff(np.concatenate([[0], shut.astype(int)])) == 1).sum())


def rig_aperture(rig: FloatArray) -> FloatArray:
    """Return the lip gap that rig values promise (the same composite as in training)."""
    value = {name: rig[:, index] for name, index in RIG_INDEX.items()}
    gap = value["jawOpen"] + 0.35 * value["mouthLowerDownLeft"] + 0.2 * value["mouthUpperUpLeft"]
    return gap * (1 - np.clip(value["mouthClose"], 0, 1)) * (1 - 0.6 * value["mouthRollLower"])


def score_clip(
    clip: Clip, others: Sequence[Clip], portrait: str, rgba: Sequence[ByteArray], rig: FloatArray,
    tracker: LandmarkTracker,
) -> Score:  # fmt: skip
    """Track the lips in rendered frames and compare them with the real ones.

    Args:
        clip: what was spoken.
        others: other clips, for the mismatched correlation.
        portrait: its name.
        rgba: the rendered frames.
        rig: their rig values.
        tracker: the ruler.
    """
    points = tracker.track(on_grey(rgba))
    track = measure(points)
    n = min(len(track.aperture), len(clip.aperture))
    made, real = track.aperture[:n], clip.aperture[:n]
    first, last = clip.sentence[0], min(clip.sentence[1], n)
    mismatched = [
        pearson(made[:m], other.aperture[:m])
        for other in others
        if other.name != clip.name and (m := min(n, len(other.aperture))) > FRAME_RATE_HZ
    ]
    spread = [np.percentile(c, 95) - np.percentile(c, 5) for c in (made, real)]
    return Score(
        clip=clip.name,
        talker=clip.talker,
        talker_in_training=clip.talker_in_training,
        portrait=portrait,
        r=pearson(made, real),
        r_sentence=pearson(made[first:last], real[first:last]),
        r_other=float(np.mean(mismatched)) if mismatched else 0.0,
        r_rig=pearson(rig_aperture(rig)[:n], real),
        lag_ms=best_lag_ms(real, made),
        range_share=float(spread[0] / max(spread[1], 1e-6)),
        blinks=count_blinks(rig),
        head_yaw_range_deg=float(np.ptp(rig[:, 0])),
        confidence=float(track.confidence.mean()),
    )


def contact_sheet(rgba: Sequence[ByteArray], columns: int = 8, tile_px: int = 192) -> ByteArray:
    """Lay evenly spaced frames side by side: uint8 [2 * tile, columns * tile, 3]."""
    picks = np.linspace(0, len(rgba) - 1, 2 * columns).round().astype(int)
    tiles = [
        cv2.resize(f, (tile_px, tile_px), interpolation=cv2.INTER_AREA)
        for f in on_grey([rgba[i] for i in picks])
    ]
    rows = [np.concatenate(tiles[r * columns : (r + 1) * columns], 1) for r in range(2)]
    return np.concatenate(rows)


def summarise(scores: Sequence[Score]) -> dict[str, dict[str, float]]:
    """Average by portrait, over talkers not trained on, and over all."""
    groups: dict[str, list[Score]] = {}
    for score in scores:
        kind = "known talker" if score.talker_in_training else "unseen talkers"
        for key in (kind, f"{kind}, {score.portrait}"):
            groups.setdefault(key, []).append(score)
    numbers = ("r", "r_sentence", "r_other", "r_rig", "lag_ms", "range_share", "blinks",
               "head_yaw_range_deg", "confidence")  # fmt: skip
    return {
        group: {k: round(float(np.mean([getattr(s, k) for s in members])), 3) for k in numbers}
        | {"clips": len(members)}
        for group, members in sorted(groups.items())
    }


def as_table(summary: dict[str, dict[str, float]]) -> str:
    """Return the summary as a Markdown table."""
    names = list(next(iter(summary.values())))
    lines = ["| " + " | ".join(["group", *names]) + " |", "| --- " * (len(names) + 1) + "|"]
    for group, row in summary.items():
        lines.append("| " + " | ".join([group, *(f"{row[n]:g}" for n in names)]) + " |")
    return "\n".join(lines)


def load_clips(assets: Path, tracker: LandmarkTracker, num_known: int) -> list[Clip]:
    """Load the held-out GRID clips (see SPLITS.md): two unseen talkers and some of the known one.

    Args:
        assets: the data folder.
        tracker: the ruler for the real videos.
        num_known: clips of the talker whose other clips were trained on.
    """
    manifest = read_manifest(assets / "grid_s1_video")
    unseen = sorted((assets / "grid_other_talkers").glob("*.mp4"))
    known = [
        assets / "grid_s1_video" / "clips" / entry["file"]
        for index, entry in enumerate(manifest)
        if is_held_out("grid_s1_video", entry["file"], index)
    ]
    clips: list[Clip] = []
    for path, trained in [(p, False) for p in unseen] + [(p, True) for p in known[:num_known]]:
        frames, voice = read_video(path)
        aperture = measure(tracker.track(frames)).aperture
        talker = "s1" if trained else path.stem
        span = sentence_span(voice, len(aperture))
        clips.append(Clip(path.stem, talker, voice, aperture, span, trained))
    return clips


def main() -> None:
    """Drive portraits with held-out speech, print the table, write sheets and scores."""
    parser = argparse.ArgumentParser(description="Measure lips, blinks and motion in the pictures.")
    parser.add_argument("--assets", type=Path, required=True, help="the data folder")
    parser.add_argument("--avatars", type=Path, nargs="+", required=True, help="avatar .npz files")
    parser.add_argument("--package", type=Path, default=None, help="model package (shipped one)")
    parser.add_argument("--out", type=Path, required=True, help="folder for sheets and scores")
    parser.add_argument("--known", type=int, default=4, help="clips of the talker trained on")
    parser.add_argument("--size", type=int, default=512)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    package = ModelPackage.load(args.package)
    tracker = LandmarkTracker(args.assets / "openseeface_models" / "lm_model0_opt.onnx")
    clips = load_clips(args.assets, tracker, args.known)
    args.out.mkdir(parents=True, exist_ok=True)
    scores: list[Score] = []
    for path in args.avatars:
        avatar = Avatar.load(path)
        name = path.parent.name if path.stem == "avatar" else path.stem
        for clip in clips:
            rgba, rig = drive(package, avatar, clip.voice, size_px=args.size, seed=args.seed)
            scores.append(score_clip(clip, clips, name, rgba, rig, tracker))
            print(scores[-1], flush=True)
            sheet = contact_sheet(rgba)
            cv2.imwrite(str(args.out / f"{name}_{clip.name}.png"), sheet[..., ::-1])
    summary = summarise(scores)
    report: dict[str, Any] = {"package": package.name, "summary": summary}
    report["scores"] = [asdict(s) for s in scores]
    (args.out / "scores.json").write_text(json.dumps(report, indent=1))
    print(as_table(summary))


if __name__ == "__main__":
    main()

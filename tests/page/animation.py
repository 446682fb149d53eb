"""Writes docs/images/face.webp: a few seconds of real output, small enough for a README.

python -m tests.page.animation [FACE ...]
"""

import subprocess
import sys
import tempfile
from pathlib import Path

import av
from PIL import Image

from rest_bridge.gallery import built_in_voice

TARGET = Path(__file__).parents[2] / "docs" / "images" / "face.webp"
SIDE, SECONDS, KEEP_EVERY = 200, 4.0, 2


def frames_of(face: str) -> list[Image.Image]:
    """Return what a face shows while it speaks the built-in voice, every second frame."""
    with tempfile.TemporaryDirectory() as folder:
        film = Path(folder) / "face.mp4"
        voice = str(built_in_voice())
        words = ["render", voice, "--avatar", face, "-o", str(film), "--size", "256"]
        subprocess.run([sys.executable, "-m", "rest_bridge", *words], check=True)
        with av.open(str(film)) as container:
            found: list[Image.Image] = []
            for index, frame in enumerate(container.decode(video=0)):
                if index >= SECONDS * 25:
                    break
                if index % KEEP_EVERY == 0:
                    picture = frame.to_image().convert("RGB")
                    found.append(picture.resize((SIDE, SIDE), Image.Resampling.LANCZOS))
            return found


def main() -> None:
    """Put the faces beside each other."""
    faces = sys.argv[1:] or ["luna", "maya", "theo"]
    films = [frames_of(face) for face in faces]
    rows: list[Image.Image] = []
    for pictures in zip(*films, strict=False):
        row = Image.new("RGB", (SIDE * len(faces), SIDE))
        for place, picture in enumerate(pictures):
            row.paste(picture, (SIDE * place, 0))
        rows.append(row)
    rows[0].save(
        TARGET, save_all=True, append_images=rows[1:], duration=40 * KEEP_EVERY, loop=0,
        quality=62, method=4,
    )  # fmt: skip


if __name__ == "__main__":
    main()

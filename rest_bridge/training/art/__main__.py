"""Draw the built-in faces: `python -m rest_bridge.training.art --out rest_bridge/faces`."""

from __future__ import annotations

import argparse
from pathlib import Path

from rest_bridge.training.art.contact import contact_sheet
from rest_bridge.training.art.gallery import FACES, build_face
from rest_bridge.training.art.voice import build_voice


def main() -> None:
    """Write the chosen faces (all by default) into the folder given by --out."""
    parser = argparse.ArgumentParser(description="Draw and render the built-in faces.")
    parser.add_argument(
        "--out", type=Path, default=Path("rest_bridge/faces"), help="folder to write to"
    )
    parser.add_argument("--only", nargs="*", choices=sorted(FACES), help="names of faces (all)")
    parser.add_argument("--voice", action="store_true", help="also speak the built-in text")
    parser.add_argument("--sheet", type=Path, help="also write one picture of all faces here")
    arguments = parser.parse_args()
    if arguments.voice:
        print(f"voice: {build_voice(arguments.out)}")
    for name in arguments.only if arguments.only is not None else sorted(FACES):
        folder = build_face(name, arguments.out)
        print(f"{name}: {folder}")
    if arguments.sheet:
        print(f"sheet: {contact_sheet(arguments.out, arguments.sheet)}")


if __name__ == "__main__":
    main()

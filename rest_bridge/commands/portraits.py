"""`rest-bridge avatar`: list the built-in faces, check a picture, import it into an avatar file."""

from pathlib import Path
from typing import Annotated

import typer

from rest_bridge.commands.console import out, print_json, progress
from rest_bridge.commands.options import ConfigOption, JsonOption, SetOption, configure
from rest_bridge.config import Config
from rest_bridge.errors import AvatarError

app = typer.Typer(no_args_is_help=True, help="Built-in faces; check and import a portrait.")

PictureArgument = Annotated[str, typer.Argument(help="A picture (png, jpg, webp, ...).")]
LandmarksOption = Annotated[
    Path | None,
    typer.Option("--landmarks", help="json with 66 points [[x, y], ...] in pixels."),
]
StyleOption = Annotated[
    str | None, typer.Option("--style", help="photo, painting or drawn, where the guess errs.")
]
FaceOption = Annotated[
    int | None, typer.Option("--face", help="Which of several faces, 1 = the largest.", min=1)
]


@app.command("list")
def list_faces(json: JsonOption = False) -> None:
    """List the faces that came with rest_bridge."""
    from rest_bridge.gallery import built_in_faces

    faces = built_in_faces().values()
    if json:
        keys = ("name", "title", "style", "description", "licence")
        print_json([{key: getattr(face, key) for key in keys} for face in faces])
        return
    for face in faces:
        out.print(f"{face.name:12} {face.style:9} {face.description}")


@app.command()
def check(
    picture: PictureArgument,
    landmarks: LandmarksOption = None,
    style: StyleOption = None,
    face: FaceOption = None,
    config: ConfigOption = None,
    settings: SetOption = None,
    json: JsonOption = False,
) -> None:
    """Say whether a picture can be used, and what was found in it. Writes no file."""
    options = {
        "avatar.landmarks": landmarks and str(landmarks),
        "avatar.style": style,
        "avatar.face": face,
    }
    chosen = configure(config, settings, options).config
    facts = _import(picture, chosen, quiet=json)
    if json:
        print_json({"ok": True, **facts})
        return
    out.print(f"{picture} can be used.")
    for name, value in facts.items():
        out.print(f"  {name.replace('_', ' ')}: {value}")


@app.command("import")
def import_picture(
    picture: PictureArgument,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Avatar file to write (.npz).")
    ] = None,
    landmarks: LandmarksOption = None,
    style: StyleOption = None,
    face: FaceOption = None,
    config: ConfigOption = None,
    settings: SetOption = None,
    json: JsonOption = False,
) -> None:
    """Make an avatar file of a picture, to use with --avatar. `run` does the same by itself."""
    target = output or Path(picture).with_suffix(".npz")
    if target.suffix.lower() != ".npz":
        raise AvatarError(f"An avatar file must end in .npz; this does not: {target}")
    options = {
        "avatar.landmarks": landmarks and str(landmarks),
        "avatar.style": style,
        "avatar.face": face,
    }
    chosen = configure(config, settings, options).config
    facts = _import(picture, chosen, quiet=json, target=target)
    if json:
        print_json({"ok": True, "file": str(target), **facts})
    else:
        out.print(f"Wrote {target}; use it with: rest-bridge run --avatar {target}")


def _import(
    picture: str,
    config: Config,
    *,
    quiet: bool,
    target: Path | None = None,
) -> dict[str, str]:
    from rest_bridge.gallery import ImportOptions, load_avatar
    from rest_bridge.inference.package import ModelPackage

    package = ModelPackage.load(Path(config.model.package) if config.model.package else None)
    with progress(f"importing {Path(picture).name}", quiet=quiet) as report:
        avatar = load_avatar(
            picture, package, options=ImportOptions.of(config.avatar), progress=report
        )
    if target is not None:
        avatar.save(target)
    size = avatar.picture.shape[0]
    return {
        "style": avatar.style,
        "canvas": f"{size} x {size} pixels",
        "eye_distance": f"{avatar.eye_distance * size:.0f} pixels",
        "head_pose": "yaw {:.0f}, pitch {:.0f}, roll {:.0f} degrees".format(*avatar.own_pose[:3]),
        "transparent": "yes" if bool((avatar.picture[..., 3] < 250).mean() > 0.01) else "no",
        "model": avatar.package,
    }

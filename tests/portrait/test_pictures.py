import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from rest_bridge.errors import AvatarError
from rest_bridge.portrait.pictures import read_picture


def _gradient(width: int = 96, height: int = 80) -> np.ndarray:
    x = np.linspace(0, 255, width)[None, :, None]
    y = np.linspace(0, 255, height)[:, None, None]
    return np.broadcast_to((x * [1, 0.5, 0] + y * [0, 0.5, 1]) / 1.5, (height, width, 3)).astype(
        np.uint8
    )


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "L", "LA", "P", "CMYK", "1"])
def test_every_mode_becomes_upright_rgba(tmp_path: Path, mode: str) -> None:
    path = tmp_path / ("picture.jpg" if mode == "CMYK" else "picture.png")
    Image.fromarray(_gradient()).convert(mode).save(path)
    picture = read_picture(path)
    assert picture.shape == (80, 96, 4)
    assert picture.dtype == np.uint8
    assert picture[..., 3].min() == 255
    assert picture[-1, -1, :3].mean() > picture[0, 0, :3].mean()


def test_sixteen_bit_grey_keeps_its_range(tmp_path: Path) -> None:
    values = np.linspace(0, 65535, 96 * 80).reshape(80, 96).astype(np.uint16)
    Image.fromarray(values).save(tmp_path / "deep.png")
    picture = read_picture(tmp_path / "deep.png")
    assert picture[0, 0, 0] == 0
    assert picture[-1, -1, 0] == 255
    assert abs(int(picture[40, 0, 0]) - 128) <= 1


def test_exif_rotation_is_honoured(tmp_path: Path) -> None:
    image = Image.fromarray(_gradient(100, 70))
    exif = Image.Exif()
    exif[0x0112] = 6  # turn clockwise to show
    image.save(tmp_path / "turned.jpg", exif=exif)
    assert read_picture(tmp_path / "turned.jpg").shape == (100, 70, 4)


def test_first_picture_of_an_animation_is_taken(tmp_path: Path) -> None:
    frames = [Image.new("RGB", (80, 80), colour) for colour in ("red", "blue")]
    frames[0].save(tmp_path / "moving.gif", save_all=True, append_images=frames[1:])
    assert tuple(read_picture(tmp_path / "moving.gif")[40, 40]) == (255, 0, 0, 255)


def test_twelve_thousand_pixels_are_scaled_down(tmp_path: Path) -> None:
    Image.new("L", (12_000, 2_000), 128).save(tmp_path / "wide.png")
    assert read_picture(tmp_path / "wide.png").shape == (683, 4096, 4)


@pytest.mark.parametrize(
    ("size", "words"), [((16, 16), "at least 64"), ((17_000, 100), "scale it down")]
)
def test_sizes_outside_the_limits_are_refused(
    tmp_path: Path, size: tuple[int, int], words: str
) -> None:
    Image.new("L", size).save(tmp_path / "size.png")
    with pytest.raises(AvatarError, match=words):
        read_picture(tmp_path / "size.png")


def test_a_bomb_is_refused_before_it_is_decoded(tmp_path: Path) -> None:
    path = tmp_path / "bomb.png"
    Image.new("1", (64, 64)).save(path)
    data = bytearray(path.read_bytes())
    data[16:24] = (15_000).to_bytes(4, "big") * 2  # the header promises 225 million pixels
    data[29:33] = zlib.crc32(bytes(data[12:29])).to_bytes(4, "big")
    path.write_bytes(bytes(data))
    with pytest.raises(AvatarError, match="million"):
        read_picture(path)


def test_missing_text_and_truncated_files_are_refused(tmp_path: Path) -> None:
    with pytest.raises(AvatarError, match="does not exist"):
        read_picture(tmp_path / "none.png")
    (tmp_path / "text.png").write_text("no picture")
    with pytest.raises(AvatarError, match="not a picture"):
        read_picture(tmp_path / "text.png")
    Image.fromarray(_gradient()).save(tmp_path / "cut.png")
    data = (tmp_path / "cut.png").read_bytes()
    (tmp_path / "cut.png").write_bytes(data[: len(data) // 2])
    with pytest.raises(AvatarError, match="damaged"):
        read_picture(tmp_path / "cut.png")

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from rest_bridge.errors import ConfigError
from rest_bridge.sinks import convert


def noise(height: int, width: int, channels: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (height, width, channels), np.uint8)


def test_compositing_is_the_straight_alpha_formula_within_one_step() -> None:
    rgba, background = noise(16, 24, 4, 1), noise(16, 24, 3, 2)
    alpha = rgba[:, :, 3:] / 255.0
    expected = rgba[:, :, :3] * alpha + background * (1 - alpha)
    assert np.abs(convert.composite(rgba, background) - expected).max() <= 1.0


def test_opaque_and_transparent_pixels_are_exact() -> None:
    rgba, background = noise(8, 8, 4, 3), noise(8, 8, 3, 4)
    rgba[:4, :, 3] = 255
    rgba[4:, :, 3] = 0
    out = convert.composite(rgba, background)
    assert np.array_equal(out[:4], rgba[:4, :, :3])
    assert np.array_equal(out[4:], background[4:])


@settings(max_examples=50, deadline=None)
@given(
    st.integers(1, 900),
    st.integers(1, 900),
    st.sampled_from([(1280, 720), (640, 480), (512, 512)]),
)
def test_contain_keeps_aspect_and_stays_inside(
    width: int, height: int, out: tuple[int, int]
) -> None:
    where = convert.place(width, height, *out, "contain")
    assert where.width <= out[0]
    assert where.height <= out[1]
    assert where.width == out[0] or where.height == out[1] or min(where[2:]) == 1
    assert where.x + where.width <= out[0] + 1
    if min(where[2:]) > 20:
        assert where.width / where.height == pytest.approx(width / height, rel=0.06)


def test_square_frame_is_letterboxed_with_the_background_colour() -> None:
    fitter = convert.FrameFitter(1280, 720, background="#0A1420")
    rgba = np.full((512, 512, 4), 255, np.uint8)
    out = fitter.rgb(rgba)
    assert out.shape == (720, 1280, 3)
    assert (out[:, 280:1000] == 255).all()
    assert (out[:, :280] == (10, 20, 32)).all()
    assert (out[:, 1000:] == (10, 20, 32)).all()


def test_same_size_opaque_frame_passes_byte_exactly() -> None:
    rgba = noise(48, 64, 4)
    rgba[:, :, 3] = 255
    assert np.array_equal(convert.FrameFitter(64, 48).rgb(rgba), rgba[:, :, :3])


def test_scaling_does_not_bleed_colours_hidden_under_zero_alpha() -> None:
    rgba = np.zeros((64, 64, 4), np.uint8)
    rgba[:, :32] = (200, 100, 50, 255)
    rgba[:, 32:, 1] = 255  # bright green, fully transparent
    out = convert.FrameFitter(32, 32, background="black").rgb(rgba)
    assert (out[:, :, 1].astype(int) <= out[:, :, 0] // 2 + 1).all()


def test_bars_are_clean_after_the_frame_size_changes() -> None:
    fitter = convert.FrameFitter(64, 32, background="blue")
    fitter.rgb(np.full((32, 64, 4), 255, np.uint8))
    out = fitter.rgb(np.full((32, 32, 4), 255, np.uint8))
    assert (out[:, :16] == convert.COLOURS["blue"]).all()


def test_cover_fills_every_pixel() -> None:
    rgba = np.full((64, 64, 4), 255, np.uint8)
    assert (convert.FrameFitter(128, 72, fit="cover").rgb(rgba) == 255).all()


def test_picture_background_shows_through(tmp_path) -> None:
    path = tmp_path / "back ground é.png"
    Image.new("RGB", (300, 100), (9, 8, 7)).save(path)
    fitter = convert.FrameFitter(64, 32, background=str(path))
    assert (fitter.rgb(np.zeros((16, 16, 4), np.uint8)) == (9, 8, 7)).all()


@pytest.mark.parametrize("text", ["greeen", "#12345", "#12345g", "nowhere.png"])
def test_unknown_background_says_what_is_allowed(text: str) -> None:
    with pytest.raises(ConfigError, match="#RRGGBB"):
        convert.parse_background(text)


def test_background_that_is_no_picture_is_refused(tmp_path) -> None:
    path = tmp_path / "text.png"
    path.write_text("no picture")
    with pytest.raises(ConfigError, match="not a picture"):
        convert.make_background(str(path), 8, 8)


def test_i420_is_bt601_limited_range() -> None:
    white_black = np.zeros((4, 4, 3), np.uint8)
    white_black[:2] = 255
    out = convert.to_i420(white_black)
    assert out.shape == (6, 4)
    assert (out[:2] == 235).all()
    assert (out[2:4] == 16).all()
    assert (out[4:] == 128).all()


def test_bgra_swaps_red_and_blue_only() -> None:
    rgba = noise(3, 5, 4)
    assert np.array_equal(convert.to_bgra(rgba), rgba[:, :, [2, 1, 0, 3]])


def test_mirror_swaps_left_and_right_of_the_picture_only(tmp_path) -> None:
    rgba = noise(48, 48, 4, 5)
    rgba[..., 3] = 255
    backdrop = noise(48, 96, 3, 6)
    path = tmp_path / "backdrop.png"
    Image.fromarray(backdrop).save(path)
    plain = convert.FrameFitter(96, 48, background=str(path)).rgb(rgba).copy()
    mirrored = convert.FrameFitter(96, 48, background=str(path), mirror=True).rgb(rgba)
    assert np.array_equal(mirrored[:, 24:72], plain[:, 24:72][:, ::-1])
    assert np.array_equal(mirrored[:, :24], plain[:, :24])


def face(colour: tuple[int, int, int], shift: int = 0) -> np.ndarray:
    rgba = np.zeros((64, 64, 4), np.uint8)
    rgba[...] = (*colour, 255)
    rgba[20:30, 20 + shift : 44 + shift, :3] = 255  # something that moves
    return rgba


def test_blur_is_made_of_the_picture_and_stands_still_while_the_face_moves() -> None:
    fitter = convert.FrameFitter(128, 64, background="blur")
    first = fitter.rgb(face((200, 40, 40))).copy()
    bar = first[:, :32]
    assert bar[..., 0].mean() > 2 * bar[..., 1].mean()  # the picture's own red, darker
    assert bar.max() < 200
    moved = fitter.rgb(face((200, 40, 40), shift=2))
    assert np.array_equal(moved[:, :32], bar)
    assert not np.array_equal(moved, first)
    other = fitter.rgb(face((40, 40, 200)))
    assert other[:, :32, 2].mean() > 2 * other[:, :32, 0].mean()


def test_blur_behind_a_transparent_picture_takes_its_colours_not_hidden_ones() -> None:
    rgba = np.zeros((64, 64, 4), np.uint8)
    rgba[..., 1] = 255  # green where nobody sees it
    rgba[16:48, 16:48] = (180, 60, 60, 255)
    out = convert.FrameFitter(128, 64, background="blur").rgb(rgba)
    assert out[:, :32, 0].mean() > 1.5 * out[:, :32, 1].mean()


def test_blur_is_for_cameras() -> None:
    with pytest.raises(ConfigError, match="for cameras"):
        convert.make_background("blur", 8, 8)

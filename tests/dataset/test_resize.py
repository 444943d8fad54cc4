import os
import platform
import subprocess
import sys
from contextlib import suppress
from functools import cache
from importlib.metadata import version
from io import BytesIO

import cykooz_resizer
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, ImageChops, ImageStat

from luigi_ilsvrc.dataset import resize as resize_module
from luigi_ilsvrc.dataset.images import ImageError, RGBImage, as_rgb_jpeg
from luigi_ilsvrc.dataset.resize import MAX_SIDE, Resize, decode_smaller, library, parse_size, size_within, smaller
from luigi_ilsvrc.errors import BuildError
from tests.dataset.test_images import claiming, encode

SHORT_64, MAX_64 = Resize("short", 64, 90), Resize("max", 64, 90)


def photograph(width: int = 240, height: int = 160, mode: str = "RGB", **options: object) -> RGBImage:
    """Return an image with edges and gradients in all colours."""
    gradient = Image.linear_gradient("L").resize((width, height))
    bands = (
        gradient,
        Image.radial_gradient("L").resize((width, height)),
        ImageChops.multiply(gradient.rotate(30), gradient.rotate(90)).quantize(9).convert("L"),
    )
    encoded = BytesIO()
    Image.merge("RGB", bands).convert(mode).save(encoded, "JPEG", **options)
    return as_rgb_jpeg(encoded.getvalue())


def opened(image: RGBImage) -> Image.Image:
    return Image.open(BytesIO(image.encoded))


# The size ------------------------------------------------------------------------------------------------------------


@given(side=st.sampled_from(["short", "max"]), pixels=st.integers(1, MAX_SIDE))
def test_a_size_is_read_as_it_is_written(side: str, pixels: int) -> None:
    assert parse_size(f"{side}:{pixels}") == (side, pixels)


@pytest.mark.parametrize(
    "text", ["", "none", "256", "short", "short:", "short:0", "short:-1", "max:65536", "long:5", "short:2.5", "Max:5"]
)
def test_what_is_no_size_is_refused_with_examples(text: str) -> None:
    with pytest.raises(ValueError, match=r"is not short:N or max:N with N from 1 to 65535, such as short:256"):
        parse_size(text)


@given(text=st.text() | st.from_regex(r"(short|max):\s*\w+\s*"))
def test_any_text_is_read_back_as_it_was_or_refused_in_one_line(text: str) -> None:
    try:
        side, pixels = parse_size(text)
    except ValueError as error:
        assert len(str(error).splitlines()) == 1
    else:
        assert f"{side}:{pixels}" == text


def test_its_name_is_that_of_a_folder() -> None:
    assert (Resize("short", 256, 90).name, Resize("max", 500, 75).name) == ("short256", "max500")


sides = st.integers(1, MAX_SIDE)
resizes = st.builds(Resize, st.sampled_from(["short", "max"]), sides, st.just(90))


@given(height=sides, width=sides, resize=resizes)
def test_the_measured_side_becomes_what_is_asked_for_and_nothing_is_enlarged(
    height: int, width: int, resize: Resize
) -> None:
    new_height, new_width = size_within(height, width, resize)
    measured = min if resize.side == "short" else max
    assert measured(new_height, new_width) == min(measured(height, width), resize.pixels)
    assert 1 <= new_height <= height and 1 <= new_width <= width


@given(height=sides, width=sides, resize=resizes)
def test_the_aspect_is_kept_to_the_nearest_pixel(height: int, width: int, resize: Resize) -> None:
    new_height, new_width = size_within(height, width, resize)
    side = (min if resize.side == "short" else max)(height, width)
    pixels = min(side, resize.pixels)
    for old, new in ((height, new_height), (width, new_width)):
        assert abs(new * side - old * pixels) * 2 <= side or new == 1


@given(height=sides, width=sides, resize=resizes)
def test_a_second_time_changes_nothing(height: int, width: int, resize: Resize) -> None:
    once = size_within(height, width, resize)
    assert size_within(*once, resize) == once


# The image -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("resize", [Resize("short", 160, 90), Resize("max", 240, 90), Resize("max", 9999, 1)])
def test_an_image_that_is_small_enough_is_returned_as_it_is(resize: Resize) -> None:
    image = photograph()
    assert smaller(image, resize) is image


def test_bytes_of_a_small_image_are_not_even_read() -> None:
    image = RGBImage(b"nothing to decode", 64, 64)
    assert smaller(image, SHORT_64) is image


@pytest.mark.parametrize(
    ("image", "resize", "size"),
    [
        (photograph(), SHORT_64, (64, 96)),
        (photograph(), MAX_64, (43, 64)),
        (photograph(160, 240), SHORT_64, (96, 64)),
        (photograph(241, 161), SHORT_64, (64, 96)),
        (photograph(1000, 3), MAX_64, (1, 64)),
        (photograph(2, 300), Resize("short", 1, 90), (150, 1)),
    ],
)
def test_a_larger_image_gets_the_new_size(image: RGBImage, resize: Resize, size: tuple[int, int]) -> None:
    result = smaller(image, resize)
    assert (result.height, result.width) == size
    with opened(result) as decoded:
        assert (decoded.height, decoded.width) == size


@pytest.mark.parametrize("mode", ["RGB", "L"])
@pytest.mark.parametrize("progressive", [False, True])
def test_the_result_is_a_plain_rgb_jpeg(mode: str, progressive: bool) -> None:
    result = smaller(photograph(mode=mode, progressive=progressive), SHORT_64)
    with opened(result) as decoded:
        assert (decoded.format, decoded.mode) == ("JPEG", "RGB")
    assert as_rgb_jpeg(result.encoded) == result


def test_a_grey_image_that_is_small_enough_stays_grey() -> None:
    with opened(smaller(photograph(mode="L"), Resize("short", 500, 90))) as decoded:
        assert decoded.mode == "L"


def test_a_grey_image_has_no_colours_afterwards() -> None:
    with opened(smaller(photograph(mode="L"), SHORT_64)) as decoded:
        red, green, blue = decoded.split()
        assert red.tobytes() == green.tobytes() == blue.tobytes()


def test_an_exif_orientation_is_not_applied_and_does_not_stay() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    turned = smaller(photograph(exif=exif), SHORT_64)
    assert turned == smaller(photograph(), SHORT_64)
    with opened(turned) as decoded:
        assert dict(decoded.getexif()) == {}


def test_a_lower_quality_takes_fewer_bytes() -> None:
    sizes = [len(smaller(photograph(), Resize("short", 64, quality)).encoded) for quality in (30, 60, 90, 100)]
    assert sizes == sorted(set(sizes))


@pytest.mark.parametrize("mode", ["RGB", "L"])
@pytest.mark.parametrize("pixels", [100, 64, 20])
def test_the_result_looks_like_pillows_own(mode: str, pixels: int) -> None:
    image = photograph(mode=mode)
    resize = Resize("short", pixels, 90)
    with opened(image) as whole:
        height, width = size_within(image.height, image.width, resize)
        wanted = whole.resize((width, height), Image.Resampling.LANCZOS)
    difference = ImageStat.Stat(ImageChops.difference(wanted, decode_smaller(image.encoded, resize)))
    assert max(difference.rms) < 2


def test_a_large_image_is_decoded_at_a_part_of_its_size(monkeypatch: pytest.MonkeyPatch) -> None:
    sizes = []
    scale = resize_module._scale

    def scale_and_tell(image: Image.Image, height: int, width: int) -> Image.Image:
        sizes.append(image.size)
        return scale(image, height, width)

    monkeypatch.setattr(resize_module, "_scale", scale_and_tell)
    image = photograph(960, 640)
    for pixels in (320, 106, 53, 1):
        smaller(image, Resize("short", pixels, 90))
    assert sizes == [(960, 640), (480, 320), (240, 160), (120, 80)]


# What cannot be used -------------------------------------------------------------------------------------------------


def larger(encoded: bytes) -> RGBImage:
    """Return bytes with a size that is not theirs, so that they have to be decoded."""
    return RGBImage(encoded, 300, 400)


@pytest.mark.parametrize(
    ("encoded", "reason"),
    [
        (b"", "empty"),
        (b"<html>", "neither JPEG nor PNG"),
        (photograph().encoded[:-2], "its end is missing"),
        (photograph().encoded.replace(b"\xff\xc4\x00\x1f\x00\x00", b"\xff\xc4\x00\x1f\x00\xff"), "cannot be decoded"),
        (encode("CMYK", size=(400, 300)), "CMYK"),
        (encode("RGBA", "PNG", size=(400, 300)), "PNG"),
        (claiming(encode("RGB"), 9000, 9000), "9000 x 9000 pixels, more than"),
    ],
)
def test_what_cannot_be_decoded_is_refused_with_the_reason(encoded: bytes, reason: str) -> None:
    with pytest.raises(ImageError, match=reason):
        smaller(larger(encoded), SHORT_64)


def test_an_image_is_refused_if_too_many_pixels_would_have_to_be_decoded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resize_module, "_MAX_DECODED_PIXELS", 240 * 160 - 1)
    with pytest.raises(ImageError, match=r"240 x 160 pixels have to be decoded, more than the 38,399"):
        smaller(photograph(), Resize("short", 100, 90))
    assert smaller(photograph(), Resize("short", 20, 90)).height == 20


@given(data=st.data())
def test_damaged_bytes_give_an_image_or_an_image_error(data: st.DataObject) -> None:
    encoded = bytearray(encode(data.draw(st.sampled_from(["RGB", "CMYK", "L"])), size=(90, 80)))
    for position in data.draw(st.lists(st.integers(0, len(encoded) - 1), max_size=20)):
        encoded[position] = data.draw(st.integers(0, 255))
    with suppress(ImageError):
        smaller(larger(bytes(encoded)), SHORT_64)


def test_without_its_library_an_error_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "cykooz_resizer", None)
    library.cache_clear()
    with pytest.raises(BuildError, match=r"pip install 'luigi-ilsvrc\[resize\]'$"):
        smaller(photograph(), SHORT_64)


# The same bytes ------------------------------------------------------------------------------------------------------

THREADS = ("RAYON_NUM_THREADS", "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS")
EXTENSIONS = ("none", "sse4_1") if platform.machine() in ("x86_64", "AMD64") else ("none",)

DIGEST = """
import hashlib
from luigi_ilsvrc.dataset.resize import Resize, smaller
from tests.dataset.test_resize import photograph
print(hashlib.sha256(b"".join(smaller(photograph(mode=mode), Resize("short", pixels, 90)).encoded
                              for mode in ("RGB", "L") for pixels in (100, 64, 53, 20))).hexdigest())
"""


@cache
def digest_in_a_process(**environment: str) -> str:
    run = subprocess.run(
        [sys.executable, "-c", DIGEST], env={**os.environ, **environment}, capture_output=True, text=True, check=True
    )
    return run.stdout


def test_the_bytes_are_the_same_in_each_process() -> None:
    assert digest_in_a_process() == digest_in_a_process(PYTHONHASHSEED="7")


def test_the_bytes_do_not_depend_on_the_number_of_threads() -> None:
    one, many = (dict.fromkeys(THREADS, count) for count in ("1", "5"))
    assert digest_in_a_process(**one) == digest_in_a_process(**many)


def test_the_bytes_do_not_depend_on_what_libjpeg_finds_in_the_processor() -> None:
    assert digest_in_a_process() == digest_in_a_process(JSIMD_FORCENONE="1")


@pytest.mark.parametrize("mode", ["RGB", "L"])
@pytest.mark.parametrize("pixels", [100, 64, 53, 20])
@pytest.mark.parametrize("extensions", EXTENSIONS)
def test_the_bytes_do_not_depend_on_what_the_resizer_finds_in_the_processor(
    mode: str, pixels: int, extensions: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    image, resize = photograph(mode=mode), Resize("short", pixels, 90)
    wanted = smaller(image, resize)

    class Limited(cykooz_resizer.Resizer):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.cpu_extensions = cykooz_resizer.CpuExtensions[extensions]

    monkeypatch.setattr(cykooz_resizer, "Resizer", Limited)
    assert smaller(image, resize) == wanted


def test_the_libraries_that_the_bytes_depend_on_are_named_with_their_versions() -> None:
    assert library().startswith("Pillow ") and "libjpeg" in library()
    assert library().endswith(f"cykooz-resizer {version('cykooz-resizer')}")

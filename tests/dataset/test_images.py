from contextlib import suppress
from io import BytesIO
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from luigi_ilsvrc.dataset.images import ImageError, as_rgb_jpeg, check_decodes


def encode(mode: str, format: str = "JPEG", size: tuple[int, int] = (40, 30), **options: Any) -> bytes:
    buffer = BytesIO()
    Image.radial_gradient("L").resize(size).convert(mode).save(buffer, format, **options)
    return buffer.getvalue()


@pytest.mark.parametrize("encoded", [encode("RGB"), encode("RGB", progressive=True), encode("L")])
def test_rgb_grey_and_progressive_jpegs_keep_their_bytes(encoded: bytes) -> None:
    assert as_rgb_jpeg(encoded) == (encoded, 30, 40)


def test_the_size_is_that_of_the_stored_pixels_whatever_exif_says() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    encoded = encode("RGB", exif=exif)
    assert as_rgb_jpeg(encoded) == (encoded, 30, 40)


@pytest.mark.parametrize(
    "encoded", [encode("CMYK"), encode("RGB", "PNG"), encode("RGBA", "PNG"), encode("P", "PNG"), encode("1", "PNG")]
)
def test_cmyk_jpegs_and_pngs_become_rgb_jpegs_of_the_same_size(encoded: bytes) -> None:
    result = as_rgb_jpeg(encoded)
    with Image.open(BytesIO(result.encoded)) as image:
        assert (image.format, image.mode, image.size) == ("JPEG", "RGB", (40, 30))
    assert (result.height, result.width) == (30, 40)


def test_a_re_encoded_image_looks_like_the_original() -> None:
    encoded = encode("CMYK", quality=100)
    with Image.open(BytesIO(encoded)) as image:
        wanted = image.convert("L").tobytes()
    with Image.open(BytesIO(as_rgb_jpeg(encoded).encoded)) as image:
        got = image.convert("L").tobytes()
    assert max(abs(a - b) for a, b in zip(wanted, got, strict=True)) <= 4


def test_re_encoding_repeats_its_bytes() -> None:
    assert as_rgb_jpeg(encode("CMYK")) == as_rgb_jpeg(encode("CMYK"))


@pytest.mark.parametrize(
    ("encoded", "reason"),
    [
        (b"", "empty"),
        (b"<html>Please log in</html>", "neither JPEG nor PNG: it begins with b'<html>"),
        (encode("RGB", "GIF"), "neither JPEG nor PNG"),
        (encode("RGB")[:100], "JPEG|header"),
        (encode("CMYK", size=(400, 300))[:-400], "cannot be decoded"),
        (encode("RGB").replace(b"\xff\xdb\x00\x43", b"\xff\xdb\x00\x33", 1), "neither JPEG nor PNG"),
        (encode("RGB")[: encode("RGB").index(b"\xff\xda") + 6], "JPEG|header"),
    ],
)
def test_bytes_that_are_not_a_usable_image_are_refused_with_the_reason(encoded: bytes, reason: str) -> None:
    with pytest.raises(ImageError, match=reason):
        as_rgb_jpeg(encoded)


def claiming(encoded: bytes, width: int, height: int) -> bytes:
    """Write another size into the frame header of a JPEG."""
    frame = encoded.index(b"\xff\xc0")
    return encoded[: frame + 5] + height.to_bytes(2, "big") + width.to_bytes(2, "big") + encoded[frame + 9 :]


@pytest.mark.parametrize("mode", ["RGB", "L", "CMYK"])
@pytest.mark.parametrize("size", [(9000, 9000), (65500, 65500), (0, 30), (40, 0)])
def test_a_header_with_a_size_that_cannot_be_is_refused(mode: str, size: tuple[int, int]) -> None:
    with pytest.raises(ImageError, match=r"9000 x 9000 pixels, more than [\d,]+ bytes can hold|exceeds|neither JPEG"):
        as_rgb_jpeg(claiming(encode(mode), *size))


@pytest.mark.parametrize("progressive", [False, True])
@pytest.mark.parametrize("mode", ["L", "RGB"])
def test_a_picture_of_one_colour_has_bytes_enough_for_its_size(mode: str, progressive: bool) -> None:
    buffer = BytesIO()
    Image.new(mode, (8000, 8000)).save(buffer, "JPEG", quality=1, optimize=True, progressive=progressive)
    assert as_rgb_jpeg(buffer.getvalue()).height == 8000


@given(data=st.data())
def test_damaged_bytes_give_an_image_or_an_image_error(data: st.DataObject) -> None:
    encoded = bytearray(encode(data.draw(st.sampled_from(["RGB", "CMYK", "L"]))))
    for position in data.draw(st.lists(st.integers(0, len(encoded) - 1), max_size=20)):
        encoded[position] = data.draw(st.integers(0, 255))
    with suppress(ImageError):
        assert as_rgb_jpeg(bytes(encoded)).height > 0


@pytest.mark.filterwarnings("ignore:Corrupt EXIF")
@given(data=st.data())
def test_the_size_of_a_damaged_jpeg_is_what_pillow_reads_if_pillow_reads_it(data: st.DataObject) -> None:
    encoded = bytearray(encode(data.draw(st.sampled_from(["RGB", "CMYK", "L"])), exif=Image.Exif(), comment=b"comment"))
    header = encoded.index(b"\xff\xda")
    for position in data.draw(st.lists(st.integers(0, header + 20), min_size=1, max_size=4)):
        encoded[position] = data.draw(st.sampled_from([0, 1, 2, 3, 4, 8, 0xFF]) | st.integers(0, 255))
    with suppress(ImageError, OSError, SyntaxError, ValueError):
        result = as_rgb_jpeg(bytes(encoded))
        with Image.open(BytesIO(encoded)) as image:
            assert (result.height, result.width) == (image.height, image.width)
            assert (result.encoded == encoded) == (image.mode in ("RGB", "L") and image.format != "PNG")


# Decoding ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("encoded", [encode("RGB"), encode("L"), encode("CMYK"), encode("RGB", "PNG")])
def test_a_whole_image_decodes(encoded: bytes) -> None:
    check_decodes(encoded)


@pytest.mark.parametrize("encoded", [encode("RGB", size=(400, 300)), encode("RGBA", "PNG", size=(400, 300))])
def test_a_truncated_image_does_not_decode(encoded: bytes) -> None:
    with pytest.raises(ImageError, match="decoded"):
        check_decodes(encoded[: len(encoded) * 2 // 3])


@pytest.mark.parametrize("encoded", [b"", b"<html>", encode("RGB", "GIF")])
def test_bytes_of_another_kind_do_not_decode(encoded: bytes) -> None:
    with pytest.raises(ImageError):
        check_decodes(encoded)

import re
import struct
import zlib
from collections.abc import Callable, Iterator
from functools import partial
from io import BytesIO
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from luigi_ilsvrc.dataset.images import ImageError, as_rgb_jpeg, check_decodes
from tests.dataset.test_images import claiming, encode
from tests.support.memory import cost_of

MEGABYTES = 1 << 20


def photograph(mode: str = "RGB", format: str = "JPEG", **options: object) -> bytes:
    return encode(mode, format, size=(80, 60), **options)


WHOLE = {
    "grey": photograph("L"),
    "colour": photograph(),
    "progressive": photograph(progressive=True),
    "with restart markers": photograph(restart_marker_blocks=2),
    "with EXIF": photograph(exif=Image.Exif(), comment=b"a comment"),
    "CMYK": photograph("CMYK"),
    "progressive CMYK": photograph("CMYK", progressive=True),
    "PNG": photograph("RGBA", "PNG"),
    "grey PNG": photograph("L", "PNG"),
}


def is_accepted(check: Callable[[bytes], object], encoded: bytes) -> bool:
    try:
        check(encoded)
    except ImageError:
        return False
    return True


# Cut -----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("encoded", WHOLE.values(), ids=WHOLE)
def test_an_image_cut_at_any_byte_does_not_decode(encoded: bytes) -> None:
    assert [size for size in range(len(encoded)) if is_accepted(check_decodes, encoded[:size])] == []


@pytest.mark.parametrize("kind", ["CMYK", "progressive CMYK", "PNG", "grey PNG"])
def test_an_image_cut_at_any_byte_is_not_re_encoded(kind: str) -> None:
    encoded = WHOLE[kind]
    assert [size for size in range(len(encoded)) if is_accepted(as_rgb_jpeg, encoded[:size])] == []


@pytest.mark.parametrize("encoded", WHOLE.values(), ids=WHOLE)
@pytest.mark.parametrize("trailer", [b"\0", b"\xff", b"\xff\xd8\xff", b"trailing bytes" * 1000, bytes(512)])
def test_bytes_after_the_end_of_an_image_are_ignored(encoded: bytes, trailer: bytes) -> None:
    check_decodes(encoded + trailer)


def test_bytes_between_segments_and_filling_before_a_marker_are_not_the_end() -> None:
    encoded = photograph(progressive=True)
    second_scan = encoded.index(b"\xff\xda", encoded.index(b"\xff\xda") + 2)
    comment = b"\xff\xff\xff\xfe\x00\x06\xff\xd9\xff\xd9"
    changed = encoded[:second_scan] + comment + encoded[second_scan:]
    check_decodes(changed)
    with pytest.raises(ImageError, match="end is missing"):
        check_decodes(changed[: second_scan + len(comment)])


@settings(max_examples=200, deadline=None)
@given(data=st.data())
def test_what_tensorflow_refuses_of_a_cut_image_is_refused(data: st.DataObject) -> None:
    tensorflow = pytest.importorskip("tensorflow")
    width, height = data.draw(st.integers(1, 70)), data.draw(st.integers(1, 70))
    progressive = data.draw(st.booleans())
    mode = data.draw(st.sampled_from(["RGB", "L", "CMYK"]))
    encoded = encode(mode, size=(width, height), progressive=progressive, quality=data.draw(st.integers(1, 100)))
    encoded += data.draw(st.binary(max_size=20))
    tensorflow.io.decode_jpeg(encoded)
    check_decodes(encoded)
    cut = encoded[: len(encoded) - data.draw(st.integers(1, 40))]
    if is_accepted(check_decodes, cut):
        tensorflow.io.decode_jpeg(cut)


# Bombs ---------------------------------------------------------------------------------------------------------------


def chunk(kind: bytes, contents: bytes) -> bytes:
    return struct.pack(">I", len(contents)) + kind + contents + struct.pack(">I", zlib.crc32(kind + contents))


def png_of(width: int, height: int, *, bits: int, colours: int, rows: bytes, extra: bytes = b"") -> bytes:
    header = struct.pack(">IIBBBBB", width, height, bits, colours, 0, 0, 0)
    data = chunk(b"IDAT", zlib.compress(rows))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + extra + data + chunk(b"IEND", b"")


def black_png(width: int, height: int) -> bytes:
    return png_of(width, height, bits=1, colours=0, rows=bytes((width // 8 + 1) * height))


def png_with(extra: bytes) -> bytes:
    return png_of(8, 1, bits=8, colours=0, rows=bytes(9), extra=extra)


ZEROS = zlib.compress(bytes(100 * MEGABYTES), 9)


def scans_of(encoded: bytes) -> list[bytes]:
    """Split a progressive JPEG before each scan's tables; the first part is the header."""
    parts = encoded[:-2].split(b"\xff\xda")
    return [parts[0], *(b"\xff\xda" + part for part in parts[1:])]


def with_scans(count: int) -> bytes:
    header, *scans = scans_of(photograph("L", progressive=True))
    return header + scans[0] * count + b"\xff\xd9"


def large(encoded: bytes, width: int, height: int) -> bytes:
    """Claim a size in a JPEG, and add the bytes that could hold so many pixels."""
    frame = max(encoded.find(b"\xff\xc0"), encoded.find(b"\xff\xc2"))
    size = height.to_bytes(2, "big") + width.to_bytes(2, "big")
    encoded = encoded[: frame + 5] + size + encoded[frame + 9 :]
    comment = b"\xff\xfe\xff\xff" + bytes(0xFFFF - 2)
    return encoded[:2] + comment * (width * height // 512 // len(comment) + 1) + encoded[2:]


BOMBS: dict[str, tuple[Callable[[], bytes], str]] = {
    "a black PNG": (partial(black_png, 13_000, 13_000), "13000 x 13000 pixels"),
    "a PNG larger than Pillow opens": (partial(black_png, 60_000, 40_000), "header cannot be read|13000 x"),
    "a PNG of one row": (partial(black_png, 1 << 27, 1), "134217728 x 1 pixels"),
    "compressed text": (lambda: png_with(chunk(b"zTXt", b"a\0\0" + ZEROS)), "Decompressed|too large"),
    "much compressed text": (
        lambda: png_with(chunk(b"zTXt", b"a\0\0" + zlib.compress(bytes(MEGABYTES - 1))) * 200),
        "[Tt]ext",
    ),
    "international text": (lambda: png_with(chunk(b"iTXt", b"a\0\1\0\0\0" + ZEROS)), "Decompressed|too large"),
    "a colour profile": (lambda: png_with(chunk(b"iCCP", b"a\0\0" + ZEROS)), "Decompressed|too large"),
    "a progressive JPEG": (lambda: large(photograph(progressive=True), 10_000, 10_000), "10000 x 10000 pixels"),
    "a progressive CMYK JPEG": (
        lambda: large(photograph("CMYK", progressive=True), 8_000, 8_000),
        "8000 x 8000 pixels",
    ),
    "a JPEG of 65,535 pixels squared": (lambda: claiming(photograph(), 65_535, 65_535), "header"),
    "a JPEG of many scans": (lambda: with_scans(20_000), "500 scans"),
}


@pytest.mark.parametrize("bomb", BOMBS)
def test_a_bomb_is_refused_with_little_memory_and_time(tmp_path: Path, bomb: str) -> None:
    make, reason = BOMBS[bomb]
    path = tmp_path / "image.JPEG"
    path.write_bytes(make())
    cost = cost_of("tests.dataset.test_hostile_images:decode", path)
    assert re.search(reason, cost.error), cost.error
    assert cost.memory < 300 * MEGABYTES
    assert cost.seconds < 10


@pytest.mark.parametrize(
    "encoded",
    [
        partial(encode, "CMYK", size=(4096, 4096), progressive=True),
        partial(encode, "RGBA", "PNG", size=(4096, 4096)),
        partial(encode, "RGB", size=(5500, 5500), progressive=True, subsampling="4:4:4"),
        partial(encode, "RGB", size=(9331, 6530)),
    ],
    ids=["CMYK", "PNG", "progressive", "plain"],
)
def test_the_largest_image_that_is_accepted_takes_little_memory(tmp_path: Path, encoded: Callable[[], bytes]) -> None:
    path = tmp_path / "image.JPEG"
    path.write_bytes(encoded())
    cost = cost_of("tests.dataset.test_hostile_images:decode", path)
    assert (cost.error, cost.memory < 300 * MEGABYTES) == ("", True)


def decode(path: Path) -> None:
    """Do to an image what a build and a verification do."""
    check_decodes(path.read_bytes())
    as_rgb_jpeg(path.read_bytes())


# More than 8 bits ----------------------------------------------------------------------------------------------------


def grey_levels() -> Iterator[int]:
    yield from (0, 1, 255, 256, 257, 32768, 65279, 65280, 65535)


@pytest.mark.parametrize("colours", [0, 4], ids=["grey", "with alpha"])
def test_a_png_of_16_bit_grey_is_scaled_to_8_bits(colours: int) -> None:
    levels = [level for level in grey_levels() for _ in range(64)]
    alpha = b"\xff\xff" if colours == 4 else b""
    row = b"\0" + b"".join(level.to_bytes(2, "big") + alpha for level in levels)
    encoded = png_of(len(levels), 8, bits=16, colours=colours, rows=row * 8)
    with Image.open(BytesIO(as_rgb_jpeg(encoded).encoded)) as image:
        assert image.mode == "RGB"
        found = list(image.convert("L").tobytes()[32 : len(levels) : 64])
    assert found == pytest.approx([level >> 8 for level in grey_levels()], abs=1)


@pytest.mark.parametrize("colours", [2, 6], ids=["colour", "with alpha"])
def test_a_png_of_16_bit_colours_is_scaled_to_8_bits(colours: int) -> None:
    pixel = b"\x80\xff\x40\x00\x20\x80" + (b"\x10\x00" if colours == 6 else b"")
    encoded = png_of(8, 8, bits=16, colours=colours, rows=(b"\0" + pixel * 8) * 8)
    with Image.open(BytesIO(as_rgb_jpeg(encoded).encoded)) as image:
        assert image.getpixel((4, 4)) == pytest.approx((0x80, 0x40, 0x20), abs=2)


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "CMYK"])
def test_images_of_8_bits_are_re_encoded_as_before(mode: str) -> None:
    encoded = encode(mode, "JPEG" if mode == "CMYK" else "PNG")
    wanted = BytesIO()
    with Image.open(BytesIO(encoded)) as image:
        image.convert("RGB").save(wanted, "JPEG", quality=100)
    assert as_rgb_jpeg(encoded).encoded == wanted.getvalue()

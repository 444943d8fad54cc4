from io import BytesIO
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from luigi_ilsvrc.dataset.jpeg import traits


def encode(mode: str = "RGB", **options: Any) -> bytes:
    buffer = BytesIO()
    Image.new(mode, (40, 30)).save(buffer, "JPEG", **options)
    return buffer.getvalue()


def turned(orientation: int, endian: str = ">") -> bytes:
    exif = Image.Exif()
    exif.endian = endian
    exif[0x0110] = "a camera"
    exif[0x0112] = orientation
    return encode(exif=exif)


def test_a_usual_image_has_no_traits() -> None:
    assert traits(encode()) == []


@pytest.mark.parametrize(
    ("encoded", "expected"),
    [
        (encode("L"), ["grey"]),
        (encode(progressive=True), ["progressive"]),
        (encode("L", progressive=True), ["grey", "progressive"]),
        (turned(6), ["exif6"]),
        (turned(8, "<"), ["exif8"]),
        (turned(1), []),
        (turned(9), []),
    ],
)
def test_grey_progressive_and_turned_images_are_told(encoded: bytes, expected: list[str]) -> None:
    assert traits(encoded) == expected


def test_a_header_that_was_cut_or_changed_anywhere_is_no_error() -> None:
    encoded = turned(6)
    header = encoded.index(b"\xff\xda")
    for position in range(header):
        traits(encoded[:position])
        for value in (0, 1, 127, 255):
            traits(encoded[:position] + bytes([value]) + encoded[position + 1 :])


@given(st.binary(max_size=60))
def test_no_exif_block_is_an_error(block: bytes) -> None:
    segment = b"Exif\0\0II*\0" + block
    traits(b"\xff\xd8\xff\xe1" + (len(segment) + 2).to_bytes(2, "big") + segment)

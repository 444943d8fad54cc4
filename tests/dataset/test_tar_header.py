import io
import tarfile

import pytest

from luigi_ilsvrc.dataset.tar_header import BLOCK, checksum_is_right, is_header


@pytest.fixture(params=[tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
def header(request: pytest.FixtureRequest) -> bytes:
    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w", format=request.param) as tar:
        tar.addfile(tarfile.TarInfo("n01440764/n01440764_18.JPEG"))
    return archive.getvalue()[:BLOCK]


def test_a_header_is_recognised(header: bytes) -> None:
    assert checksum_is_right(header)
    assert is_header(header)


def test_a_changed_byte_is_found_wherever_it_is(header: bytes) -> None:
    for position in range(BLOCK):
        changed = bytearray(header)
        changed[position] ^= 1
        # Of the checksum's own bytes, some mean nothing.
        assert 148 <= position < 156 or not is_header(bytes(changed))


@pytest.mark.parametrize("block", [b"", bytes(BLOCK), b"<html>" * 100, b"\xff" * BLOCK])
def test_what_has_no_checksum_is_no_header(block: bytes) -> None:
    assert not is_header(block)

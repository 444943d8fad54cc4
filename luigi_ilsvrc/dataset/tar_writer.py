"""What a tar is made of besides the contents of its files: the header of each, and zeros behind it and at the end.

Headers are made here: those of Python's ``tarfile`` differ between its versions, and take ten times as long. Their form
is POSIX.1-1988 "ustar", https://www.gnu.org/software/tar/manual/html_node/Standard.html.
"""

import struct
from collections.abc import Iterable

from luigi_ilsvrc.dataset.tar_header import BLOCK

CHALLENGE_BEGAN = 1_337_000_000
"""May 2012, as the time of a file. A fixed one, so that the same files give the same bytes."""

_RECORD = 20 * BLOCK
"""A tar is filled up to a multiple of this: what GNU tar writes at once."""

_NAME = 100
_MAX_SIZE = 8**11 - 1
# Name, mode, user, group, size, time; then, behind the checksum, type, link, magic, version, and names that are empty.
_BEGIN = struct.Struct(f"{_NAME}s8s8s8s12s12s")
_CHECKSUM = 8
_END = (b"0".ljust(1 + _NAME, b"\0") + b"ustar\x0000").ljust(BLOCK - _BEGIN.size - _CHECKSUM, b"\0")
_SUM_OF_END = sum(_END) + _CHECKSUM * ord(" ")


def header(name: str, size: int, mtime: int = CHALLENGE_BEGAN) -> bytes:
    """Return the header of a regular file of `size` bytes, of mode 0644 and without an owner.

    Parameters
    ----------
    name : str
        At most 100 bytes in UTF-8.
    size : int
        Less than 8 GiB.
    mtime : int
        Seconds since the epoch.

    Raises
    ------
    ValueError
        If name or size is too long for a header.
    """
    encoded = name.encode()
    if len(encoded) > _NAME or not 0 <= size <= _MAX_SIZE:
        raise ValueError(f"{name}: a name of {len(encoded)} bytes and a size of {size} do not fit in a tar header")
    begin = _BEGIN.pack(encoded, b"0000644\0", b"0000000\0", b"0000000\0", b"%011o\0" % size, b"%011o\0" % mtime)
    # The sum of all bytes, those of the checksum itself taken as spaces.
    return begin + b"%06o\0 " % (sum(begin) + _SUM_OF_END) + _END


def padding(size: int) -> bytes:
    """Return what follows a file of `size` bytes, up to the next header."""
    return bytes(-size % BLOCK)


def size_in_tar(size: int) -> int:
    """Return how many bytes of a tar a file of `size` bytes takes, its header and its padding included."""
    return BLOCK + size + -size % BLOCK


def tar_size(sizes: Iterable[int]) -> int:
    """Return the size in bytes of a tar of files of these sizes.

    A tar ends with two empty blocks, and more of them up to a multiple of 20 blocks.
    """
    content = sum(map(size_in_tar, sizes)) + 2 * BLOCK
    return content + -content % _RECORD

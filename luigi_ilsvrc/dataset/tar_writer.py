"""What a tar is made of besides the contents of its files: the header of each, and zeros behind it and at the end."""

import tarfile
from collections.abc import Iterable

# May 2012, when the challenge began. A fixed time, so that the same files give the same bytes.
_MTIME = 1_337_000_000


def header(name: str, size: int) -> bytes:
    """Return the header (ustar) of a regular file of `size` bytes."""
    member = tarfile.TarInfo(name)
    member.size, member.mtime, member.mode = size, _MTIME, 0o644
    return member.tobuf(tarfile.USTAR_FORMAT)


def padding(size: int) -> bytes:
    """Return what follows a file of `size` bytes, up to the next header."""
    return bytes(-size % tarfile.BLOCKSIZE)


def size_in_tar(size: int) -> int:
    """Return how many bytes of a tar a file of `size` bytes takes, its header and its padding included."""
    return tarfile.BLOCKSIZE + size + -size % tarfile.BLOCKSIZE


def tar_size(sizes: Iterable[int]) -> int:
    """Return the size in bytes of a tar of files of these sizes.

    A tar ends with two empty blocks, and more of them up to a multiple of 20 blocks.
    """
    content = sum(map(size_in_tar, sizes)) + 2 * tarfile.BLOCKSIZE
    return content + -content % tarfile.RECORDSIZE

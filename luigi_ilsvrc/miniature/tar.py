"""Writes tar and gzip as a stream of chunks, so that no archive has to fit in memory."""

import tarfile
import zlib
from collections.abc import Iterable, Iterator
from typing import NamedTuple

# May 2012, when the challenge began. A fixed time, so that the same arguments give the same bytes.
_MTIME = 1_337_000_000
# The largest window (15), in a gzip container (16).
_GZIP_WINDOW = 31


class TarMember(NamedTuple):
    """A file to be put in a tar.

    Attributes
    ----------
    name : str
        The name in the tar.
    size : int
        The size of the content in bytes.
    chunks : iterable of bytes
        The content; in chunks, because it may be a tar itself.
    """

    name: str
    size: int
    chunks: Iterable[bytes]


def write_tar(members: Iterable[TarMember]) -> Iterator[bytes]:
    """Yield a tar of these files, chunk by chunk."""
    sizes = []
    for member in members:
        sizes.append(member.size)
        yield _header(member.name, member.size)
        yield from member.chunks
        yield bytes(-member.size % tarfile.BLOCKSIZE)
    yield bytes(tar_size(sizes) - sum(map(_size_in_tar, sizes)))


def tar_size(sizes: Iterable[int]) -> int:
    """Return the size in bytes of a tar of files of these sizes.

    A tar ends with two empty blocks, and more of them up to a multiple of 20 blocks.
    """
    content = sum(map(_size_in_tar, sizes)) + 2 * tarfile.BLOCKSIZE
    return content + -content % tarfile.RECORDSIZE


def _header(name: str, size: int) -> bytes:
    member = tarfile.TarInfo(name)
    member.size, member.mtime, member.mode = size, _MTIME, 0o644
    return member.tobuf(tarfile.USTAR_FORMAT)


def _size_in_tar(size: int) -> int:
    return tarfile.BLOCKSIZE + size + -size % tarfile.BLOCKSIZE


def compress(chunks: Iterable[bytes]) -> Iterator[bytes]:
    """Yield the gzip of the chunks. Its header has neither name nor time, so it is the same in each run."""
    compressor = zlib.compressobj(wbits=_GZIP_WINDOW)
    for chunk in chunks:
        yield compressor.compress(chunk)
    yield compressor.flush()

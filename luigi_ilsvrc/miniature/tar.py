"""Writes tar and gzip as a stream of chunks, so that no archive has to fit in memory."""

import zlib
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from luigi_ilsvrc.dataset.tar_writer import header, padding, size_in_tar, tar_size

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
        yield header(member.name, member.size)
        yield from member.chunks
        yield padding(member.size)
    yield bytes(tar_size(sizes) - sum(map(size_in_tar, sizes)))


def compress(chunks: Iterable[bytes]) -> Iterator[bytes]:
    """Yield the gzip of the chunks. Its header has neither name nor time, so it is the same in each run."""
    compressor = zlib.compressobj(wbits=_GZIP_WINDOW)
    for chunk in chunks:
        yield compressor.compress(chunk)
    yield compressor.flush()

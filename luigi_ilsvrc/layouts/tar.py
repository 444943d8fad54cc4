"""The members of a tar or a ``.tar.gz``: their names, and where their contents lie.

The headers are read here and not by ``tarfile``: only what the official archives hold is accepted (regular files with
plain names), and a member costs one read of 512 bytes. The format is POSIX.1-1988 "ustar" as GNU tar writes it:
https://www.gnu.org/software/tar/manual/html_node/Standard.html
"""

import os
import re
import zlib
from collections.abc import Iterator
from gzip import BadGzipFile, GzipFile
from operator import itemgetter
from pathlib import Path
from typing import NamedTuple, Protocol

from luigi_ilsvrc.dataset.tar_header import BLOCK, checksum_is_right, parse_octal
from luigi_ilsvrc.errors import BuildError

NAME_LENGTH = 100
"""Bytes of a header's first field, the member's name."""

_MAX_MEMBER_BYTES = 1 << 20
"""Bytes of one annotation, which has about 500, or of the records of a PAX header."""

_MAX_UNPACKED_BYTES = 1 << 32
"""Bytes of a ``.tar.gz``, unpacked: that of ILSVRC2012 has about 1 GB, but 4 MB can unpack to as much as this."""

# Mode, owner, group, time and device: not used, but if one is not a number, the block is not a header. Octal, or base
# 256 after a first byte of 0x80 or 0xff, as GNU tar writes large ones.
_UNUSED_NUMBERS = itemgetter(*map(slice, (100, 108, 116, 136, 329, 337), (108, 116, 124, 148, 337, 345)))
_NUMBER = re.compile(rb"[\x80\xff].*| *[0-7]* *(\0.*)?", re.DOTALL)

_END = bytes(BLOCK)
_REGULAR = (b"0", b"\0")
_DIRECTORY = b"5"
_PAX = (b"x", b"g")
# "<length> <keyword>=<value>\n"; the length counts itself. https://pubs.opengroup.org/onlinepubs/9699919799/, pax.
_PAX_RECORD = re.compile(rb"([1-9][0-9]{0,9}) ([^=\n]+)=")
# Those that would change where a member lies or what it is called; the others (times, owners) are harmless.
_PAX_OVERRIDES = re.compile(rb"path|linkpath|size|GNU\.sparse.*", re.DOTALL)


class ArchiveError(BuildError):
    """An archive or a folder is truncated, damaged, or not of a known layout."""


class Member(NamedTuple):
    """A file in a tar: its name, and where its contents lie (bytes from the start of the tar, and bytes)."""

    name: str
    offset: int
    size: int


class _Header(NamedTuple):
    name: str
    size: int
    kind: bytes


def _parse_header(block: bytes, where: str) -> _Header:
    try:
        is_right, size = checksum_is_right(block), parse_octal(block[124:136])
        name = block[:100].split(b"\0", 1)[0].decode("ascii")
        prefix = block[345:500].split(b"\0", 1)[0].decode("ascii") if block[257:263] == b"ustar\0" else ""
    except ValueError as error:
        raise ArchiveError(f"{where}: not a tar header: the archive is damaged, or not a tar") from error
    if not is_right:
        raise ArchiveError(f"{where}: the tar header's checksum is wrong: the archive is damaged, or not a tar")
    if not all(map(_NUMBER.fullmatch, _UNUSED_NUMBERS(block))):
        raise ArchiveError(f"{where}: the tar header of {name!r} has an invalid numeric field: the archive is damaged")
    if size < 0:
        raise ArchiveError(f"{where}: the tar header gives a negative size: the archive is damaged")
    return _Header(f"{prefix}/{name}" if prefix else name, size, block[156:157])


def _padded(size: int) -> int:
    return -(-size // BLOCK) * BLOCK


class TarStream(Protocol):
    """The bytes of a tar, read in order; as text, where it stands."""

    @property
    def position(self) -> int:
        """Bytes from the start of its file."""

    def read(self, size: int) -> bytes:
        """Return the next bytes; fewer only at the end."""

    def skip(self, size: int) -> bool:
        """Pass over bytes; return False if there are not so many."""


class SeekableTar:
    """The bytes of an open file from `start` to `end`; what is passed over is not read."""

    def __init__(self, descriptor: int, start: int, end: int, where: str) -> None:
        self.position = start
        self._descriptor = descriptor
        self._end = end
        self._where = where

    def __str__(self) -> str:
        return f"{self._where}, byte {self.position}"

    def read(self, size: int) -> bytes:
        """Return the next bytes."""
        data = os.pread(self._descriptor, min(size, self._end - self.position), self.position)
        self.position += len(data)
        return data

    def skip(self, size: int) -> bool:
        """Pass over bytes."""
        self.position += size
        return self.position <= self._end


class InnerTar:
    """The bytes of a member of another tar, from where that stands to `end`; `where` is for messages."""

    def __init__(self, outer: TarStream, end: int, where: str) -> None:
        self._outer = outer
        self._end = end
        self._where = where

    @property
    def position(self) -> int:
        """Bytes from the start of the outer tar's file."""
        return self._outer.position

    def __str__(self) -> str:
        return f"{self._where}, byte {self.position}"

    def read(self, size: int) -> bytes:
        """Return the next bytes."""
        return self._outer.read(min(size, self._end - self.position))

    def skip(self, size: int) -> bool:
        """Pass over bytes."""
        count = min(size, self._end - self.position)
        return self._outer.skip(count) and count == size


class _Gzip:
    """The bytes of a gzip file, read from its start on."""

    def __init__(self, file: GzipFile, where: str) -> None:
        self.file = file
        self.position = 0
        self.where = where

    def __str__(self) -> str:
        return f"{self.where}, unpacked byte {self.position}"

    def read(self, size: int) -> bytes:
        try:
            data = self.file.read(size)
        except (BadGzipFile, zlib.error) as error:
            raise ArchiveError(f"{self}: the gzip file is damaged, or not a gzip file: {error}") from error
        except EOFError as error:
            raise ArchiveError(f"{self}: the gzip file is truncated") from error
        except OSError as error:
            error.filename = self.where
            raise
        self.position += len(data)
        if self.position > _MAX_UNPACKED_BYTES:
            raise ArchiveError(
                f"{self.where}: it unpacks to more than {_MAX_UNPACKED_BYTES:,} bytes: not of ILSVRC2012's layout; "
                "download it again"
            )
        return data

    def skip(self, size: int) -> bool:
        return len(self.read(size)) == size


def members(tar: TarStream) -> Iterator[Member]:
    """Yield the regular files of a tar; the contents of each may be read before the next.

    Raises
    ------
    ArchiveError
        Naming the byte: on truncation, on a wrong checksum, on links, devices and other special members.
    """
    for header in _headers(tar):
        member = Member(header.name, tar.position, header.size)
        yield member
        if not tar.skip(member.offset + _padded(member.size) - tar.position):
            raise ArchiveError(f"{tar}: the archive ends in the middle of {member.name!r}: truncated")


def read_members(tar: TarStream) -> Iterator[Member]:
    """Yield the regular files of a tar of which all is read, as `members`.

    Raises
    ------
    ArchiveError
        As `members`, and if the padding behind a file is not made of zeros.
    """
    for header in _headers(tar):
        member = Member(header.name, tar.position, header.size)
        yield member
        rest = tar.read(member.offset + _padded(member.size) - tar.position)
        if tar.position < member.offset + _padded(member.size):
            raise ArchiveError(f"{tar}: the archive ends in the middle of {member.name!r}: truncated")
        if len(rest) < BLOCK and rest.count(0) != len(rest):
            raise ArchiveError(f"{tar}: the padding behind {member.name!r} is not zeros: the archive is damaged")


def _headers(tar: TarStream) -> Iterator[_Header]:
    """Yield the header of each regular file; `tar` is then at its contents, and must be past them at the next."""
    extended = False
    while True:
        where = str(tar)
        block = tar.read(BLOCK)
        if block == _END:
            if extended:
                raise ArchiveError(f"{where}: an extended (PAX) header without a member: the archive is damaged")
            return _check_end(tar)
        if len(block) < BLOCK:
            raise ArchiveError(
                f"{where}: the archive ends in the middle of a header or without its end mark: truncated"
            )
        header = _parse_header(block, where)
        extended = header.kind == _PAX[0]
        if header.kind in _REGULAR:
            yield header
        elif header.kind in _PAX:
            _check_pax(tar, header, where)
        elif header.kind != _DIRECTORY:
            raise ArchiveError(
                f"{where}: {header.name!r} is not a regular file (tar type {header.kind.decode('latin-1')!r}); the "
                "official archives hold nothing else"
            )


def _check_end(tar: TarStream) -> None:
    """Read the padding after the end mark: a header overwritten by zeros must not be taken for the end."""
    while chunk := tar.read(1 << 20):
        if chunk.count(0) != len(chunk):
            raise ArchiveError(f"{tar}: data follows the archive's end mark: the archive is damaged")


def _check_pax(tar: TarStream, header: _Header, where: str) -> None:
    if header.size > _MAX_MEMBER_BYTES:
        raise ArchiveError(f"{where}: an extended (PAX) header of {header.size:,} bytes: the archive is damaged")
    records = tar.read(header.size)
    if not tar.skip(_padded(header.size) - header.size):
        raise ArchiveError(f"{where}: the archive ends in the middle of {header.name!r}: truncated")
    position = 0
    while position < len(records):
        record = _PAX_RECORD.match(records, position)
        end = position + int(record[1]) if record else 0
        if record is None or not record.end() < end <= len(records) or records[end - 1 : end] != b"\n":
            raise ArchiveError(
                f"{where}: not an extended (PAX) header, though its type says so: the archive is damaged"
            )
        if _PAX_OVERRIDES.fullmatch(record[2]):
            raise ArchiveError(
                f"{where}: an extended (PAX) header renames or resizes a member; pack with tar --format=ustar"
            )
        position = end


def members_of_gzip(path: Path) -> Iterator[tuple[str, bytes]]:
    """Yield name and contents of each regular file of a ``.tar.gz``, in its order, reading it once.

    Raises
    ------
    ArchiveError
        As `members`, and if the gzip file is truncated or its own CRC is wrong.
    """
    with GzipFile(path) as file:
        tar = _Gzip(file, str(path))
        for header in _headers(tar):
            if header.size > _MAX_MEMBER_BYTES:
                raise ArchiveError(f"{path}: {header.name!r} has {header.size:,} bytes: not of ILSVRC2012's layout")
            contents = tar.read(header.size)
            if len(contents) < header.size or not tar.skip(_padded(header.size) - header.size):
                raise ArchiveError(f"{path}: the archive ends in the middle of {header.name!r}: truncated")
            yield header.name, contents

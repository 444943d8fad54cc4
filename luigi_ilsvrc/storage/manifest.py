"""What an output holds: size and CRC-32 of each of its files, so that a damaged byte can be found at any time."""

import csv
import io
import os
import zlib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import NamedTuple

from luigi_ilsvrc.errors import BuildError
from luigi_ilsvrc.storage.digests import read_chunks

_TRAILER = "manifest"


class ManifestError(BuildError):
    """A manifest is missing or damaged itself.

    Attributes
    ----------
    intact : Manifest or None
        What it said, if one of its two copies is whole.
    """

    def __init__(self, message: str, intact: "Manifest | None" = None) -> None:
        super().__init__(message)
        self.intact = intact


class Entry(NamedTuple):
    """One file: its size in bytes and its CRC-32 (zlib's)."""

    size: int
    crc32: int


Manifest = dict[str, Entry]
"""The entry of each file of an output, by its path in it; a file that is an output by itself has the path ``""``."""


def entry_of(contents: bytes) -> Entry:
    """Return the entry of a file with these contents."""
    return Entry(len(contents), zlib.crc32(contents))


def build_manifest(output: Path) -> Manifest:
    """Read an output, a file or a folder of any depth, and return its manifest."""
    if not output.is_dir():
        return {"": _read_entry(output)}
    return {
        str(path.relative_to(output)): _read_entry(path)
        for path in (Path(folder, name) for folder, _, names in os.walk(output) for name in names)
    }


def _read_entry(path: Path) -> Entry:
    size = crc32 = 0
    for chunk in read_chunks(path):
        size += len(chunk)
        crc32 = zlib.crc32(chunk, crc32)
    return Entry(size, crc32)


def write_manifest(manifest: Mapping[str, Entry], path: Path) -> None:
    """Write a manifest: a CSV of path, size and CRC-32, sorted, with a last line that holds their length and CRC-32.

    All of it is written twice: if a byte of one copy is damaged, the other one is still whole.
    """
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerows((name, entry.size, f"{entry.crc32:08x}") for name, entry in sorted(manifest.items()))
    body = text.getvalue().encode()
    path.write_bytes(2 * (body + _trailer(body)))


def read_manifest(path: Path) -> Manifest:
    """Read a manifest.

    Raises
    ------
    ManifestError
        If it is missing, or not as it was written.
    """
    try:
        contents = path.read_bytes()
    except FileNotFoundError as error:
        raise ManifestError(f"{path} is missing") from error
    half = len(contents) // 2
    copies = [_parse(copy) for copy in (contents[:half], contents[half:])]
    if copies[0] is None or copies[0] != copies[1]:
        raise ManifestError(f"{path} is damaged", intact=next((copy for copy in copies if copy is not None), None))
    return copies[0]


def _parse(copy: bytes) -> Manifest | None:
    body = copy[: copy.rstrip(b"\n").rfind(b"\n") + 1]
    if copy != body + _trailer(body):
        return None
    return {name: Entry(int(size), int(crc32, 16)) for name, size, crc32 in csv.reader(body.decode().splitlines())}


def _trailer(body: bytes) -> bytes:
    return f"{_TRAILER},{len(body)},{zlib.crc32(body):08x}\n".encode()


def matches_manifest(output: Path, names: Iterable[str], manifest: Path) -> bool:
    """Tell whether some files of an output are what its manifest says, so that others may be compared with them."""
    try:
        written = read_manifest(manifest)
        return all(entry_of((output / name).read_bytes()) == written.get(name) for name in names)
    except (ManifestError, OSError):
        return False

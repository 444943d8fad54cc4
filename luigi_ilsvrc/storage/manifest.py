"""What an output holds, and what it was made from.

A manifest holds size and CRC-32 of each file of an output, so that a damaged byte can be found at any time, and the
digests of what the output was made from. It is a CSV: a line ``output,<path>,`` that names the output, a line
``input,<name>,<digest>`` for each input, a line ``<path>,<size>,<crc32>`` for each file, both sorted, and a last line
with the length and the CRC-32 of those before.
"""

import csv
import hashlib
import io
import os
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

# Its CRC-32 is zlib's, which takes 28 µs for an image of 105 kB; this one takes 7.
from zlib_ng.zlib_ng import crc32

from luigi_ilsvrc.storage.digests import read_chunks
from luigi_ilsvrc.storage.trailer import DamagedFileError, read_body, with_trailer

_OUTPUT = "output"
_INPUT = "input"
_TRAILER = "manifest"
_REMEDY = "; delete {} and run the build again, which makes it anew"


class ManifestError(DamagedFileError):
    """A manifest is missing or damaged, or an output is not what its manifest says."""


class Entry(NamedTuple):
    """One file: its size in bytes and its CRC-32 (zlib's)."""

    size: int
    crc32: int


Files = dict[str, Entry]
"""The entry of each file of an output, by its path in it; a file that is an output by itself has the path ``""``."""


@dataclass(frozen=True)
class Manifest:
    """What an output holds and what it was made from.

    Attributes
    ----------
    files : dict
        The entry of each file.
    inputs : dict
        The digest of each input, by a name for people.
    output : str
        The output's path below the data directory.
    """

    files: Files
    inputs: dict[str, str] = field(default_factory=dict)
    output: str = ""

    @property
    def digest(self) -> str:
        """The digest of the contents: the SHA-256, in hexadecimal digits, of the lines of its files."""
        return hashlib.sha256(_lines(_file_rows(self.files)).encode()).hexdigest()


def entry_of(contents: bytes) -> Entry:
    """Return the entry of a file with these contents."""
    return Entry(len(contents), crc32(contents))


def add_to_entry(entry: Entry, chunks: Iterable[bytes | memoryview]) -> Entry:
    """Return the entry of a file to which chunks of bytes are appended."""
    size, checksum = entry
    for chunk in chunks:
        size += len(chunk)
        checksum = crc32(chunk, checksum)
    return Entry(size, checksum)


def entry_of_file(path: Path) -> Entry:
    """Read a file and return its entry. Raises OSError."""
    return add_to_entry(Entry(0, 0), read_chunks(path))


def read_files(output: Path) -> Files:
    """Read an output, a file or a folder of any depth, and return the entries of its files. Raises OSError."""
    if not output.is_dir():
        return {"": entry_of_file(output)}
    return {
        str(path.relative_to(output)): entry_of_file(path)
        for path in (Path(folder, name) for folder, _, names in os.walk(output) for name in names)
    }


def serialize_manifest(manifest: Manifest) -> bytes:
    """Return a manifest as its file holds it."""
    inputs = ((_INPUT, name, digest) for name, digest in sorted(manifest.inputs.items()))
    body = (_lines([(_OUTPUT, manifest.output, "")]) + _lines(inputs) + _lines(_file_rows(manifest.files))).encode()
    return with_trailer(body, _TRAILER)


def _file_rows(files: Mapping[str, Entry]) -> Iterable[tuple[str, ...]]:
    return ((name, str(entry.size), f"{entry.crc32:08x}") for name, entry in sorted(files.items()))


def _lines(rows: Iterable[tuple[str, ...]]) -> str:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(rows)
    return text.getvalue()


def read_manifest(path: Path) -> Manifest:
    """Read a manifest.

    Raises
    ------
    ManifestError
        If it is missing, or not as it was written.
    """
    output, files, inputs = "", {}, {}
    for first, second, third in csv.reader(_read_body(path).splitlines()):
        # No file of an output has one of these two names.
        if first == _OUTPUT:
            output = second
        elif first == _INPUT:
            inputs[second] = third
        else:
            files[first] = Entry(int(second), int(third, 16))
    return Manifest(files, inputs, output)


def read_entry(path: Path, name: str) -> Entry:
    """Read the entry of one file out of a manifest, which takes a tenth of the time that all of it takes.

    Raises
    ------
    ManifestError
        If the manifest is missing or damaged, or has no such file.
    """
    line = next((line for line in _read_body(path).splitlines() if line.startswith(f"{name},")), None)
    if line is None:
        raise ManifestError(f"{path} has no line for {name}")
    _, size, checksum = line.rsplit(",", 2)
    return Entry(int(size), int(checksum, 16))


def read_size(path: Path) -> int:
    """Return how many bytes all files of a manifest have together.

    Raises
    ------
    ManifestError
        If the manifest is missing or damaged.
    """
    files = (line for line in _read_body(path).splitlines() if not line.startswith((f"{_OUTPUT},", f"{_INPUT},")))
    return sum(int(line.rsplit(",", 2)[1]) for line in files)


def _read_body(path: Path) -> str:
    try:
        return read_body(path, _TRAILER)
    except DamagedFileError as error:
        raise ManifestError(str(error)) from error


def check_as_written(output: Path, names: Collection[str], manifest: Path) -> Files:
    """Compare files of an output with its manifest, before they are used.

    Parameters
    ----------
    output : Path
        A file, or a folder.
    names : collection of str
        Paths of files in the folder; ``[""]`` for a file.
    manifest : Path
        The manifest of the output.

    Returns
    -------
    dict
        The entries of the files.

    Raises
    ------
    ManifestError
        Naming the file, with what to do.
    """
    try:
        written = _read_entries(manifest, names)
        for name, entry in written.items():
            if entry_of_file(output / name) != entry:
                raise ManifestError(f"{output / name} is not as it was written")
    except FileNotFoundError as error:
        raise ManifestError(f"{error.filename} is missing{_REMEDY.format(output)}") from error
    except NotADirectoryError as error:
        raise ManifestError(f"{error.filename}: {error.strerror}{_REMEDY.format(output)}") from error
    except ManifestError as error:
        raise ManifestError(f"{error}{_REMEDY.format(output)}") from error
    return written


def _read_entries(manifest: Path, names: Collection[str]) -> Files:
    if len(names) == 1:
        return {name: read_entry(manifest, name) for name in names}
    files = read_manifest(manifest).files
    missing = next((name for name in names if name not in files), None)
    if missing is not None:
        raise ManifestError(f"{manifest} has no line for {missing}")
    return {name: files[name] for name in names}

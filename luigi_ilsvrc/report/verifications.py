"""What verifications of a build have found."""

import hashlib
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from luigi_ilsvrc.dataset.paths import DataSetPaths

MOST = 10
"""Verifications that are shown, the newest."""

_NAME = r"([0-9]{{4}}-[0-9]{{2}}-[0-9]{{2}})(?:-part-([0-9]+)-of-([0-9]+))?{}(\.json|-damage\.txt)"
_MOST_FINDINGS = 20


class Verification(NamedTuple):
    """One verification.

    Attributes
    ----------
    date, part : str
        Its name, and which part of the build it was of.
    files, bytes, records : int
        What was read, if all was well.
    findings : int
        How many files were not as they were built.
    named : list of str
        The first of these.
    """

    date: str
    part: str
    files: int
    bytes: int
    records: int
    findings: int
    named: list[str]


def files_of_last(paths: DataSetPaths, selection: str = "") -> list[Path]:
    """Return the files of the last verifications, the newest first; files of other names are left out.

    `selection` is what the names of the folders of the records end in that were verified.
    """
    names = sorted((path.name for path in paths.verifications.glob("*") if path.is_file()), reverse=True)
    return [paths.verifications / name for name in names if _match(name, selection)][:MOST]


def _match(name: str, selection: str) -> re.Match[str] | None:
    return re.fullmatch(_NAME.format(re.escape(selection)), name)


def digests_of_last(paths: DataSetPaths, selection: str = "") -> dict[str, str]:
    """Return what changes with the last verifications: the SHA-256 of each of their files."""
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in files_of_last(paths, selection)}


def read_last(paths: DataSetPaths, selection: str = "") -> list[Verification]:
    """Read the last verifications, the newest first; those that cannot be read are left out."""
    return [found for path in files_of_last(paths, selection) for found in _read(path, selection)]


def _read(path: Path, selection: str) -> Iterator[Verification]:
    match = _match(path.name, selection)
    assert match is not None
    date, number, parts, ending = match.groups()
    part = f"{number}/{parts}" if number else "1/1"
    text = path.read_text(errors="replace")
    if ending != ".json":
        lines = text.splitlines()
        yield Verification(date, part, 0, 0, 0, len(lines), lines[:_MOST_FINDINGS])
        return
    try:
        counts = json.loads(text)
        files, size, records = (int(counts[name]) for name in ("files", "bytes", "records"))
        yield Verification(date, part, files, size, records, 0, [])
    except (ValueError, KeyError, TypeError):
        return

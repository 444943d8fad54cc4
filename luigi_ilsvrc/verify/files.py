"""Files of an output, compared with what they have to be."""

import os
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from luigi_ilsvrc.findings import Finding, Kind, Report
from luigi_ilsvrc.progress import Progress, no_progress
from luigi_ilsvrc.storage.manifest import Entry, Files, entry_of

_PROGRESS_EVERY = 100
_ATTEMPTS = 2

Examine = Callable[[str, bytes], str | None]
"""Called with a file's path in its output, and its contents; returns what is wrong with them."""


def examine_nothing(name: str, contents: bytes) -> str | None:
    """Find nothing wrong."""
    return None


def verify_files(
    output: Path, expected: Files | None, examine: Examine, report: Report, progress: Progress = no_progress
) -> Files:
    """Read an output, a file or a folder of any depth, and compare it with what it has to hold.

    Hidden files are ignored. Each file is read once; progress counts files. What is wrong is added to `report`.

    Parameters
    ----------
    output : Path
        What was built.
    expected : dict or None
        The entries of its files; None if nothing is known of them.
    examine : callable
        Looks at the contents of each file that is as expected.
    report : Report
        Gets findings and counts.
    progress : Progress, optional
        Counts files.

    Returns
    -------
    dict
        The entries of all files that can be read.
    """
    found: Files = {}
    names = list(_names(output))
    for done, name in enumerate(names, start=1):
        contents = _read(output / name, report)
        if contents is not None:
            found[name] = entry_of(contents)
            report.bytes += len(contents)
            report.findings += _compare(output / name, name, contents, found[name], expected, examine)
        if done % _PROGRESS_EVERY == 0:
            progress("verifying", done, len(names), "files")
    report.files += len(names)
    if expected is not None:
        report.findings += _missing(output, {*names}, expected)
    return found


def _read(path: Path, report: Report) -> bytes | None:
    """Return the contents of a file; a finding if the disk does not give them, also at a second attempt."""
    for attempt in range(_ATTEMPTS):
        try:
            return path.read_bytes()
        except OSError as error:
            if attempt == _ATTEMPTS - 1:
                report.add(Kind.UNREADABLE, path, f"it cannot be read: {error.strerror or error}")
    return None


def _compare(
    path: Path, name: str, contents: bytes, entry: Entry, expected: Mapping[str, Entry] | None, examine: Examine
) -> Iterator[Finding]:
    wanted = entry if expected is None else expected.get(name)
    if wanted is None:
        yield Finding(Kind.EXTRA, path, "the build did not write it")
    elif entry.size != wanted.size:
        yield Finding(Kind.DAMAGED, path, f"it has {entry.size:,} bytes, {wanted.size:,} were written")
    elif entry != wanted:
        yield Finding(Kind.DAMAGED, path, "its bytes are not those that were written (CRC-32)")
    elif reason := examine(name, contents):
        yield Finding(Kind.DAMAGED, path, reason)


def _missing(output: Path, found: set[str], expected: Mapping[str, Entry]) -> Iterator[Finding]:
    missing = (output / name for name in sorted(expected) if name not in found)
    for path in dict.fromkeys(path if path.parent.exists() else path.parent for path in missing):
        yield Finding(Kind.MISSING, path, "it was written, and is gone")


def _names(output: Path) -> Iterator[str]:
    if not output.is_dir():
        yield ""
    # Class folders that a user has put there may be links.
    for folder, folders, names in os.walk(output, followlinks=True):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in sorted(names):
            if not name.startswith("."):
                yield os.path.relpath(os.path.join(folder, name), output)

"""Files of MD5 sums, as ``md5sum`` writes them."""

import os
import re
from pathlib import Path, PurePosixPath

from luigi_ilsvrc.download.source import DownloadError

# md5sum itself writes "  " or " *" before the name; other tools write one space or a tab.
_LINE = re.compile(r"([0-9a-fA-F]{32})(?: [ *]|[ \t]+\*?)(.+)")


class ChecksumError(DownloadError):
    """A file has another MD5 sum than expected, or a file of MD5 sums is invalid."""


def read_checksums(path: str | os.PathLike[str]) -> dict[str, str]:
    """Read a file that ``md5sum`` wrote, as text or binary (``*``); blank lines and ``#`` comments are skipped.

    Returns
    -------
    dict of str to str
        File names without their folders, to 32 lower-case hexadecimal digits.

    Raises
    ------
    ChecksumError
        If the file cannot be read, a line has another form, or one name has two different sums.
    """
    try:
        text = Path(path).read_bytes().decode("utf-8-sig", errors="surrogateescape")
    except OSError as error:
        raise ChecksumError(f"{path}: {error.strerror}; give a readable file of MD5 sums") from None
    sums: dict[str, str] = {}
    # Not splitlines(), which would also split at characters that a name may contain.
    for number, line in enumerate(text.split("\n"), start=1):
        line = line.rstrip("\r")
        if not line.strip() or line.startswith("#"):
            continue
        entry = _LINE.fullmatch(line)
        name = PurePosixPath(entry[2]).name if entry else ""
        if entry is None or not name:
            raise ChecksumError(
                f"{path}, line {number}: invalid; an MD5 sum and a file name are expected, as md5sum writes them"
            )
        if sums.setdefault(name, entry[1].lower()) != entry[1].lower():
            raise ChecksumError(f"{path}, line {number}: a second, different MD5 sum for {name}; remove one of the two")
    return sums

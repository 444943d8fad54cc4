"""The record of a partial file: what its bytes are a part of, and which ranges it holds if it has gaps.

It is a JSON file beside the partial file: the fields of `FileVersion`, and ``ranges`` if there may be gaps.
"""

import json
import os
import stat
from dataclasses import asdict
from pathlib import Path
from typing import Any, TypeAlias

from luigi_ilsvrc.download.server_text import is_validator
from luigi_ilsvrc.download.source import FileVersion
from luigi_ilsvrc.storage.publish import replace_file

Range: TypeAlias = tuple[int, int]
"""The offset of a range's first byte, and that after its last one."""

_RECORD_SUFFIX = ".json"
_EARLIER_SUFFIXES = (".new", ".link")  # temporary files of version 0.2
_MAX_RECORD = 1 << 22


def record_path(partial: Path) -> Path:
    """Return where the record of a partial file is."""
    return partial.with_name(partial.name + _RECORD_SUFFIX)


def companions_of(partial: Path) -> list[Path]:
    """Return the paths of all that may be kept beside a partial file."""
    return [record_path(partial), *(partial.with_name(partial.name + suffix) for suffix in _EARLIER_SUFFIXES)]


def read_record(partial: Path) -> tuple[FileVersion, list[Range] | None] | None:
    """Read the record of a partial file.

    Returns
    -------
    tuple of FileVersion and (list of tuple of int, or None), or None
        What the bytes are a part of, and the ranges that are held; None for these if the file's length says it. None
        for both if the record is missing or invalid.
    """
    try:
        record = json.loads(_read(record_path(partial)))
        ranges = record.pop("ranges", None)
        version = FileVersion(**record)
        _check_types(version)
        return version, None if ranges is None else [(int(start), int(end)) for start, end in ranges]
    except (OSError, ValueError, TypeError, AttributeError, OverflowError, RecursionError):
        return None


def _read(path: Path) -> bytes:
    """Read a small file; anything else of this name, such as a link, is an OSError or a ValueError."""
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    with open(descriptor, "rb") as file:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise ValueError
        return file.read(_MAX_RECORD)


def _check_types(version: FileVersion) -> None:
    texts = (version.etag, version.modified)
    if not (
        isinstance(version.address, str)
        and isinstance(version.total, int | None)
        and all(text is None or (isinstance(text, str) and is_validator(text)) for text in texts)
    ):
        raise TypeError


def write_record(partial: Path, version: FileVersion, ranges: list[Range] | None) -> None:
    """Replace the record of a partial file; see `read_record`."""
    record: dict[str, Any] = asdict(version)
    if ranges is not None:
        record["ranges"] = ranges
    # Not durable: it is written often, and after a power cut the MD5 sum or the file's length decides.
    replace_file(record_path(partial), json.dumps(record).encode(), durable=False)

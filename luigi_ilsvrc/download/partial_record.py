"""The record of a partial file: what its bytes are a part of, and which ranges it holds if it has gaps.

It is a JSON file beside the partial file: the fields of `FileVersion`, and ``ranges`` if there may be gaps.
"""

import json
import os
from dataclasses import asdict
from pathlib import Path
from typing import Any, TypeAlias

from luigi_ilsvrc.download.source import FileVersion

Range: TypeAlias = tuple[int, int]
"""The offset of a range's first byte, and that after its last one."""

_RECORD_SUFFIX = ".json"
_NEW_RECORD_SUFFIX = ".new"
_LINK_PROBE_SUFFIX = ".link"


def record_path(partial: Path) -> Path:
    """Return where the record of a partial file is."""
    return partial.with_name(partial.name + _RECORD_SUFFIX)


def link_probe_path(partial: Path) -> Path:
    """Return where it is tried whether a source can be hard-linked beside the partial file."""
    return partial.with_name(partial.name + _LINK_PROBE_SUFFIX)


def _new_record_path(partial: Path) -> Path:
    return partial.with_name(partial.name + _NEW_RECORD_SUFFIX)


def companions_of(partial: Path) -> list[Path]:
    """Return the paths of all that may be kept beside a partial file."""
    return [record_path(partial), _new_record_path(partial), link_probe_path(partial)]


def read_record(partial: Path) -> tuple[FileVersion, list[Range] | None] | None:
    """Read the record of a partial file.

    Returns
    -------
    tuple of FileVersion and (list of tuple of int, or None), or None
        What the bytes are a part of, and the ranges that are held; None for these if the file's length says it. None
        for both if the record is missing or invalid.
    """
    try:
        record = json.loads(record_path(partial).read_bytes())
        ranges = record.pop("ranges", None)
        version = FileVersion(**record)
        _check_types(version)
        return version, None if ranges is None else [(int(start), int(end)) for start, end in ranges]
    except (OSError, ValueError, TypeError, AttributeError, OverflowError):
        return None


def _check_types(version: FileVersion) -> None:
    texts = (version.etag, version.modified)
    if not (
        isinstance(version.address, str)
        and isinstance(version.total, int | None)
        and all(isinstance(text, str | None) for text in texts)
    ):
        raise TypeError


def write_record(partial: Path, version: FileVersion, ranges: list[Range] | None) -> None:
    """Replace the record of a partial file; see `read_record`."""
    record: dict[str, Any] = asdict(version)
    if ranges is not None:
        record["ranges"] = ranges
    _new_record_path(partial).write_text(json.dumps(record))
    os.replace(_new_record_path(partial), record_path(partial))

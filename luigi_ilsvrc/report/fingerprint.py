"""Whether a page is whole, and that of a build: its last line says what it was made from, and how long it is."""

import hashlib
import json
import os
import re
from collections.abc import Mapping
from pathlib import Path

from luigi_ilsvrc.build_record import read_record
from luigi_ilsvrc.dataset.paths import DataSetPaths
from luigi_ilsvrc.report.verifications import digests_of_last

_PAGE = 1
"""To be raised if the page shows something else than before, so that it is made again."""

_LAST_LINE = re.compile(rb"<!-- made from ([0-9a-f]{64}); ([0-9]+) bytes before this -->\n")
_LONGEST_LAST_LINE = 150


def fingerprint(
    paths: DataSetPaths,
    formats: tuple[str, ...],
    shard_counts: Mapping[str, int],
    selection: str = "",
    *,
    has_boxes: bool = True,
) -> str:
    """Return what changes when a report has something else to show, but for its timings: a SHA-256.

    It takes a millisecond. Raises a `BuildRecordError` if the build's record is damaged, or OSError.
    """
    record = read_record(paths)
    shown = {
        "page": _PAGE,
        "formats": formats,
        "shards": dict(shard_counts) if formats else None,
        "selection": selection,
        "boxes": has_boxes,
        "tables": record.tables if record else None,
        "archives": record.archives if record else None,
        "verifications": digests_of_last(paths, selection),
    }
    return hashlib.sha256(json.dumps(shown, sort_keys=True).encode()).hexdigest()


def seal(page: bytes, made_from: str) -> bytes:
    """Return a page with its last line."""
    return page + f"<!-- made from {made_from}; {len(page)} bytes before this -->\n".encode()


def is_current(page: Path, made_from: str) -> bool:
    """Tell whether a page is there and whole, and was made from this."""
    try:
        with page.open("rb") as file:
            size = file.seek(0, os.SEEK_END)
            file.seek(max(size - _LONGEST_LAST_LINE, 0))
            end = file.read()
    except OSError:
        return False
    match = _LAST_LINE.search(end)
    return (
        match is not None
        and match.end() == len(end)
        and match[1].decode() == made_from
        and int(match[2]) == size - len(match[0])
    )

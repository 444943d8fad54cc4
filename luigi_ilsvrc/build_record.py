"""What a data directory was begun with: label tables and archives. Later runs continue with these, or are refused.

The record is ``index/build.json``; in ``index/tables`` lie a copy of it, and copies of the label tables. A command
writes them before its tasks run. Later ones change the source, the MD5 sums of archives that never came, and the tables
as long as nothing was made from them.
"""

import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

from luigi_ilsvrc.dataset.archives import ALL_ARCHIVES
from luigi_ilsvrc.dataset.paths import DataSetPaths
from luigi_ilsvrc.dataset.splits import SPLITS
from luigi_ilsvrc.dataset.synsets import official_form
from luigi_ilsvrc.errors import BuildError
from luigi_ilsvrc.layouts.source_folders import source_links
from luigi_ilsvrc.storage import publish
from luigi_ilsvrc.storage.kept import keep, kept
from luigi_ilsvrc.storage.visibility import wait_until_seen


class BuildRecordError(BuildError):
    """A run is given something else than the build was begun with, or the record is damaged."""


@dataclass(frozen=True)
class BuildRecord:
    """What a build was begun with.

    Attributes
    ----------
    tables : dict
        The SHA-256 of each label table, by its file name.
    archives : dict
        The MD5 sum that each archive has to have, by its official name; None if it was not known.
    source : str
        Where the archives come from: a URL prefix without a query, or a folder. That of the newest command counts.
    """

    tables: dict[str, str]
    archives: dict[str, str | None]
    source: str


def read_record(paths: DataSetPaths) -> BuildRecord | None:
    """Read the record of a build, or its copy if that is missing or damaged; None if the build was not begun yet.

    Raises
    ------
    BuildRecordError
        If both are damaged, or they differ.
    """
    originals = (paths.build_record, paths.build_record_copy)
    # Before they are read: another process may begin the build at this moment.
    was_begun = any(map(os.path.lexists, originals))
    found = [values for path in originals if (values := _read(path)) is not None]
    if len(found) == len(originals) and found[0]["tables"] != found[1]["tables"]:
        raise BuildRecordError(
            f"{paths.build_record} and {paths.build_record_copy} differ: one of them is another build's; delete that "
            "one, or both if the label tables, checksums and source that it was begun with are those of this run"
        )
    if found:
        return BuildRecord(**found[0])
    if not was_begun:
        return None
    raise BuildRecordError(
        f"{paths.build_record} is damaged: delete it, and run the build again with the label tables, checksums and "
        "source that it was begun with; what was built from others is then found by VerifyBuild"
    )


def read_used_record(paths: DataSetPaths) -> BuildRecord | None:
    """Read the record of a build if something was made from its tables; until then, a command may give others.

    Raises a `BuildRecordError` as `read_record`.
    """
    record = read_record(paths)
    return None if record is not None and _is_unused(paths) else record


def serialize(record: "BuildRecord | ArchiveRecord") -> bytes:
    """Return a record as its file holds it: JSON, with a SHA-256 of the rest."""
    return _with_digest(asdict(record))


def _with_digest(values: Mapping[str, Any]) -> bytes:
    return (json.dumps({**values, _DIGEST: _digest_of(values)}, indent=2) + "\n").encode()


_DIGEST = "sha256"


def _digest_of(values: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()


def _read(path: Path) -> dict[str, Any] | None:
    """Return what a record holds; None if it is missing or not as it was written."""
    try:
        status = path.stat()
    except OSError:
        return None
    return _parse(path, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns)


@lru_cache(maxsize=32)
def _parse(path: Path, *state: int) -> dict[str, Any] | None:
    # Each task asks several times; a record that another process has replaced has another state.
    try:
        contents = path.read_bytes()
        values = json.loads(contents)
        del values[_DIGEST]
    except (OSError, ValueError, KeyError, AttributeError, TypeError):
        return None
    # Byte for byte: in JSON, a space that has become another one changes nothing.
    return values if isinstance(values, dict) and contents == _with_digest(values) else None


def is_as_written(path: Path) -> bool:
    """Tell whether a record is there and not damaged."""
    return _read(path) is not None


def await_record(paths: DataSetPaths, seconds: float) -> BuildRecord:
    """Read the record of a build that another process has begun, which may have been on another host.

    Raises
    ------
    BuildRecordError
        If none is visible within some seconds, or it is damaged.
    """
    wait_until_seen(lambda: read_record(paths) is not None, (paths.dataset, paths.index_folder), seconds)
    record = read_record(paths)
    if record is None:
        raise BuildRecordError(
            f"{paths.build_record} does not exist, so this task does not know what to build from: run the command of "
            "the whole build again, with this --data-dir, on a host that has the source"
        )
    return record


def begin(
    paths: DataSetPaths,
    tables: Mapping[str, Path],
    archives: Mapping[str, str | None],
    source: str,
    *,
    is_command: bool = False,
) -> BuildRecord:
    """Write the record of a build, with copies of its label tables, or compare it if it is there.

    Parameters
    ----------
    paths : DataSetPaths
        The build.
    tables : mapping of str to Path
        The label tables that this run was given, by file name.
    archives : mapping of str to (str or None)
        The MD5 sum of each archive by what this run was given, by official name; None if it was given none.
    source : str
        Where the archives come from.
    is_command : bool
        Whether a command begins or continues the build, and not one of its tasks: its source counts from now on, and
        so do its label tables if nothing was made from others yet, as after a command that was stopped early.

    Returns
    -------
    BuildRecord
        The record that holds: of two processes at once, that of the first.

    Raises
    ------
    BuildRecordError
        Naming what differs from the record.
    OSError
        If something cannot be read or written.
    """
    begun = read_record(paths)
    if begun is None:
        _write_record(paths, tables, archives, source)
    elif is_command and _is_unused(paths):
        _copy_tables(paths, tables)
        kept = {name: md5 for name, md5 in begun.archives.items() if _has_come(paths, name)}
        _replace_record(paths, BuildRecord(_digests(tables), {**archives, **kept}, source))
    for path, other in ((paths.build_record, paths.build_record_copy), (paths.build_record_copy, paths.build_record)):
        if not path.exists():
            publish.replace_file(path, other.read_bytes())
    record = read_record(paths)
    assert record is not None
    compare(paths, record, tables, archives)
    corrected = _corrected(record, archives)
    if is_command:
        corrected = replace(corrected, source=source)
    _replace_record(paths, corrected)
    return corrected


def _replace_record(paths: DataSetPaths, record: BuildRecord) -> None:
    if read_record(paths) != record:
        for path in (paths.build_record_copy, paths.build_record):
            publish.replace_file(path, serialize(record))


def _is_unused(paths: DataSetPaths) -> bool:
    """Tell whether nothing was made from the label tables: there are archives, complete or not, and records at most."""
    archives = tuple(archive.local_name for archive in ALL_ARCHIVES)
    own = (paths.build_record, paths.tables, paths.manifests, paths.locks, paths.timings)
    of_splits = (path(split) for path in (paths.parquet_import, paths.boxes_of_records) for split in SPLITS)
    index = {path.name for path in (*own, *source_links(paths), *of_splits)}
    in_index = {name for name in os.listdir(paths.index_folder) if not name.startswith(paths.extracted_ahead.name)}
    return (
        not paths.bounding_boxes.exists()
        and all(name.startswith(archives) for name in set(os.listdir(paths.dataset)) - {paths.index_folder.name})
        and in_index <= index
        and all(name.startswith(archives) for name in _names_in(paths.manifests))
        and not _names_in(paths.locks)
    )


def _names_in(folder: Path) -> list[str]:
    return os.listdir(folder) if folder.is_dir() else []


def _corrected(record: BuildRecord, archives: Mapping[str, str | None]) -> BuildRecord:
    """Return a record with the checksums of a run that `compare` has accepted."""
    given = {name: md5 for name, md5 in archives.items() if md5 is not None}
    known = {name: md5 for name, md5 in record.archives.items() if md5 is not None and name in given}
    changed = {name: given[name] for name, md5 in known.items() if given[name].lower() != md5.lower()}
    return replace(record, archives={**record.archives, **changed})


def _write_record(
    paths: DataSetPaths, tables: Mapping[str, Path], archives: Mapping[str, str | None], source: str
) -> None:
    _copy_tables(paths, tables)
    with publish.new_file(paths.build_record) as new:
        new.write_bytes(serialize(BuildRecord(_digests(tables), dict(archives), source)))


def _digests(tables: Mapping[str, Path]) -> dict[str, str]:
    return {name: digest_of(name, path) for name, path in tables.items()}


def _copy_tables(paths: DataSetPaths, tables: Mapping[str, Path]) -> None:
    for name, path in tables.items():
        # By its digest: another process may begin with another table at this moment.
        publish.replace_file(paths.table(name, digest_of(name, path)), official_form(name, path))


def compare(
    paths: DataSetPaths, record: BuildRecord, tables: Mapping[str, Path], archives: Mapping[str, str | None]
) -> None:
    """Raise `BuildRecordError` if a run is given other tables or checksums than the build was begun with.

    Checksums of an archive that never came may be corrected.
    """
    for name, path in tables.items():
        given, begun = digest_of(name, path), record.tables.get(name)
        if given != begun:
            raise BuildRecordError(
                f"{path}: its SHA-256 is {given}, but {paths.data_dir} was begun with {name} of {begun}: nothing is "
                f"mixed. Use the table it was begun with ({paths.table(name, begun or '')}), or another --data-dir"
            )
    for name, md5 in archives.items():
        begun = record.archives.get(name)
        if md5 is not None and begun is not None and md5.lower() != begun.lower() and _has_come(paths, name):
            raise BuildRecordError(
                f"{name}: this run expects the MD5 sum {md5}, but {paths.data_dir} was begun with {begun}: nothing is "
                "mixed. Use the source and checksums it was begun with, or another --data-dir"
            )


def _has_come(paths: DataSetPaths, name: str) -> bool:
    """Tell whether an archive, by its official name, was verified or put there."""
    archive = next(archive for archive in ALL_ARCHIVES if archive.name == name)
    traces = (paths.archive_record(archive), paths.archive(archive), paths.quarantine(archive))
    return any(path.exists() for path in traces)


def digest_of(name: str, path: Path) -> str:
    """Return the SHA-256 of a label table in its official form, in hexadecimal digits. Raises OSError."""
    status = path.stat()
    return _digest(name, path, status.st_mtime_ns, status.st_size, status.st_ino)


@lru_cache(maxsize=16)
def _digest(name: str, path: Path, mtime_ns: int, size: int, inode: int) -> str:
    # The worker computes it once; the processes that it forks for each task inherit it.
    return hashlib.sha256(official_form(name, path)).hexdigest()


# Boxes ---------------------------------------------------------------------------------------------------------------


def begin_boxes(paths: DataSetPaths, split: str, has_boxes: bool) -> bool:
    """Write down whether the records of a split have boxes, unless that was done; return what holds. Raises OSError."""
    return _BOXES.get(keep(paths.boxes_of_records(split), as_text(has_boxes)), has_boxes)


def as_text(has_boxes: bool) -> str:
    """Return what the file says that `begin_boxes` writes."""
    return f"{str(has_boxes).lower()}\n"


_BOXES = {as_text(has_boxes): has_boxes for has_boxes in (True, False)}


def begun_boxes(paths: DataSetPaths, split: str) -> bool | None:
    """Return whether the records of a split were begun with boxes; None if that is not known."""
    return _BOXES.get(kept(paths.boxes_of_records(split)) or "")


# Archives ------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class ArchiveRecord:
    """An archive that was verified: its MD5 sum, and size (bytes) and time (nanoseconds) of its file.

    As long as size and time are the same, the file is not read again.
    """

    md5: str
    size: int
    mtime_ns: int


def record_of(archive: Path, md5: str) -> ArchiveRecord:
    """Return the record of an archive that has this MD5 sum. Raises OSError."""
    status = archive.stat()
    return ArchiveRecord(md5, status.st_size, status.st_mtime_ns)


def remember_archive(archive: Path, md5: str, path: Path) -> None:
    """Write the record of an archive that has this MD5 sum to `path`. Raises OSError."""
    publish.replace_file(path, serialize(record_of(archive, md5)))


def read_archive_record(path: Path) -> ArchiveRecord | None:
    """Read the record of an archive; None if there is none, or it is damaged: then the archive is verified again."""
    values = _read(path)
    return None if values is None else ArchiveRecord(**values)


def is_remembered(archive: Path, record: ArchiveRecord | None) -> bool:
    """Tell whether an archive is the file that was verified, by size and time."""
    try:
        status = archive.stat()
    except (FileNotFoundError, NotADirectoryError):
        return False
    return record is not None and (record.size, record.mtime_ns) == (status.st_size, status.st_mtime_ns)

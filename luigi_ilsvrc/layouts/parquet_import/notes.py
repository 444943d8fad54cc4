"""The first reading of parquet files: name, size and CRC-32 of each image, noted in a manifest for each file.

A file that was noted is not read again, as long as its size and its time are the same.
"""

import os
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from threading import Event

from luigi_ilsvrc.dataset.synsets import LabelTables
from luigi_ilsvrc.layouts.parquet_import.plan import FileImages, list_images
from luigi_ilsvrc.layouts.parquet_import.rows import RowNames, read_rows, reading_parquet, row_error
from luigi_ilsvrc.layouts.parquet_import.threads import ByteCounter, for_each, until
from luigi_ilsvrc.layouts.tar import ArchiveError
from luigi_ilsvrc.progress import Progress
from luigi_ilsvrc.storage.manifest import (
    Entry,
    Files,
    Manifest,
    ManifestError,
    add_to_entry,
    read_manifest,
    serialize_manifest,
)
from luigi_ilsvrc.storage.publish import replace_file


def notes_path(file: Path, state: Path) -> Path:
    """Return where the notes on a parquet file lie."""
    return state / f"{file.name}.csv"


def note_all(
    files: Sequence[Path], split: str, tables: LabelTables, state: Path, progress: Progress, threads: int
) -> list[FileImages]:
    """Return what each file holds, after writing notes on it to the folder `state`; progress counts bytes.

    Raises
    ------
    ArchiveError
        As `read_rows`; if a file has an image twice, or is changed meanwhile.
    TableError
        If a label table is invalid.
    OSError
        If a file cannot be read, or notes cannot be written.
    """
    names = RowNames(split, tables)
    labels = {synset: label for label, synset in enumerate(tables.synsets())}
    count = ByteCounter("reading", sum(_status(file).st_size for file in files), progress)

    def note(number: int, stop: Event) -> FileImages:
        return list_images(_note(files[number], names, state, count, stop), split, labels)

    return for_each(len(files), note, threads)


def _note(file: Path, names: RowNames, state: Path, count: ByteCounter, stop: Event) -> Manifest:
    path, inputs = notes_path(file, state), _inputs(file, names)
    with suppress(ManifestError):
        notes = read_manifest(path)
        if notes.inputs == inputs:
            count.add(int(inputs["size"]))
            return notes
    entries = _read_entries(file, int(inputs["size"]), names, count, stop)
    if _inputs(file, names) != inputs:
        raise ArchiveError(f"{file}: it was changed while it was read; run the build again when it is complete")
    notes = Manifest(entries, inputs, file.name)
    replace_file(path, serialize_manifest(notes))
    return notes


def _inputs(file: Path, names: RowNames) -> dict[str, str]:
    status = _status(file)
    return {"size": str(status.st_size), "mtime_ns": str(status.st_mtime_ns), "tables": names.digest}


def _status(file: Path) -> os.stat_result:
    with reading_parquet(file):
        return file.stat()


def _read_entries(file: Path, size: int, names: RowNames, count: ByteCounter, stop: Event) -> Files:
    """Read a file of `size` bytes, and count these."""
    entries: Files = {}
    for name, contents in until(stop, read_rows(file, names)):
        if name in entries:
            raise row_error(file, len(entries), f"{name} is there twice; download the file again")
        entries[name] = add_to_entry(Entry(0, 0), [contents])
        # The file is larger than its images, or smaller, if it is compressed.
        counted = min(len(contents), size)
        size -= counted
        count.add(counted)
    count.add(size)
    return entries
